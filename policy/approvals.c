/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/approvals.h"

#include "policy/base.h"

static bool is_named(const struct lb_request *r, const char *name, const char *stage)
{
    return *name && lb_strings_contain(strcmp(stage, "internal") == 0 ? r->reviewers : r->entitled, name);
}

static bool is_yes(const struct lb_approval *a, const char *stage)
{
    return a->approver && lb_streq(a->stage, stage) && lb_streq(a->decision, "approve");
}

/* The i-th is the first yes of its person at this stage. */
static bool is_first_yes(const struct lb_request *r, size_t i, const char *stage)
{
    const struct lb_approval *a = r->approvals.items;

    for (size_t k = 0; k < i; k++)
        if (is_yes(&a[k], stage) && lb_streq(a[k].approver, a[i].approver))
            return false;
    return is_yes(&a[i], stage);
}

int64_t lb_approvals_votes(const struct lb_request *r, const char *stage, lb_approvals_still *still, void *userdata)
{
    const struct lb_approval *a = r->approvals.items;
    int64_t votes = 0;

    for (size_t i = 0; i < r->approvals.n; i++)
        votes += is_first_yes(r, i, stage) && is_named(r, a[i].approver, stage) && still(userdata, a[i].approver);
    return votes;
}

bool lb_approvals_signed(const struct lb_request *r, const char *name, const char *stage)
{
    const struct lb_approval *a = r->approvals.items;

    for (size_t i = 0; i < r->approvals.n; i++)
        if (is_yes(&a[i], stage) && lb_streq(a[i].approver, name) && lb_streq(a[i].evidence, LB_EVIDENCE_SIGNATURE))
            return true;
    return false;
}

const char *lb_approvals_problem(const struct lb_request *r, const char *name, const char *stage, bool approve)
{
    const struct lb_approval *a = r->approvals.items;

    if (!is_named(r, name, stage))
        return "you are not one of the approvers named for this request";
    for (size_t i = 0; i < r->approvals.n; i++) {
        if (!lb_streq(a[i].approver, name))
            continue;
        if (!lb_streq(a[i].stage, stage))
            return "nobody decides in both stages";
        if (approve)
            return "you have approved it already; another approver is needed";
    }
    return NULL;
}

int lb_approvals_kind(const struct lb_request *r, int64_t votes)
{
    bool more = r->state == LB_STATE_PENDING && votes + 1 < r->terms.quorum;

    return r->state == LB_STATE_REVIEW ? LB_EVENT_REVIEWED : more ? LB_EVENT_VOTED : LB_EVENT_APPROVED;
}

const char *lb_approvals_reviewer(const struct lb_request *r)
{
    const struct lb_approval *a = r->approvals.items;

    for (size_t i = 0; i < r->approvals.n; i++)
        if (is_yes(&a[i], "internal"))
            return a[i].approver;
    return NULL;
}
