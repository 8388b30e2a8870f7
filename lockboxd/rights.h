/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what: the peer of a socket against a request, by the host's accounts and groups and the policy. */
#pragma once

#include "lockboxd/gate.h"

#define LB_GROUP_GATED "lockbox-gated"
#define LB_GROUP_AUDITORS "lockbox-auditors"

/* Somebody on the control socket, as far as it matters here. */
struct lb_person {
    struct lb_peer peer;
    char *name;           /* the account of his uid */
    struct lb_live *from; /* the gated session he speaks from, or NULL */
    bool root, auditor;   /* never from a gated session */
};

/* Who has no part in any of it (no approver by any rule, no auditor, no engineer, not root) is -EACCES; another -errno
 * when the name service does not say who he is. Clear with lb_person_clear. */
int lb_rights_person(struct lb_gate *gate, const struct lb_peer *peer, struct lb_person *ret);
void lb_person_clear(struct lb_person *p);

/* 1, 0, or -errno: an answer that is not known is no. */
int lb_rights_own(const struct lb_person *p, const struct lb_request *r);
int lb_rights_read(struct lb_gate *gate, const struct lb_person *p, const struct lb_request *r);

/* Whether he may decide about the request. If not, *ret_reason says why (borrowed). */
int lb_rights_decide(struct lb_gate *gate, const struct lb_person *p, const struct lb_request *r,
                     const char **ret_reason);

/* Whether anybody who could decide when it was made still can. True when not known. */
bool lb_rights_decidable(struct lb_gate *gate, const struct lb_request *r);

/* What the rules say about a request now. */
struct lb_verdict lb_rights_verdict_now(struct lb_gate *gate, const struct lb_request *r);
