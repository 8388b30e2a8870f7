/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/pause.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/effects.h"
#include "lockboxd/freezer.h"
#include "lockboxd/log.h"
#include "policy/base.h"
#include "policy/span.h"

#define LAST_WORDS (50 * 1000) /* µs: a pseudo-terminal does not tell when it has been read */
#define RETRY_SOON (20 * 1000) /* µs between the first tries; after TRIES of them it is an alarm and goes on slowly */
#define RETRY_LATER (1 * LB_USEC_PER_SEC)
#define TRIES 10

/* What is left, as a person says it. */
static const char *time_left(const struct lb_request *r, char *buf)
{
    struct lb_time now = lb_clock_now();
    int64_t left = lb_deadline_left(&r->not_after, &now);

    return lb_span_format((left + LB_USEC_PER_SEC / 2) / LB_USEC_PER_SEC * LB_USEC_PER_SEC, buf, LB_SPAN_MAX);
}

static void tell_frozen(const struct lb_live *live)
{
    const struct lb_request *r = live->request;
    const struct lb_pause *p = &r->pause;
    LB_FREE char *text = NULL;
    char span[LB_SPAN_MAX];
    int n;

    if (lb_request_is_at_end(r))
        n = asprintf(&text,
                     "lockbox: the time of your access %s to %s is over. It is frozen now and ends in %s, if no "
                     "more time is approved: log in again to ask for it.",
                     r->id, r->account, time_left(r, span));
    else
        n = asprintf(&text, "lockbox: %s paused your access %s to %s%s%s. It is frozen now; %s in %s if it is not "
                            "resumed.", p->by, r->id, r->account, p->note ? ": " : "", p->note ? p->note : "",
                     p->hold ? "its time stands still, and it ends" : "it ends", time_left(r, span));
    if (n < 0)
        text = NULL;
    else
        lb_effects_tell_sessions(live, text);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    lb_pause_freeze_now(userdata);
    return 0;
}

static void freeze_in(struct lb_live *live, uint64_t usec)
{
    live->freezing = sd_event_source_disable_unref(live->freezing);
    if (sd_event_add_time_relative(live->gate->event, &live->freezing, CLOCK_BOOTTIME, usec, 1, on_time, live) < 0)
        lb_log(LOG_ALERT, "Out of memory while freezing %s; PID 1's deadline will end it.", live->request->id);
}

void lb_pause_freeze(struct lb_live *live)
{
    live->freeze_tries = live->freeze_error = 0;
    tell_frozen(live);
    freeze_in(live, LAST_WORDS);
}

void lb_pause_freeze_now(struct lb_live *live)
{
    struct lb_reap_target target = lb_effects_target(live);
    int r = lb_freezer_freeze(live->gate->runtime_directory, live->request->id, &target);

    bool soon = (r == -EINPROGRESS || r == -ECANCELED) && ++live->freeze_tries < TRIES;

    live->freezing = sd_event_source_disable_unref(live->freezing);
    if (r < 0 && !soon && live->freeze_error == 0)
        lb_log(LOG_ALERT, "Not everything of access %s stands still (%s); trying on. To end it: lockboxctl revoke %s",
               live->request->id, strerror(-r), live->request->id);
    live->freeze_error = soon ? 0 : r;
    if (r < 0)
        freeze_in(live, soon ? RETRY_SOON : RETRY_LATER);
    if (!soon)
        lb_effects_wake(live);
}

bool lb_pause_is_under_way(const struct lb_live *live)
{
    return live->freezing && live->freeze_error == 0;
}

void lb_pause_thaw(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    char text[256], span[LB_SPAN_MAX];
    int error;

    live->freezing = sd_event_source_disable_unref(live->freezing);
    error = lb_freezer_thaw(live->gate->runtime_directory, r->id);
    if (error < 0)
        lb_log(LOG_ERR, "Access %s goes on, but not all of it is thawed: %s", r->id, strerror(-error));
    snprintf(text, sizeof(text), "lockbox: your access %s to %s goes on; it ends in %s.", r->id, r->account,
             time_left(r, span));
    lb_effects_tell_sessions(live, text);
}
