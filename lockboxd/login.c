/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/login.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/effects.h"
#include "lockboxd/make.h"
#include "lockboxd/paste.h"
#include "lockboxd/proc.h"
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

struct lb_live *lb_login_extended(const struct lb_gate *g, const struct lb_request *r)
{
    return r->extends && r->state == LB_STATE_COMPLETED ? lb_gate_find(g, r->extends) : NULL;
}

void lb_login_look(struct lb_live *live, struct lb_answer *ret)
{
    struct lb_time now = lb_clock_now();
    struct lb_live *extended = lb_login_extended(live->gate, live->request), *blocker;

    live = extended ? extended : live;
    blocker = live->request->state == LB_STATE_APPROVED ? lb_gate_blocker(live) : NULL;
    lb_answer_request(ret, live->request, blocker ? blocker->request : NULL, &now);
    ret->signable = lb_paste_is_offered(live);
    ret->seen = live->gate->store ? lb_store_last(live->gate->store, NULL) : 0;
}

/* Whether a rule would permit this login to some key: account does not know the key yet. */
static bool is_permitted_to_some(const struct lb_attempt *a)
{
    const struct lb_ruleset *set = a->gate->policy;

    for (size_t i = 0; i < set->n; i++) {
        struct lb_rule rule = set->rules[i];
        struct lb_ruleset one = { &rule, 1, set->defaults };
        struct lb_facts facts = lb_attempt_facts(a);

        rule.match[LB_MATCH_KEY] = rule.match[LB_MATCH_IDENTITY] = NULL;
        if (rule.action == LB_ACTION_PERMIT && lb_rules_decide(&one, &facts).action == LB_ACTION_PERMIT)
            return true;
    }
    return false;
}

/* Account cannot name him yet, and a rule permits whoever he is, or somebody has access: session will know and decide
 * again. */
static bool is_provisional(const struct lb_attempt *a, const struct lb_words *w)
{
    if (!lb_attempt_is_sshd(a) || a->identity.proof)
        return false;
    if (a->verdict.action == LB_ACTION_PERMIT)
        return true;
    if (!w->silent)
        return false;
    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;

        if (!lb_request_is_script(r) && lb_streq(r->account, a->account) && lb_streq(r->scope, a->login->scope) &&
            (r->state == LB_STATE_ACTIVE || r->state == LB_STATE_APPROVED))
            return true;
    }
    return is_permitted_to_some(a);
}

/* Somebody's access is frozen, and with it the account's sessions; who asks is not known yet. */
static bool refuse_frozen(const struct lb_attempt *a, struct lb_answer *ret)
{
    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;
        LB_CLEANUP(lb_answer_clear) struct lb_answer answer = { 0 };

        if (r->state != LB_STATE_PAUSED || !lb_streq(r->account, a->account) || !lb_streq(r->scope, a->login->scope))
            continue;
        lb_login_look(a->gate->live[i], &answer);
        lb_attempt_refuse(a, ret, "%s", answer.message ? answer.message : "The access is frozen.");
        return true;
    }
    return false;
}

/* What there is already for this login: an access, or a request that waits. */
static struct lb_live *find_any(const struct lb_attempt *a, const struct lb_words *w)
{
    struct lb_live *live = lb_attempt_access(a);

    return live ? live : lb_attempt_waiting(a, w->ticket);
}

/* Whether the engineer is in already, and can ask for more with lockboxctl. */
static bool is_inside(const struct lb_attempt *a)
{
    return !lb_attempt_is_sshd(a) && !lb_attempt_is_job(a) && a->peer->session != LB_AUDIT_UNSET &&
           lb_gate_find_session(a->gate, a->peer->session);
}

static int refuse_inside(const struct lb_attempt *a, struct lb_answer *ret)
{
    return lb_attempt_refuse(a, ret, "%s has no access to %s for the scope %s. Ask for it first: lockboxctl request "
                                     "--scope %s --wait", a->identity.engineer, a->account, a->login->scope,
                             a->login->scope);
}

static int begin(const struct lb_attempt *a, const struct lb_words *w, struct lb_answer *ret, struct lb_live **ret_live)
{
    if (lb_attempt_forbidden(a, ret))
        return 0;
    *ret_live = find_any(a, w);
    if (*ret_live && lb_request_is_at_end((*ret_live)->request) && a->verdict.action == LB_ACTION_REQUIRE)
        return lb_make_more(a, (*ret_live)->request, w, ret, ret_live);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    if (is_provisional(a, w)) {
        ret->verdict = LB_ANSWER_ALLOWED; /* without words: it is decided when the session opens */
        return 0;
    }
    if (a->verdict.action == LB_ACTION_PERMIT)
        return lb_make_permitted(a, ret, ret_live);
    if (lb_attempt_is_job(a))
        return lb_attempt_refuse(a, ret, "Jobs of %s run only while one engineer has access to it.", a->account);
    if (w->silent && is_inside(a))
        return refuse_inside(a, ret);
    if (w->silent && lb_attempt_is_sshd(a) && !a->identity.proof && refuse_frozen(a, ret))
        return 0;
    if (w->silent)
        return lb_attempt_refuse(a, ret,
                                 "There is no approved request for %s yet. Log in interactively (without BatchMode, on "
                                 "the port for people) to ask for access.",
                                 a->account);
    if (!w->ticket && !w->reason && !w->duration)
        return lb_make_ask(a, ret, NULL);
    return lb_make_request(a, w, ret, ret_live);
}

/* Errors that are the login's own fault become refusals; the rest is the daemon's. */
static int explain(const struct lb_attempt *a, int r, struct lb_answer *ret)
{
    if (r == -ENOENT)
        return lb_attempt_refuse(a, ret, "There is no such account.");
    if (r == -EINVAL)
        return lb_attempt_refuse(a, ret, "The key that sshd verified cannot be understood.");
    return r;
}

int lb_login_begin(struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l, const struct lb_words *w,
                   struct lb_answer *ret, struct lb_live **ret_live)
{
    LB_CLEANUP(lb_attempt_clear) struct lb_attempt a;
    int r = lb_attempt_fill(&a, g, peer, l);

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
    LB_CLEANUP(lb_attempt_clear) struct lb_attempt a;
    int r = lb_attempt_fill(&a, g, peer, l);

    *ret_live = NULL;
    if (r < 0)
        return explain(&a, r, ret);
    if (lb_attempt_forbidden(&a, ret))
        return 0;
    if (a.verdict.action == LB_ACTION_PERMIT) {
        lb_answer_say(ret, LB_ANSWER_ALLOWED, "The policy lets you in without a request.");
        return 0;
    }
    *ret_live = lb_attempt_access(&a);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    return lb_make_request(&a, w, ret, ret_live);
}

/* --- while waiting ------------------------------------------------------------------------------------------------ */

/* Break-glass, where the rule allows it: access begins at once, and the customer is told loudly. */
static int declare_emergency(struct lb_live *live, const char *reason, struct lb_answer *ret)
{
    const struct lb_request *r = live->request;
    struct lb_event e = { .kind = LB_EVENT_EMERGENCY, .duration = r->terms.emergency_duration };
    int error;

    lb_login_look(live, ret);
    reason += strspn(reason, " ");
    if (!*reason)
        reason = r->reason ? r->reason : "";
    if (!r->terms.emergency || !*reason || lb_gate_blocker(live)) {
        lb_answer_say(ret, ret->verdict, "%s", !r->terms.emergency ? "The policy allows no emergency login here."
                                               : !*reason          ? "Say why: !emergency REASON"
                                                                   : "Another engineer is on the account.");
        return 0;
    }
    e.note = strdup(reason);
    e.by = strdup("engineer");
    error = lb_gate_step(live, &e);
    if (error == 0)
        lb_login_look(live, ret);
    return error;
}

int lb_login_say(struct lb_live *live, const char *text, struct lb_answer *ret)
{
    LB_FREE char *clean = lb_text_clean(text, LB_REASON_MAX);
    struct lb_event e = { 0 };
    int r;

    if (!clean)
        return -ENOMEM;
    if (strncmp(clean, "!emergency", strlen("!emergency")) == 0)
        return declare_emergency(live, clean + strlen("!emergency"), ret);
    if (lb_streq(clean, "!withdraw")) {
        lb_answer_say(ret, LB_ANSWER_DENIED, "Request %s is withdrawn.", live->request->id);
        e.kind = LB_EVENT_WITHDRAWN;
        e.by = strdup("engineer");
        return lb_gate_step(live, &e); /* `live` is gone now */
    }
    e.kind = LB_EVENT_MESSAGE;
    e.from = strdup(live->request->engineer);
    e.note = LB_TAKE(clean);
    r = lb_gate_step(live, &e);
    if (r == 0)
        lb_login_look(live, ret);
    return r;
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

/* Why a session cannot be held to an access: its processes could not be told from others'. */
static const char *check_session(const struct lb_attempt *a)
{
    if (a->peer->session == LB_AUDIT_UNSET || a->peer->loginuid == LB_AUDIT_UNSET)
        return "This session has no audit session id (is pam_loginuid before pam_lockbox?).";
    if (lb_attempt_is_sshd(a) && a->peer->loginuid != (int64_t)a->uid)
        return "This session's login uid is not the account's.";
    return NULL;
}

static struct lb_event opened_event(const struct lb_attempt *a)
{
    return (struct lb_event){
        .kind = LB_EVENT_OPENED,
        .session = a->peer->session,
        .pid = a->peer->pid,
        .pid_started = a->peer->started,
        .foreign = a->foreign,
        .service = lb_text_clean(a->login->service, LB_NAME_MAX),
        .rhost = lb_dup(a->rhost),
        .tty = a->login->tty ? lb_text_clean(a->login->tty, LB_NAME_MAX) : NULL,
    };
}

/* The event is on disk before the session opens; a first use begins the access in the same commit. */
static int open_session(const struct lb_attempt *a, struct lb_live *live)
{
    struct lb_event events[2] = { lb_gate_begun() };
    size_t n = live->request->state == LB_STATE_APPROVED ? 1 : 0;
    int r;

    events[n] = opened_event(a);
    r = lb_gate_steps(live, events, n + 1);
    if (r < 0)
        return r;
    lb_effects_share(live);
    r = lb_sessions_watch(a->gate->sessions, live->request->id, a->peer->pid, a->peer->started);
    if (r == -ESRCH) /* gone meanwhile: closed at once */
        lb_login_close(a->gate, a->peer);
    return r;
}

static int admit(const struct lb_attempt *a, struct lb_answer *ret)
{
    const char *problem = check_session(a);
    struct lb_live *live;
    int r;

    if (lb_attempt_forbidden(a, ret))
        return 0;
    if (problem)
        return lb_attempt_refuse(a, ret, "%s", problem);
    live = lb_attempt_access(a);
    if (!live && a->verdict.action == LB_ACTION_PERMIT) {
        r = lb_make_permitted(a, ret, &live);
        if (r < 0 || !live)
            return r;
    }
    if (!live && is_inside(a))
        return refuse_inside(a, ret);
    if (!live)
        return lb_attempt_refuse(a, ret, "%s has no access to %s.", a->identity.engineer, a->account);
    lb_login_look(live, ret);
    if (ret->verdict != LB_ANSWER_ALLOWED) {
        LB_FREE char *why = LB_TAKE(ret->message);

        return lb_attempt_refuse(a, ret, "%s", why ? why : "Not now.");
    }
    return open_session(a, live);
}

int lb_login_open(struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l, struct lb_answer *ret)
{
    LB_CLEANUP(lb_attempt_clear) struct lb_attempt a;
    int r = lb_attempt_fill(&a, g, peer, l);

    r = r == 0 ? admit(&a, ret) : explain(&a, r, ret);
    if (r < 0)
        lb_answer_clear(ret);
    return r;
}

struct lb_live *lb_login_live(struct lb_gate *g, const struct lb_peer *peer)
{
    for (size_t i = 0; i < g->n_live; i++)
        if (lb_request_session(g->live[i]->request, peer->pid, peer->started))
            return g->live[i];
    return NULL;
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
