/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/post.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/retry.h"
#include "lockboxd/courier/target.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define TRY_USEC (60 * LB_USEC_PER_SEC) /* that one try may take */
#define MARK_DELAY (5 * 1000)           /* until what came of letters is written down */
#define LOOK_AGAIN (30 * LB_USEC_PER_SEC)
#define SCAN_MAX 64 /* letters looked at for one that may go: a target whose first ones are all of one request waits */

/* A letter on its way, or whose mark is not written yet. */
struct flight {
    struct flight *next;
    struct lb_post *post;
    struct lb_target *target;
    struct lb_letter letter;
    struct lb_transfer *transfer;
    int64_t began; /* boot clock */
    bool landed;
    struct lb_mark mark;
    char *error;
};

struct lb_post {
    sd_event *event;
    struct lb_outbox *outbox;
    struct lb_post_calls calls;
    void *userdata;
    const struct lb_courier_config *config;
    struct lb_transfers *transfers;
    struct lb_targets *targets;
    struct lb_target *first; /* whose turn it is; NULL: the first one's */
    struct flight *flights;
    sd_event_source *turn, *write, *wake;
    int unwritten;  /* the error with which what was sent is not written down; 0: it is */
    int64_t looked; /* boot clock: when letters past their time were looked for */
};

static uint32_t dice(void)
{
    uint32_t random = 0;

    return getrandom(&random, sizeof(random), GRND_NONBLOCK) == sizeof(random) ? random : UINT32_MAX / 2;
}

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

/* --- what came of a letter ---------------------------------------------------------------------------------------- */

static void flight_free(struct flight *f)
{
    lb_transfer_free(f->transfer);
    lb_letter_clear(&f->letter);
    free(f->error);
    free(f);
}

/* Its mark is written soon, with others'. */
static void land(struct flight *f, int kind, int64_t due, const char *error)
{
    struct lb_post *p = f->post;
    int enabled = SD_EVENT_OFF;

    f->landed = true;
    f->error = lb_dup(error);
    f->mark = (struct lb_mark){ f->letter.row, kind, due, f->error };
    lb_target_landed(f->target);
    sd_event_source_get_enabled(p->write, &enabled);
    if (enabled == SD_EVENT_OFF) {
        sd_event_source_set_time_relative(p->write, MARK_DELAY);
        later(p->write);
    }
    go_on(p);
}

static struct lb_failure failure(const struct flight *f, const char *problem, int64_t after)
{
    return (struct lb_failure){ problem, f->began, lb_clock_now().boot, after, dice() };
}

/* What answered "later" meant this letter, perhaps alone; where nothing answered it is not the letter's fault. */
static void fail(struct flight *f, const char *problem, bool answered, int64_t after)
{
    int64_t wait = answered ? lb_retry_delay(f->letter.attempts + 1, dice(), after) : 0;
    int64_t now = lb_clock_now().wall;
    struct lb_failure failed = failure(f, problem, after);
    struct lb_post *p = f->post;

    if (lb_target_fails(f->target, &failed))
        p->calls.failing(p->userdata, lb_target_channel(f->target), lb_target_name(f->target), f->letter.request,
                         problem);
    if (f->letter.until <= now + wait)
        land(f, LB_MARK_DEAD, 0, problem);
    else
        land(f, LB_MARK_FAILED, wait ? now + wait : 0, problem);
}

/* A server that will not have this letter yet, or not for this address, works. One that says nothing, will have nothing
 * of us ("421 too many connections", "530 login first"), or cannot be reached, does so whatever the letter. */
static bool is_address_fault(long status)
{
    return status >= 400 && status <= 499 && status != 421;
}

static void blame_server(const struct flight *f, const struct lb_transfer_result *r)
{
    struct lb_failure failed = failure(f, r->problem, 0);

    if (is_address_fault(r->status))
        lb_target_server_works(f->target);
    else
        lb_target_server_fails(f->target, &failed);
}

static void on_done(void *userdata, const struct lb_transfer_result *r)
{
    struct flight *f = userdata;
    struct lb_target *t = f->target;

    f->transfer = NULL;
    if (r->sent)
        lb_target_sent(t, lb_clock_now().wall);
    if (r->sent || r->final)
        lb_target_works(t);
    else
        blame_server(f, r);
    if (r->sent) {
        land(f, LB_MARK_SENT, 0, NULL);
    } else if (r->final) {
        lb_log(LOG_WARNING, "%s to %s: letter %s is not taken: %s", lb_target_channel(t), lb_target_name(t),
               f->letter.id, r->problem);
        land(f, LB_MARK_DEAD, 0, r->problem);
    } else {
        fail(f, r->problem, r->status > 0, r->retry_after * LB_USEC_PER_SEC);
    }
}

/* All that came of letters lately, in one commit. */
static int on_write(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_post *p = userdata;
    struct lb_list marks = { 0 };
    bool dead = false;
    int r = 0;

    (void)source;
    (void)usec;
    for (struct flight *f = p->flights; r == 0 && f; f = f->next) {
        struct lb_mark *m = f->landed ? lb_list_append(&marks, sizeof(*m)) : NULL;

        if (f->landed && !m)
            r = -ENOMEM;
        if (m)
            *m = f->mark;
        dead |= m && m->kind == LB_MARK_DEAD;
    }
    if (r == 0 && marks.n)
        r = lb_outbox_mark(p->outbox, marks.items, marks.n);
    free(marks.items);
    if (r < 0) { /* until it is written nothing of it is sent again */
        if (r != p->unwritten)
            lb_log(LOG_ERR, "What was sent cannot be written down: %s", strerrordesc_np(-r));
        p->unwritten = r;
        if (r == -EUCLEAN) /* it is put aside at the start */
            sd_event_exit(p->event, r);
        sd_event_source_set_time_relative(p->write, LB_USEC_PER_SEC);
        later(p->write);
        return 0;
    }
    p->unwritten = 0;
    for (struct flight **at = &p->flights, *f; (f = *at);) {
        if (f->landed) {
            *at = f->next;
            lb_target_expect(f->target); /* what it held, as long as it was not written */
            flight_free(f);
        } else {
            at = &f->next;
        }
    }
    if (dead)
        p->calls.given_up(p->userdata);
    go_on(p);
    return 0;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

struct pick {
    struct lb_post *post;
    struct lb_target *target;
    size_t room, n, scanned;
    int64_t rows[LB_RETRY_AT_ONCE];
    char *requests[LB_RETRY_AT_ONCE];
};

/* Letters of one request to one target go one after the other; one that is sent is out of the way. */
static bool is_held(const struct pick *k, int64_t row, const char *request)
{
    for (const struct flight *f = k->post->flights; f; f = f->next) {
        bool out = f->landed && f->mark.kind != LB_MARK_FAILED;

        if (f->letter.row == row)
            return true;
        if (request && f->target == k->target && !out && lb_streq(f->letter.request, request))
            return true;
    }
    for (size_t i = 0; request && i < k->n; i++)
        if (lb_streq(k->requests[i], request))
            return true;
    return false;
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

static void begin(struct lb_post *p, struct lb_target *t, int64_t row)
{
    struct flight *f = calloc(1, sizeof(*f));
    const struct lb_channel *channel = lb_channel_find(lb_target_channel(t));
    struct curl_slist *headers = NULL, *recipients = NULL;
    LB_FREE char *error = NULL;
    CURL *easy = NULL;
    int r = f ? lb_outbox_load(p->outbox, row, &f->letter) : -ENOMEM;

    if (r < 0) {
        free(f);
        return;
    }
    f->post = p;
    f->target = t;
    f->began = lb_clock_now().boot;
    f->next = p->flights;
    p->flights = f;
    lb_target_took_off(t);
    r = channel ? channel->open(p->config, p->transfers, &f->letter, &easy, &headers, &recipients, &error) : -ENOENT;
    if (r == 0)
        r = lb_transfer_start(p->transfers, easy, headers, recipients, TRY_USEC, on_done, NULL, f, &f->transfer);
    if (r == -ENOENT || r == -EINVAL)
        land(f, LB_MARK_DEAD, 0, error ? error : "it is not configured any more");
    else if (r < 0)
        fail(f, error ? error : strerrordesc_np(-r), false, 0);
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
        begin(p, t, k.rows[i]);
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

int lb_post_new(sd_event *event, struct lb_outbox *outbox, const struct lb_post_calls *calls, void *userdata,
                struct lb_post **ret)
{
    struct lb_post *p = calloc(1, sizeof(*p));
    int r = p ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *p = (struct lb_post){ .event = sd_event_ref(event), .outbox = outbox, .calls = *calls, .userdata = userdata };
    p->targets = lb_targets_new();
    r = p->targets ? sd_event_add_defer(event, &p->turn, on_turn, p) : -ENOMEM;
    if (r >= 0)
        r = sd_event_source_set_enabled(p->turn, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &p->write, CLOCK_MONOTONIC, 0, 1, on_write, p);
    if (r >= 0)
        r = sd_event_source_set_enabled(p->write, SD_EVENT_OFF);
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

static void on_mail_over(void *userdata)
{
    go_on(userdata);
}

/* What is on its way is not marked: it waits, and goes again. */
static void break_off(struct lb_post *p)
{
    for (struct flight **at = &p->flights, *f; (f = *at);) {
        if (f->landed) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        lb_target_landed(f->target);
        flight_free(f);
    }
}

void lb_post_hurry(struct lb_post *p)
{
    lb_targets_hurry(p->targets);
    go_on(p);
}

void lb_post_configure(struct lb_post *p, const struct lb_courier_config *config, struct lb_transfers *transfers)
{
    const struct lb_webhook_config *w = config ? config->webhooks.items : NULL;

    break_off(p);
    p->config = config;
    p->transfers = transfers;
    for (size_t i = 0; config && i < config->webhooks.n; i++)
        lb_targets_get(p->targets, "webhook", w[i].name);
    if (transfers)
        lb_transfers_watch(transfers, on_mail_over, p);
    lb_post_hurry(p); /* perhaps that was what it wanted */
}

struct lb_post *lb_post_free(struct lb_post *p)
{
    if (!p)
        return NULL;
    break_off(p);
    if (p->flights)
        on_write(NULL, 0, p);
    for (struct flight *f = p->flights, *next; f; f = next) {
        next = f->next;
        flight_free(f);
    }
    lb_targets_free(p->targets);
    sd_event_source_disable_unref(p->turn);
    sd_event_source_disable_unref(p->write);
    sd_event_source_disable_unref(p->wake);
    sd_event_unref(p->event);
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
