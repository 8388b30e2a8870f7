/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/span.h"

/* Relative days ("today") and the clock in the last line move on even when nothing happens. */
#define REDRAW_MS 30000

/* The one time that matters in this state. */
static const char *time_that_matters(const json_t *request, int64_t now, char *buf)
{
    static const struct {
        const char *states, *key, *label;
        bool coming; /* matters only while it is yet to come */
    } times[] = {
        { "review pending", "decide_by", "by " },
        { "approved", "not_before", "from ", true },
        { "approved", "use_by", "use by " },
        { "active paused ending", "not_after", "until " },
        { NULL, "closed_at", "" },
        { NULL, "requested_at", "asked " },
    };
    const char *state = lb_ctl_string(request, "state");
    char time[LB_HUMAN_MAX];

    for (size_t i = 0; i < LB_ELEMENTS(times); i++) {
        int64_t at = lb_ctl_time(request, times[i].key);
        if (!at || (times[i].coming && at <= now) || (times[i].states && !lb_show_is_one_of(state, times[i].states)))
            continue;
        lb_human_time(at, now, time);
        snprintf(buf, LB_HUMAN_MAX, "%s%.40s", times[i].label, time);
        return buf;
    }
    return strcpy(buf, "");
}

/* An emergency is seen among a hundred others, and stays red until an approver has seen it, too. */
static struct lb_cell state_cell(const json_t *request, char *buf, size_t size)
{
    if (!lb_show_is_emergency(request))
        return (struct lb_cell){ lb_show_state(request), lb_show_colour(request) };
    snprintf(buf, size, "%s, emergency", lb_show_state(request));
    return (struct lb_cell){ buf, lb_show_is_unseen(request) ? LB_COLOUR_RED : lb_show_colour(request) };
}

int lb_list_print(const struct lb_ctl *ctl, const struct lb_terminal *terminal, const json_t *requests)
{
    static const struct lb_column columns[] = {
        { "ID", false, 0 },    { "STATE", false, 0 }, { "ENGINEER", true, 0 },   { "ACCOUNT", true, 0 },
        { "TICKET", true, 2 }, { "REASON", true, 1 }, { "ASKED FOR", false, 3 }, { "WHEN", false, 0 },
    };
    LB_TABLE struct lb_table *table = lb_table_new(terminal, columns, LB_ELEMENTS(columns));
    const json_t *request = NULL;
    size_t i = 0;
    int r = table ? 0 : -ENOMEM;
    char span[LB_SHOW_DURATION_MAX], time[LB_HUMAN_MAX], state[64];

    json_array_foreach (requests, i, request) {
        const struct lb_cell cells[] = {
            { lb_ctl_string(request, "id"), LB_COLOUR_BOLD },
            state_cell(request, state, sizeof(state)),
            { lb_show_is_window(request) ? "(with the ticket)" : lb_ctl_string(request, "engineer"), LB_COLOUR_NONE },
            { lb_ctl_string(request, "account"), LB_COLOUR_NONE },
            { lb_ctl_string(request, "ticket"), LB_COLOUR_NONE },
            { lb_ctl_string(request, "reason"), LB_COLOUR_NONE },
            { lb_show_duration(request, span), LB_COLOUR_NONE },
            { time_that_matters(request, ctl->now, time), LB_COLOUR_NONE },
        };
        if (r == 0)
            r = lb_table_add(table, cells);
    }
    if (r == 0)
        r = lb_table_print(table);
    return r < 0 ? lb_ctl_lost(ctl, r) : LB_EXIT_DONE;
}

/* A slip would otherwise be an empty list. */
static int check_state(const struct lb_ctl *ctl)
{
    const char *state = ctl->options[LB_OPTION_STATE];

    for (int i = LB_STATE_NONE + 1; state && i < LB_STATE_MAX_; i++)
        if (strcmp(state, lb_state_names[i]) == 0)
            return LB_EXIT_DONE;
    return state ? lb_ctl_fail(ctl, LB_EXIT_USAGE,
                               "--state %s: a state is review, pending, approved, active, paused, "
                               "ending, completed, ended, revoked, denied, expired, withdrawn, lapsed or undecidable",
                               state)
                 : LB_EXIT_DONE;
}

/* Asked for a state or a time, all requests are meant; NULL: the open ones. */
static const char *which_of(const struct lb_ctl *ctl)
{
    static const struct {
        enum lb_option option;
        const char *which;
    } whichs[] = {
        { LB_OPTION_PENDING, "pending" }, { LB_OPTION_ACTIVE, "active" }, { LB_OPTION_RECENT, "recent" },
        { LB_OPTION_ALL, "all" },         { LB_OPTION_STATE, "all" },     { LB_OPTION_SINCE, "all" },
        { LB_OPTION_UNTIL, "all" },
    };

    for (size_t i = 0; i < LB_ELEMENTS(whichs); i++)
        if (ctl->options[whichs[i].option])
            return whichs[i].which;
    return NULL;
}

/* The options as List's parameters. */
static int parameters_of(const struct lb_ctl *ctl, json_t **ret)
{
    int64_t since = INT64_MIN, until = INT64_MIN;
    char since_text[LB_HUMAN_MAX], until_text[LB_HUMAN_MAX];
    int r = check_state(ctl);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_option_time(ctl, LB_OPTION_SINCE, &since);
    if (r == LB_EXIT_DONE)
        r = lb_ctl_option_time(ctl, LB_OPTION_UNTIL, &until);
    if (r != LB_EXIT_DONE)
        return r;
    *ret = json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "which", which_of(ctl), "account",
                     ctl->options[LB_OPTION_ACCOUNT], "engineer", ctl->options[LB_OPTION_ENGINEER], "ticket",
                     ctl->options[LB_OPTION_TICKET], "state", ctl->options[LB_OPTION_STATE], "since",
                     since == INT64_MIN ? NULL : lb_human_rfc3339(since, since_text), "until",
                     until == INT64_MIN ? NULL : lb_human_rfc3339(until, until_text));
    return LB_EXIT_DONE;
}

static int list(struct lb_ctl *ctl, const json_t *parameters, json_t **ret)
{
    return lb_ctl_call(ctl, LB_ACCESS "List", json_deep_copy(parameters), ret);
}

/* Says so where a reply could not hold them all. The last one's second has others in it, perhaps. */
static void say_cut(const struct lb_terminal *terminal, const json_t *reply)
{
    const json_t *requests = json_object_get(reply, "requests");
    size_t n = json_array_size(requests);
    char stamp[LB_HUMAN_MAX];

    if (!n || !json_is_true(json_object_get(reply, "more")))
        return;
    lb_human_stamp(lb_ctl_time(json_array_get(requests, n - 1), "requested_at") + LB_USEC_PER_SEC, stamp);
    fprintf(terminal->out, "These are the newest %zu; for older ones add: --until '%s'\n", n, stamp);
}

static int print(struct lb_ctl *ctl, const json_t *reply)
{
    const json_t *requests = json_object_get(reply, "requests");
    int r = LB_EXIT_DONE;

    if (json_array_size(requests))
        r = lb_list_print(ctl, &ctl->out, requests);
    else
        fputs(which_of(ctl) ? "No such requests.\n"
                            : "No such requests are open; with --recent those that were closed, too.\n", ctl->out.out);
    if (r == LB_EXIT_DONE)
        say_cut(&ctl->out, reply);
    return r;
}

/* --- as things change --------------------------------------------------------------------------------------------- */

struct screen {
    json_t *parameters;
    json_t *reply; /* what was last drawn */
};

/* Something new for somebody to decide, or to see. */
static bool is_new_request(const json_t *event)
{
    return lb_show_is_one_of(lb_ctl_string(event, "event"), "review requested reviewed emergency");
}

static void draw_head(const struct lb_ctl *ctl, const json_t *events)
{
    const json_t *event = NULL;
    size_t i = 0;
    char stamp[LB_HUMAN_MAX];
    bool ring = false;

    json_array_foreach (events, i, event)
        ring = ring || is_new_request(event);
    if (!ctl->out.width)
        return;
    fprintf(ctl->out.out, "%s\033[H\033[JRequests at %s; Ctrl-C ends.\n\n", ring ? "\a" : "",
            lb_human_stamp(ctl->now, stamp));
}

/* For a person: the whole table again. */
static int draw(struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct screen *screen = userdata;
    json_t *reply = NULL;
    int r = events ? list(ctl, screen->parameters, &reply) : LB_EXIT_DONE;

    if (r != LB_EXIT_DONE)
        return r;
    if (reply) {
        json_decref(screen->reply);
        screen->reply = reply;
    }
    draw_head(ctl, events);
    r = print(ctl, screen->reply);
    return r == LB_EXIT_DONE && fflush(ctl->out.out) == 0 ? -1 : LB_EXIT_FAILED;
}

static const json_t *find(const json_t *reply, const char *id)
{
    const json_t *request = NULL;
    size_t i = 0;

    json_array_foreach (json_object_get(reply, "requests"), i, request)
        if (strcmp(lb_ctl_string(request, "id"), id) == 0)
            return request;
    return NULL;
}

/* For a program: a line for each request that is not as it was, also when it has left the list. */
static int print_changes(struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct screen *screen = userdata;
    json_t *reply = NULL;
    const json_t *request = NULL;
    size_t i = 0;
    int r = list(ctl, screen->parameters, &reply);

    (void)events;
    if (r != LB_EXIT_DONE)
        return r;
    json_array_foreach (json_object_get(reply, "requests"), i, request)
        if (!json_equal(request, find(screen->reply, lb_ctl_string(request, "id"))))
            lb_ctl_print_json(ctl, request);
    json_array_foreach (json_object_get(screen->reply, "requests"), i, request) {
        LB_JSON json_t *now = NULL;
        if (find(reply, lb_ctl_string(request, "id")))
            continue;
        lb_id_format(lb_ctl_string(request, "id"), ctl->id);
        if (lb_ctl_get(ctl, &now) == LB_EXIT_DONE)
            lb_ctl_print_json(ctl, now);
    }
    json_decref(screen->reply);
    screen->reply = reply;
    return fflush(ctl->out.out) == 0 ? -1 : LB_EXIT_FAILED;
}

static int follow(struct lb_ctl *ctl, json_t *parameters)
{
    bool json = ctl->options[LB_OPTION_JSON];
    struct screen screen = { .parameters = parameters };
    struct lb_ctl_follow follow = {
        .tick_ms = ctl->out.width && !json ? REDRAW_MS : -1,
        .step = json ? print_changes : draw,
        .userdata = &screen,
    };
    LB_JSON json_t *nothing_new = json_array();
    int r = lb_ctl_end_of_log(ctl, &follow.since);

    if (r == LB_EXIT_DONE)
        r = follow.step(ctl, nothing_new, &screen);
    if (r < 0)
        r = lb_ctl_follow(ctl, &follow);
    json_decref(screen.reply);
    return r;
}

int verb_list(struct lb_ctl *ctl)
{
    LB_JSON json_t *parameters = NULL, *reply = NULL;
    int r = parameters_of(ctl, &parameters);

    if (r == LB_EXIT_DONE && ctl->options[LB_OPTION_FOLLOW])
        return follow(ctl, parameters);
    if (r == LB_EXIT_DONE)
        r = list(ctl, parameters, &reply);
    if (r != LB_EXIT_DONE)
        return r;
    if (!ctl->options[LB_OPTION_JSON])
        return print(ctl, reply);
    lb_ctl_print_json(ctl, reply);
    say_cut(&ctl->err, reply);
    return LB_EXIT_DONE;
}

int verb_show(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    int r = lb_ctl_get(ctl, &request);

    if (r != LB_EXIT_DONE)
        return r;
    if (!ctl->options[LB_OPTION_JSON])
        return lb_show_request(ctl, request);
    lb_ctl_print_json(ctl, request);
    return LB_EXIT_DONE;
}
