/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/terms.h"

#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/span.h"

/* A key's values are those of one field or, for a list of durations, of those that follow up to `last`. */
static const struct {
    const char *section, *key, *field, *last;
} keys[] = {
    { "Request", "Ticket", "ticket", NULL },
    { "Request", "TicketPattern", "ticket_pattern", NULL },
    { "Request", "TicketURL", "ticket_url", NULL },
    { "Request", "Reason", "reason", NULL },
    { "Request", "ExpireAfter", "expire_after", NULL },
    { "Request", "MaxPending", "max_pending", NULL },
    { "Approval", "Internal", "internal", NULL },
    { "Approval", "Customer", "customer", NULL },
    { "Approval", "Quorum", "quorum", NULL },
    { "Approval", "Evidence", "evidence", NULL },
    { "Access", "Duration", "duration", NULL },
    { "Access", "MaxDuration", "max_duration", NULL },
    { "Access", "Starts", "starts", NULL },
    { "Access", "UseBy", "use_by", NULL },
    { "Access", "Units", "units", NULL },
    { "Access", "OnEnd", "on_end", "freeze" },
    { "Access", "Warn", "warn0", "warn7" },
    { "Access", "OnReboot", "on_reboot", NULL },
    { "Access", "Record", "record", NULL },
    { "Access", "MaxSessions", "max_sessions", NULL },
    { "Access", "Exclusive", "exclusive", NULL },
    { "BreakGlass", "Allow", "emergency", NULL },
    { "BreakGlass", "Duration", "emergency_duration", NULL },
};

/* `separator` goes before what is written, if anything is. */
static void write_field(FILE *out, const struct lb_field *f, const struct lb_terms *terms, const char *separator)
{
    const void *member = (const char *)terms + f->offset;
    const int64_t number = f->type == LB_FIELD_INT ? *(const int64_t *)member : 0;
    const char *text = f->type == LB_FIELD_STRING ? *(char *const *)member : NULL;
    char *const *strings = f->type == LB_FIELD_STRINGS ? *(char **const *)member : NULL;
    char span[LB_SPAN_MAX];

    if (f->type == LB_FIELD_ENUM)
        text = f->names[*(const int *)member];
    else if (f->type == LB_FIELD_BOOL)
        text = *(const bool *)member ? "yes" : "no";
    else if (f->flags & LB_FIELD_SPAN && number)
        text = lb_span_format(number, span, sizeof(span));
    else if (f->type == LB_FIELD_INT && !(f->flags & LB_FIELD_SPAN))
        fprintf(out, "%s%" PRId64, separator, number);
    if (text)
        fprintf(out, "%s%s", separator, text);
    for (; strings && *strings; strings++, separator = " ")
        fprintf(out, "%s%s", separator, *strings);
}

/* *section is that of the line before, NULL on the first. */
static void write_key(FILE *out, size_t i, const struct lb_terms *terms, const char **section)
{
    const struct lb_field *f = lb_fields_find(lb_terms_fields, keys[i].field);
    const struct lb_field *last = keys[i].last ? lb_fields_find(lb_terms_fields, keys[i].last) : f;
    bool freeze = strcmp(keys[i].key, "OnEnd") == 0;

    if (!lb_streq(*section, keys[i].section))
        fprintf(out, "%s[%s]\n", *section ? "\n" : "", keys[i].section);
    *section = keys[i].section;
    fprintf(out, "%s=", keys[i].key);
    for (const char *separator = ""; f && f <= last; f++, separator = freeze ? "=" : " ")
        write_field(out, f, terms, separator);
    fputc('\n', out);
}

static bool is_said(size_t i, const struct lb_terms *terms)
{
    const struct lb_field *f = lb_fields_find(lb_terms_fields, keys[i].field);
    const void *member = f ? (const char *)terms + f->offset : NULL;

    return f && (f->type != LB_FIELD_STRING || *(char *const *)member) &&
           (f->type != LB_FIELD_STRINGS || (*(char **const *)member && **(char **const *)member));
}

char *lb_terms_text(const struct lb_terms *terms)
{
    char *text = NULL;
    const char *section = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    for (size_t i = 0; i < LB_ELEMENTS(keys); i++)
        if (is_said(i, terms))
            write_key(out, i, terms, &section);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

json_t *lb_terms_json(const struct lb_terms *terms)
{
    json_t *object = lb_json_pack(lb_terms_fields, terms, LB_JSON_PUBLIC), *warn = json_array();

    /* What is zero is a value all the same: kill, no, false. */
    for (const struct lb_field *f = lb_terms_fields; object && f->name; f++) {
        const void *member = (const char *)terms + f->offset;
        if (f->type == LB_FIELD_ENUM)
            json_object_set_new(object, f->name, json_string(f->names[*(const int *)member]));
        else if (f->type == LB_FIELD_BOOL)
            json_object_set_new(object, f->name, json_boolean(*(const bool *)member));
        else if (strncmp(f->name, "warn", strlen("warn")) == 0)
            json_object_del(object, f->name);
    }
    for (size_t i = 0; i < LB_WARN_MAX && terms->warn[i]; i++)
        json_array_append_new(warn, json_integer(terms->warn[i] / LB_USEC_PER_SEC));
    if (object)
        json_object_set(object, "warn", warn);
    json_decref(warn);
    return object;
}
