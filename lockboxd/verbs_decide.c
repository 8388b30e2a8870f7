/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Access: decisions, typed or signed, and what is told of them. */
#include "lockboxd/clock.h"
#include "lockboxd/consent.h"
#include "lockboxd/grant.h"
#include "lockboxd/pause.h"
#include "lockboxd/proto/public.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs_access.h"
#include "policy/base.h"
#include "policy/statement.h"

#define ERROR(name) "org.lockbox.Access." name

/* How each refusal is told. */
static void tell_refusal(struct lb_conn *c, const struct lb_outcome *o, const char *state)
{
    const char *reason = o->reason ? o->reason : "";

    if (o->refusal == LB_REFUSAL_NOT_PERMITTED)
        lb_call_refuse(c, ERROR("NotPermitted"), reason);
    else if (o->refusal == LB_REFUSAL_NOT_POSSIBLE)
        lb_call_error(c, ERROR("NotPossible"), json_pack("{ssss}", "state", state, "reason", reason));
    else if (o->refusal == LB_REFUSAL_INVALID)
        lb_call_error(c, ERROR("InvalidParameter"), json_pack("{ssss}", "field", "request", "reason", reason));
    else
        lb_call_refuse(c, ERROR("Unavailable"), reason);
}

static void tell_done(struct lb_conn *c, const struct lb_outcome *o)
{
    struct lb_live *live = lb_gate_find(c->server->gate, o->id);
    struct lb_request *owned = NULL;
    json_t *reply;

    if (!live && lb_store_load(c->server->gate->store, o->id, &owned) < 0) {
        lb_call_refuse(c, ERROR("Unavailable"), "done, but it cannot be read back");
        return;
    }
    reply = json_pack("{so}", "request", lb_public_request(live ? live->request : owned));
    if (o->reason)
        json_object_set_new(reply, "message", json_string(o->reason));
    lb_request_free(owned);
    lb_call_reply(c, reply);
}

/* A request that is not open any more, or that there is not for this person. */
static void tell_closed(struct lb_conn *c, const struct lb_person *person, const char *id, const char *typed)
{
    struct lb_request *owned = NULL;
    const struct lb_request *r;

    if (!id || lb_access_read(c->server->gate, person, id, &r, &owned) < 0)
        lb_access_no_such(c, typed);
    else
        lb_call_error(c, ERROR("NotPossible"), json_pack("{ssss}", "state", lb_state_names[r->state], "reason",
                                                         "the request is closed"));
    lb_request_free(owned);
}

/* An emergency may be acknowledged when it is long over: for that one event the request is live again. */
static struct lb_live *revive(struct lb_gate *g, const char *id)
{
    struct lb_request *request = NULL;
    struct lb_live *live;

    if (!id || !g->store || lb_store_load(g->store, id, &request) < 0)
        return NULL;
    live = lb_gate_add(g, request);
    if (!live)
        lb_request_free(request);
    return live;
}

/* A pause is done when all of it stands still; that takes a moment. */
static void on_still(struct lb_waiter *w)
{
    struct lb_conn *c = (struct lb_conn *)((char *)w - offsetof(struct lb_conn, waiter));
    LB_FREE char *words = LB_TAKE(c->words);
    struct lb_outcome o = { .id = w->live->request->id, .reason = words };

    if (lb_pause_is_under_way(w->live)) {
        c->words = LB_TAKE(words);
        return;
    }
    if (w->live->freeze_error < 0)
        o.reason = (char *)"not everything stands still yet, which is tried on; revoke ends it";
    lb_gate_unpark(w);
    tell_done(c, &o);
}

/* True if the answer comes later. */
static bool await_still(struct lb_conn *c, struct lb_outcome *o, lb_decide_verb *verb)
{
    struct lb_live *live = verb == lb_decide_pause ? lb_gate_find(c->server->gate, o->id) : NULL;

    if (!live || !lb_pause_is_under_way(live))
        return false;
    free(c->words);
    c->words = LB_TAKE(o->reason);
    c->waiter.wake = on_still;
    lb_gate_park(live, &c->waiter);
    return true;
}

static void decide(struct lb_conn *c, void *parameters, lb_decide_verb *verb)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome outcome = { 0 };
    struct lb_access_target *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->id);
    struct lb_live *live = id ? lb_gate_find(c->server->gate, id) : NULL;
    const char *state;
    bool revived;

    if (!lb_verbs_person(c, &person))
        return;
    revived = !live && verb == lb_decide_acknowledge && (live = revive(c->server->gate, id));
    if (!live) {
        tell_closed(c, &person, id, p->id);
        return;
    }
    state = lb_state_names[live->request->state];
    p->decision.note = p->note;
    verb(live, &person, &p->decision, &outcome);
    /* Who is refused is told so only where he may know of the request; nothing has changed, so it is still there. */
    if (outcome.refusal == LB_REFUSAL_NOT_PERMITTED && lb_rights_read(c->server->gate, &person, live->request) <= 0)
        lb_access_no_such(c, p->id);
    else if (outcome.refusal)
        tell_refusal(c, &outcome, state);
    else if (!await_still(c, &outcome, verb))
        tell_done(c, &outcome);
    if (revived && outcome.refusal) /* else its event has dropped it */
        lb_gate_drop(live);
}

#define DECIDE(name)                                                 \
    static void verb_##name(struct lb_conn *c, void *parameters)     \
    {                                                                \
        decide(c, parameters, lb_decide_##name);                     \
    }
DECIDE(approve)
DECIDE(deny)
DECIDE(revoke)
DECIDE(done)
DECIDE(withdraw)
DECIDE(ask)
DECIDE(answer)
DECIDE(acknowledge)
DECIDE(pause)
DECIDE(resume)

static const struct lb_field grant_fields[] = {
    { "account", LB_FIELD_STRING, offsetof(struct lb_grant, account), LB_FIELD_REQUIRED },
    { "scope", LB_FIELD_STRING, offsetof(struct lb_grant, scope) },
    { "ticket", LB_FIELD_STRING, offsetof(struct lb_grant, ticket), LB_FIELD_REQUIRED },
    { "note", LB_FIELD_STRING, offsetof(struct lb_grant, note) },
    { "from", LB_FIELD_INT, offsetof(struct lb_grant, from), LB_FIELD_TIME },
    { "for", LB_FIELD_INT, offsetof(struct lb_grant, duration), LB_FIELD_SPAN },
    { 0 },
};

static void verb_grant(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome outcome = { 0 };

    if (!lb_verbs_person(c, &person))
        return;
    lb_grant_open(c->server->gate, &person, parameters, &outcome);
    if (outcome.refusal)
        tell_refusal(c, &outcome, "");
    else
        tell_done(c, &outcome);
}

/* --- signed consent ----------------------------------------------------------------------------------------------- */

#define SIGNATURE_MAX (16 * 1024)

struct consent {
    struct lb_access_target target;
    char *decision, *approver;
};
#define TARGET(member) offsetof(struct consent, target.member)
static const struct lb_field consent_fields[] = {
    { "id", LB_FIELD_STRING, TARGET(id), LB_FIELD_REQUIRED },
    { "decision", LB_FIELD_STRING, offsetof(struct consent, decision), LB_FIELD_REQUIRED },
    { "approver", LB_FIELD_STRING, offsetof(struct consent, approver) },
    { "note", LB_FIELD_STRING, TARGET(note) },
    { "for", LB_FIELD_INT, TARGET(decision.duration), LB_FIELD_SPAN },
    { "from", LB_FIELD_INT, TARGET(decision.from), LB_FIELD_TIME },
    { 0 },
};

static void verb_statement(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome outcome = { 0 };
    const struct consent *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->target.id), *text = NULL;
    struct lb_live *live = id ? lb_gate_find(c->server->gate, id) : NULL;
    struct lb_consent_wish wish = { p->approver, p->target.note, lb_streq(p->decision, "approve"),
                                    p->target.decision.duration, p->target.decision.from };

    if (!lb_verbs_person(c, &person))
        return;
    if (!wish.approve && !lb_streq(p->decision, "deny")) {
        lb_call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "decision"));
        return;
    }
    if (!live || lb_rights_read(c->server->gate, &person, live->request) <= 0) {
        tell_closed(c, &person, id, p->target.id);
        return;
    }
    if (!wish.approver)
        wish.approver = person.name;
    lb_consent_make(live, &wish, &outcome, &text);
    if (outcome.refusal)
        tell_refusal(c, &outcome, lb_state_names[live->request->state]);
    else
        lb_call_reply(c, json_pack("{ss ss*}", "statement", text, "message", outcome.reason));
}

struct submission { char *statement, *signature; };
static const struct lb_field submission_fields[] = {
    { "statement", LB_FIELD_STRING, offsetof(struct submission, statement), LB_FIELD_REQUIRED, LB_STATEMENT_MAX },
    { "signature", LB_FIELD_STRING, offsetof(struct submission, signature), LB_FIELD_REQUIRED, SIGNATURE_MAX },
    { 0 },
};

/* Who handed it in sees the request only if he may. */
static void tell_taken(struct lb_conn *c, const struct lb_outcome *o)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;
    struct lb_request *owned = NULL;
    const struct lb_request *r;
    json_t *reply = json_pack("{ss ss*}", "id", o->id, "message", o->reason);

    if (lb_rights_person(g, &c->peer, &person) == 0 && lb_access_read(g, &person, o->id, &r, &owned) == 0)
        json_object_set_new(reply, "request", lb_public_request(r));
    lb_request_free(owned);
    lb_call_reply(c, reply);
}

static void tell_submission(void *userdata, struct lb_outcome *o, const char *state)
{
    struct lb_conn *c = userdata;

    if (o->refusal == LB_REFUSAL_NO_REQUEST)
        lb_call_error(c, ERROR("NotPossible"), json_pack("{ssss}", "state", "", "reason", o->reason ? o->reason : ""));
    else if (o->refusal)
        tell_refusal(c, o, state);
    else
        tell_taken(c, o);
    c->consent = lb_consent_free(c->consent);
}

/* Anybody may: it is the signature that decides. */
static void verb_submit(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome outcome = { 0 };
    const struct submission *p = parameters;

    if (!lb_pace_take(&c->server->submissions, c->peer.uid, lb_clock_now().boot, LB_SUBMISSIONS)) {
        lb_call_refuse(c, ERROR("Unavailable"), "too many signatures within a minute: try again in a minute");
        return;
    }
    lb_consent_submit(c->server->gate, &c->peer, p->statement, p->signature, tell_submission, c, &outcome,
                      &c->consent);
    if (outcome.refusal)
        tell_submission(c, &outcome, "");
}

#define VERB(name, fields, type, function) \
    { ERROR(name), LB_DOOR_CONTROL, fields, sizeof(type), function }

const struct lb_verb lb_verbs_decide[] = {
    VERB("Approve", lb_access_target_fields, struct lb_access_target, verb_approve),
    VERB("Deny", lb_access_target_fields, struct lb_access_target, verb_deny),
    VERB("Revoke", lb_access_target_fields, struct lb_access_target, verb_revoke),
    VERB("Done", lb_access_target_fields, struct lb_access_target, verb_done),
    VERB("Withdraw", lb_access_target_fields, struct lb_access_target, verb_withdraw),
    VERB("Pause", lb_access_target_fields, struct lb_access_target, verb_pause),
    VERB("Resume", lb_access_target_fields, struct lb_access_target, verb_resume),
    VERB("Acknowledge", lb_access_target_fields, struct lb_access_target, verb_acknowledge),
    VERB("Grant", grant_fields, struct lb_grant, verb_grant),
    VERB("Ask", lb_access_target_fields, struct lb_access_target, verb_ask),
    VERB("Answer", lb_access_target_fields, struct lb_access_target, verb_answer),
    VERB("Statement", consent_fields, struct consent, verb_statement),
    VERB("Submit", submission_fields, struct submission, verb_submit),
    { 0 },
};
