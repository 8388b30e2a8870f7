/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/target.h"

#include <time.h>

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/retry.h"
#include "lockboxd/log.h"
#include "policy/base.h"

/* What all targets of a channel are behind: what fails with it fails for all of them. */
struct server {
    struct server *next;
    const struct lb_channel *channel;
    struct lb_circuit circuit;
    char *problem; /* of the last try; NULL: it worked */
};

struct lb_target {
    struct lb_target *next;
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

struct lb_targets {
    struct lb_target *first;
    struct server *servers;
};

struct lb_targets *lb_targets_new(void)
{
    return calloc(1, sizeof(struct lb_targets));
}

struct lb_targets *lb_targets_free(struct lb_targets *all)
{
    if (!all)
        return NULL;
    for (struct lb_target *t = all->first, *next; t; t = next) {
        next = t->next;
        free(t->channel);
        free(t->name);
        free(t->problem);
        free(t);
    }
    for (struct server *s = all->servers, *next; s; s = next) {
        next = s->next;
        free(s->problem);
        free(s);
    }
    free(all);
    return NULL;
}

static struct server *server_of(struct lb_targets *all, const struct lb_channel *channel)
{
    struct server *s = all->servers;

    while (s && s->channel != channel)
        s = s->next;
    if (s || !(s = calloc(1, sizeof(*s))))
        return s;
    *s = (struct server){ .next = all->servers, .channel = channel };
    return all->servers = s;
}

struct lb_target *lb_targets_get(struct lb_targets *all, const char *channel, const char *name)
{
    const struct lb_channel *known = lb_channel_find(channel);
    bool shared = known && known->one_server;
    struct lb_target *t = all->first;

    while (t && !(strcmp(t->channel, channel) == 0 && strcmp(t->name, name) == 0))
        t = t->next;
    if (t || !(t = calloc(1, sizeof(*t))))
        return t;
    *t = (struct lb_target){
        .next = all->first, .channel = strdup(channel), .name = strdup(name), .next_due = LB_NEVER,
    };
    t->server = shared ? server_of(all, known) : NULL;
    if (!t->channel || !t->name || (shared && !t->server)) {
        free(t->channel);
        free(t->name);
        free(t);
        return NULL;
    }
    return all->first = t;
}

struct lb_target *lb_targets_first(const struct lb_targets *all)
{
    return all->first;
}

struct lb_target *lb_target_next(const struct lb_target *t)
{
    return t->next;
}

const char *lb_target_channel(const struct lb_target *t)
{
    return t->channel;
}

const char *lb_target_name(const struct lb_target *t)
{
    return t->name;
}

bool lb_target_is_behind(const struct lb_target *t)
{
    return t->server;
}

/* --- letters for it ----------------------------------------------------------------------------------------------- */

void lb_target_expect(struct lb_target *t)
{
    t->hungry = true;
}

void lb_target_rest(struct lb_target *t, int64_t due)
{
    t->hungry = false;
    t->next_due = due;
}

bool lb_target_wants(const struct lb_target *t, int64_t wall)
{
    return t->hungry || t->next_due <= wall;
}

size_t lb_target_room(const struct lb_target *t, int64_t boot, size_t behind)
{
    size_t room = lb_circuit_room(&t->circuit, boot, t->flights), all = room;

    if (t->server)
        all = lb_circuit_room(&t->server->circuit, boot, behind);
    return room < all ? room : all;
}

void lb_target_took_off(struct lb_target *t)
{
    t->flights++;
}

void lb_target_landed(struct lb_target *t)
{
    t->flights--;
    t->hungry = true;
}

/* 0: whenever there is something to send. */
static int64_t next_try(const struct lb_target *t)
{
    int64_t own = t->circuit.failures ? t->circuit.next : 0;
    int64_t all = t->server && t->server->circuit.failures ? t->server->circuit.next : 0;

    return own > all ? own : all;
}

int64_t lb_target_wait(const struct lb_target *t, const struct lb_time *now, int64_t most)
{
    bool wants = lb_target_wants(t, now->wall) && t->flights == 0;
    int64_t due = t->next_due == LB_NEVER ? 0 : t->next_due - now->wall;
    int64_t next = wants ? next_try(t) - now->boot : 0;

    most = due > 0 && due < most ? due : most;
    return next > 0 && next < most ? next : most;
}

/* --- what came of them -------------------------------------------------------------------------------------------- */

void lb_target_sent(struct lb_target *t, int64_t wall)
{
    t->sent++;
    t->sent_at = wall;
}

void lb_target_server_works(struct lb_target *t)
{
    if (!t->server)
        return;
    lb_circuit_worked(&t->server->circuit);
    free(LB_TAKE(t->server->problem));
}

void lb_target_works(struct lb_target *t)
{
    if (t->circuit.failures)
        lb_log(LOG_NOTICE, "%s to %s works again.", t->channel, t->name);
    lb_circuit_worked(&t->circuit);
    free(LB_TAKE(t->problem));
    t->told = false;
    lb_target_server_works(t);
}

/* What nothing answers to takes its time to fail. */
static void circuit_fails(struct lb_circuit *c, const struct lb_failure *f, int64_t after)
{
    lb_circuit_failed(c, f->now, f->random, after);
    if (f->began < c->since)
        c->since = f->began;
}

void lb_target_server_fails(struct lb_target *t, const struct lb_failure *f)
{
    if (!t->server)
        return;
    free(t->server->problem);
    t->server->problem = strdup(f->problem);
    circuit_fails(&t->server->circuit, f, 0);
}

bool lb_target_fails(struct lb_target *t, const struct lb_failure *f)
{
    if (t->circuit.failures == 0)
        lb_log(LOG_WARNING, "%s to %s fails, and is tried again: %s", t->channel, t->name, f->problem);
    free(t->problem);
    t->problem = strdup(f->problem);
    circuit_fails(&t->circuit, f, f->after);
    if (t->told || f->now - t->circuit.since < LB_TARGET_PATIENCE)
        return false;
    return t->told = true;
}

void lb_targets_hurry(struct lb_targets *all)
{
    for (struct server *s = all->servers; s; s = s->next)
        s->circuit.next = 0;
    for (struct lb_target *t = all->first; t; t = t->next) {
        t->circuit.next = 0;
        t->hungry = true;
    }
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
static const struct lb_circuit *failure_of(const struct lb_target *t)
{
    if (t->circuit.failures)
        return &t->circuit;
    return t->server && t->server->circuit.failures ? &t->server->circuit : NULL;
}

static const char *state_of(const struct lb_target *t, const struct lb_courier_config *config)
{
    bool known = config && (strcmp(t->channel, "webhook") == 0 ? lb_courier_config_webhook(config, t->name) != NULL
                                                               : lb_courier_config_has(config, t->channel));

    return !known ? "disabled" : failure_of(t) ? "failing" : t->sent ? "connected" : "idle";
}

static json_t *pack(const struct lb_target *t, const struct lb_courier_config *config, const struct lb_time *now)
{
    const struct lb_circuit *failure = failure_of(t);
    const char *problem = t->problem || !t->server ? t->problem : t->server->problem;
    json_t *j = json_pack("{ss ss ss sI sI}", "channel", t->channel, "target", t->name, "state", state_of(t, config),
                          "sent", (json_int_t)t->sent, "waiting", (json_int_t)0);

    set_time(j, "sent_at", t->sent_at);
    if (failure)
        set_time(j, "since", now->wall - (now->boot - failure->since));
    if (problem)
        json_object_set_new(j, "problem", json_string(problem));
    return j;
}

json_t *lb_targets_show(const struct lb_targets *all, const struct lb_courier_config *config,
                        const struct lb_time *now)
{
    json_t *array = json_array();

    for (const struct lb_target *t = all->first; t; t = t->next)
        json_array_append_new(array, pack(t, config, now));
    return array;
}
