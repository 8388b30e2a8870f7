/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>

#include "lockboxd/ctl/ctl.h"
#include "policy/deadline.h"

/* How long a daemon that was stopped under a follower may take to come back (an upgrade), and how often to look. */
#define RETURN_MS 60000
#define RETRY_MS 500
#define GOING_ON (-1)

static json_t *parameters(const char *request, int64_t since)
{
    return json_pack("{s:I, s:s*}", "since", (json_int_t)since, "request", request);
}

int lb_ctl_end_of_log(const struct lb_ctl *ctl, int64_t *ret)
{
    LB_JSON json_t *status = NULL;
    int r = lb_ctl_call(ctl, LB_ACCESS "Status", json_object(), &status);

    /* There are no gaps, so the last number is how many there are, also for who may read but some of them. */
    if (r == LB_EXIT_DONE)
        *ret = lb_ctl_int(status, "events") + 1;
    return r;
}

/* Hands new events on, and remembers up to where, so that nothing is told twice after a reconnection. */
static int step(struct lb_ctl *ctl, struct lb_ctl_follow *f, const json_t *events)
{
    const json_t *last = json_array_get(events, json_array_size(events) - 1);

    ctl->now = lb_ctl_now();
    if (events && !last)
        return GOING_ON;
    if (last)
        f->since = lb_ctl_int(last, "seq") + 1;
    return f->step(ctl, events, f->userdata);
}

/* One connection's life. GOING_ON: it broke, and another may carry on. After such a break what is shown may be old even
 * where there is no event to tell so. */
static int follow_once(struct lb_ctl *ctl, struct lb_ctl_follow *f, struct lb_client *client, bool again)
{
    LB_JSON json_t *call = parameters(f->request, f->since), *nothing_new = json_array();
    int status = GOING_ON;
    int r = lb_client_send(client, LB_AUDIT "Events", call, true, RETURN_MS);

    if (r >= 0 && again)
        status = f->step(ctl, nothing_new, f->userdata);
    while (r >= 0 && status == GOING_ON) {
        LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };
        r = lb_client_receive(client, f->tick_ms, &reply);
        if (r == -ETIMEDOUT)
            r = 0;
        else if (r >= 0 && reply.error)
            return lb_ctl_refused(ctl, reply.error, reply.parameters);
        else if (r >= 0 && !json_is_array(json_object_get(reply.parameters, "events")))
            r = -EBADMSG;
        if (r >= 0)
            status = step(ctl, f, json_object_get(reply.parameters, "events"));
    }
    return r >= 0 || r == -ECONNRESET || r == -EPIPE ? status : lb_ctl_lost(ctl, r);
}

int lb_ctl_follow(struct lb_ctl *ctl, struct lb_ctl_follow *f)
{
    int64_t lost_at = 0;
    int timeout = LB_CTL_CONNECT_MS;

    for (;; poll(NULL, 0, RETRY_MS), timeout = RETRY_MS) {
        LB_CLIENT struct lb_client *client = NULL;
        int r = lb_client_open(ctl->options[LB_OPTION_SOCKET], timeout, &client);
        if (r < 0 && (!lost_at || lb_ctl_now() - lost_at > RETURN_MS * (LB_USEC_PER_SEC / 1000)))
            return lb_ctl_lost(ctl, r);
        if (r < 0)
            continue;
        r = follow_once(ctl, f, client, lost_at);
        if (r >= 0)
            return r;
        if (!lost_at)
            lb_ctl_fail(ctl, 0, "the connection to lockboxd broke; waiting for it to come back");
        lost_at = lb_ctl_now();
    }
}

struct await {
    const char *states;
    json_t *request;
};

/* Words between approver and engineer: whoever waits should not have to look for them. */
static void tell_words(const struct lb_ctl *ctl, const json_t *events)
{
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event)
        if (strcmp(lb_ctl_string(event, "event"), lb_event_names[LB_EVENT_MESSAGE]) == 0)
            lb_ctl_fail(ctl, 0, "%s", lb_ctl_string(event, "message"));
}

static int await_step(struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct await *await = userdata;
    json_t *request = NULL;
    int r = lb_ctl_get(ctl, &request);

    tell_words(ctl, events);
    if (r != LB_EXIT_DONE)
        return r;
    json_decref(await->request);
    await->request = request;
    if (!events) /* the time is over */
        return LB_EXIT_DONE;
    return lb_show_is_one_of(lb_ctl_string(request, "state"), await->states) ? GOING_ON : LB_EXIT_DONE;
}

int lb_ctl_await(struct lb_ctl *ctl, const char *states, int timeout_ms, json_t **ret)
{
    struct await await = { .states = states };
    struct lb_ctl_follow follow = {
        .request = ctl->id,
        .tick_ms = timeout_ms,
        .step = await_step,
        .userdata = &await,
    };
    LB_JSON json_t *nothing_new = json_array();
    int r = lb_ctl_end_of_log(ctl, &follow.since);

    /* What happened before the end of the log was looked up is in the request already. */
    if (r == LB_EXIT_DONE)
        r = await_step(ctl, nothing_new, &await);
    if (r == GOING_ON)
        r = lb_ctl_follow(ctl, &follow);
    if (r == LB_EXIT_DONE)
        *ret = LB_TAKE(await.request);
    json_decref(await.request);
    return r;
}
