/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Access: requests and decisions. */
#include <errno.h>

#include "lockboxd/clock.h"
#include "lockboxd/consent.h"
#include "lockboxd/decide.h"
#include "lockboxd/grant.h"
#include "lockboxd/make.h"
#include "lockboxd/login.h"
#include "lockboxd/pause.h"
#include "lockboxd/people.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/proto/public.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"
#include "policy/statement.h"

#define RECENT (28 * 24 * 3600 * LB_USEC_PER_SEC)
#define LIST_MAX 2000 /* requests in one reply */

#define ERROR(name) "org.lockbox.Access." name

static void unavailable(struct lb_conn *c, int r)
{
    const char *problem = lb_gate_problem(c->server->gate);

    lb_call_refuse(c, ERROR("Unavailable"), problem ? problem : strerror(-r));
}

/* A request from memory or disk, as far as the person may read it: 0, or -ENOENT for either reason. The one on disk
 * is *ret_owned. */
static int read_request(struct lb_gate *g, const struct lb_person *p, const char *id, const struct lb_request **ret,
                        struct lb_request **ret_owned)
{
    struct lb_live *live = lb_gate_find(g, id);
    const struct lb_request *r = live ? live->request : NULL;

    if (!r && (!g->store || lb_store_load(g->store, id, ret_owned) < 0))
        return -ENOENT;
    *ret = r ? r : *ret_owned;
    if (lb_rights_read(g, p, *ret) > 0)
        return 0;
    *ret_owned = lb_request_free(*ret_owned);
    return -ENOENT;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct list {
    char *which, *account, *engineer, *ticket, *state;
    int64_t since, until;
};
#define LIST(member, kind, ...) { #member, kind, offsetof(struct list, member), __VA_ARGS__ }
static const struct lb_field list_fields[] = {
    LIST(which, LB_FIELD_STRING, 0), LIST(account, LB_FIELD_STRING, 0), LIST(engineer, LB_FIELD_STRING, 0),
    LIST(ticket, LB_FIELD_STRING, 0), LIST(state, LB_FIELD_STRING, 0), LIST(since, LB_FIELD_INT, LB_FIELD_TIME),
    LIST(until, LB_FIELD_INT, LB_FIELD_TIME), { 0 },
};

/* What each word of Which asks for. NULL is "open": what waits or runs. */
static const struct which {
    const char *name;
    bool open_only, recent;
    int from, to; /* states */
} whiches[] = {
    { NULL, true, false, LB_STATE_REVIEW, LB_STATE_ENDING },
    { "pending", true, false, LB_STATE_REVIEW, LB_STATE_PENDING },
    { "active", true, false, LB_STATE_APPROVED, LB_STATE_ENDING },
    { "recent", false, true, LB_STATE_REVIEW, LB_STATE_UNDECIDABLE },
    { "all", false, false, LB_STATE_REVIEW, LB_STATE_UNDECIDABLE },
};

/* A slip would otherwise be an empty list. */
static bool is_state(const char *name)
{
    for (int i = LB_STATE_NONE + 1; i < LB_STATE_MAX_; i++)
        if (lb_streq(lb_state_names[i], name))
            return true;
    return false;
}

struct listing {
    struct lb_gate *gate;
    const struct lb_person *person;
    const struct which *which;
    json_t *array;
    bool more; /* than fit into one reply */
};

static void append(json_t *array, const struct lb_request *r)
{
    json_t *request = lb_public_request(r);

    json_object_del(json_object_get(request, "left_behind"), "changes"); /* long: for Get */
    json_array_append_new(array, request);
}

static int list_row(void *userdata, const char *id)
{
    struct listing *l = userdata;
    struct lb_request *owned = NULL;
    const struct lb_request *r;

    if (read_request(l->gate, l->person, id, &r, &owned) < 0)
        return 0;
    if (r->state >= l->which->from && r->state <= l->which->to) {
        l->more = json_array_size(l->array) >= LIST_MAX;
        if (!l->more)
            append(l->array, r);
    }
    lb_request_free(owned);
    return l->more;
}

/* An engineer is not led past everybody's old requests to his own. False if he asked for another's, of which he sees
 * none. */
static bool narrow(const struct lb_gate *g, const struct lb_person *p, struct lb_store_filter *f)
{
    const char *account, *engineer;

    if (!lb_rights_reads_own_only(g, p, &account, &engineer))
        return true;
    if ((f->account && !lb_streq(f->account, account)) || (f->engineer && !lb_streq(f->engineer, engineer)))
        return false;
    f->account = account;
    f->engineer = engineer;
    return true;
}

static void verb_list(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct list *p = parameters;
    struct listing listing = { .gate = c->server->gate, .person = &person };
    struct lb_store_filter filter = { .since = p->since, .until = p->until, .account = p->account,
                                      .engineer = p->engineer, .ticket = p->ticket, .state = p->state };
    struct lb_gate *g = c->server->gate;
    int r = 0;

    for (size_t i = 0; i < LB_ELEMENTS(whiches); i++)
        if (lb_streq(whiches[i].name, p->which))
            listing.which = &whiches[i];
    if (!listing.which || (p->state && !is_state(p->state))) {
        lb_call_error(c, "org.varlink.service.InvalidParameter",
                      json_pack("{ss}", "parameter", listing.which ? "state" : "which"));
        return;
    }
    if (!lb_verbs_person(c, &person))
        return;
    filter.open_only = listing.which->open_only;
    filter.recent = listing.which->recent ? lb_clock_now().wall - RECENT : 0;
    listing.array = json_array();
    if (!g->store)
        r = -EIO;
    else if (narrow(g, &person, &filter))
        r = lb_store_list(g->store, &filter, list_row, &listing);
    if (r >= 0) {
        lb_call_reply(c, json_pack("{so so*}", "requests", listing.array, "more", listing.more ? json_true() : NULL));
        return;
    }
    json_decref(listing.array);
    unavailable(c, r);
}

struct target {
    char *id;
    struct lb_decision decision;
    char *note;
};
static const struct lb_field target_fields[] = {
    { "id", LB_FIELD_STRING, offsetof(struct target, id), LB_FIELD_REQUIRED },
    { "note", LB_FIELD_STRING, offsetof(struct target, note) },
    { "for", LB_FIELD_INT, offsetof(struct target, decision.duration), LB_FIELD_SPAN },
    { "from", LB_FIELD_INT, offsetof(struct target, decision.from), LB_FIELD_TIME },
    { "hold", LB_FIELD_BOOL, offsetof(struct target, decision.hold) },
    { 0 },
};

static void no_such(struct lb_conn *c, const char *id)
{
    lb_call_error(c, ERROR("NoSuchRequest"), json_pack("{ss}", "id", id));
}

static void verb_get(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct target *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->id);
    struct lb_request *owned = NULL;
    const struct lb_request *r;

    if (!lb_verbs_person(c, &person))
        return;
    if (!id || read_request(c->server->gate, &person, id, &r, &owned) < 0)
        no_such(c, p->id);
    else
        lb_call_reply(c, json_pack("{so}", "request", lb_public_request(r)));
    lb_request_free(owned);
}

static void verb_sessions(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;
    json_t *array;

    (void)parameters;
    if (!lb_verbs_person(c, &person))
        return;
    array = json_array();
    for (size_t i = 0; i < g->n_live; i++) {
        const struct lb_request *r = g->live[i]->request;
        json_auto_t *request = lb_rights_read(g, &person, r) > 0 ? lb_public_request(r) : NULL;
        json_t *session;
        size_t k;

        json_array_foreach(json_object_get(request, "sessions"), k, session) {
            if (json_object_get(session, "closed_at"))
                continue;
            json_object_set_new(session, "request", json_string(r->id));
            json_object_set(session, "account", json_object_get(request, "account"));
            json_object_set(session, "engineer", json_object_get(request, "engineer"));
            json_object_set(session, "not_after", json_object_get(request, "not_after"));
            json_array_append(array, session);
        }
    }
    lb_call_reply(c, json_pack("{so}", "sessions", array));
}

/* --- deciding ----------------------------------------------------------------------------------------------------- */

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

    if (!id || read_request(c->server->gate, person, id, &r, &owned) < 0)
        no_such(c, typed);
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
    struct target *p = parameters;
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
        no_such(c, p->id);
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
    struct target target;
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

    if (lb_rights_person(g, &c->peer, &person) == 0 && read_request(g, &person, o->id, &r, &owned) == 0)
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

/* --- asking ------------------------------------------------------------------------------------------------------- */

struct wish {
    char *ticket, *reason, *scope;
    int64_t duration;
};
static const struct lb_field wish_fields[] = {
    { "ticket", LB_FIELD_STRING, offsetof(struct wish, ticket) },
    { "reason", LB_FIELD_STRING, offsetof(struct wish, reason) },
    { "scope", LB_FIELD_STRING, offsetof(struct wish, scope) },
    { "for", LB_FIELD_INT, offsetof(struct wish, duration) }, /* seconds, as the prompt takes them, too */
    { 0 },
};

/* For whom a request is made: the account of the gated session he is in, else his own if that is gated. */
static const char *account_for(const struct lb_person *p)
{
    LB_FREE char *name = NULL;
    gid_t gid;

    if (p->from)
        return p->from->request->account;
    if (lb_people_account(p->name, &name, NULL, &gid) < 0 || lb_people_in_group(name, gid, LB_GROUP_GATED) != 1)
        return NULL;
    return p->name;
}

static void tell_answer(struct lb_conn *c, const struct lb_answer *a, const struct lb_live *live)
{
    const char *message = a->message ? a->message : "";
    struct lb_time now = lb_clock_now();
    LB_FREE char *remark = live ? lb_answer_remark(a, live->request, &now) : NULL;

    if (live)
        lb_call_reply(c, json_pack("{soss*}", "request", lb_public_request(live->request), "message", remark));
    else if (a->verdict == LB_ANSWER_ASK)
        lb_call_error(c, ERROR("InvalidParameter"),
                      json_pack("{ssss}", "field", strstr(message, "ticket") ? "ticket" : "reason", "reason", message));
    else
        lb_call_refuse(c, ERROR("NotPermitted"), message);
}

static void verb_request(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_answer_clear) struct lb_answer answer = { 0 };
    const struct wish *p = parameters;
    struct lb_words words = { p->ticket, p->reason, NULL, false };
    struct lb_login login = { .service = (char *)"lockboxctl", .scope = p->scope ? p->scope : (char *)"login" };
    struct lb_live *live = NULL;
    char seconds[32];
    int r;

    if (!lb_verbs_person(c, &person))
        return;
    login.account = (char *)account_for(&person);
    if (!login.account) {
        lb_call_refuse(c, ERROR("NotPermitted"), "your account is not gated: it needs no approval");
        return;
    }
    if (person.from)
        login.rhost = person.from->request->rhost;
    if (p->duration > 0) {
        snprintf(seconds, sizeof(seconds), "%lld", (long long)p->duration);
        words.duration = seconds;
    }
    r = lb_login_request(c->server->gate, &c->peer, &login, &words, &answer, &live);
    if (r < 0)
        unavailable(c, r);
    else
        tell_answer(c, &answer, live);
}

struct extension {
    char *id, *reason;
    int64_t duration;
};
static const struct lb_field extension_fields[] = {
    { "id", LB_FIELD_STRING, offsetof(struct extension, id), LB_FIELD_REQUIRED },
    { "reason", LB_FIELD_STRING, offsetof(struct extension, reason) },
    { "for", LB_FIELD_INT, offsetof(struct extension, duration), LB_FIELD_SPAN | LB_FIELD_REQUIRED },
    { 0 },
};

static void verb_extend(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_answer_clear) struct lb_answer answer = { 0 };
    LB_CLEANUP(lb_attempt_clear) struct lb_attempt attempt = { 0 };
    const struct extension *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->id);
    struct lb_live *access = id ? lb_gate_find(c->server->gate, id) : NULL, *live = NULL;
    struct lb_login login;
    int r;

    if (!lb_verbs_person(c, &person))
        return;
    if (!access || lb_rights_own(&person, access->request) <= 0) {
        no_such(c, p->id);
        return;
    }
    if (!lb_state_is_access(access->request->state)) {
        lb_call_error(c, ERROR("NotPossible"), json_pack("{ssss}", "state", lb_state_names[access->request->state],
                                                         "reason", "only an access that runs can be extended"));
        return;
    }
    r = lb_attempt_of(&attempt, c->server->gate, &c->peer, access->request, &login);
    if (r == 0)
        r = lb_make_extension(&attempt, access->request, p->reason, p->duration, &answer, &live);
    if (r < 0)
        unavailable(c, r);
    else
        tell_answer(c, &answer, live);
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static size_t count_sessions(const struct lb_gate *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n_live; i++)
        n += lb_request_open_sessions(g->live[i]->request);
    return n;
}

static void set_time(json_t *j, const char *name, int64_t wall)
{
    struct { int64_t at; } s = { wall };
    const struct lb_field fields[] = { { name, LB_FIELD_INT, 0, LB_FIELD_TIME }, { 0 } };
    json_auto_t *packed = lb_json_pack(fields, &s, LB_JSON_PUBLIC);

    json_object_update(j, packed);
}

static void set_checkpoint(json_t *j, const struct lb_notary *n)
{
    int64_t time, seq = lb_notary_last(n, &time);

    if (seq)
        json_object_set_new(j, "checkpoint", json_integer(seq));
    if (seq)
        set_time(j, "checkpoint_at", time);
    if (lb_notary_problem(n))
        json_object_set_new(j, "checkpoint_problem", json_string(lb_notary_problem(n)));
}

static void verb_status(struct lb_conn *c, void *parameters)
{
    struct lb_gate *g = c->server->gate;
    size_t states[LB_STATE_MAX_] = { 0 };
    int64_t events = g->store ? lb_store_last(g->store, NULL) : 0;
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    json_t *j;

    (void)parameters;
    if (!lb_verbs_person(c, &person))
        return;
    for (size_t i = 0; i < g->n_live; i++)
        states[g->live[i]->request->state]++;
    j = json_pack("{ss ss sI sI sI sI sI sI sI sI sI sI sI}", "version", LB_VERSION, "host", g->host, "policy_rules",
                  (json_int_t)(g->policy ? g->policy->n : 0), "events", (json_int_t)events, "journal_behind",
                  (json_int_t)(g->journal ? events - lb_journal_position(g->journal) : events), "review",
                  (json_int_t)states[LB_STATE_REVIEW], "pending", (json_int_t)states[LB_STATE_PENDING], "approved",
                  (json_int_t)states[LB_STATE_APPROVED], "active",
                  (json_int_t)(states[LB_STATE_ACTIVE] + states[LB_STATE_PAUSED]), "ending",
                  (json_int_t)states[LB_STATE_ENDING], "sessions", (json_int_t)count_sessions(g), "waiters",
                  (json_int_t)c->server->n_waiting, "connections", (json_int_t)c->server->n_conns);
    set_time(j, "started_at", g->started_at);
    set_time(j, "policy_loaded_at", g->policy_loaded_at);
    if (g->notary)
        set_checkpoint(j, g->notary);
    if (g->policy_error)
        json_object_set_new(j, "policy_error", json_string(g->policy_error));
    if (lb_gate_problem(g))
        json_object_set_new(j, "problem", json_string(lb_gate_problem(g)));
    lb_call_reply(c, j);
}

#define VERB(name, fields, type, function) \
    { "org.lockbox.Access." name, LB_DOOR_CONTROL, fields, sizeof(type), function }

const struct lb_verb lb_verbs_access[] = {
    VERB("List", list_fields, struct list, verb_list),
    VERB("Get", target_fields, struct target, verb_get),
    VERB("Approve", target_fields, struct target, verb_approve),
    VERB("Deny", target_fields, struct target, verb_deny),
    VERB("Revoke", target_fields, struct target, verb_revoke),
    VERB("Done", target_fields, struct target, verb_done),
    VERB("Withdraw", target_fields, struct target, verb_withdraw),
    VERB("Pause", target_fields, struct target, verb_pause),
    VERB("Resume", target_fields, struct target, verb_resume),
    VERB("Acknowledge", target_fields, struct target, verb_acknowledge),
    VERB("Extend", extension_fields, struct extension, verb_extend),
    VERB("Grant", grant_fields, struct lb_grant, verb_grant),
    VERB("Ask", target_fields, struct target, verb_ask),
    VERB("Answer", target_fields, struct target, verb_answer),
    VERB("Statement", consent_fields, struct consent, verb_statement),
    VERB("Submit", submission_fields, struct submission, verb_submit),
    VERB("Request", wish_fields, struct wish, verb_request),
    VERB("Sessions", NULL, char, verb_sessions),
    VERB("Status", NULL, char, verb_status),
    { 0 },
};
