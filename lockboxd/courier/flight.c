/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/flight.h"

#include <errno.h>
#include <sys/random.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/retry.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define TRY_USEC (60 * LB_USEC_PER_SEC) /* that one try may take */
#define MARK_DELAY (5 * 1000)           /* until what came of letters is written down */

/* A letter on its way, or whose mark is not written yet. */
struct flight {
    struct flight *next;
    struct lb_flights *all;
    struct lb_target *target;
    struct lb_letter letter;
    struct lb_transfer *transfer;
    int64_t began; /* boot clock */
    bool landed;
    struct lb_mark mark;
    char *error;
};

struct lb_flights {
    sd_event *event;
    struct lb_outbox *outbox;
    struct lb_flights_calls calls;
    void *userdata;
    struct flight *first;
    sd_event_source *write;
    int unwritten; /* the error with which what was sent is not written down; 0: it is */
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
    struct lb_flights *all = f->all;
    int enabled = SD_EVENT_OFF;

    f->landed = true;
    f->error = lb_dup(error);
    f->mark = (struct lb_mark){ f->letter.row, kind, due, f->error };
    lb_target_landed(f->target);
    sd_event_source_get_enabled(all->write, &enabled);
    if (enabled == SD_EVENT_OFF) {
        sd_event_source_set_time_relative(all->write, MARK_DELAY);
        later(all->write);
    }
    all->calls.over(all->userdata);
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
    struct lb_flights *all = f->all;

    if (lb_target_fails(f->target, &failed))
        all->calls.failing(all->userdata, f->target, f->letter.request, problem);
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
    struct lb_flights *all = userdata;
    struct lb_list marks = { 0 };
    bool dead = false;
    int r = 0;

    (void)source;
    (void)usec;
    for (struct flight *f = all->first; r == 0 && f; f = f->next) {
        struct lb_mark *m = f->landed ? lb_list_append(&marks, sizeof(*m)) : NULL;

        if (f->landed && !m)
            r = -ENOMEM;
        if (m)
            *m = f->mark;
        dead |= m && m->kind == LB_MARK_DEAD;
    }
    if (r == 0 && marks.n)
        r = lb_outbox_mark(all->outbox, marks.items, marks.n);
    free(marks.items);
    if (r < 0) { /* until it is written nothing of it is sent again */
        if (r != all->unwritten)
            lb_log(LOG_ERR, "What was sent cannot be written down: %s", strerrordesc_np(-r));
        all->unwritten = r;
        if (r == -EUCLEAN) /* it is put aside at the start */
            sd_event_exit(all->event, r);
        sd_event_source_set_time_relative(all->write, LB_USEC_PER_SEC);
        later(all->write);
        return 0;
    }
    all->unwritten = 0;
    for (struct flight **at = &all->first, *f; (f = *at);) {
        if (f->landed) {
            *at = f->next;
            lb_target_expect(f->target); /* what it held, as long as it was not written */
            flight_free(f);
        } else {
            at = &f->next;
        }
    }
    if (dead)
        all->calls.given_up(all->userdata);
    all->calls.over(all->userdata);
    return 0;
}

/* --- on its way --------------------------------------------------------------------------------------------------- */

/* One that is sent is out of the way. */
bool lb_flights_hold(const struct lb_flights *all, const struct lb_target *t, int64_t row, const char *request)
{
    for (const struct flight *f = all->first; f; f = f->next) {
        bool out = f->landed && f->mark.kind != LB_MARK_FAILED;

        if (f->letter.row == row)
            return true;
        if (request && f->target == t && !out && lb_streq(f->letter.request, request))
            return true;
    }
    return false;
}

void lb_flights_begin(struct lb_flights *all, struct lb_target *t, int64_t row, const struct lb_courier_config *config,
                      struct lb_transfers *transfers)
{
    struct flight *f = calloc(1, sizeof(*f));
    const struct lb_channel *channel = lb_channel_find(lb_target_channel(t));
    struct curl_slist *headers = NULL, *recipients = NULL;
    LB_FREE char *error = NULL;
    CURL *easy = NULL;
    int r = f ? lb_outbox_load(all->outbox, row, &f->letter) : -ENOMEM;

    if (r < 0) {
        free(f);
        return;
    }
    f->all = all;
    f->target = t;
    f->began = lb_clock_now().boot;
    f->next = all->first;
    all->first = f;
    lb_target_took_off(t);
    r = channel ? channel->open(config, &f->letter, &easy, &headers, &recipients, &error) : -ENOENT;
    if (r == 0)
        r = lb_transfer_start(transfers, easy, headers, recipients, TRY_USEC, on_done, NULL, f, &f->transfer);
    if (r == -ENOENT || r == -EINVAL)
        land(f, LB_MARK_DEAD, 0, error ? error : "it is not configured any more");
    else if (r < 0)
        fail(f, error ? error : strerrordesc_np(-r), false, 0);
}

void lb_flights_break_off(struct lb_flights *all)
{
    for (struct flight **at = &all->first, *f; (f = *at);) {
        if (f->landed) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        lb_target_landed(f->target);
        flight_free(f);
    }
}

/* --- from begin to end -------------------------------------------------------------------------------------------- */

int lb_flights_new(sd_event *event, struct lb_outbox *outbox, const struct lb_flights_calls *calls, void *userdata,
                   struct lb_flights **ret)
{
    struct lb_flights *all = calloc(1, sizeof(*all));
    int r = all ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *all = (struct lb_flights){ .event = sd_event_ref(event), .outbox = outbox, .calls = *calls, .userdata = userdata };
    r = sd_event_add_time_relative(event, &all->write, CLOCK_MONOTONIC, 0, 1, on_write, all);
    if (r >= 0)
        r = sd_event_source_set_enabled(all->write, SD_EVENT_OFF);
    if (r < 0)
        lb_flights_free(all);
    else
        *ret = all;
    return r < 0 ? r : 0;
}

struct lb_flights *lb_flights_free(struct lb_flights *all)
{
    if (!all)
        return NULL;
    lb_flights_break_off(all);
    if (all->first)
        on_write(NULL, 0, all);
    for (struct flight *f = all->first, *next; f; f = next) {
        next = f->next;
        flight_free(f);
    }
    sd_event_source_disable_unref(all->write);
    sd_event_unref(all->event);
    free(all);
    return NULL;
}
