/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/attempt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/people.h"
#include "lockboxd/proc.h"
#include "lockboxd/refusals.h"
#include "lockboxd/rights.h"
#include "policy/text.h"

void lb_attempt_clear(struct lb_attempt *a)
{
    free(a->account);
    free(a->rhost);
    lb_identity_clear(&a->identity);
    lb_strings_free(a->groups);
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

bool lb_attempt_is_job(const struct lb_attempt *a)
{
    static const char *const services[] = { "cron", "crond", "atd" };

    for (size_t i = 0; i < LB_ELEMENTS(services); i++)
        if (lb_streq(a->login->service, services[i]))
            return true;
    return false;
}

/* A job proves nobody. It is the account's, and so of the one engineer who is at work on the account, if he is one. */
static const struct lb_live *find_owner(const struct lb_attempt *a)
{
    const struct lb_live *owner = NULL;
    const struct lb_request *one = NULL;

    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;

        if (r->state != LB_STATE_ACTIVE || lb_streq(r->engineer, "") || !lb_streq(r->account, a->account))
            continue;
        if (one && !(lb_streq(r->engineer, one->engineer) && lb_streq(r->key, one->key)))
            return NULL;
        one = r;
        if (lb_streq(r->scope, a->login->scope))
            owner = a->gate->live[i];
    }
    return owner;
}

/* sshd says who proved what; inside a gated session it is that session's engineer; else nobody knows. */
static int find_identity(struct lb_attempt *a)
{
    const struct lb_live *from = NULL;

    if (lb_attempt_is_sshd(a))
        return lb_identity_parse(a->login->auth_info, &a->identity);
    if (lb_attempt_is_job(a)) {
        from = find_owner(a);
        a->orphan = !from;
    } else if (a->peer->session != LB_AUDIT_UNSET)
        from = lb_gate_find_session(a->gate, a->peer->session);
    if (from && lb_streq(from->request->account, a->account))
        return copy_identity(from->request, &a->identity);
    return lb_identity_parse(NULL, &a->identity);
}

static int find_groups(struct lb_attempt *a)
{
    LB_FREE const char **asked = lb_rules_groups(a->gate->policy);

    return asked ? lb_people_groups(a->account, a->gid, asked, &a->groups) : -ENOMEM;
}

struct lb_facts lb_attempt_facts(const struct lb_attempt *a)
{
    struct lb_facts facts = {
        .account = a->account,
        .service = a->login->service,
        .scope = a->login->scope,
        .rhost = a->rhost,
        .proof = a->identity.proof,
        .identity = a->identity.proof & LB_PROOF_CERTIFICATE ? a->identity.engineer : "",
        .groups = a->groups,
    };

    lb_clock_week(lb_clock_now().wall, &facts.weekday, &facts.minute);
    return facts;
}

static void decide(struct lb_attempt *a)
{
    struct lb_facts facts = lb_attempt_facts(a);

    a->verdict = lb_rules_decide(a->gate->policy, &facts);
}

/* Several names of one uid are one account, by the name that the host gives to the uid: else a second name would be a
 * way round what is in use, pending or not acknowledged. What no reader could tell from another name is no account. */
static int find_account(struct lb_attempt *a)
{
    LB_FREE char *asked = NULL;
    int r = lb_people_account(a->login->account, &asked, &a->uid, &a->gid);

    if (r == 0)
        r = lb_people_account_of(a->uid, &a->account, NULL);
    return r == 0 && !lb_text_is_clean(a->account, LB_NAME_MAX) ? -ENOENT : r;
}

/* Learns all there is to know. -ENOENT: no such account. */
int lb_attempt_fill(struct lb_attempt *a, struct lb_gate *g, const struct lb_peer *peer, const struct lb_login *l)
{
    int r;

    *a = (struct lb_attempt){ .gate = g, .peer = peer, .login = l };
    if (lb_gate_problem(g))
        return -EIO;
    r = find_account(a);
    if (r < 0)
        return r;
    a->rhost = lb_text_clean(l->rhost, LB_NAME_MAX);
    if (!a->rhost)
        return -ENOMEM;
    a->foreign = !lb_attempt_is_sshd(a) && peer->loginuid != LB_AUDIT_UNSET && peer->loginuid != (int64_t)a->uid;
    r = find_identity(a);
    if (r == 0)
        r = find_groups(a);
    if (r == 0)
        decide(a);
    return r;
}

int lb_attempt_of(struct lb_attempt *a, struct lb_gate *g, const struct lb_peer *peer, const struct lb_request *r,
                  struct lb_login *login)
{
    *a = (struct lb_attempt){ .gate = g, .peer = peer, .login = login, .uid = (uid_t)r->uid };
    *login = (struct lb_login){ .account = r->account, .service = r->service, .scope = r->scope, .rhost = r->rhost,
                                .tty = r->tty };
    if (lb_gate_problem(g))
        return -EIO;
    a->account = strdup(r->account);
    a->rhost = strdup(r->rhost ? r->rhost : "");
    if (!a->account || !a->rhost)
        return -ENOMEM;
    a->verdict = lb_rights_verdict_now(g, r);
    return copy_identity(r, &a->identity);
}

/* --- refusing ----------------------------------------------------------------------------------------------------- */

/* A refusal is recorded (when the disk allows) and said. */
int lb_attempt_refuse(const struct lb_attempt *a, struct lb_answer *ret, const char *format, ...)
{
    struct lb_event e = { .kind = LB_EVENT_REFUSED };
    LB_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    e.account = lb_text_clean(a->account ? a->account : a->login->account, LB_NAME_MAX);
    e.engineer = lb_dup(a->identity.engineer ? a->identity.engineer : LB_ENGINEER_UNPROVEN);
    e.service = lb_text_clean(a->login->service, LB_NAME_MAX);
    e.scope = lb_text_clean(a->login->scope, LB_NAME_MAX);
    e.rhost = lb_dup(a->rhost);
    e.note = lb_dup(text);
    lb_refusals_note(a->gate, &e);
    lb_answer_say(ret, LB_ANSWER_DENIED, "%s", text ? text : "Refused.");
    return 0;
}

/* What the rules forbid outright. True if the login is refused. */
bool lb_attempt_forbidden(const struct lb_attempt *a, struct lb_answer *ret)
{
    const struct lb_rule *rule = a->verdict.rule;

    if (a->verdict.action == LB_ACTION_DENY) {
        lb_attempt_refuse(a, ret, "The policy denies this login (%s%s%s).", rule ? rule->file : "no rules",
               rule && rule->description ? ": " : "", rule && rule->description ? rule->description : "");
        return true;
    }
    if (a->foreign && !a->verdict.service_named) {
        lb_attempt_refuse(a, ret, "%s to a gated account needs a rule that names Service=%s.", a->login->service,
               a->login->service);
        return true;
    }
    return false;
}

/* --- finding ------------------------------------------------------------------------------------------------------ */

bool lb_attempt_is_for(const struct lb_attempt *a, const struct lb_request *r)
{
    return !a->orphan && lb_request_is_for(r, a->account, a->identity.engineer, a->identity.key, a->login->scope);
}

/* Of several accesses one that is frozen is in the way of the others, as what it has frozen is; else the one that runs,
 * then the one that waits to begin; of those the one that ends last. */
static bool is_better(const struct lb_request *r, const struct lb_request *than)
{
    static const int rank[LB_STATE_MAX_] = { [LB_STATE_PAUSED] = 3, [LB_STATE_ACTIVE] = 2, [LB_STATE_APPROVED] = 1 };

    return rank[r->state] != rank[than->state] ? rank[r->state] > rank[than->state]
                                               : r->not_after.wall > than->not_after.wall;
}

struct lb_live *lb_attempt_access(const struct lb_attempt *a)
{
    struct lb_live *best = NULL;

    for (size_t i = 0; i < a->gate->n_live; i++) {
        struct lb_live *live = a->gate->live[i];

        if (!lb_state_is_waiting(live->request->state) && lb_attempt_is_for(a, live->request) &&
            (!best || is_better(live->request, best->request)))
            best = live;
    }
    return best;
}

/* The waiting request with this ticket; without one, a proven engineer's only one. */
struct lb_live *lb_attempt_waiting(const struct lb_attempt *a, const char *ticket)
{
    struct lb_live *found = NULL;

    for (size_t i = 0; i < a->gate->n_live; i++) {
        struct lb_live *live = a->gate->live[i];

        if (!lb_state_is_waiting(live->request->state) || !lb_attempt_is_for(a, live->request))
            continue;
        if (ticket && !lb_streq(ticket, live->request->ticket))
            continue;
        if (found || (!ticket && !a->identity.proof))
            return ticket ? live : NULL;
        found = live;
    }
    return found;
}
