/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trail as a stream, page by page: for a spreadsheet, or for a program that has no socket to us. */
#include <errno.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "lockboxd/proto/json.h"

struct export {
    bool csv;
    int64_t since, until; /* µs since 1970 */
};

/* The members of the event itself, behind those that the daemon adds to it. */
static const char *const outer[] = { "seq", "time", "event", "request", "state" };
static const char *const inner[] = { "account", "engineer", "ticket", "reason", "approver", "by", "note" };
static const char *const last[] = { "message", "hash" };

/* A spreadsheet takes what begins like this for a formula, and runs it, blanks before it or not; where Japanese is
 * written, also what begins with one of the wide ones. */
static bool is_formula(const char *text)
{
    static const char *const wide[] = { "\uFF1D", "\uFF0B", "\uFF0D", "\uFF20" };

    text += strspn(text, " ");
    for (size_t i = 0; i < LB_ELEMENTS(wide); i++)
        if (strncmp(text, wide[i], strlen(wide[i])) == 0)
            return true;
    return *text && strchr("=+-@\t\r\n|%", *text);
}

/* A cell, always in quotes. Whoever may write a ticket would run something at the auditor's: the apostrophe makes it
 * text. */
static void print_cell(const struct lb_ctl *ctl, const char *text, const char *separator)
{
    FILE *out = ctl->out.out;
    LB_FREE char *shown = ctl->out.width ? lb_human_text(text, ctl->out.utf8) : NULL;
    bool formula = is_formula(text);

    text = shown ? shown : text;
    fputc('"', out);
    if (formula)
        fputc('\'', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fprintf(out, "\"%s", separator);
}

static void print_cells(const struct lb_ctl *ctl, const char *const *names, size_t n, const json_t *object,
                        const char *end)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, names[i]);
        char number[24] = "";

        if (json_is_integer(value))
            snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        print_cell(ctl, *number ? number : object ? lb_ctl_string(object, names[i]) : names[i],
                   i + 1 < n ? "," : end);
    }
}

/* Without an event: the line of titles. */
static void print_csv(const struct lb_ctl *ctl, const json_t *event)
{
    const char *json = lb_ctl_string(event, "json");
    LB_JSON json_t *own = event ? lb_json_load(json, strlen(json)) : NULL, *nothing = event ? json_object() : NULL;

    print_cells(ctl, outer, LB_ELEMENTS(outer), event, ",");
    print_cells(ctl, inner, LB_ELEMENTS(inner), own ? own : nothing, ",");
    print_cells(ctl, last, LB_ELEMENTS(last), event, "\r\n");
}

static int print_page(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    const struct export *e = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event) {
        int64_t time = lb_ctl_time(event, "time");

        if (time < e->since || time > e->until)
            continue;
        if (e->csv)
            print_csv(ctl, event);
        else
            lb_ctl_print_json(ctl, event);
    }
    return ferror(ctl->out.out) ? LB_EXIT_FAILED : LB_EXIT_DONE;
}

int verb_audit_export(struct lb_ctl *ctl)
{
    const char *format = ctl->options[LB_OPTION_FORMAT];
    struct export e = { .csv = format && strcmp(format, "csv") == 0, .since = INT64_MIN, .until = INT64_MAX };
    int r = lb_ctl_option_time(ctl, LB_OPTION_SINCE, &e.since);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_option_time(ctl, LB_OPTION_UNTIL, &e.until);
    if (r == LB_EXIT_DONE && format && !e.csv && strcmp(format, "jsonl") != 0)
        r = lb_ctl_fail(ctl, LB_EXIT_USAGE, "--format %s: it is jsonl or csv", format);
    if (r != LB_EXIT_DONE)
        return r;
    if (e.csv)
        print_csv(ctl, NULL);
    return lb_ctl_pages(ctl, 1, NULL, print_page, &e);
}
