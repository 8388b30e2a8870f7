/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/follow.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/link.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define EVENTS "org.lockbox.Audit.Events"
#define FIRST_DELAY (100 * 1000)
#define MOST_DELAY (5 * 1000 * 1000)

struct lb_follow {
    sd_event *event;
    char *socket;
    struct lb_follow_calls calls;
    void *userdata;
    struct lb_link *link;
    sd_event_source *again;
    uint64_t delay;
    void (*expect)(struct lb_follow *f, const json_t *events); /* what the next reply is */
    bool busy; /* a page has been handed on: nothing is read, and no new connection made, before that is done */
    int64_t last;
    char problem[160]; /* "" while it works */
};

static void retry(struct lb_follow *f, const char *problem)
{
    f->link = lb_link_free(f->link);
    if (strcmp(f->problem, problem) != 0)
        lb_log(LOG_NOTICE, "The event log cannot be read: %s", problem);
    snprintf(f->problem, sizeof(f->problem), "%s", problem);
    sd_event_source_set_time_relative(f->again, f->delay);
    sd_event_source_set_enabled(f->again, f->busy ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    f->delay = f->delay * 2 < MOST_DELAY ? f->delay * 2 : MOST_DELAY;
}

static void ask(struct lb_follow *f, int64_t since, bool more,
                void (*expect)(struct lb_follow *f, const json_t *events))
{
    json_auto_t *parameters = json_pack("{sI}", "since", (json_int_t)since);

    f->expect = expect;
    if (!parameters || lb_link_send(f->link, EVENTS, parameters, more) < 0)
        retry(f, "out of memory");
}

static int64_t seq_of(const json_t *event)
{
    return json_integer_value(json_object_get(event, "seq"));
}

static const char *hash_of(const json_t *event)
{
    const char *hash = json_string_value(json_object_get(event, "hash"));

    return hash ? hash : "";
}

static bool move(struct lb_follow *f, int64_t seq, const char *hash)
{
    int r = f->calls.moved(f->userdata, seq, hash);

    if (r < 0)
        retry(f, strerrordesc_np(-r));
    return r >= 0;
}

/* Pages, as they come. */
static void on_events(struct lb_follow *f, const json_t *events)
{
    f->problem[0] = '\0';
    f->delay = FIRST_DELAY;
    if (json_array_size(events) == 0)
        return;
    f->last = seq_of(json_array_get(events, json_array_size(events) - 1));
    lb_link_pause(f->link, true);
    f->busy = true;
    f->calls.page(f->userdata, events);
}

/* The first page of a log that was read before begins with the event that was the last one then. */
static void on_known(struct lb_follow *f, const json_t *events)
{
    const json_t *first = json_array_get(events, 0);
    const char *hash = "";
    int64_t seq = f->calls.position(f->userdata, &hash);

    if (first && (seq_of(first) != seq || strcmp(hash_of(first), hash) != 0)) {
        lb_log(LOG_WARNING,
               "Event %lld is not the one that was read before: this is another log, which is read from its "
               "begin.",
               (long long)seq);
        if (move(f, 0, ""))
            retry(f, "the log is another one");
        return;
    }
    f->expect = on_events;
    json_array_remove((json_t *)events, 0);
    on_events(f, events);
}

static void on_end(struct lb_follow *f, const json_t *events)
{
    const json_t *last = json_array_get(events, 0);
    int64_t seq = f->calls.position(f->userdata, NULL);

    f->last = last ? seq_of(last) : 0;
    if (seq < 0) {
        if (move(f, f->last, last ? hash_of(last) : ""))
            ask(f, f->last + 1, true, on_events);
        return;
    }
    if (seq > f->last) {
        lb_log(LOG_WARNING,
               "The log has %lld events, and %lld were read before: this is another log, which is read from "
               "its begin.",
               (long long)f->last, (long long)seq);
        if (!move(f, 0, ""))
            return;
        seq = 0;
    }
    f->problem[0] = '\0';
    f->delay = FIRST_DELAY;
    ask(f, seq ? seq : 1, true, seq ? on_known : on_events);
}

static void on_reply(void *userdata, const struct lb_varlink_reply *reply)
{
    struct lb_follow *f = userdata;
    const json_t *events = json_object_get(reply->parameters, "events");
    const char *reason = json_string_value(json_object_get(reply->parameters, "reason"));

    if (reply->error)
        retry(f, reason ? reason : reply->error);
    else if (!json_is_array(events))
        retry(f, "lockboxd answers with nonsense");
    else
        f->expect(f, events);
}

static void on_lost(void *userdata, int error)
{
    retry(userdata, error == -ECONNRESET ? "lockboxd has hung up" : strerrordesc_np(-error));
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    static const struct lb_link_calls calls = { on_reply, on_lost };
    struct lb_follow *f = userdata;
    int r = lb_link_open(f->event, f->socket, &calls, f, &f->link);

    (void)source;
    (void)usec;
    if (r < 0)
        retry(f, r == -EPERM ? "who listens on the socket is not lockboxd"
                 : r == -ENOENT || r == -ECONNREFUSED ? "lockboxd is not running" : strerrordesc_np(-r));
    else
        ask(f, -1, false, on_end);
    return 0;
}

int lb_follow_new(sd_event *event, const char *socket, const struct lb_follow_calls *calls, void *userdata,
                  struct lb_follow **ret)
{
    struct lb_follow *f = calloc(1, sizeof(*f));
    int r = f ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *f = (struct lb_follow){ .event = sd_event_ref(event), .socket = strdup(socket), .calls = *calls,
                             .userdata = userdata, .delay = FIRST_DELAY };
    r = f->socket ? sd_event_add_time_relative(event, &f->again, CLOCK_MONOTONIC, 0, 0, on_again, f) : -ENOMEM;
    if (r < 0)
        lb_follow_free(f);
    else
        *ret = f;
    return r < 0 ? r : 0;
}

struct lb_follow *lb_follow_free(struct lb_follow *f)
{
    if (!f)
        return NULL;
    lb_link_free(f->link);
    sd_event_source_disable_unref(f->again);
    sd_event_unref(f->event);
    free(f->socket);
    free(f);
    return NULL;
}

void lb_follow_go_on(struct lb_follow *f)
{
    f->busy = false;
    if (f->link)
        lb_link_pause(f->link, false);
    else
        sd_event_source_set_enabled(f->again, SD_EVENT_ONESHOT);
}

const char *lb_follow_problem(const struct lb_follow *f)
{
    return *f->problem ? f->problem : NULL;
}

int64_t lb_follow_last(const struct lb_follow *f)
{
    return f->last;
}
