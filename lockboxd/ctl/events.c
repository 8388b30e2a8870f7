/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"

struct query {
    int64_t since;      /* sequence number, or minus so many from the end */
    int64_t not_before; /* µs since 1970 */
};

/* Time, request, sentence; or the event with the hash and the very bytes that were hashed. */
static void print(const struct lb_ctl *ctl, const json_t *event)
{
    char stamp[LB_HUMAN_MAX], printed[LB_ID_PRINTED_MAX];

    if (ctl->options[LB_OPTION_JSON]) {
        lb_ctl_print_json(ctl, event);
        return;
    }
    fprintf(ctl->out.out, "%s%s%s  ", lb_terminal_colour(&ctl->out, LB_COLOUR_DIM),
            lb_human_stamp(lb_ctl_time(event, "time"), stamp), lb_terminal_colour(&ctl->out, LB_COLOUR_NONE));
    fprintf(ctl->out.out, "%-*s  ", LB_ID_PRINTED_MAX - 1, lb_id_format(lb_ctl_string(event, "request"), printed));
    lb_terminal_write(&ctl->out, lb_ctl_string(event, "message"));
    fputc('\n', ctl->out.out);
}

/* Also a step of following: the log is open at its end. */
static int print_all(struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    const struct query *query = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event)
        if (lb_ctl_time(event, "time") >= query->not_before)
            print(ctl, event);
    return fflush(ctl->out.out) == 0 ? -1 : LB_EXIT_FAILED;
}

/* "-20" counts events, anything else is a time. */
static int query_of(const struct lb_ctl *ctl, struct query *ret)
{
    const char *since = ctl->options[LB_OPTION_SINCE];
    char *end = NULL;

    *ret = (struct query){ .since = 1, .not_before = INT64_MIN };
    if (since && since[0] == '-' && since[1] && since[1 + strspn(since + 1, "0123456789")] == '\0') {
        errno = 0;
        ret->since = strtoll(since, &end, 10);
        return errno || !ret->since ? lb_ctl_fail(ctl, LB_EXIT_USAGE, "--since %s: how many?", since) : LB_EXIT_DONE;
    }
    return lb_ctl_option_time(ctl, LB_OPTION_SINCE, &ret->not_before);
}

static int print_page(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    return print_all((struct lb_ctl *)ctl, events, userdata) < 0 ? LB_EXIT_DONE : LB_EXIT_FAILED;
}

int verb_events(struct lb_ctl *ctl)
{
    struct query query;
    struct lb_ctl_follow follow = { .tick_ms = -1, .step = print_all, .userdata = &query };
    const char *id = NULL;
    int r = query_of(ctl, &query);

    if (r == LB_EXIT_DONE && ctl->args[0]) {
        r = lb_ctl_choose(ctl);
        id = ctl->id;
    }
    if (r != LB_EXIT_DONE)
        return r;
    if (!ctl->options[LB_OPTION_FOLLOW])
        return lb_ctl_pages(ctl, query.since, id, print_page, &query);
    follow.request = id;
    follow.since = query.since;
    return lb_ctl_follow(ctl, &follow);
}
