/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/rights.h"

#include <errno.h>

#include "lockboxd/clock.h"
#include "lockboxd/people.h"
#include "lockboxd/proc.h"
#include "policy/approvals.h"
#include "policy/base.h"

/* Whether any rule names him as an approver. */
static int is_approver(const struct lb_gate *g, const char *name)
{
    int r = g->policy ? lb_people_named(g->approvers, g->policy->defaults.customer, name) : 0;

    for (size_t i = 0; r == 0 && g->policy && i < g->policy->n; i++) {
        r = lb_people_named(g->approvers, g->policy->rules[i].terms.customer, name);
        if (r == 0)
            r = lb_people_named(g->approvers, g->policy->rules[i].terms.internal, name);
    }
    return r;
}

int lb_rights_person(struct lb_gate *g, const struct lb_peer *peer, struct lb_person *ret)
{
    struct lb_person p = { .peer = *peer };
    gid_t gid;
    int r = lb_people_account_of(peer->uid, &p.account, &gid);
    const char *name = r < 0 ? NULL : lb_approvers_name_of(g->approvers, p.account);

    p.name = r < 0 ? NULL : strdup(name ? name : "");
    if (r == 0 && !p.name)
        r = -ENOMEM;
    if (r < 0) {
        lb_person_clear(&p);
        return r;
    }
    if (peer->session != LB_AUDIT_UNSET)
        p.from = lb_gate_find_session(g, peer->session);
    p.root = peer->uid == 0 && !p.from;
    r = p.from ? 0 : lb_people_in_group(p.account, gid, LB_GROUP_AUDITORS);
    if (r < 0) {
        lb_person_clear(&p);
        return r;
    }
    p.auditor = r > 0;
    if (!p.root && !p.auditor && !p.from)
        r = lb_people_in_group(p.account, gid, LB_GROUP_GATED);
    if (!p.root && !p.auditor && !p.from && r == 0)
        r = is_approver(g, p.name);
    if (!p.root && !p.from && r <= 0) {
        lb_person_clear(&p);
        return r < 0 ? r : -EACCES;
    }
    *ret = p;
    return 0;
}

/* Of his account only whether it is the engineer's matters, and he need not have one. */
int lb_rights_signer(struct lb_gate *g, const char *name, struct lb_person *ret)
{
    struct lb_person p = { .by_signature = true,
                           .peer = { .uid = (uid_t)-1, .session = LB_AUDIT_UNSET, .loginuid = LB_AUDIT_UNSET } };
    int r = lb_people_account_of_person(g->approvers, name, &p.account, &p.peer.uid, NULL);

    if (r == -ENOENT)
        r = (p.account = strdup("")) ? 0 : -ENOMEM;
    p.name = r < 0 ? NULL : strdup(name);
    if (r == 0 && !p.name)
        r = -ENOMEM;
    if (r < 0)
        lb_person_clear(&p);
    else
        *ret = p;
    return r;
}

void lb_person_clear(struct lb_person *p)
{
    free(p->account);
    free(p->name);
    p->account = p->name = NULL;
}

int lb_rights_own(const struct lb_person *p, const struct lb_request *r)
{
    const struct lb_request *from = p->from ? p->from->request : NULL;

    if (from)
        return lb_streq(from->account, r->account) && lb_streq(from->engineer, r->engineer) &&
               lb_streq(from->key, r->key);
    return p->peer.uid == r->uid && lb_streq(r->engineer, LB_ENGINEER_UNPROVEN);
}

/* Groups that the account of a request is in, of those that the rules ask about. */
static int groups_of(const struct lb_gate *g, const char *account, char ***ret)
{
    LB_FREE const char **asked = lb_rules_groups(g->policy);
    LB_FREE char *name = NULL;
    gid_t gid;
    int r = lb_people_account(account, &name, NULL, &gid);

    if (r < 0)
        return r;
    return asked ? lb_people_groups(name, gid, asked, ret) : -ENOMEM;
}

struct lb_verdict lb_rights_verdict_now(struct lb_gate *g, const struct lb_request *r)
{
    bool certificate = r->key && strstr(r->key, "certificate"), hardware = r->key && strstr(r->key, "hardware");
    struct lb_facts facts = {
        .account = r->account, .service = r->service, .scope = r->scope, .rhost = r->rhost,
        .proof = (certificate ? LB_PROOF_CERTIFICATE : 0) | (hardware ? LB_PROOF_HARDWARE : 0),
        .identity = certificate ? r->engineer : "",
        .command = r->script.command,
    };
    struct lb_verdict none = { .action = LB_ACTION_DENY }, verdict;
    char **groups = NULL;

    if (!facts.proof && r->key && *r->key)
        facts.proof = LB_PROOF_PLAIN;
    lb_clock_week(r->requested_at, &facts.weekday, &facts.minute); /* Time= is about when somebody asks */
    if (!g->policy || groups_of(g, r->account, &groups) < 0)
        return none;
    facts.groups = groups;
    verdict = lb_rules_decide(g->policy, &facts);
    lb_strings_free(groups);
    return verdict;
}

/* --- who decides -------------------------------------------------------------------------------------------------- */

const char *const lb_stage_names[] = { "", "internal", "customer", NULL };

int lb_rights_stage(const struct lb_request *r)
{
    return r->state == LB_STATE_REVIEW    ? LB_STAGE_INTERNAL
           : r->state == LB_STATE_PENDING ? LB_STAGE_CUSTOMER
                                          : LB_STAGE_NONE;
}

static char **named(const struct lb_terms *t, int stage)
{
    return stage == LB_STAGE_INTERNAL ? t->internal : t->customer;
}

static bool same_names(char *const *a, char *const *b)
{
    size_t i = 0;

    while (a && a[i] && b && b[i] && strcmp(a[i], b[i]) == 0)
        i++;
    return !(a && a[i]) && !(b && b[i]);
}

/* Entitled when the request was made, by its own terms still, and by the rules of today: the strictest wins. */
static int is_entitled_at(struct lb_gate *g, const char *name, const struct lb_request *r, int stage)
{
    struct lb_verdict now = lb_rights_verdict_now(g, r);
    int answer;

    if (!*name || now.action == LB_ACTION_DENY ||
        !lb_strings_contain(stage == LB_STAGE_INTERNAL ? r->reviewers : r->entitled, name))
        return 0;
    answer = lb_people_named(g->approvers, named(&r->terms, stage), name);
    if (answer > 0 && now.action == LB_ACTION_REQUIRE && !same_names(named(now.terms, stage), named(&r->terms, stage)))
        answer = lb_people_named(g->approvers, named(now.terms, stage), name);
    return answer;
}

static int is_entitled(struct lb_gate *g, const char *name, const struct lb_request *r)
{
    int stage = lb_rights_stage(r), answer;

    if (stage)
        return is_entitled_at(g, name, r, stage);
    answer = is_entitled_at(g, name, r, LB_STAGE_CUSTOMER);
    return answer ? answer : is_entitled_at(g, name, r, LB_STAGE_INTERNAL);
}

bool lb_rights_customer(struct lb_gate *g, const struct lb_person *p, const struct lb_request *r)
{
    return is_entitled_at(g, p->name, r, LB_STAGE_CUSTOMER) > 0;
}

int lb_rights_read(struct lb_gate *g, const struct lb_person *p, const struct lb_request *r)
{
    int answer;

    if (p->root || p->auditor || lb_rights_own(p, r))
        return 1;
    if (p->from)
        return 0;
    answer = is_entitled_at(g, p->name, r, LB_STAGE_CUSTOMER);
    return answer ? answer : is_entitled_at(g, p->name, r, LB_STAGE_INTERNAL);
}

bool lb_rights_reads_own_only(const struct lb_gate *g, const struct lb_person *p, const char **ret_account,
                              const char **ret_engineer)
{
    if (p->root || p->auditor || (!p->from && is_approver(g, p->name) != 0))
        return false;
    *ret_account = p->from ? p->from->request->account : p->account;
    *ret_engineer = p->from ? p->from->request->engineer : LB_ENGINEER_UNPROVEN;
    return true;
}

/* Jobs of cron and at have an audit session, too; only a login's is a scope of logind's. */
static bool is_login(const struct lb_peer *peer)
{
    LB_CLOSE int same = lb_proc_open(peer->pid, peer->started);
    char cgroup[1024];

    return same >= 0 && lb_proc_cgroup(peer->pid, cgroup, sizeof(cgroup)) == 0 &&
           strncmp(cgroup, "/user.slice/", strlen("/user.slice/")) == 0 && strstr(cgroup, ".slice/session-");
}

/* A decision comes from a login session that is known not to be gated. */
const char *lb_rights_refuse_place(const struct lb_person *p)
{
    LB_FREE char *login = NULL;
    gid_t gid;
    int gated;

    if (p->from)
        return "no decision is taken from inside a gated session";
    if (p->peer.session == LB_AUDIT_UNSET || p->peer.loginuid == LB_AUDIT_UNSET ||
        (p->peer.uid == 0 && !is_login(&p->peer)))
        return "decide from a login session (this process belongs to none)";
    if (lb_people_account_of((uid_t)p->peer.loginuid, &login, &gid) < 0)
        return "the account you logged in with is not known to the host any more";
    gated = lb_people_in_group(login, gid, LB_GROUP_GATED);
    if (gated != 0)
        return gated > 0 ? "no decision is taken from the login of a gated account"
                         : "the host's groups cannot be read at present";
    return NULL;
}

/* Why it is not his to decide: it may be the other side's turn. */
static const char *not_entitled(struct lb_gate *g, const char *name, const struct lb_request *r)
{
    int stage = lb_rights_stage(r);

    if (stage == LB_STAGE_INTERNAL && is_entitled_at(g, name, r, LB_STAGE_CUSTOMER) > 0)
        return "the vendor's own approver decides first, then you";
    if (stage == LB_STAGE_CUSTOMER && is_entitled_at(g, name, r, LB_STAGE_INTERNAL) > 0)
        return "the customer decides now; the vendor's part is done";
    return "you are not one of the approvers named for this request";
}

int lb_rights_decide(struct lb_gate *g, const struct lb_person *p, const struct lb_request *r,
                     const char **ret_reason)
{
    int answer = is_entitled(g, p->name, r);

    if (answer <= 0) {
        *ret_reason = answer < 0 ? "the host's accounts cannot be read at present" : not_entitled(g, p->name, r);
        return answer;
    }
    *ret_reason = p->peer.uid == r->uid || p->peer.loginuid == r->uid ? "nobody decides about his own request"
                  : p->by_signature                                   ? NULL
                                                                      : lb_rights_refuse_place(p);
    return *ret_reason == NULL;
}

bool lb_rights_must_sign(struct lb_gate *g, const struct lb_request *r)
{
    struct lb_verdict now = lb_rights_verdict_now(g, r);

    return r->terms.evidence == LB_EVIDENCE_SIGNED ||
           (now.action == LB_ACTION_REQUIRE && now.terms->evidence == LB_EVIDENCE_SIGNED);
}

struct question {
    struct lb_gate *gate;
    const struct lb_request *request;
    bool must_sign;
};

static bool is_customer_still(void *userdata, const char *name)
{
    struct question *q = userdata;

    return (!q->must_sign || lb_approvals_signed(q->request, name, lb_stage_names[LB_STAGE_CUSTOMER])) &&
           is_entitled_at(q->gate, name, q->request, LB_STAGE_CUSTOMER) > 0;
}

int64_t lb_rights_votes(struct lb_gate *g, const struct lb_request *r)
{
    struct question q = { g, r, lb_rights_must_sign(g, r) };

    return lb_approvals_votes(r, lb_stage_names[LB_STAGE_CUSTOMER], is_customer_still, &q);
}

/* Whether the customer could still say yes often enough without this one, who decides (or has decided) for the vendor;
 * one whose rights are not known counts. */
static bool is_enough_without(struct lb_gate *g, const struct lb_request *r, const char *reviewer)
{
    int64_t n = 0;

    for (size_t i = 0; r->entitled && r->entitled[i]; i++)
        n += !lb_streq(r->entitled[i], reviewer) && is_entitled_at(g, r->entitled[i], r, LB_STAGE_CUSTOMER) != 0;
    return n >= r->terms.quorum;
}

bool lb_rights_decidable(struct lb_gate *g, const struct lb_request *r)
{
    if (!g->policy)
        return true;
    if (r->state != LB_STATE_REVIEW)
        return is_enough_without(g, r, lb_approvals_reviewer(r));
    for (size_t i = 0; r->reviewers && r->reviewers[i]; i++)
        if (is_entitled_at(g, r->reviewers[i], r, LB_STAGE_INTERNAL) != 0 && is_enough_without(g, r, r->reviewers[i]))
            return true;
    return false;
}
