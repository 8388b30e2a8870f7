/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/effects.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/log.h"
#include "lockboxd/people.h"
#include "lockboxd/reaped.h"
#include "lockboxd/terminals.h"
#include "policy/base.h"
#include "policy/span.h"

/* PID 1 comes after us, so that it acts only where we do not. */
#define PID1_SLACK (2 * LB_USEC_PER_SEC)

static void effect_notify(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    LB_FREE char *text = NULL;
    char span[LB_SPAN_MAX];
    LB_FREE char *name = NULL;
    uid_t uid;

    if (asprintf(&text, "lockbox: %s asks for access to %s@%s for %s%s%s%s%s. Decide: lockboxctl show %s", r->engineer,
                 r->account, r->host, lb_span_format(r->duration, span, sizeof(span)), r->ticket ? ", ticket " : "",
                 r->ticket ? r->ticket : "", r->reason ? ": " : "", r->reason ? r->reason : "", r->id) < 0) {
        text = NULL;
        return;
    }
    for (size_t i = 0; r->entitled && r->entitled[i]; i++) {
        free(LB_TAKE(name));
        if (lb_people_account(r->entitled[i], &name, &uid, NULL) == 0)
            lb_terminals_tell_user(uid, text);
    }
}

static void effect_arm(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    struct lb_time now = lb_clock_now();

    if (live->gate->systemd && r->not_after.wall != LB_NEVER)
        lb_systemd_arm(live->gate->systemd, r->id, r->uid, lb_deadline_left(&r->not_after, &now) + PID1_SLACK,
                       r->not_after.wall + PID1_SLACK);
}

static void effect_disarm(struct lb_live *live)
{
    if (!live->gate->systemd)
        return;
    lb_systemd_disarm(live->gate->systemd, live->request->id);
    lb_systemd_forgive(live->gate->systemd, live->request->uid);
}

static void effect_warn(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    const struct lb_session *s = r->sessions.items;
    struct lb_time now = lb_clock_now();
    int64_t open[64], left = lb_deadline_left(&r->not_after, &now);
    char span[LB_SPAN_MAX], text[256];
    size_t n = 0;

    for (size_t i = 0; i < r->sessions.n && n < LB_ELEMENTS(open); i++)
        if (s[i].closed_at == 0 && !s[i].foreign)
            open[n++] = s[i].session;
    left = (left + LB_USEC_PER_SEC / 2) / LB_USEC_PER_SEC * LB_USEC_PER_SEC;
    snprintf(text, sizeof(text), "lockbox: your access %s to %s ends in %s; everything in this session ends then.",
             r->id, r->account, lb_span_format(left, span, sizeof(span)));
    if (n > 0)
        lb_terminals_tell_sessions(open, n, text);
}

/* --- the end --------------------------------------------------------------------------------------------------------- */

/* Which receipt belongs to which reason. */
static const struct { int reason, receipt; } receipts[] = {
    { LB_EVENT_HANDED_BACK, LB_EVENT_COMPLETED },
    { LB_EVENT_TIME_OVER, LB_EVENT_ENDED },
    { LB_EVENT_STOPPED, LB_EVENT_REVOKED },
};

static int receipt_of(const struct lb_request *r)
{
    int reason = lb_event_kind_from_name(r->end.reason);

    for (size_t i = 0; i < LB_ELEMENTS(receipts); i++)
        if (receipts[i].reason == reason)
            return receipts[i].receipt;
    return LB_EVENT_ENDED;
}

static void on_reaped(void *userdata, const struct lb_reap_result *result, bool done)
{
    struct lb_live *live = userdata;
    struct lb_event e = { .kind = done ? receipt_of(live->request) : LB_EVENT_STUCK };

    e.killed = result->killed + lb_reaped_count(live->gate->runtime_directory, live->request->id);
    e.left = result->left;
    e.ms = result->ms;
    if (live->request->end.by)
        e.by = strdup(live->request->end.by);
    if (done) {
        live->reaper = lb_reaper_free(live->reaper);
        lb_reaped_forget(live->gate->runtime_directory, live->request->id);
    }
    lb_gate_step(live, &e);
}

/* Whether anybody else has access to the account: then only what is surely this access's own may go. */
static bool is_alone(const struct lb_live *live)
{
    const struct lb_gate *g = live->gate;

    for (size_t i = 0; i < g->n_live; i++) {
        const struct lb_request *r = g->live[i]->request;

        if (g->live[i] != live && r->uid == live->request->uid && r->sessions.n > 0 && lb_state_is_access(r->state))
            return false;
    }
    return true;
}

void lb_effects_reap(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    struct lb_reap_target target = { r->uid, r->sessions.items, r->sessions.n, is_alone(live) };
    int error;

    if (live->reaper)
        return;
    live->reaper = lb_reaper_new(&target);
    if (!live->reaper) {
        lb_log(LOG_ALERT, "Out of memory while ending %s; PID 1's deadline will end it.", r->id);
        return;
    }
    lb_reaper_round(live->reaper);
    error = lb_reaper_start(live->reaper, live->gate->event, on_reaped, live);
    if (error < 0)
        lb_log(LOG_ALERT, "Cannot go on ending %s: %s", r->id, strerror(-error));
}

void lb_effects_wake(struct lb_live *live)
{
    struct lb_waiter *next;

    if (live->gate->store)
        live->changed = lb_store_last(live->gate->store, NULL);
    for (struct lb_waiter *w = live->waiters; w; w = next) {
        next = w->next;
        w->wake(w);
    }
}

static const struct { unsigned bit; void (*run)(struct lb_live *live); } table[] = {
    { LB_EFFECT_REAP, lb_effects_reap },
    { LB_EFFECT_WAKE, lb_effects_wake },
    { LB_EFFECT_ARM, effect_arm },
    { LB_EFFECT_DISARM, effect_disarm },
    { LB_EFFECT_WARN, effect_warn },
    { LB_EFFECT_NOTIFY, effect_notify },
};

void lb_effects_run(struct lb_live *live, unsigned effects)
{
    for (size_t i = 0; i < LB_ELEMENTS(table); i++)
        if (effects & table[i].bit)
            table[i].run(live);
}
