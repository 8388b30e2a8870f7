/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"

static int add(struct lb_table *table, const json_t *session, int64_t now)
{
    char pid[24], opened[LB_HUMAN_MAX], ends[LB_HUMAN_MAX];
    int64_t not_after = lb_ctl_time(session, "not_after");
    const struct lb_cell cells[] = {
        { lb_ctl_string(session, "request"), LB_COLOUR_BOLD },
        { lb_ctl_string(session, "engineer"), LB_COLOUR_NONE },
        { lb_ctl_string(session, "account"), LB_COLOUR_NONE },
        { lb_ctl_string(session, "service"), LB_COLOUR_NONE },
        { lb_ctl_string(session, "tty"), LB_COLOUR_NONE },
        { lb_ctl_string(session, "rhost"), LB_COLOUR_NONE },
        { pid, LB_COLOUR_NONE },
        { lb_human_time(lb_ctl_time(session, "opened_at"), now, opened), LB_COLOUR_NONE },
        { not_after ? lb_human_time(not_after, now, ends) : "", LB_COLOUR_NONE },
    };

    snprintf(pid, sizeof(pid), "%" PRId64, lb_ctl_int(session, "pid"));
    return lb_table_add(table, cells);
}

static int print(const struct lb_ctl *ctl, const json_t *sessions)
{
    static const struct lb_column columns[] = {
        { "REQUEST", false, 0 }, { "ENGINEER", true, 0 }, { "ACCOUNT", true, 0 },
        { "SERVICE", true, 2 },  { "TTY", true, 1 },      { "FROM", true, 0 },
        { "PID", false, 4 },     { "OPENED", false, 3 },  { "ENDS", false, 0 },
    };
    LB_TABLE struct lb_table *table = lb_table_new(&ctl->out, columns, LB_ELEMENTS(columns));
    const json_t *session = NULL;
    size_t i = 0;
    int r = table ? 0 : -ENOMEM;

    json_array_foreach (sessions, i, session)
        if (r == 0)
            r = add(table, session, ctl->now);
    if (r == 0)
        r = lb_table_print(table);
    return r < 0 ? lb_ctl_lost(ctl, r) : LB_EXIT_DONE;
}

int verb_sessions(struct lb_ctl *ctl)
{
    LB_JSON json_t *reply = NULL;
    const json_t *sessions = NULL;
    int r = lb_ctl_call(ctl, LB_ACCESS "Sessions", json_object(), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    sessions = json_object_get(reply, "sessions");
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    else if (json_array_size(sessions))
        return print(ctl, sessions);
    else
        fputs("No open sessions.\n", ctl->out.out);
    return LB_EXIT_DONE;
}
