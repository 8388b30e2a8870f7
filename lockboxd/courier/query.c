/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/query.h"

#include <errno.h>

#include "lockboxd/courier/link.h"
#include "policy/base.h"

#define TIMEOUT_USEC (30 * 1000 * 1000)

struct lb_query {
    struct lb_queries *all;
    struct lb_query *next;
    char *method;
    json_t *parameters;
    lb_query_done *done; /* NULL: nobody wants the answer */
    void *userdata;
};

struct lb_queries {
    sd_event *event;
    char *socket;
    struct lb_link *link;
    struct lb_query *first, **last; /* the first one is asked … */
    bool asked;                     /* … already */
    sd_event_source *go, *timeout;
};

static void query_clear(struct lb_query *q)
{
    free(q->method);
    json_decref(q->parameters);
    free(q);
}

static void go_on(struct lb_queries *all)
{
    if (all->first)
        sd_event_source_set_enabled(all->go, SD_EVENT_ONESHOT);
}

/* Takes the first one away and answers it. */
static void answer(struct lb_queries *all, const char *error, const json_t *parameters)
{
    struct lb_query *q = all->first;

    sd_event_source_set_enabled(all->timeout, SD_EVENT_OFF);
    all->asked = false;
    all->first = q->next;
    if (!all->first)
        all->last = &all->first;
    go_on(all);
    if (q->done)
        q->done(q->userdata, error, parameters);
    query_clear(q);
}

static void on_reply(void *userdata, const struct lb_varlink_reply *reply)
{
    struct lb_queries *all = userdata;

    if (all->asked)
        answer(all, reply->error, reply->parameters);
}

static void on_lost(void *userdata, int error)
{
    struct lb_queries *all = userdata;

    (void)error;
    all->link = lb_link_free(all->link);
    if (all->asked)
        answer(all, LB_QUERY_UNREACHABLE, NULL);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    on_lost(userdata, -ETIMEDOUT);
    return 0;
}

static int on_go(sd_event_source *source, void *userdata)
{
    static const struct lb_link_calls calls = { on_reply, on_lost };
    struct lb_queries *all = userdata;
    struct lb_query *q = all->first;
    int r = 0;

    (void)source;
    if (!q || all->asked)
        return 0;
    if (!all->link)
        r = lb_link_open(all->event, all->socket, &calls, all, &all->link);
    if (r == 0)
        r = lb_link_send(all->link, q->method, q->parameters, false);
    all->asked = true;
    if (r < 0) {
        answer(all, LB_QUERY_UNREACHABLE, NULL);
        return 0;
    }
    sd_event_source_set_time_relative(all->timeout, TIMEOUT_USEC);
    sd_event_source_set_enabled(all->timeout, SD_EVENT_ONESHOT);
    return 0;
}

int lb_queries_new(sd_event *event, const char *socket, struct lb_queries **ret)
{
    struct lb_queries *all = calloc(1, sizeof(*all));
    int r = all ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *all = (struct lb_queries){ .event = sd_event_ref(event), .socket = strdup(socket) };
    all->last = &all->first;
    r = all->socket ? sd_event_add_defer(event, &all->go, on_go, all) : -ENOMEM;
    if (r >= 0)
        r = sd_event_source_set_enabled(all->go, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &all->timeout, CLOCK_MONOTONIC, 0, 0, on_timeout, all);
    if (r >= 0)
        r = sd_event_source_set_enabled(all->timeout, SD_EVENT_OFF);
    if (r < 0)
        lb_queries_free(all);
    else
        *ret = all;
    return r < 0 ? r : 0;
}

struct lb_queries *lb_queries_free(struct lb_queries *all)
{
    if (!all)
        return NULL;
    for (struct lb_query *q = all->first, *next; q; q = next) {
        next = q->next;
        query_clear(q);
    }
    lb_link_free(all->link);
    sd_event_source_disable_unref(all->go);
    sd_event_source_disable_unref(all->timeout);
    sd_event_unref(all->event);
    free(all->socket);
    free(all);
    return NULL;
}

struct lb_query *lb_query_start(struct lb_queries *all, const char *method, json_t *parameters, lb_query_done *done,
                                void *userdata)
{
    struct lb_query *q = parameters ? calloc(1, sizeof(*q)) : NULL;

    if (!q || !(q->method = strdup(method))) {
        free(q);
        json_decref(parameters);
        return NULL;
    }
    *q = (struct lb_query){ all, NULL, q->method, parameters, done, userdata };
    *all->last = q;
    all->last = &q->next;
    go_on(all);
    return q;
}

struct lb_query *lb_query_free(struct lb_query *q)
{
    if (q)
        q->done = NULL; /* in its turn it is asked, or its answer comes, and goes nowhere */
    return NULL;
}
