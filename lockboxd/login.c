/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/login.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/log.h"
#include "lockboxd/people.h"
#include "lockboxd/proc.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/text.h"

#define AT(member) offsetof(struct lb_login, member)
#define STRING(member, flag, most) { #member, LB_FIELD_STRING, AT(member), .flags = flag, .max = most }

const struct lb_field lb_login_fields[] = {
    STRING(account, LB_FIELD_REQUIRED, LB_NAME_MAX),
    STRING(user, 0, LB_NAME_MAX),
    STRING(ruser, 0, LB_NAME_MAX),
    STRING(service, LB_FIELD_REQUIRED, LB_NAME_MAX),
    STRING(scope, LB_FIELD_REQUIRED, LB_NAME_MAX),
    STRING(rhost, 0, LB_NAME_MAX),
    STRING(tty, 0, LB_NAME_MAX),
    STRING(auth_info, 0, 32768),
    { "loginuid", LB_FIELD_INT, AT(loginuid) },
    { "audit_session", LB_FIELD_INT, AT(audit_session) },
    { 0 },
};

/* Everything that is known of one login. */
struct attempt {
    struct lb_gate *gate;
    const struct lb_peer *peer;
    const struct lb_login *login;
    char *account; /* canonical */
    uid_t uid;
    gid_t gid;
    struct lb_identity identity;
    char **groups;
    char *rhost; /* safe to show */
    struct lb_verdict verdict;
    bool foreign; /* the login session is somebody else's than the account's */
};

static void attempt_clear(struct attempt *a)
{
    free(a->account);
    free(a->rhost);
    lb_identity_clear(&a->identity);
    lb_strings_free(a->groups);
}

static bool is_sshd(const struct lb_login *l)
{
    return lb_streq(l->service, "sshd");
}

static int copy_identity(const struct lb_request *r, struct lb_identity *ret)
{
    struct lb_identity id = { strdup(r->engineer), strdup(r->key ? r->key : ""), 0 };

    if (!id.engineer || !id.key) {
        lb_identity_clear(&id);
        return -ENOMEM;
    }
    id.proof = (strstr(id.key, "certificate") ? LB_PROOF_CERTIFICATE : 0) |
               (strstr(id.key, "hardware") ? LB_PROOF_HARDWARE : 0);
    if (!id.proof && *id.key)
        id.proof = LB_PROOF_PLAIN;
    *ret = id;
    return 0;
}

/* sshd says who proved what; inside a gated session it is that session's engineer; else nobody knows. */
static int find_identity(struct attempt *a)
{
    const struct lb_live *from = NULL;

    if (is_sshd(a->login))
        return lb_identity_parse(a->login->auth_info, &a->identity);
    if (a->peer->session != LB_AUDIT_UNSET)
        from = lb_gate_find_session(a->gate, a->peer->session);
    if (from && lb_streq(from->request->account, a->account))
        return copy_identity(from->request, &a->identity);
    return lb_identity_parse(NULL, &a->identity);
}

static int find_groups(struct attempt *a)
{
    LB_FREE const char **asked = lb_rules_groups(a->gate->policy);

    return asked ? lb_people_groups(a->account, a->gid, asked, &a->groups) : -ENOMEM;
}

static void decide(struct attempt *a)
{
    const struct lb_facts facts = {
        .account = a->account,
        .service = a->login->service,
        .scope = a->login->scope,
        .rhost = a->rhost,
        .proof = a->identity.proof,
        .identity = a->identity.proof & LB_PROOF_CERTIFICATE ? a->identity.engineer : "",
        .groups = a->groups,
    };

    a->verdict = lb_rules_decide(a->gate->policy, &facts);
}

/* Learns all there is to know. -ENOENT: no such account. */
static int attempt_fill(struct attempt *a, struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l)
{
    int r;

    *a = (struct attempt){ .gate = g, .peer = peer, .login = l };
    if (lb_gate_problem(g))
        return -EIO;
    r = lb_people_account(l->account, &a->account, &a->uid, &a->gid);
    if (r < 0)
        return r;
    a->rhost = lb_text_clean(l->rhost, LB_NAME_MAX);
    if (!a->rhost)
        return -ENOMEM;
    a->foreign = !is_sshd(l) && peer->loginuid != LB_AUDIT_UNSET && peer->loginuid != (int64_t)a->uid;
    r = find_identity(a);
    if (r == 0)
        r = find_groups(a);
    if (r == 0)
        decide(a);
    return r;
}

/* --- refusing -------------------------------------------------------------------------------------------------------- */

static char *copy(const char *s)
{
    return s && *s ? strdup(s) : NULL;
}

/* A refusal is recorded (when the disk allows) and said. */
static int refuse(const struct attempt *a, struct lb_answer *ret, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(const struct attempt *a, struct lb_answer *ret, const char *format, ...)
{
    struct lb_event e = { .kind = LB_EVENT_REFUSED };
    LB_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    e.account = copy(a->account ? a->account : a->login->account);
    e.engineer = copy(a->identity.engineer ? a->identity.engineer : LB_ENGINEER_UNPROVEN);
    e.service = lb_text_clean(a->login->service, LB_NAME_MAX);
    e.scope = lb_text_clean(a->login->scope, LB_NAME_MAX);
    e.rhost = copy(a->rhost);
    e.note = copy(text);
    lb_gate_note(a->gate, &e);
    lb_answer_say(ret, LB_ANSWER_DENIED, "%s", text ? text : "Refused.");
    return 0;
}

/* What the rules forbid outright. True if the login is refused. */
static bool is_forbidden(const struct attempt *a, struct lb_answer *ret)
{
    const struct lb_rule *rule = a->verdict.rule;

    if (a->verdict.action == LB_ACTION_DENY) {
        refuse(a, ret, "The policy denies this login (%s%s%s).", rule ? rule->file : "no rules",
               rule && rule->description ? ": " : "", rule && rule->description ? rule->description : "");
        return true;
    }
    if (a->foreign && !a->verdict.service_named) {
        refuse(a, ret, "%s to a gated account needs a rule that names Service=%s.", a->login->service,
               a->login->service);
        return true;
    }
    return false;
}

/* --- finding --------------------------------------------------------------------------------------------------------- */

static bool is_for(const struct attempt *a, const struct lb_request *r)
{
    return lb_request_is_for(r, a->account, a->identity.engineer, a->identity.key, a->login->scope);
}

/* Of several accesses the one that ends last; one that runs before one that waits to begin. */
static bool is_better(const struct lb_request *r, const struct lb_request *than)
{
    bool runs = r->state == LB_STATE_ACTIVE, ran = than->state == LB_STATE_ACTIVE;

    return runs != ran ? runs : r->not_after.wall > than->not_after.wall;
}

static struct lb_live *find_access(const struct attempt *a)
{
    struct lb_live *best = NULL;

    for (size_t i = 0; i < a->gate->n_live; i++) {
        struct lb_live *live = a->gate->live[i];

        if (!lb_state_is_waiting(live->request->state) && is_for(a, live->request) &&
            (!best || is_better(live->request, best->request)))
            best = live;
    }
    return best;
}

/* The waiting request with this ticket; without one, a proven engineer's only one. */
static struct lb_live *find_waiting(const struct attempt *a, const char *ticket)
{
    struct lb_live *found = NULL;

    for (size_t i = 0; i < a->gate->n_live; i++) {
        struct lb_live *live = a->gate->live[i];

        if (!lb_state_is_waiting(live->request->state) || !is_for(a, live->request))
            continue;
        if (ticket && !lb_streq(ticket, live->request->ticket))
            continue;
        if (found || (!ticket && !a->identity.proof))
            return ticket ? live : NULL;
        found = live;
    }
    return found;
}

/* Somebody has access whom account cannot name yet: session will know and decide again. */
static bool is_provisional(const struct attempt *a, const struct lb_words *w)
{
    if (!w->silent || !is_sshd(a->login) || a->identity.proof)
        return false;
    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;

        if (lb_streq(r->account, a->account) && lb_streq(r->scope, a->login->scope) &&
            (r->state == LB_STATE_ACTIVE || r->state == LB_STATE_APPROVED))
            return true;
    }
    return false;
}

void lb_login_look(struct lb_live *live, struct lb_answer *ret)
{
    struct lb_time now = lb_clock_now();
    struct lb_live *blocker = live->request->state == LB_STATE_APPROVED ? lb_gate_blocker(live) : NULL;

    lb_answer_request(ret, live->request, blocker ? blocker->request : NULL, &now);
    ret->seen = live->gate->store ? lb_store_last(live->gate->store, NULL) : 0;
}

/* --- making ---------------------------------------------------------------------------------------------------------- */

static int ask(const struct attempt *a, struct lb_answer *ret, const char *problem)
{
    const struct lb_terms *t = a->verdict.terms;
    char span[LB_SPAN_MAX];

    lb_answer_say(ret, LB_ANSWER_ASK, "%s", problem ? problem : "");
    if (!problem)
        free(LB_TAKE(ret->message));
    ret->ask.ticket = t->ticket;
    ret->ask.reason = t->reason;
    ret->ask.duration = strdup(lb_span_format(t->duration, span, sizeof(span)));
    return ret->ask.duration ? 0 : -ENOMEM;
}

/* What is wrong with an answer, or NULL. */
static const char *check_words(const struct lb_terms *t, const char *ticket, const char *reason)
{
    if (t->ticket == LB_NEED_REQUIRED && !*ticket)
        return "A ticket is needed.";
    if (t->reason == LB_NEED_REQUIRED && !*reason)
        return "A reason is needed.";
    if (*ticket && t->ticket_pattern && !lb_text_matches(t->ticket_pattern, ticket))
        return "This is not a ticket as this host expects it.";
    return NULL;
}

/* The time asked for, never more than the rule allows. False for what is not a time. */
static bool read_duration(const struct lb_terms *t, const char *text, int64_t *ret, bool *ret_clamped)
{
    int64_t asked = t->duration;

    if (text && *text && (lb_span_parse(text, &asked) < 0 || asked <= 0))
        return false;
    *ret_clamped = asked > t->max_duration;
    *ret = *ret_clamped ? t->max_duration : asked;
    return true;
}

static size_t count_pending(const struct attempt *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->gate->n_live; i++)
        n += lb_state_is_waiting(a->gate->live[i]->request->state) &&
             lb_streq(a->gate->live[i]->request->account, a->account);
    return n;
}

/* %t in the rule's TicketURL= becomes the ticket, percent-encoded. */
static char *ticket_url(const char *pattern, const char *ticket)
{
    char *text = NULL;
    size_t size;
    FILE *f = pattern && *ticket ? open_memstream(&text, &size) : NULL;

    if (!f)
        return NULL;
    for (const char *p = pattern; *p; p++) {
        if (p[0] != '%' || p[1] != 't') {
            fputc(*p, f);
            continue;
        }
        p++;
        for (const char *t = ticket; *t; t++) {
            bool plain = (*t >= '0' && *t <= '9') || (*t >= 'A' && *t <= 'Z') || (*t >= 'a' && *t <= 'z') ||
                         strchr("-._~", *t);

            fprintf(f, plain ? "%c" : "%%%02X", (unsigned char)*t);
        }
    }
    return fclose(f) == 0 ? text : NULL;
}

struct previous {
    const struct attempt *attempt;
    char *text;
};

/* "7F3K-9QXM, denied by bob" of the newest closed request of this engineer. */
static int describe_previous(void *userdata, const char *id)
{
    struct previous *p = userdata;
    struct lb_request *r = NULL;
    const struct lb_approval *d;

    if (lb_store_load(p->attempt->gate->store, id, &r) < 0)
        return 0;
    d = r->approvals.n ? (const struct lb_approval *)r->approvals.items + r->approvals.n - 1 : NULL;
    if (!lb_state_is_open(r->state) && r->basis == LB_BASIS_APPROVAL && is_for(p->attempt, r)) {
        bool denied = r->state == LB_STATE_DENIED && d;

        if (asprintf(&p->text, "%s, %s%s%s", r->id, lb_state_names[r->state], denied ? " by " : "",
                     denied ? d->approver : "") < 0)
            p->text = NULL;
    }
    lb_request_free(r);
    return p->text != NULL;
}

static char *find_previous(const struct attempt *a)
{
    struct lb_store_filter filter = { .account = a->account, .engineer = a->identity.engineer, .limit = 10 };
    struct previous p = { a, NULL };

    lb_store_list(a->gate->store, &filter, describe_previous, &p);
    return p.text;
}

/* The first event of a request, as far as the login says. -ENOMEM, or why no ID can be had. */
static int first_event(const struct attempt *a, int kind, int basis, int64_t duration, struct lb_event *ret)
{
    struct lb_event e = { .kind = kind, .basis = basis, .uid = a->uid, .duration = duration };
    int r = lb_gate_make_id(a->gate, &e.request);

    if (r == 0)
        r = lb_terms_copy(&e.terms, a->verdict.terms);
    if (r < 0) {
        lb_event_clear(&e);
        return r;
    }
    e.account = copy(a->account);
    e.engineer = copy(a->identity.engineer);
    e.key = copy(a->identity.key);
    e.service = lb_text_clean(a->login->service, LB_NAME_MAX);
    e.scope = lb_text_clean(a->login->scope, LB_NAME_MAX);
    e.rhost = copy(a->rhost);
    e.tty = a->login->tty ? lb_text_clean(a->login->tty, LB_NAME_MAX) : NULL;
    e.rule = copy(a->verdict.rule ? a->verdict.rule->file : NULL);
    if (!e.account || !e.engineer || !e.service || !e.scope) {
        lb_event_clear(&e);
        return -ENOMEM;
    }
    *ret = e;
    return 0;
}

static int create(const struct attempt *a, char *ticket, char *reason, int64_t duration, char **entitled,
                  struct lb_live **ret)
{
    struct lb_event e;
    int r = first_event(a, LB_EVENT_REQUESTED, LB_BASIS_APPROVAL, duration, &e);

    if (r < 0)
        return r;
    e.ticket = copy(ticket);
    e.reason = copy(reason);
    e.ticket_url = ticket_url(a->verdict.terms->ticket_url, ticket);
    e.previous = find_previous(a);
    e.entitled = lb_strings_copy(entitled);
    if (!e.entitled) {
        lb_event_clear(&e);
        return -ENOMEM;
    }
    return lb_gate_new_request(a->gate, &e, ret);
}

/* Checks what was said and makes the request, or says what is wrong. */
static int make_request(const struct attempt *a, const struct lb_words *w, struct lb_answer *ret,
                        struct lb_live **ret_live)
{
    const struct lb_terms *t = a->verdict.terms;
    LB_FREE char *ticket = lb_text_clean(w->ticket, LB_TICKET_MAX), *reason = lb_text_clean(w->reason, LB_REASON_MAX);
    const char *problem = ticket && reason ? check_words(t, ticket, reason) : NULL;
    char **entitled = NULL;
    int64_t duration;
    bool clamped;
    int r;

    if (!ticket || !reason)
        return -ENOMEM;
    if (problem)
        return ask(a, ret, problem);
    if (!read_duration(t, w->duration, &duration, &clamped))
        return ask(a, ret, "This is not a time: say for example 2h or 30min.");
    *ret_live = find_waiting(a, ticket);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    if (count_pending(a) >= (size_t)t->max_pending)
        return refuse(a, ret, "%zu requests for %s are pending already, as many as the policy allows.",
                      count_pending(a), a->account);
    r = lb_people_resolve(t->customer, &entitled);
    if (r < 0)
        return r;
    if (!entitled || !entitled[0]) {
        lb_strings_free(entitled);
        return refuse(a, ret, "Nobody on this host may approve access to %s: tell its administrator to name approvers.",
                      a->account);
    }
    r = create(a, ticket, reason, duration, entitled, ret_live);
    lb_strings_free(entitled);
    if (r < 0)
        return r;
    lb_login_look(*ret_live, ret);
    if (clamped) {
        LB_FREE char *before = LB_TAKE(ret->message);
        char span[LB_SPAN_MAX];

        lb_answer_say(ret, ret->verdict, "The rule allows %s at most.\n%s",
                      lb_span_format(duration, span, sizeof(span)), before ? before : "");
    }
    return 0;
}

/* A rule lets it in: the same shape, begun at once. */
static int make_permitted(const struct attempt *a, struct lb_live **ret)
{
    struct lb_event e;
    int r = first_event(a, LB_EVENT_PERMITTED, LB_BASIS_PERMIT, a->verdict.terms->duration, &e);

    return r < 0 ? r : lb_gate_new_request(a->gate, &e, ret);
}

/* In use by another engineer? Then a permitted login is refused before there is a request of its own. */
static const struct lb_request *find_user(const struct attempt *a)
{
    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;

        if ((lb_state_is_access(r->state) || r->state == LB_STATE_ENDING) && lb_streq(r->account, a->account) &&
            !(lb_streq(r->engineer, a->identity.engineer) && lb_streq(r->key, a->identity.key)) &&
            (r->terms.exclusive || a->verdict.terms->exclusive))
            return r;
    }
    return NULL;
}

static int permit(const struct attempt *a, struct lb_answer *ret, struct lb_live **ret_live)
{
    const struct lb_request *user = find_user(a);
    int r;

    if (user)
        return refuse(a, ret, "%s is in use by %s (%s).", a->account, user->engineer, user->id);
    r = make_permitted(a, ret_live);
    if (r == 0)
        lb_login_look(*ret_live, ret);
    return r;
}

/* What there is already for this login: an access, or a request that waits. */
static struct lb_live *find_any(const struct attempt *a)
{
    struct lb_live *live = find_access(a);

    return live ? live : find_waiting(a, NULL);
}

static int begin(const struct attempt *a, const struct lb_words *w, struct lb_answer *ret, struct lb_live **ret_live)
{
    if (is_forbidden(a, ret))
        return 0;
    *ret_live = find_any(a);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    if (a->verdict.action == LB_ACTION_PERMIT)
        return permit(a, ret, ret_live);
    if (is_provisional(a, w)) {
        ret->verdict = LB_ANSWER_ALLOWED; /* without words: it is decided when the session opens */
        return 0;
    }
    if (w->silent)
        return refuse(a, ret, "There is no approved request for %s yet. Log in interactively (without BatchMode, on "
                              "the port for people) to ask for access.", a->account);
    if (!w->ticket && !w->reason && !w->duration)
        return ask(a, ret, NULL);
    return make_request(a, w, ret, ret_live);
}

/* Errors that are the login's own fault become refusals; the rest is the daemon's. */
static int explain(const struct attempt *a, int r, struct lb_answer *ret)
{
    if (r == -ENOENT)
        return refuse(a, ret, "There is no such account.");
    if (r == -EINVAL)
        return refuse(a, ret, "The key that sshd verified cannot be understood.");
    return r;
}

int lb_login_begin(struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l, const struct lb_words *w,
                   struct lb_answer *ret, struct lb_live **ret_live)
{
    LB_CLEANUP(attempt_clear) struct attempt a;
    int r = attempt_fill(&a, g, peer, l);

    *ret_live = NULL;
    if (r == 0)
        r = begin(&a, w, ret, ret_live);
    else
        r = explain(&a, r, ret);
    if (r == 0 && ret->verdict != LB_ANSWER_WAITING)
        *ret_live = NULL;
    return r;
}

int lb_login_request(struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l,
                     const struct lb_words *w, struct lb_answer *ret, struct lb_live **ret_live)
{
    LB_CLEANUP(attempt_clear) struct attempt a;
    int r = attempt_fill(&a, g, peer, l);

    *ret_live = NULL;
    if (r < 0)
        return explain(&a, r, ret);
    if (is_forbidden(&a, ret))
        return 0;
    if (a.verdict.action == LB_ACTION_PERMIT) {
        lb_answer_say(ret, LB_ANSWER_ALLOWED, "The policy lets you in without a request.");
        return 0;
    }
    *ret_live = find_access(&a);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    return make_request(&a, w, ret, ret_live);
}

/* --- while waiting --------------------------------------------------------------------------------------------------- */

int lb_login_say(struct lb_live *live, const char *text, struct lb_answer *ret)
{
    LB_FREE char *clean = lb_text_clean(text, LB_REASON_MAX);
    struct lb_event e = { 0 };
    int r;

    if (!clean)
        return -ENOMEM;
    if (lb_streq(clean, "!emergency")) {
        lb_login_look(live, ret);
        lb_answer_say(ret, ret->verdict, "The policy allows no emergency login here.");
        return 0;
    }
    if (lb_streq(clean, "!withdraw")) {
        lb_answer_say(ret, LB_ANSWER_DENIED, "Request %s is withdrawn.", live->request->id);
        e.kind = LB_EVENT_WITHDRAWN;
        e.by = strdup("engineer");
        return lb_gate_step(live, &e); /* `live` is gone now */
    }
    e.kind = LB_EVENT_MESSAGE;
    e.from = copy(live->request->engineer);
    e.note = LB_TAKE(clean);
    r = lb_gate_step(live, &e);
    if (r == 0)
        lb_login_look(live, ret);
    return r;
}

/* --- sessions -------------------------------------------------------------------------------------------------------- */

/* Why a session cannot be held to an access: its processes could not be told from others'. */
static const char *check_session(const struct attempt *a)
{
    if (a->peer->session == LB_AUDIT_UNSET || a->peer->loginuid == LB_AUDIT_UNSET)
        return "This session has no audit session id (is pam_loginuid before pam_lockbox?).";
    if (is_sshd(a->login) && a->peer->loginuid != (int64_t)a->uid)
        return "This session's login uid is not the account's.";
    return NULL;
}

static struct lb_event opened_event(const struct attempt *a)
{
    return (struct lb_event){
        .kind = LB_EVENT_OPENED,
        .session = a->peer->session,
        .pid = a->peer->pid,
        .pid_started = a->peer->started,
        .foreign = a->foreign,
        .service = lb_text_clean(a->login->service, LB_NAME_MAX),
        .rhost = copy(a->rhost),
        .tty = a->login->tty ? lb_text_clean(a->login->tty, LB_NAME_MAX) : NULL,
    };
}

/* The event is on disk before the session opens; a first use begins the access in the same commit. */
static int open_session(const struct attempt *a, struct lb_live *live)
{
    struct lb_event events[2] = { lb_gate_begun() };
    size_t n = live->request->state == LB_STATE_APPROVED ? 1 : 0;
    int r;

    events[n] = opened_event(a);
    r = lb_gate_steps(live, events, n + 1);
    if (r < 0)
        return r;
    r = lb_sessions_watch(a->gate->sessions, live->request->id, a->peer->pid, a->peer->started);
    if (r == -ESRCH) /* gone meanwhile: closed at once */
        lb_login_close(a->gate, a->peer);
    return r;
}

static int admit(const struct attempt *a, struct lb_answer *ret)
{
    const char *problem = check_session(a);
    struct lb_live *live;
    int r;

    if (is_forbidden(a, ret))
        return 0;
    if (problem)
        return refuse(a, ret, "%s", problem);
    live = find_access(a);
    if (!live && a->verdict.action == LB_ACTION_PERMIT) {
        r = permit(a, ret, &live);
        if (r < 0 || !live)
            return r;
    }
    if (!live)
        return refuse(a, ret, "%s has no access to %s.", a->identity.engineer, a->account);
    lb_login_look(live, ret);
    if (ret->verdict != LB_ANSWER_ALLOWED) {
        LB_FREE char *why = LB_TAKE(ret->message);

        return refuse(a, ret, "%s", why ? why : "Not now.");
    }
    return open_session(a, live);
}

int lb_login_open(struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l, struct lb_answer *ret)
{
    LB_CLEANUP(attempt_clear) struct attempt a;
    int r = attempt_fill(&a, g, peer, l);

    r = r == 0 ? admit(&a, ret) : explain(&a, r, ret);
    if (r < 0)
        lb_answer_clear(ret);
    return r;
}

void lb_login_close(struct lb_gate *g, const struct lb_peer *peer)
{
    for (size_t i = 0; i < g->n_live; i++) {
        struct lb_session *s = lb_request_session(g->live[i]->request, peer->pid, peer->started);
        struct lb_event e = { .kind = LB_EVENT_CLOSED, .pid = peer->pid, .pid_started = peer->started };

        if (!s)
            continue;
        e.session = s->session;
        lb_gate_step(g->live[i], &e);
        return;
    }
}
