/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/tell.h"

#include <errno.h>

#include "lockboxd/log.h"
#include "policy/base.h"
#include "policy/deadline.h"

#define LATER (20 * LB_USEC_PER_SEC)
#define FAILING_MAX 64 /* targets that fail and wait to be told of: what is given up in the end is on disk */

/* What is being told: a group of letters (last > 0), or a target that fails. */
struct word {
    char *channel, *target, *request, *problem;
    int64_t count, last;
};

struct lb_tell {
    struct lb_outbox *outbox;
    struct lb_queries *queries;
    struct lb_query *query;
    struct word now;
    struct lb_list failing; /* struct word */
    sd_event_source *go;
};

static void word_clear(struct word *w)
{
    free(w->channel);
    free(w->target);
    free(w->request);
    free(w->problem);
    *w = (struct word){ 0 };
}

static bool word_fill(struct word *w, const char *channel, const char *target, const char *request, const char *problem)
{
    *w = (struct word){ strdup(channel), strdup(target), lb_dup(request), strdup(problem ? problem : "") };
    if (w->channel && w->target && w->problem)
        return true;
    word_clear(w);
    return false;
}

static void go(struct lb_tell *t, uint64_t delay)
{
    sd_event_source_set_time_relative(t->go, delay);
    sd_event_source_set_enabled(t->go, SD_EVENT_ONESHOT);
}

static int on_untold(void *userdata, const struct lb_outbox_untold *u)
{
    struct word *w = userdata;

    if (!word_fill(w, u->channel, u->target, u->request, u->error))
        return -ENOMEM;
    w->count = u->count;
    w->last = u->last;
    return 1;
}

static void drop_first(struct lb_tell *t)
{
    struct word *w = t->failing.items;

    memmove(w, w + 1, --t->failing.n * sizeof(*w));
}

static void on_answer(void *userdata, const char *error, const json_t *parameters)
{
    struct lb_tell *t = userdata;
    bool no_request = error && strcmp(error, "org.lockbox.Audit.NoSuchRequest") == 0;
    bool refused = error && strcmp(error, "org.lockbox.Audit.NotPermitted") == 0;

    (void)parameters;
    t->query = NULL;
    if (no_request && t->now.request) { /* of another log: told without it */
        free(LB_TAKE(t->now.request));
        go(t, 0);
        return;
    }
    if (refused)
        lb_log(LOG_ERR, "lockboxd does not take it from this account that something was not delivered.");
    if (error && !refused) {
        go(t, LATER);
        return;
    }
    if (t->now.last)
        lb_outbox_told(t->outbox, t->now.channel, t->now.target, t->now.last);
    word_clear(&t->now);
    go(t, 0);
}

static int on_go(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_tell *t = userdata;
    const struct word *first = t->failing.items;
    struct word *w = &t->now;

    (void)source;
    (void)usec;
    if (t->query)
        return 0;
    if (!w->channel && t->failing.n) {
        *w = *first;
        drop_first(t);
    }
    if (!w->channel && lb_outbox_untold(t->outbox, on_untold, w) <= 0)
        return 0;
    t->query = lb_query_start(t->queries, "org.lockbox.Audit.Undelivered",
                              json_pack("{ss ss ss sI ss*}", "channel", w->channel, "target", w->target, "reason",
                                        *w->problem ? w->problem : "it is not known why", "count",
                                        (json_int_t)w->count, "request", w->request), on_answer, t);
    if (!t->query)
        go(t, LATER);
    return 0;
}

int lb_tell_new(sd_event *event, struct lb_outbox *outbox, struct lb_queries *queries, struct lb_tell **ret)
{
    struct lb_tell *t = calloc(1, sizeof(*t));
    int r = t ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *t = (struct lb_tell){ .outbox = outbox, .queries = queries };
    r = sd_event_add_time_relative(event, &t->go, CLOCK_BOOTTIME, 0, 1000, on_go, t);
    if (r < 0)
        lb_tell_free(t);
    else
        *ret = t;
    return r < 0 ? r : 0;
}

struct lb_tell *lb_tell_free(struct lb_tell *t)
{
    if (!t)
        return NULL;
    lb_query_free(t->query);
    word_clear(&t->now);
    for (size_t i = 0; i < t->failing.n; i++)
        word_clear((struct word *)t->failing.items + i);
    free(t->failing.items);
    sd_event_source_disable_unref(t->go);
    free(t);
    return NULL;
}

void lb_tell_given_up(struct lb_tell *t)
{
    go(t, 0);
}

void lb_tell_failing(struct lb_tell *t, const char *channel, const char *target, const char *request,
                     const char *problem)
{
    struct word *w = t->failing.n < FAILING_MAX ? lb_list_append(&t->failing, sizeof(*w)) : NULL;

    if (w && !word_fill(w, channel, target, request, problem))
        t->failing.n--;
    go(t, 0);
}
