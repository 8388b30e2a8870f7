/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/decide.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/login.h"
#include "policy/approvals.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/text.h"

#define HOLD_DEFAULT (3600 * LB_USEC_PER_SEC)

void lb_outcome_clear(struct lb_outcome *o)
{
    free(o->reason);
    free(o->id);
    *o = (struct lb_outcome){ 0 };
}

int lb_outcome_refuse(struct lb_outcome *o, int refusal, const char *format, ...)
{
    va_list args;

    o->refusal = refusal;
    free(o->reason);
    va_start(args, format);
    if (vasprintf(&o->reason, format, args) < 0)
        o->reason = NULL;
    va_end(args);
    return -EACCES;
}

/* Takes the steps; `live` may be gone afterwards. */
static void take(struct lb_live *live, struct lb_event *events, size_t n, struct lb_outcome *o)
{
    int state = live->request->state;
    int r;

    o->id = strdup(live->request->id);
    r = lb_gate_steps(live, events, n);
    if (r == -EPERM || r == -EINVAL)
        lb_outcome_refuse(o, LB_REFUSAL_NOT_POSSIBLE, "the request is %s", lb_state_names[state]);
    else if (r < 0)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "the event cannot be recorded: %s", strerror(-r));
}

bool lb_decide_may(struct lb_live *live, const struct lb_person *p, bool approve, struct lb_outcome *o)
{
    const char *stage = lb_stage_names[lb_rights_stage(live->request)], *reason = NULL;

    if (lb_rights_decide(live->gate, p, live->request, &reason) > 0)
        reason = *stage ? lb_approvals_problem(live->request, p->name, stage, approve) : NULL;
    if (reason)
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "%s", reason);
    else if (*stage && approve && !p->by_signature && lb_rights_must_sign(live->gate, live->request))
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                          "only a signed approval counts for this request: lockboxctl approve %s "
                          "--sign KEY",
                          live->request->id);
    else
        return true;
    return false;
}

static struct lb_event decision_event(int kind, const struct lb_live *live, const struct lb_person *p,
                                      const struct lb_decision *d)
{
    const char *stage = lb_stage_names[lb_rights_stage(live->request)];

    return (struct lb_event){
        .kind = kind,
        .approver = strdup(p->name),
        .by = strdup(p->name),
        .role = strdup(*stage ? stage : p->root ? "root" : "approver"),
        .stage = lb_dup(stage),
        .evidence = strdup(d->proof ? LB_EVIDENCE_SIGNATURE : LB_EVIDENCE_LOCAL),
        .statement = lb_dup(d->proof ? d->proof->statement : NULL),
        .signature = lb_dup(d->proof ? d->proof->signature : NULL),
        .signer = lb_dup(d->proof ? d->proof->signer : NULL),
        .note = d->note && *d->note ? lb_text_clean(d->note, LB_NOTE_MAX) : NULL,
    };
}

/* What the approver grants, never more than was asked for; what he wanted and did not get stands in the event. */
static void set_duration(struct lb_event *e, const struct lb_request *r, int64_t wanted)
{
    char span[LB_SPAN_MAX];

    e->duration = wanted > 0 && wanted < r->duration ? wanted : r->duration;
    if (wanted <= r->duration)
        return;
    e->asked = wanted;
    if (asprintf(&e->clamp, "shortened to the %s that were asked for",
                 lb_span_format(r->duration, span, sizeof(span))) < 0)
        e->clamp = NULL;
}

/* What was frozen because its time was over goes on with the time it gets; what an approver paused waits for him. */
static size_t goes_on(const struct lb_live *access, const struct lb_person *p, const struct lb_event *extended,
                      struct lb_event *ret, struct lb_outcome *o)
{
    const struct lb_request *r = access->request;

    if (lb_request_is_at_end(r) && lb_streq(r->pause.by, LB_BY_CLOCK)) {
        *ret = (struct lb_event){ .kind = LB_EVENT_RESUMED, .by = strdup(p->name), .left_usec = extended->duration };
        return 1;
    }
    if (r->state == LB_STATE_PAUSED && !o->reason &&
        asprintf(&o->reason, "access %s stays paused by %s; to let it go on: lockboxctl resume %s", r->id, r->pause.by,
                 r->id) < 0)
        o->reason = NULL;
    return 0;
}

/* The last yes to more time: the request for it is done, and the access it is for goes on, in one commit. */
static void extend(struct lb_live *live, const struct lb_person *p, struct lb_event *approved, struct lb_outcome *o)
{
    struct lb_live *access = lb_gate_find(live->gate, live->request->extends);
    struct lb_event events[2] = { *approved, { .kind = LB_EVENT_ADDED } };
    struct lb_event extended[2] = { decision_event(LB_EVENT_EXTENDED, live, p, &(struct lb_decision){ 0 }) };
    struct lb_time now = lb_clock_now();
    int r = -EPERM;

    o->id = strdup(live->request->id);
    events[1].extends = strdup(live->request->extends);
    free(extended[0].evidence);
    extended[0].evidence = lb_dup(approved->evidence);
    extended[0].duration = approved->duration;
    if (access && lb_state_is_access(access->request->state) && !lb_deadline_due(&access->request->not_after, &now)) {
        extended[0].left_usec = approved->duration + (access->request->pause.hold ? access->request->pause.left
                                                      : lb_deadline_left(&access->request->not_after, &now));
        r = lb_gate_extend(live, events, 2, access, extended, 1 + goes_on(access, p, &extended[0], &extended[1], o));
    } else {
        lb_event_clear(&events[0]);
        lb_event_clear(&events[1]);
        lb_event_clear(&extended[0]);
    }
    if (r < 0)
        lb_outcome_refuse(o, r == -EPERM || r == -EINVAL ? LB_REFUSAL_NOT_POSSIBLE : LB_REFUSAL_UNAVAILABLE, "%s",
               r == -EPERM ? "the access is over" : r == -EINVAL ? "the rule allows no more time" : strerror(-r));
}

/* Who is lacking may have lost the right meanwhile. */
static void settle(struct lb_live *live, struct lb_outcome *o)
{
    struct lb_gate *g = live->gate;

    lb_gate_close_undecidable(live);
    if (o->refusal != LB_REFUSAL_NONE || lb_gate_find(g, o->id))
        return;
    free(o->reason);
    o->reason = strdup("too few people are left who may approve it, so it is closed: see that the policy names enough");
}

void lb_decide_approve(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                       struct lb_outcome *o)
{
    const struct lb_request *r = live->request;
    struct lb_event events[2] = { 0 };
    int kind = lb_approvals_kind(r, lb_rights_votes(live->gate, r));
    struct lb_time now = lb_clock_now();
    bool begins;

    if (!lb_decide_may(live, p, true, o))
        return;
    events[0] = decision_event(kind, live, p, d);
    events[0].not_before = d->from > now.wall && !r->extends ? d->from : 0;
    set_duration(&events[0], r, d->duration);
    o->reason = lb_dup(events[0].clamp);
    if (kind == LB_EVENT_APPROVED && r->extends) {
        extend(live, p, &events[0], o);
        return;
    }
    begins = kind == LB_EVENT_APPROVED && r->terms.starts == LB_STARTS_APPROVAL && !events[0].not_before &&
             lb_deadline_wait(&r->begin_at, &now) == 0 && !lb_gate_blocker(live);
    events[1] = lb_gate_begun();
    take(live, events, begins ? 2 : 1, o);
    if (kind == LB_EVENT_REVIEWED || kind == LB_EVENT_VOTED)
        settle(live, o);
}

void lb_decide_deny(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_event e;

    if (!lb_decide_may(live, p, false, o))
        return;
    e = decision_event(LB_EVENT_DENIED, live, p, d);
    take(live, &e, 1, o);
}

/* Who came in through a window that is stopped goes with it. */
static void stop_children(struct lb_gate *g, const struct lb_person *p, const struct lb_decision *d,
                          const struct lb_outcome *o)
{
    for (size_t i = g->n_live; o->refusal == LB_REFUSAL_NONE && i-- > 0;) {
        struct lb_live *live = g->live[i];

        if (lb_state_is_access(live->request->state) && live->request->grant && lb_streq(live->request->grant, o->id)) {
            struct lb_event e = decision_event(LB_EVENT_STOPPED, live, p, d);

            lb_gate_step(live, &e);
        }
    }
}

/* Ending is wider than deciding: root may, too, wherever he comes from but a gated session. */
void lb_decide_revoke(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                      struct lb_outcome *o)
{
    struct lb_gate *g = live->gate;
    struct lb_event e;

    if (!p->root && !lb_decide_may(live, p, false, o))
        return;
    e = decision_event(LB_EVENT_STOPPED, live, p, d);
    take(live, &e, 1, o);
    stop_children(g, p, d, o);
}

/* How long its time stands still at most: as he says, and never for longer in all than the rule lets access last. */
static bool set_hold(struct lb_event *e, const struct lb_request *r, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_time now = lb_clock_now();
    int64_t room = r->terms.max_duration - r->held, wanted = d->duration > 0 ? d->duration : HOLD_DEFAULT;
    char span[LB_SPAN_MAX];

    if (room <= 0) {
        lb_outcome_refuse(o, LB_REFUSAL_NOT_POSSIBLE,
                          "its time has stood still for as long as its rule allows; pause it without "
                          "--hold");
        return false;
    }
    e->hold = true;
    e->duration = wanted < room ? wanted : room;
    e->left_usec = lb_deadline_left(&r->not_after, &now);
    if (wanted <= room || d->duration <= 0)
        return true;
    e->asked = wanted;
    if (asprintf(&e->clamp, "the rule allows %s at most", lb_span_format(room, span, sizeof(span))) < 0)
        e->clamp = NULL;
    o->reason = lb_dup(e->clamp);
    return true;
}

void lb_decide_pause(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_event e;

    if (!lb_decide_may(live, p, false, o))
        return;
    if (d->duration > 0 && !d->hold) {
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "a pause lasts until the access ends; a time for it goes with --hold");
        return;
    }
    e = decision_event(LB_EVENT_PAUSED, live, p, d);
    if (d->hold && live->request->state == LB_STATE_ACTIVE && !set_hold(&e, live->request, d, o)) {
        lb_event_clear(&e);
        return;
    }
    take(live, &e, 1, o);
}

void lb_decide_resume(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                      struct lb_outcome *o)
{
    const struct lb_request *r = live->request;
    struct lb_time now = lb_clock_now();
    struct lb_event e;

    if (!lb_decide_may(live, p, false, o))
        return;
    if (lb_request_is_at_end(r)) {
        lb_outcome_refuse(o, LB_REFUSAL_NOT_POSSIBLE,
                          "its time is over; it goes on when the engineer asks for more, by a new "
                          "login, and that is approved");
        return;
    }
    e = decision_event(LB_EVENT_RESUMED, live, p, d);
    e.left_usec = r->pause.hold ? r->pause.left : lb_deadline_left(&r->not_after, &now);
    take(live, &e, 1, o);
}

void lb_decide_done(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_event e = { .kind = LB_EVENT_HANDED_BACK };

    (void)d;
    if (!p->root && !lb_rights_own(p, live->request)) {
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                          "only its engineer hands an access back; to stop it, use revoke");
        return;
    }
    e.by = strdup(p->root ? p->account : live->request->engineer);
    take(live, &e, 1, o);
}

void lb_decide_withdraw(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                        struct lb_outcome *o)
{
    struct lb_event e = { .kind = LB_EVENT_WITHDRAWN };

    (void)d;
    if (!lb_rights_own(p, live->request)) {
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                          "only its engineer takes a request back; to refuse it, use deny");
        return;
    }
    e.by = strdup(live->request->engineer);
    take(live, &e, 1, o);
}

static void send_message(struct lb_live *live, const char *from, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_event e = { .kind = LB_EVENT_MESSAGE };

    e.note = lb_text_clean(d->note, LB_NOTE_MAX);
    if (!e.note || !*e.note) {
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "there is nothing to say");
        lb_event_clear(&e);
        return;
    }
    e.from = strdup(from);
    take(live, &e, 1, o);
}

void lb_decide_acknowledge(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                           struct lb_outcome *o)
{
    struct lb_event e;

    if (!lb_decide_may(live, p, false, o))
        return;
    if (!lb_rights_customer(live->gate, p, live->request)) {
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "an emergency is acknowledged by the customer");
        return;
    }
    e = decision_event(LB_EVENT_ACKNOWLEDGED, live, p, d);
    take(live, &e, 1, o);
}

void lb_decide_ask(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d, struct lb_outcome *o)
{
    if (lb_decide_may(live, p, false, o))
        send_message(live, p->name, d, o);
}

void lb_decide_answer(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                      struct lb_outcome *o)
{
    if (lb_rights_own(p, live->request))
        send_message(live, live->request->engineer, d, o);
    else
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "only its engineer answers; to say something to him, use ask");
}
