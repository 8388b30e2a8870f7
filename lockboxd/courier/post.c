/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/post.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/retry.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define TRY_USEC (60 * LB_USEC_PER_SEC) /* that one try may take */
#define MARK_DELAY (5 * 1000)           /* until what came of letters is written down */
#define LOOK_AGAIN (30 * LB_USEC_PER_SEC)
#define SCAN_MAX 64 /* letters looked at for one that may go: a target whose first ones are all of one request waits */

/* What all targets of a channel are behind: what fails with it fails for all of them. */
struct server {
    struct server *next;
    const struct lb_channel *channel;
    struct lb_circuit circuit;
    char *problem; /* of the last try; NULL: it worked */
};

struct target {
    struct target *next;
    char *channel, *name;
    struct server *server; /* NULL: one of its own, of which its own circuit tells */
    struct lb_circuit circuit;
    bool hungry;       /* there may be letters that can go */
    bool told;         /* the trail knows that it fails */
    int64_t next_due;  /* wall clock, LB_NEVER: none */
    int64_t sent, sent_at;
    char *problem;     /* of the last try; NULL: it worked */
    size_t flights;    /* on their way */
};

/* A letter on its way, or whose mark is not written yet. */
struct flight {
    struct flight *next;
    struct lb_post *post;
    struct target *target;
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
    struct target *targets;
    struct target *first; /* whose turn it is; NULL: the first one's */
    struct server *servers;
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

static struct server *server_of(struct lb_post *p, const struct lb_channel *channel)
{
    struct server *s = p->servers;

    while (s && s->channel != channel)
        s = s->next;
    if (s || !(s = calloc(1, sizeof(*s))))
        return s;
    *s = (struct server){ .next = p->servers, .channel = channel };
    return p->servers = s;
}

static struct target *target_of(struct lb_post *p, const char *channel, const char *name)
{
    const struct lb_channel *known = lb_channel_find(channel);
    bool shared = known && known->one_server;
    struct target *t = p->targets;

    while (t && !(strcmp(t->channel, channel) == 0 && strcmp(t->name, name) == 0))
        t = t->next;
    if (t || !(t = calloc(1, sizeof(*t))))
        return t;
    *t = (struct target){ .next = p->targets, .channel = strdup(channel), .name = strdup(name), .next_due = LB_NEVER };
    t->server = shared ? server_of(p, known) : NULL;
    if (!t->channel || !t->name || (shared && !t->server)) {
        free(t->channel);
        free(t->name);
        free(t);
        return NULL;
    }
    return p->targets = t;
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
    struct target *t = target_of(p, channel, target);

    if (t)
        t->hungry = true;
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
    f->target->flights--;
    f->target->hungry = true;
    sd_event_source_get_enabled(p->write, &enabled);
    if (enabled == SD_EVENT_OFF) {
        sd_event_source_set_time_relative(p->write, MARK_DELAY);
        later(p->write);
    }
    go_on(p);
}

static void server_works(struct server *s)
{
    lb_circuit_worked(&s->circuit);
    free(LB_TAKE(s->problem));
}

static void target_works(struct target *t)
{
    if (t->circuit.failures)
        lb_log(LOG_NOTICE, "%s to %s works again.", t->channel, t->name);
    lb_circuit_worked(&t->circuit);
    free(LB_TAKE(t->problem));
    t->told = false;
    if (t->server)
        server_works(t->server);
}

/* What nothing answers to takes its time to fail. */
static void circuit_fails(struct lb_circuit *c, const struct flight *f, int64_t now, int64_t after)
{
    lb_circuit_failed(c, now, dice(), after);
    if (f->began < c->since)
        c->since = f->began;
}

static void server_fails(struct flight *f, const char *problem)
{
    struct server *s = f->target->server;

    free(s->problem);
    s->problem = strdup(problem);
    circuit_fails(&s->circuit, f, lb_clock_now().boot, 0);
}

static void target_fails(struct flight *f, const char *problem, int64_t after)
{
    struct target *t = f->target;
    int64_t now = lb_clock_now().boot;

    if (t->circuit.failures == 0)
        lb_log(LOG_WARNING, "%s to %s fails, and is tried again: %s", t->channel, t->name, problem);
    free(t->problem);
    t->problem = strdup(problem);
    circuit_fails(&t->circuit, f, now, after);
    if (!t->told && now - t->circuit.since >= LB_POST_PATIENCE) {
        t->told = true;
        f->post->calls.failing(f->post->userdata, t->channel, t->name, f->letter.request, problem);
    }
}

/* What answered "later" meant this letter, perhaps alone; where nothing answered it is not the letter's fault. */
static void fail(struct flight *f, const char *problem, bool answered, int64_t after)
{
    int64_t wait = answered ? lb_retry_delay(f->letter.attempts + 1, dice(), after) : 0;
    int64_t now = lb_clock_now().wall;

    target_fails(f, problem, after);
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

static void on_done(void *userdata, const struct lb_transfer_result *r)
{
    struct flight *f = userdata;
    struct server *server = f->target->server;

    f->transfer = NULL;
    if (server && !r->sent && !r->final) {
        if (is_address_fault(r->status))
            server_works(server);
        else
            server_fails(f, r->problem);
    }
    if (r->sent) {
        f->target->sent++;
        f->target->sent_at = lb_clock_now().wall;
    }
    if (r->sent || r->final)
        target_works(f->target);
    if (r->sent) {
        land(f, LB_MARK_SENT, 0, NULL);
    } else if (r->final) {
        lb_log(LOG_WARNING, "%s to %s: letter %s is not taken: %s", f->target->channel, f->target->name, f->letter.id,
               r->problem);
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
            f->target->hungry = true; /* what it held, as long as it was not written */
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
    struct target *target;
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

static void begin(struct lb_post *p, struct target *t, int64_t row)
{
    struct flight *f = calloc(1, sizeof(*f));
    const struct lb_channel *channel = lb_channel_find(t->channel);
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
    t->flights++;
    r = channel ? channel->open(p->config, p->transfers, &f->letter, &easy, &headers, &recipients, &error) : -ENOENT;
    if (r == 0)
        r = lb_transfer_start(p->transfers, easy, headers, recipients, TRY_USEC, on_done, NULL, f, &f->transfer);
    if (r == -ENOENT || r == -EINVAL)
        land(f, LB_MARK_DEAD, 0, error ? error : "it is not configured any more");
    else if (r < 0)
        fail(f, error ? error : strerrordesc_np(-r), false, 0);
}

/* How many more may be begun to this one. What hangs holds up nobody who is not behind the same server. */
static size_t room_of(const struct lb_post *p, const struct target *t, int64_t now)
{
    size_t room = lb_circuit_room(&t->circuit, now, t->flights), all = room;

    if (t->server)
        all = lb_circuit_room(&t->server->circuit, now, lb_transfers_mails(p->transfers));
    return room < all ? room : all;
}

static void serve(struct lb_post *p, struct target *t, const struct lb_time *now)
{
    struct pick k = { p, t, room_of(p, t, now->boot) };

    if (k.room == 0 || (!t->hungry && t->next_due > now->wall))
        return;
    lb_outbox_due(p->outbox, t->channel, t->name, now->wall, on_due, &k);
    t->hungry = k.n == k.room; /* else there is none besides, until something happens */
    if (!t->hungry)
        t->next_due = lb_outbox_next_due(p->outbox, t->channel, t->name, now->wall);
    if (k.n && t->server) /* the others behind it are first next time */
        p->first = t->next;
    for (size_t i = 0; i < k.n; i++) {
        begin(p, t, k.rows[i]);
        free(k.requests[i]);
    }
}

static int on_target(void *userdata, const struct lb_outbox_target *row)
{
    struct target *t = row->waiting ? target_of(userdata, row->channel, row->target) : NULL;

    if (t)
        t->hungry = true;
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
    for (struct target *t = p->targets; t; t = t->next) /* also where the wall clock was set */
        t->hungry = true;
}

/* 0: whenever there is something to send. */
static int64_t next_try(const struct target *t)
{
    int64_t own = t->circuit.failures ? t->circuit.next : 0;
    int64_t all = t->server && t->server->circuit.failures ? t->server->circuit.next : 0;

    return own > all ? own : all;
}

/* When something may be possible that is not now; the wall clock may be set, so it is looked at again and again. What
 * is due and has not been begun waits for a flight to land, or for its target's next try. */
static void set_alarm(struct lb_post *p, const struct lb_time *now)
{
    int64_t wait = LOOK_AGAIN;

    for (const struct target *t = p->targets; t; t = t->next) {
        bool wants = (t->hungry || t->next_due <= now->wall) && t->flights == 0;
        int64_t due = t->next_due == LB_NEVER ? 0 : t->next_due - now->wall;
        int64_t next = wants ? next_try(t) - now->boot : 0;

        wait = due > 0 && due < wait ? due : wait;
        wait = next > 0 && next < wait ? next : wait;
    }
    sd_event_source_set_time_relative(p->wake, (uint64_t)wait);
    later(p->wake);
}

static int on_turn(sd_event_source *source, void *userdata)
{
    struct lb_post *p = userdata;
    struct lb_time now = lb_clock_now();
    struct target *first = p->first ? p->first : p->targets;

    (void)source;
    if (!p->transfers)
        return 0;
    for (struct target *t = first; t; t = t->next)
        serve(p, t, &now);
    for (struct target *t = p->targets; t != first; t = t->next)
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
    r = sd_event_add_defer(event, &p->turn, on_turn, p);
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
        f->target->flights--;
        f->target->hungry = true;
        flight_free(f);
    }
}

void lb_post_hurry(struct lb_post *p)
{
    for (struct server *s = p->servers; s; s = s->next)
        s->circuit.next = 0;
    for (struct target *t = p->targets; t; t = t->next) {
        t->circuit.next = 0;
        t->hungry = true;
    }
    go_on(p);
}

void lb_post_configure(struct lb_post *p, const struct lb_courier_config *config, struct lb_transfers *transfers)
{
    const struct lb_webhook_config *w = config ? config->webhooks.items : NULL;

    break_off(p);
    p->config = config;
    p->transfers = transfers;
    for (size_t i = 0; config && i < config->webhooks.n; i++)
        target_of(p, "webhook", w[i].name);
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
    for (struct target *t = p->targets, *next; t; t = next) {
        next = t->next;
        free(t->channel);
        free(t->name);
        free(t->problem);
        free(t);
    }
    for (struct server *s = p->servers, *next; s; s = next) {
        next = s->next;
        free(s->problem);
        free(s);
    }
    sd_event_source_disable_unref(p->turn);
    sd_event_source_disable_unref(p->write);
    sd_event_source_disable_unref(p->wake);
    sd_event_unref(p->event);
    free(p);
    return NULL;
}

/* --- how it is ---------------------------------------------------------------------------------------------------- */

static void set_time(json_t *j, const char *key, int64_t wall)
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    char text[40];
    struct tm tm;

    if (wall > 0 && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm)))
        json_object_set_new(j, key, json_string(text));
}

/* Its own, else that of the server; NULL: nothing is known against either. */
static const struct lb_circuit *failure_of(const struct target *t)
{
    if (t->circuit.failures)
        return &t->circuit;
    return t->server && t->server->circuit.failures ? &t->server->circuit : NULL;
}

static const char *state_of(const struct lb_post *p, const struct target *t)
{
    bool known =
        p->config && (strcmp(t->channel, "webhook") == 0 ? lb_courier_config_webhook(p->config, t->name) != NULL
                                                         : lb_courier_config_has(p->config, t->channel));

    return !known ? "disabled" : failure_of(t) ? "failing" : t->sent ? "connected" : "idle";
}

static json_t *pack(const struct lb_post *p, const struct target *t, const struct lb_time *now)
{
    const struct lb_circuit *failure = failure_of(t);
    const char *problem = t->problem || !t->server ? t->problem : t->server->problem;
    json_t *j = json_pack("{ss ss ss sI sI}", "channel", t->channel, "target", t->name, "state", state_of(p, t), "sent",
                          (json_int_t)t->sent, "waiting", (json_int_t)0);

    set_time(j, "sent_at", t->sent_at);
    if (failure)
        set_time(j, "since", now->wall - (now->boot - failure->since));
    if (problem)
        json_object_set_new(j, "problem", json_string(problem));
    return j;
}

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
    json_t *array = json_array();

    for (const struct target *t = p->targets; t; t = t->next)
        json_array_append_new(array, pack(p, t, &now));
    if (lb_outbox_targets(p->outbox, count, array) < 0 || !array) {
        json_decref(array);
        return NULL;
    }
    return array;
}
