/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/collect.h"

#include <errno.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/event.h"

struct lb_collect {
    struct lb_queries *queries;
    struct lb_query *query;
    struct lb_spool *spool;
    bool packs;
    lb_collect_done *done;
    void *userdata;
    bool running, again;
};

bool lb_collect_is_end(int kind)
{
    return kind == LB_EVENT_COMPLETED || kind == LB_EVENT_ENDED || kind == LB_EVENT_REVOKED;
}

int lb_collect_new(struct lb_queries *queries, struct lb_spool *spool, bool packs, lb_collect_done *done,
                   void *userdata, struct lb_collect **ret)
{
    struct lb_collect *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    *c = (struct lb_collect){ .queries = queries, .spool = spool, .packs = packs, .done = done, .userdata = userdata };
    *ret = c;
    return 0;
}

struct lb_collect *lb_collect_free(struct lb_collect *c)
{
    if (c)
        lb_query_free(c->query);
    free(c);
    return NULL;
}

static void fetch(struct lb_collect *c, int64_t since);

static void finish(struct lb_collect *c, const char *problem)
{
    c->running = false;
    c->done(c->userdata, problem);
    if (c->again && !problem)
        lb_collect_run(c);
}

static const char *problem_of(int r)
{
    static const struct { int error; const char *text; } rows[] = {
        { -ESTALE, "lockboxd's log is not the one that was sent so far: it was begun anew, or written anew "
                   "(lockbox-remote(7) says what to do)" },
        { -EACCES, "the courier may not read all events: is its user in the group lockbox-auditors?" },
        { -EBADMSG, "lockboxd answers with nonsense" },
    };

    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        if (rows[i].error == r)
            return rows[i].text;
    return strerrordesc_np(-r);
}

/* 1: the batch is full. */
static int take(struct lb_collect *c, const json_t *event)
{
    const char *request = json_string_value(json_object_get(event, "request"));
    int kind = lb_event_kind_from_name(json_string_value(json_object_get(event, "event")));
    int64_t before = lb_spool_last(c->spool);
    int r = lb_spool_add(c->spool, event), wanted = 0;

    if (r >= 0 && lb_spool_last(c->spool) > before && c->packs && request && lb_collect_is_end(kind))
        wanted = lb_spool_want_pack(c->spool, request);
    return wanted < 0 ? wanted : r;
}

static int take_page(struct lb_collect *c, const json_t *events)
{
    const json_t *event = NULL;
    size_t i = 0;
    int r = json_is_array(events) ? 0 : -EBADMSG;

    if (r == 0 && json_array_size(events) == 0 && lb_spool_last(c->spool) > 0 && !lb_spool_has_batch(c->spool))
        r = -ESTALE; /* not even the last one is there that was sent */
    for (; r == 0 && i < json_array_size(events); i++) {
        event = json_array_get(events, i);
        r = take(c, event);
    }
    return r;
}

static void on_page(void *userdata, const char *error, const json_t *parameters)
{
    struct lb_collect *c = userdata;
    const char *reason = json_string_value(json_object_get(parameters, "reason"));
    const json_t *next = json_object_get(parameters, "next");
    int r;

    c->query = NULL;
    if (error) {
        lb_spool_drop(c->spool);
        finish(c, lb_streq(error, LB_QUERY_UNREACHABLE) ? "lockboxd does not answer" : reason ? reason : error);
        return;
    }
    r = take_page(c, json_object_get(parameters, "events"));
    if (r == 0 && json_is_integer(next)) {
        fetch(c, json_integer_value(next));
        return;
    }
    if (r >= 0 && lb_spool_has_batch(c->spool)) {
        c->again |= r == 1; /* the rest of the page, too */
        r = lb_spool_commit(c->spool);
    }
    if (r < 0)
        lb_spool_drop(c->spool);
    finish(c, r < 0 ? problem_of(r) : NULL);
}

static void fetch(struct lb_collect *c, int64_t since)
{
    c->query = lb_query_start(c->queries, "org.lockbox.Audit.Events", json_pack("{sI}", "since", (json_int_t)since),
                              on_page, c);
    if (!c->query) {
        lb_spool_drop(c->spool);
        finish(c, problem_of(-ENOMEM));
    }
}

void lb_collect_run(struct lb_collect *c)
{
    int64_t last = lb_spool_position(c->spool);

    c->again = c->running;
    if (c->running)
        return;
    c->running = true;
    fetch(c, last > 0 ? last : 1);
}
