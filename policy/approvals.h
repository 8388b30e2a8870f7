/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What decisions make of a request, by the request alone: who of those named may still decide, how many have said yes,
 * and what the next yes does. Whether somebody still has the right, and where he sits, the host has to say besides.
 * A stage is "internal" (the vendor's) or "customer".
 */
#pragma once

#include "policy/request.h"

/* Whether somebody who was named when the request was made may still decide about it. */
typedef bool lb_approvals_still(void *userdata, const char *name);

/* How many different people, named for the stage when the request was made, have said yes at it, and `still` may: a yes
 * goes with the right to it. */
int64_t lb_approvals_votes(const struct lb_request *r, const char *stage, lb_approvals_still *still, void *userdata);

/* Whether he said yes at the stage with a signature. */
bool lb_approvals_signed(const struct lb_request *r, const char *name, const char *stage);

/* Why this person may not decide at the stage (or not say yes: `approve`), borrowed; NULL: he may. He must be named for
 * it, nobody counts twice, and nobody decides in both stages; but a yes may be taken back by a no. */
const char *lb_approvals_problem(const struct lb_request *r, const char *name, const char *stage, bool approve);

/* The event that one more yes is where the request stands, with so many votes of the customer's before it. Where
 * nothing is decided any more it is LB_EVENT_APPROVED, which the lifecycle refuses. */
int lb_approvals_kind(const struct lb_request *r, int64_t votes);

/* Who has said yes at the vendor's stage, which is done by that: he decides nothing at the customer's. NULL: nobody.
 * Borrowed. */
const char *lb_approvals_reviewer(const struct lb_request *r);
