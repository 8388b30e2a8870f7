/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/post.h"

#include <errno.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/flight.h"
#include "lockboxd/courier/retry.h"
#include "lockboxd/courier/target.h"
#include "policy/base.h"

#define LOOK_AGAIN (30 * LB_USEC_PER_SEC)
#define SCAN_MAX 64 /* letters looked at for one that may go: a target whose first ones are all of one request waits */

struct lb_post {
    struct lb_outbox *outbox;
    struct lb_post_calls calls;
    void *userdata;
    const struct lb_courier_config *config;
    struct lb_transfers *transfers;
    struct lb_targets *targets;
    struct lb_target *first; /* whose turn it is; NULL: the first one's */
    struct lb_flights *flights;
    sd_event_source *turn, *wake;
    int64_t looked; /* boot clock: when letters past their time were looked for */
};

static void later(sd_event_source *source)
{
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void go_on(struct lb_post *p)
{
    later(p->turn);
}

void lb_post_expect(struct lb_post *p, const char *channel, const char *target)
{
    struct lb_target *t = lb_targets_get(p->targets, channel, target);

    if (t)
        lb_target_expect(t);
    go_on(p);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

struct pick {
    struct lb_post *post;
    struct lb_target *target;
    size_t room, n, scanned;
    int64_t rows[LB_RETRY_AT_ONCE];
    char *requests[LB_RETRY_AT_ONCE];
};

/* Letters of one request to one target go one after the other. */
static bool is_held(const struct pick *k, int64_t row, const char *request)
{
    for (size_t i = 0; request && i < k->n; i++)
        if (lb_streq(k->requests[i], request))
            return true;
    return lb_flights_hold(k->post->flights, k->target, row, request);
}

static int on_due(void *userdata, int64_t row, const char *request)
{
    struct pick *k = userdata;

    if (!is_held(k, row, request)) {
        k->requests[k->n] = lb_dup(request);
        k->rows[k->n++] = row;
    }
    return k->n == k->room || ++k->scanned >= SCAN_MAX;
}

static void serve(struct lb_post *p, struct lb_target *t, const struct lb_time *now)
{
    struct pick k = { p, t, lb_target_room(t, now->boot, lb_transfers_mails(p->transfers)) };
    const char *channel = lb_target_channel(t), *name = lb_target_name(t);

    if (k.room == 0 || !lb_target_wants(t, now->wall))
        return;
    lb_outbox_due(p->outbox, channel, name, now->wall, on_due, &k);
    if (k.n == k.room)
        lb_target_expect(t);
    else /* there is none besides, until something happens */
        lb_target_rest(t, lb_outbox_next_due(p->outbox, channel, name, now->wall));
    if (k.n && lb_target_is_behind(t)) /* the others behind it are first next time */
        p->first = lb_target_next(t);
    for (size_t i = 0; i < k.n; i++) {
        lb_flights_begin(p->flights, t, k.rows[i], p->config, p->transfers);
        free(k.requests[i]);
    }
}

static int on_target(void *userdata, const struct lb_outbox_target *row)
{
    struct lb_post *p = userdata;
    struct lb_target *t = row->waiting ? lb_targets_get(p->targets, row->channel, row->target) : NULL;

    if (t)
        lb_target_expect(t);
    return row->waiting && !t ? -ENOMEM : 0;
}

static void give_up(struct lb_post *p, const struct lb_time *now)
{
    int64_t n;

    if (p->looked && now->boot - p->looked < LOOK_AGAIN / 2)
        return;
    p->looked = now->boot;
    n = lb_outbox_expire(p->outbox, now->wall);
    if (n > 0)
        p->calls.given_up(p->userdata);
    for (struct lb_target *t = lb_targets_first(p->targets); t; t = lb_target_next(t))
        lb_target_expect(t); /* also where the wall clock was set */
}

/* When something may be possible that is not now; the wall clock may be set, so it is looked at again and again. */
static void set_alarm(struct lb_post *p, const struct lb_time *now)
{
    int64_t wait = LOOK_AGAIN;

    for (const struct lb_target *t = lb_targets_first(p->targets); t; t = lb_target_next(t))
        wait = lb_target_wait(t, now, wait);
    sd_event_source_set_time_relative(p->wake, (uint64_t)wait);
    later(p->wake);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    struct lb_post *p = userdata;
    struct lb_time now = lb_clock_now();
    struct lb_target *first = p->first ? p->first : lb_targets_first(p->targets);

    (void)source;
    if (!p->transfers)
        return 0;
    for (struct lb_target *t = first; t; t = lb_target_next(t))
        serve(p, t, &now);
    for (struct lb_target *t = lb_targets_first(p->targets); t != first; t = lb_target_next(t))
        serve(p, t, &now);
    set_alarm(p, &now);
    return 0;
}

static int on_wake(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_post *p = userdata;
    struct lb_time now = lb_clock_now();

    (void)source;
    (void)usec;
    give_up(p, &now);
    go_on(p);
    return 0;
}

/* --- from begin to end -------------------------------------------------------------------------------------------- */

static void on_failing(void *userdata, const struct lb_target *t, const char *request, const char *problem)
{
    struct lb_post *p = userdata;

    p->calls.failing(p->userdata, lb_target_channel(t), lb_target_name(t), request, problem);
}

static void on_given_up(void *userdata)
{
    struct lb_post *p = userdata;

    p->calls.given_up(p->userdata);
}

/* A letter, or the connection that one had. */
static void on_over(void *userdata)
{
    go_on(userdata);
}

int lb_post_new(sd_event *event, struct lb_outbox *outbox, const struct lb_post_calls *calls, void *userdata,
                struct lb_post **ret)
{
    static const struct lb_flights_calls flights = { on_failing, on_given_up, on_over };
    struct lb_post *p = calloc(1, sizeof(*p));
    int r = p ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *p = (struct lb_post){ .outbox = outbox, .calls = *calls, .userdata = userdata };
    p->targets = lb_targets_new();
    r = p->targets ? sd_event_add_defer(event, &p->turn, on_turn, p) : -ENOMEM;
    if (r >= 0)
        r = sd_event_source_set_enabled(p->turn, SD_EVENT_OFF);
    if (r >= 0)
        r = lb_flights_new(event, outbox, &flights, p, &p->flights);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &p->wake, CLOCK_BOOTTIME, 0, 1000, on_wake, p);
    if (r >= 0)
        r = lb_outbox_targets(outbox, on_target, p);
    if (r < 0)
        lb_post_free(p);
    else
        *ret = p;
    return r < 0 ? r : 0;
}

void lb_post_hurry(struct lb_post *p)
{
    lb_targets_hurry(p->targets);
    go_on(p);
}

void lb_post_configure(struct lb_post *p, const struct lb_courier_config *config, struct lb_transfers *transfers)
{
    const struct lb_webhook_config *w = config ? config->webhooks.items : NULL;

    lb_flights_break_off(p->flights);
    p->config = config;
    p->transfers = transfers;
    for (size_t i = 0; config && i < config->webhooks.n; i++)
        lb_targets_get(p->targets, "webhook", w[i].name);
    if (transfers)
        lb_transfers_watch(transfers, on_over, p);
    lb_post_hurry(p); /* perhaps that was what it wanted */
}

struct lb_post *lb_post_free(struct lb_post *p)
{
    if (!p)
        return NULL;
    lb_flights_free(p->flights);
    lb_targets_free(p->targets);
    sd_event_source_disable_unref(p->turn);
    sd_event_source_disable_unref(p->wake);
    free(p);
    return NULL;
}

/* --- how it is ---------------------------------------------------------------------------------------------------- */

static int count(void *userdata, const struct lb_outbox_target *row)
{
    json_t *array = userdata, *j = NULL;
    size_t i = 0;

    json_array_foreach (array, i, j)
        if (lb_streq(json_string_value(json_object_get(j, "channel")), row->channel) &&
            lb_streq(json_string_value(json_object_get(j, "target")), row->target)) {
            json_object_set_new(j, "waiting", json_integer(row->waiting));
            if (row->dead)
                json_object_set_new(j, "dead", json_integer(row->dead));
            return 0;
        }
    json_array_append_new(array, json_pack("{ss ss ss sI sI sI}", "channel", row->channel, "target", row->target,
                                           "state", "idle", "sent", (json_int_t)0, "waiting", (json_int_t)row->waiting,
                                           "dead", (json_int_t)row->dead));
    return 0;
}

json_t *lb_post_status(struct lb_post *p)
{
    struct lb_time now = lb_clock_now();
    json_t *array = lb_targets_show(p->targets, p->config, &now);

    if (lb_outbox_targets(p->outbox, count, array) < 0 || !array) {
        json_decref(array);
        return NULL;
    }
    return array;
}
