/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what: the peer of a socket against a request, by the host's accounts and groups and the policy. */
#pragma once

#include "lockboxd/gate.h"

#define LB_GROUP_GATED "lockbox-gated"
#define LB_GROUP_AUDITORS "lockbox-auditors"

/* Somebody on the control socket, as far as it matters here. */
struct lb_person {
    struct lb_peer peer;
    char *account;        /* of his uid */
    char *name;           /* under which he decides: his own in approvers.conf, else his account's; "" where that name
                             is another person's */
    struct lb_live *from; /* the gated session he speaks from, or NULL */
    bool root, auditor;   /* never from a gated session */
    bool by_signature;    /* it is his signature that says who he is: where it was handed in does not matter */
};

/* Who has no part in any of it (no approver by any rule, no auditor, no engineer, not root) is -EACCES; another -errno
 * when the name service does not say who he is. Clear with lb_person_clear. */
int lb_rights_person(struct lb_gate *gate, const struct lb_peer *peer, struct lb_person *ret);
void lb_person_clear(struct lb_person *p);

/* The one who signed, by the name in his signature. -errno when the name service does not say whether he is the
 * engineer. Clear with lb_person_clear. */
int lb_rights_signer(struct lb_gate *gate, const char *name, struct lb_person *ret);

/* Whether nothing but a signature is a yes to it: Evidence=signed when it was made, or today. */
bool lb_rights_must_sign(struct lb_gate *gate, const struct lb_request *r);

/* 1, 0, or -errno: an answer that is not known is no. */
int lb_rights_own(const struct lb_person *p, const struct lb_request *r);
int lb_rights_read(struct lb_gate *gate, const struct lb_person *p, const struct lb_request *r);

/* Whether he may read no others but his own; then *ret_account and *ret_engineer (borrowed) are whose those are. */
bool lb_rights_reads_own_only(const struct lb_gate *gate, const struct lb_person *p, const char **ret_account,
                              const char **ret_engineer);

/* Where a request stands with those who decide. */
enum lb_stage { LB_STAGE_NONE, LB_STAGE_INTERNAL, LB_STAGE_CUSTOMER };
extern const char *const lb_stage_names[]; /* "", "internal", "customer" */
int lb_rights_stage(const struct lb_request *r);

/* Whether he may decide at the stage where the request stands, or, later, end it: an approver of either stage may. If
 * not, *ret_reason says why (borrowed). */
int lb_rights_decide(struct lb_gate *gate, const struct lb_person *p, const struct lb_request *r,
                     const char **ret_reason);

/* Whether he is one of the customer's approvers for it. */
bool lb_rights_customer(struct lb_gate *gate, const struct lb_person *p, const struct lb_request *r);

/* Why no decision is taken from where he is; NULL: he is in a login session that is not gated. Borrowed. */
const char *lb_rights_refuse_place(const struct lb_person *p);

/* The customer's yeses, of different people who still have the right; one whose rights are not known has none. */
int64_t lb_rights_votes(struct lb_gate *gate, const struct lb_request *r);

/* Whether enough of those who could decide when it was made still can, each at one stage. True when not known. */
bool lb_rights_decidable(struct lb_gate *gate, const struct lb_request *r);

/* What the rules say about a request now. */
struct lb_verdict lb_rights_verdict_now(struct lb_gate *gate, const struct lb_request *r);
