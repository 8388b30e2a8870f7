/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/effects.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/behind.h"
#include "lockboxd/clock.h"
#include "lockboxd/launch.h"
#include "lockboxd/log.h"
#include "lockboxd/notary.h"
#include "lockboxd/pause.h"
#include "lockboxd/people.h"
#include "lockboxd/reaped.h"
#include "lockboxd/terminals.h"
#include "lockboxd/unaccounted.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/text.h"

/* Tells each of these people who is logged in. */
static void tell_people(const struct lb_live *live, char *const *people, const char *text)
{
    for (size_t i = 0; people && people[i]; i++) {
        LB_FREE char *name = NULL;
        uid_t uid;

        if (lb_people_account_of_person(live->gate->approvers, people[i], &name, &uid, NULL) == 0)
            lb_terminals_tell_user(uid, text);
    }
}

/* Who decides by this line alone is told that it may not say what it seems to. */
static const char *careful(const struct lb_request *r)
{
    const char *const read_closely[] = { r->engineer, r->account, r->ticket, r->reason };

    for (size_t i = 0; i < LB_ELEMENTS(read_closely); i++)
        if (lb_text_is_confusable(read_closely[i]))
            return " Careful: it mixes alphabets.";
    return "";
}

static void effect_notify(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    bool emergency = r->basis == LB_BASIS_EMERGENCY;
    LB_FREE char *text = NULL;
    char span[LB_SPAN_MAX];

    if (asprintf(&text, "lockbox: %s %s %s@%s for %s%s%s%s%s.%s %s: lockboxctl show %s", r->engineer,
                 emergency ? "declared an EMERGENCY and is let in to" : "asks for access to", r->account, r->host,
                 lb_span_format(r->duration, span, sizeof(span)), r->ticket ? ", ticket " : "",
                 r->ticket ? r->ticket : "", r->reason ? ": " : "", r->reason ? r->reason : "",
                 careful(r), emergency ? "Look" : "Decide", r->id) < 0) {
        text = NULL;
        return;
    }
    tell_people(live, r->state == LB_STATE_REVIEW ? r->reviewers : r->entitled, text);
}

/* Tells the terminals of the sessions that are open. */
void lb_effects_tell_sessions(const struct lb_live *live, const char *text)
{
    const struct lb_request *r = live->request;
    const struct lb_session *s = r->sessions.items;
    int64_t open[64];
    size_t n = 0;

    for (size_t i = 0; i < r->sessions.n && n < LB_ELEMENTS(open); i++)
        if (s[i].closed_at == 0 && !s[i].foreign)
            open[n++] = s[i].session;
    if (n > 0)
        lb_terminals_tell_sessions(open, n, text);
}

/* The engineer's words go to those who decide, theirs to his sessions; who waits at a prompt is woken besides. */
static void effect_tell(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    const struct lb_message *m = r->messages.items;
    LB_FREE char *text = NULL;

    m += r->messages.n - 1;
    if (asprintf(&text, "lockbox: %s writes about %s (%s on %s): %s", m->from, r->id, r->engineer, r->account,
                 m->text) < 0) {
        text = NULL;
        return;
    }
    if (!lb_streq(m->from, r->engineer))
        lb_effects_tell_sessions(live, text);
    if (lb_streq(m->from, r->engineer) || lb_streq(m->from, LB_FROM_DAEMON))
        tell_people(live, r->state == LB_STATE_REVIEW ? r->reviewers : r->entitled, text);
}

static void effect_warn(struct lb_live *live);

/* What was to be said of the end is said now, with PID 1's deadline or without: ours stands in any case. */
static void on_armed(void *userdata, const char *error)
{
    struct lb_live *live = userdata;

    if (error)
        lb_log(LOG_ALERT, "PID 1 has no deadline of its own for %s, only lockboxd ends it on time: %s",
               live->request->id, error);
    live->arming = lb_systemd_call_free(live->arming);
    if (live->announce && lb_state_is_access(live->request->state))
        effect_warn(live);
    live->announce = false;
}

static void effect_arm(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    struct lb_time now = lb_clock_now();
    int error;

    live->arming = lb_systemd_call_free(live->arming);
    if (!live->gate->systemd || r->not_after.wall == LB_NEVER)
        return;
    error = lb_systemd_arm(live->gate->systemd, r->id, r->turn, r->uid,
                           lb_deadline_left(&r->not_after, &now) + LB_PID1_SLACK, r->not_after.wall + LB_PID1_SLACK,
                           on_armed, live, &live->arming);
    if (error < 0)
        on_armed(live, strerror(-error));
}

static void effect_disarm(struct lb_live *live)
{
    if (!live->gate->systemd)
        return;
    for (int64_t turn = 0; turn <= live->request->turn; turn++)
        lb_systemd_disarm(live->gate->systemd, live->request->id, turn);
    lb_systemd_forgive(live->gate->systemd, live->request->uid);
}

/* Nobody is told of an end that PID 1 has not taken on (or refused) yet. */
static void effect_warn(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    struct lb_time now = lb_clock_now();
    int64_t left = lb_deadline_left(&r->not_after, &now);
    char span[LB_SPAN_MAX], text[256];

    live->announce = live->arming != NULL;
    if (live->announce)
        return;
    left = (left + LB_USEC_PER_SEC / 2) / LB_USEC_PER_SEC * LB_USEC_PER_SEC;
    snprintf(text, sizeof(text), "lockbox: your access %s to %s ends in %s; everything in this session %s",
             r->id, r->account, lb_span_format(left, span, sizeof(span)),
             !lb_request_freezes(r) ? "ends then."
                                    : "is frozen then, and ends if no more time is approved: lockboxctl extend");
    lb_effects_tell_sessions(live, text);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Which receipt belongs to which reason. */
static const struct { int reason, receipt; } receipts[] = {
    { LB_EVENT_HANDED_BACK, LB_EVENT_COMPLETED },
    { LB_EVENT_SCRIPT_ENDED, LB_EVENT_COMPLETED },
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

/* --- units -------------------------------------------------------------------------------------------------------- */

static void on_unit_failed(void *userdata, const char *unit, bool start, const char *result)
{
    struct lb_live *live = userdata;
    struct lb_event e = { .kind = LB_EVENT_UNIT_FAILED };

    if (asprintf(&e.note, "%s could not be %s (%s)", unit, start ? "started" : "stopped", result) < 0)
        e.note = NULL;
    e.from = strdup(LB_FROM_DAEMON);
    lb_gate_step(live, &e);
}

static void on_unlocked(void *userdata)
{
    struct lb_live *live = userdata;

    live->units = lb_units_free(live->units);
}

/* A window alone unlocks nothing: what it lets in has the units of its own request. */
static char **units_of(const struct lb_request *r)
{
    return lb_request_is_window(r) ? NULL : r->terms.units;
}

static void effect_unlock(struct lb_live *live)
{
    struct lb_gate *g = live->gate;
    char **units = units_of(live->request);
    int r;

    if (!units || !units[0] || !g->systemd)
        return;
    live->units = lb_units_free(live->units);
    r = lb_units_run(g->systemd, g->event, units, true, on_unit_failed, on_unlocked, live, &live->units);
    if (r < 0)
        on_unit_failed(live, units[0], true, strerror(-r));
}

static void receipt(struct lb_live *live)
{
    const char *runtime_directory = live->gate->runtime_directory;
    struct lb_notary *notary = live->gate->notary;
    const struct lb_reap_result *ended = &live->ended;
    LB_FREE char *id = strdup(live->request->id);
    struct lb_event e = { .kind = receipt_of(live->request), .killed = ended->killed, .kinds = ended->kinds,
                          .shared = ended->shared, .ms = ended->ms };

    lb_sessions_settle(live->gate->sessions, live->request->id);
    lb_launch_settle(live);
    live->units = lb_units_free(live->units);
    if (live->request->end.by)
        e.by = strdup(live->request->end.by);
    if (lb_gate_step(live, &e) == 0 && id) { /* `live` is gone */
        lb_reaped_forget(runtime_directory, id);
        lb_notary_ended(notary, id);
    }
}

static void on_locked(void *userdata)
{
    struct lb_live *live = userdata;

    live->units = lb_units_free(live->units);
    lb_behind_end(live, receipt);
}

/* A unit that another access has unlocked as well stays up as long as that one runs. */
static bool is_shared(const struct lb_live *live, const char *unit)
{
    const struct lb_gate *g = live->gate;

    for (size_t i = 0; i < g->n_live; i++)
        if (g->live[i] != live && lb_state_is_access(g->live[i]->request->state) &&
            lb_strings_contain(units_of(g->live[i]->request), unit))
            return true;
    return false;
}

void lb_effects_lock(struct lb_live *live)
{
    struct lb_gate *g = live->gate;
    char **units = units_of(live->request), **ours = NULL;
    int r = 0;

    if (lb_launch_is_up(live)) { /* what is about to start would start behind our back */
        lb_launch_stop(live);
        return;
    }
    for (size_t i = 0; g->systemd && units && units[i] && r == 0; i++)
        r = is_shared(live, units[i]) ? 0 : lb_strings_append(&ours, units[i]);
    live->units = lb_units_free(live->units);
    if (r == 0 && ours)
        r = lb_units_run(g->systemd, g->event, ours, false, on_unit_failed, on_locked, live, &live->units);
    if (r < 0)
        on_unit_failed(live, units[0], false, strerror(-r));
    if (!live->units)
        lb_behind_end(live, receipt);
    lb_strings_free(ours);
}

static void on_reaped(void *userdata, const struct lb_reap_result *result, bool done)
{
    struct lb_live *live = userdata;
    struct lb_reap_result r = *result;

    lb_reaped_add(live->gate->runtime_directory, live->request->id, &r); /* what was killed before, by whomever */
    if (!done) {
        lb_gate_step(live, &(struct lb_event){ .kind = LB_EVENT_STUCK, .killed = r.killed, .kinds = r.kinds,
                                               .shared = r.shared, .left = r.left, .ms = r.ms });
        return;
    }
    live->ended = r;
    live->reaped = true;
    lb_reaped_write(live->gate->runtime_directory, live->request->id, &r);
    live->reaper = lb_reaper_free(live->reaper);
    lb_effects_lock(live);
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

struct lb_reap_target lb_effects_target(const struct lb_live *live)
{
    const struct lb_request *r = live->request;
    int64_t late = r->end.at ? lb_clock_now().wall - r->end.at : 0; /* it may be ended before that is recorded */

    return (struct lb_reap_target){ .uid = r->uid, .sessions = r->sessions.items, .n = r->sessions.n,
                                    .slice = r->sessions.n > 0 && is_alone(live), .account = r->account,
                                    .late = late > 0 ? late : 0 };
}

void lb_effects_reap(struct lb_live *live)
{
    const struct lb_request *r = live->request;
    struct lb_reap_target target = lb_effects_target(live);
    int error;

    if (live->reaper || live->reaped)
        return;
    live->freezing = sd_event_source_disable_unref(live->freezing);
    live->reaper = lb_reaper_new(live->gate->runtime_directory, r->id, &target);
    if (!live->reaper) {
        lb_log(LOG_ALERT, "Out of memory while ending %s; PID 1's deadline will end it.", r->id);
        return;
    }
    lb_reaper_round(live->reaper);
    error = lb_reaper_start(live->reaper, live->gate->event, on_reaped, live);
    if (error < 0) {
        lb_log(LOG_ALERT, "Cannot go on ending %s: %s; PID 1's deadline will.", r->id, strerror(-error));
        live->reaper = lb_reaper_free(live->reaper);
    }
}

void lb_effects_share(const struct lb_live *live)
{
    const struct lb_gate *g = live->gate;

    for (size_t i = 0; i < g->n_live; i++)
        if (g->live[i] != live && g->live[i]->reaper && g->live[i]->request->uid == live->request->uid)
            lb_reaper_share(g->live[i]->reaper);
    lb_unaccounted_share(g->unaccounted, live->request->uid);
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
    { LB_EFFECT_ARM, effect_arm },
    { LB_EFFECT_FREEZE, lb_pause_freeze },
    { LB_EFFECT_THAW, lb_pause_thaw },
    { LB_EFFECT_WAKE, lb_effects_wake },
    { LB_EFFECT_DISARM, effect_disarm },
    { LB_EFFECT_WARN, effect_warn },
    { LB_EFFECT_NOTIFY, effect_notify },
    { LB_EFFECT_TELL, effect_tell },
    { LB_EFFECT_LOOK, lb_behind_begin },
    { LB_EFFECT_UNLOCK, effect_unlock },
};

void lb_effects_run(struct lb_live *live, unsigned effects)
{
    for (size_t i = 0; i < LB_ELEMENTS(table); i++)
        if (effects & table[i].bit)
            table[i].run(live);
}
