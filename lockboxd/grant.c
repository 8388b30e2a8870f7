/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/grant.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/people.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/text.h"

/* The rule that a login there would meet, as far as it is known beforehand. */
static int decide(struct lb_gate *g, const char *account, gid_t gid, const char *scope, int64_t from,
                  struct lb_verdict *ret)
{
    LB_FREE const char **asked = lb_rules_groups(g->policy);
    struct lb_facts facts = { .account = account, .service = "sshd", .scope = scope, .rhost = "" };
    char **groups = NULL;
    int r = asked ? lb_people_groups(account, gid, asked, &groups) : -ENOMEM;

    if (r < 0)
        return r;
    facts.groups = groups;
    lb_clock_week(from ? from : lb_clock_now().wall, &facts.weekday, &facts.minute);
    *ret = lb_rules_decide(g->policy, &facts);
    lb_strings_free(groups);
    return 0;
}

static int check(struct lb_gate *g, const struct lb_person *p, const struct lb_verdict *v, struct lb_outcome *o)
{
    const struct lb_terms *t = v->terms;
    const char *place = lb_rights_refuse_place(p);

    if (v->action != LB_ACTION_REQUIRE)
        return lb_outcome_refuse(o, LB_REFUSAL_INVALID, "the rules ask for no approval there");
    if (lb_people_named(g->approvers, t->customer, p->name) <= 0)
        return lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "you are not one of the approvers that the rule names");
    if (place)
        return lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "%s", place);
    if (t->quorum > 1 || (t->internal && t->internal[0]))
        return lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                                 "the rule asks for more than one approval; a window has only yours");
    if (t->evidence == LB_EVIDENCE_SIGNED)
        return lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                                 "the rule asks for signed approvals (Evidence=signed), and a window cannot be signed: "
                                 "approve the request when it is there");
    return 0;
}

static int fill(struct lb_gate *g, const struct lb_person *p, const struct lb_grant *w, const struct lb_verdict *v,
                struct lb_event *e, struct lb_outcome *o)
{
    char span[LB_SPAN_MAX];
    int r = lb_terms_copy(&e->terms, v->terms);

    if (r == 0)
        r = lb_gate_make_id(g, &e->request);
    if (r == 0)
        r = lb_people_resolve(g->approvers, v->terms->customer, &e->entitled);
    if (r < 0)
        return r;
    e->terms.starts = LB_STARTS_APPROVAL; /* it opens by the clock */
    e->duration = w->duration > 0 ? w->duration : v->terms->duration;
    if (e->duration > v->terms->max_duration) {
        e->asked = e->duration;
        e->duration = v->terms->max_duration;
        if (asprintf(&o->reason, "the rule allows %s at most", lb_span_format(e->duration, span, sizeof(span))) < 0)
            o->reason = NULL;
        e->clamp = lb_dup(o->reason);
    }
    e->not_before = w->from > lb_clock_now().wall ? w->from : 0;
    e->rule = lb_dup(v->rule ? v->rule->file : NULL);
    e->ticket = lb_text_clean(w->ticket, LB_TICKET_MAX);
    e->note = lb_text_clean(w->note, LB_NOTE_MAX);
    e->scope = lb_text_clean(w->scope ? w->scope : "login", LB_NAME_MAX);
    e->service = strdup("lockboxctl");
    e->approver = strdup(p->name);
    e->role = strdup("customer");
    e->stage = strdup("customer");
    e->evidence = strdup(LB_EVIDENCE_LOCAL);
    return e->ticket && e->scope && e->service && e->approver ? 0 : -ENOMEM;
}

static int open_window(struct lb_gate *g, struct lb_event *e, struct lb_outcome *o)
{
    struct lb_event begun = lb_gate_begun();
    bool now = !e->not_before;
    struct lb_live *live;
    int r;

    o->id = strdup(e->request);
    r = lb_gate_new_request(g, e, &live);
    return r == 0 && now ? lb_gate_step(live, &begun) : r;
}

void lb_grant_open(struct lb_gate *g, const struct lb_person *p, const struct lb_grant *w, struct lb_outcome *o)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { .kind = LB_EVENT_GRANTED, .basis = LB_BASIS_PREAPPROVED };
    struct lb_verdict verdict = { 0 };
    uid_t uid = 0;
    gid_t gid = 0;
    int r = lb_gate_problem(g) ? -EIO : lb_people_account(w->account, &e.account, &uid, &gid);

    if (r == -ENOENT) {
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "there is no such account");
        return;
    }
    e.uid = uid;
    if (r == 0) { /* under the one name that logins go by */
        free(LB_TAKE(e.account));
        r = lb_people_account_of(uid, &e.account, NULL);
    }
    if (r == 0 && (!w->ticket || !*w->ticket))
        r = lb_outcome_refuse(o, LB_REFUSAL_INVALID, "a window is for a ticket: --ticket");
    if (r == 0)
        r = decide(g, e.account, gid, w->scope ? w->scope : "login", w->from, &verdict);
    if (r == 0)
        r = check(g, p, &verdict, o);
    if (r == 0)
        r = fill(g, p, w, &verdict, &e, o);
    if (r == 0)
        r = open_window(g, &e, o);
    if (r < 0 && !o->refusal) {
        free(LB_TAKE(o->reason));
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", lb_gate_problem(g) ? lb_gate_problem(g) : strerror(-r));
    }
}
