/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/decide.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/login.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/text.h"

void lb_outcome_clear(struct lb_outcome *o)
{
    free(o->reason);
    free(o->id);
    *o = (struct lb_outcome){ 0 };
}

static void refuse(struct lb_outcome *o, int refusal, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void refuse(struct lb_outcome *o, int refusal, const char *format, ...)
{
    va_list args;

    o->refusal = refusal;
    free(o->reason);
    va_start(args, format);
    if (vasprintf(&o->reason, format, args) < 0)
        o->reason = NULL;
    va_end(args);
}

/* Takes the steps; `live` may be gone afterwards. */
static void take(struct lb_live *live, struct lb_event *events, size_t n, struct lb_outcome *o)
{
    int state = live->request->state;
    int r;

    o->id = strdup(live->request->id);
    r = lb_gate_steps(live, events, n);
    if (r == -EPERM)
        refuse(o, LB_REFUSAL_NOT_POSSIBLE, "the request is %s", lb_state_names[state]);
    else if (r < 0)
        refuse(o, LB_REFUSAL_UNAVAILABLE, "the event cannot be recorded: %s", strerror(-r));
}

static bool may_decide(struct lb_live *live, const struct lb_person *p, struct lb_outcome *o)
{
    const char *reason;

    if (lb_rights_decide(live->gate, p, live->request, &reason) > 0)
        return true;
    refuse(o, LB_REFUSAL_NOT_PERMITTED, "%s", reason);
    return false;
}

static struct lb_event decision_event(int kind, const struct lb_person *p, const struct lb_decision *d)
{
    return (struct lb_event){
        .kind = kind,
        .approver = strdup(p->name),
        .by = strdup(p->name),
        .role = strdup("customer"),
        .stage = strdup("customer"),
        .evidence = strdup("local"),
        .note = d->note && *d->note ? lb_text_clean(d->note, LB_NOTE_MAX) : NULL,
    };
}

void lb_decide_approve(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                       struct lb_outcome *o)
{
    const struct lb_request *r = live->request;
    struct lb_event events[2] = { 0 };
    int64_t duration = d->duration > 0 && d->duration < r->duration ? d->duration : r->duration;
    bool begins = r->terms.starts == LB_STARTS_APPROVAL && !lb_gate_blocker(live);
    char asked[LB_SPAN_MAX], given[LB_SPAN_MAX];

    if (!may_decide(live, p, o))
        return;
    if (d->duration > r->duration && asprintf(&o->reason, "%s was asked for; %s is more and was shortened to it",
                                              lb_span_format(r->duration, asked, sizeof(asked)),
                                              lb_span_format(d->duration, given, sizeof(given))) < 0)
        o->reason = NULL;
    events[0] = decision_event(LB_EVENT_APPROVED, p, d);
    events[0].duration = duration;
    events[1] = lb_gate_begun();
    events[1].duration = duration;
    take(live, events, begins ? 2 : 1, o);
}

void lb_decide_deny(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_event e;

    if (!may_decide(live, p, o))
        return;
    e = decision_event(LB_EVENT_DENIED, p, d);
    take(live, &e, 1, o);
}

/* Ending is wider than deciding: root may, too, wherever he comes from but a gated session. */
void lb_decide_revoke(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                      struct lb_outcome *o)
{
    struct lb_event e;

    if (!p->root && !may_decide(live, p, o))
        return;
    e = decision_event(LB_EVENT_STOPPED, p, d);
    take(live, &e, 1, o);
}

void lb_decide_done(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d, struct lb_outcome *o)
{
    struct lb_event e = { .kind = LB_EVENT_HANDED_BACK };

    (void)d;
    if (!p->root && !lb_rights_own(p, live->request)) {
        refuse(o, LB_REFUSAL_NOT_PERMITTED, "only its engineer hands an access back; to stop it, use revoke");
        return;
    }
    e.by = strdup(p->root ? p->name : live->request->engineer);
    take(live, &e, 1, o);
}

void lb_decide_withdraw(struct lb_live *live, const struct lb_person *p, const struct lb_decision *d,
                        struct lb_outcome *o)
{
    struct lb_event e = { .kind = LB_EVENT_WITHDRAWN };

    (void)d;
    if (!lb_rights_own(p, live->request)) {
        refuse(o, LB_REFUSAL_NOT_PERMITTED, "only its engineer takes a request back; to refuse it, use deny");
        return;
    }
    e.by = strdup(live->request->engineer);
    take(live, &e, 1, o);
}
