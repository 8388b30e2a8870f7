/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/template.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/ini.h"
#include "policy/span.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz_"
#define WORD_MAX 24

/* --- what stands for a word ------------------------------------------------------------------------------------------ */

static char *print_time(int64_t wall)
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    char text[64] = "";
    struct tm tm;

    if (wall > 0 && wall != LB_NEVER)
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return strdup(text);
}

static char *give_title(const struct lb_matter *m) { return strdup(lb_matter_title(m)); }
static char *give_message(const struct lb_matter *m) { return lb_matter_sentence(m); }
static char *give_notice(const struct lb_matter *m) { return strdup(lb_notice_names[m->notice]); }
static char *give_event(const struct lb_matter *m) { return strdup(m->event ? lb_event_names[m->event->kind] : "test"); }
static char *give_host(const struct lb_matter *m) { return strdup(m->host); }
static char *give_state(const struct lb_matter *m) { return strdup(m->request ? lb_state_names[m->request->state] : ""); }
static char *give_time(const struct lb_matter *m) { return print_time(m->event ? m->event->time.wall : m->now); }
static char *give_decide_by(const struct lb_matter *m) { return print_time(m->request ? m->request->decide_by.wall : 0); }

static char *give_seq(const struct lb_matter *m)
{
    char *text = NULL;

    return asprintf(&text, "%" PRId64, m->event ? m->event->seq : 0) < 0 ? NULL : text;
}

static char *give_duration(const struct lb_matter *m)
{
    char span[LB_SPAN_MAX];

    return strdup(m->request && m->request->duration ? lb_span_format(m->request->duration, span, sizeof(span)) : "");
}

/* The rest are members of the event or the request, by their names there: the event's counts, where it has one. */
static const struct placeholder {
    const char *name;
    char *(*give)(const struct lb_matter *m);
} placeholders[] = {
    { "title", give_title }, { "message", give_message }, { "notice", give_notice }, { "event", give_event },
    { "host", give_host }, { "state", give_state }, { "time", give_time }, { "decide_by", give_decide_by },
    { "seq", give_seq }, { "duration", give_duration },
    { "request", NULL }, { "account", NULL }, { "engineer", NULL }, { "key", NULL }, { "service", NULL }, { "scope", NULL },
    { "rhost", NULL }, { "tty", NULL }, { "ticket", NULL }, { "ticket_url", NULL }, { "reason", NULL }, { "rule", NULL },
    { "approver", NULL }, { "note", NULL }, { "by", NULL },
};

static const char *member(const struct lb_field *table, const void *base, const char *name)
{
    const struct lb_field *f = base ? lb_fields_find(table, name) : NULL;
    const char *text = f && f->type == LB_FIELD_STRING ? *(char *const *)((const char *)base + f->offset) : NULL;

    return text && *text ? text : NULL;
}

static char *value_of(const struct placeholder *p, const struct lb_matter *m)
{
    const char *text;

    if (p->give)
        return p->give(m);
    text = member(lb_event_fields, m->event, p->name);
    text = text ? text : member(lb_request_fields, m->request, p->name);
    return strdup(text ? text : "");
}

/* --- words in a text ------------------------------------------------------------------------------------------------- */

/* The {word} at `p`, or NULL for a brace that is just one. */
static const char *word_at(const char *p, char word[WORD_MAX])
{
    size_t n = *p == '{' ? strspn(p + 1, LOWER) : 0;

    if (n == 0 || n >= WORD_MAX || p[1 + n] != '}')
        return NULL;
    memcpy(word, p + 1, n);
    word[n] = '\0';
    return p + n + 2;
}

static const struct placeholder *find(const char *word)
{
    for (size_t i = 0; i < LB_ELEMENTS(placeholders); i++)
        if (strcmp(placeholders[i].name, word) == 0)
            return &placeholders[i];
    return NULL;
}

/* Without the quotes, which are the author's. */
static int put_escaped(FILE *out, const char *value)
{
    json_auto_t *string = value ? json_string(value) : NULL;
    LB_FREE char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

    if (!quoted)
        return -ENOMEM;
    return fwrite(quoted + 1, 1, strlen(quoted) - 2, out) == strlen(quoted) - 2 ? 0 : -ENOMEM;
}

char *lb_template_fill(const char *text, const struct lb_matter *m)
{
    char word[WORD_MAX], *filled = NULL;
    size_t size;
    FILE *out = open_memstream(&filled, &size);
    int r = out ? 0 : -ENOMEM;

    for (const char *p = text, *next; r == 0 && *p; p = next) {
        const struct placeholder *found = (next = word_at(p, word)) ? find(word) : NULL;
        LB_FREE char *value = found ? value_of(found, m) : NULL;

        if (found)
            r = put_escaped(out, value);
        else
            r = fputc(*p, out) == EOF ? -ENOMEM : 0;
        next = found ? next : p + 1;
    }
    if (out && fclose(out) != 0)
        r = -ENOMEM;
    if (r == 0)
        return filled;
    free(filled);
    return NULL;
}

int lb_template_check(const char *text, unsigned *ret_line, char **ret_mistake)
{
    static const struct lb_matter test = { .notice = LB_NOTICE_TEST, .host = "host" };
    const char *known[LB_ELEMENTS(placeholders) + 1] = { 0 }, *near;
    char word[WORD_MAX];
    unsigned line = 1;

    for (size_t i = 0; i < LB_ELEMENTS(placeholders); i++)
        known[i] = placeholders[i].name;
    for (const char *p = text; *p; p++) {
        line += *p == '\n';
        if (!word_at(p, word) || find(word))
            continue;
        near = lb_ini_suggest(word, known);
        *ret_line = line;
        return asprintf(ret_mistake, "there is no placeholder {%s}%s%s%s", word, near ? " (did you mean {" : "",
                        near ? near : "", near ? "}?)" : "") < 0 ? -ENOMEM : -EINVAL;
    }
    LB_FREE char *filled = lb_template_fill(text, &test);
    json_auto_t *object = filled ? lb_json_load(filled, strlen(filled)) : NULL;

    *ret_line = 0;
    if (!filled)
        return -ENOMEM;
    if (object)
        return 0;
    *ret_mistake = strdup("is no JSON object once the placeholders are filled in; write \"{message}\" with the quotes");
    return *ret_mistake ? -EINVAL : -ENOMEM;
}
