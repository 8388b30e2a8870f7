/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"

#define INDENT "          "

static void trouble(const struct lb_ctl *ctl, const char *name, enum lb_colour colour, const char *text)
{
    if (!*text)
        return;
    fputs(lb_terminal_colour(&ctl->out, colour), ctl->out.out);
    lb_terminal_write_lines(&ctl->out, name, INDENT, text);
    fputs(lb_terminal_colour(&ctl->out, LB_COLOUR_NONE), ctl->out.out);
}

static void counts(const struct lb_ctl *ctl, const json_t *status)
{
    static const char *const states[] = { "review", "pending", "approved", "active", "ending" };
    int64_t behind = lb_ctl_int(status, "journal_behind");

    fputs("Requests: ", ctl->out.out);
    for (size_t i = 0; i < LB_ELEMENTS(states); i++)
        fprintf(ctl->out.out, "%s%" PRId64 " %s", i ? ", " : "", lb_ctl_int(status, states[i]), states[i]);
    fputc('\n', ctl->out.out);
    fprintf(ctl->out.out, "Sessions: %" PRId64 "\n", lb_ctl_int(status, "sessions"));
    fprintf(ctl->out.out, "Logins:   %" PRId64 " waiting, %" PRId64 " connections\n", lb_ctl_int(status, "waiters"),
            lb_ctl_int(status, "connections"));
    fprintf(ctl->out.out, "Events:   %" PRId64 ", ", lb_ctl_int(status, "events"));
    if (behind)
        fprintf(ctl->out.out, "%" PRId64 " of them not yet in the journal\n", behind);
    else
        fputs("all of them in the journal\n", ctl->out.out);
}

static void print(const struct lb_ctl *ctl, const json_t *status)
{
    char moment[LB_HUMAN_MAX];
    int64_t loaded = lb_ctl_time(status, "policy_loaded_at"), rules = lb_ctl_int(status, "policy_rules");

    fputs("Daemon:   lockboxd ", ctl->out.out);
    lb_terminal_write(&ctl->out, lb_ctl_string(status, "version"));
    fputs(" on ", ctl->out.out);
    lb_terminal_write(&ctl->out, lb_ctl_string(status, "host"));
    fprintf(ctl->out.out, ", started %s\n", lb_human_moment(lb_ctl_time(status, "started_at"), ctl->now, moment));
    fprintf(ctl->out.out, "Policy:   %" PRId64 " rule%s%s%s\n", rules, rules == 1 ? "" : "s", loaded ? ", loaded " : "",
            loaded ? lb_human_moment(loaded, ctl->now, moment) : "");
    trouble(ctl, "Refused:  ", LB_COLOUR_YELLOW, lb_ctl_string(status, "policy_error"));
    counts(ctl, status);
    lb_courier_print(ctl);
    trouble(ctl, "Problem:  ", LB_COLOUR_RED, lb_ctl_string(status, "problem"));
}

int verb_status(struct lb_ctl *ctl)
{
    LB_JSON json_t *status = NULL;
    int r = lb_ctl_call(ctl, LB_ACCESS "Status", json_object(), &status);

    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, status);
    else
        print(ctl, status);
    return *lb_ctl_string(status, "problem") ? LB_EXIT_FAILED : LB_EXIT_DONE;
}
