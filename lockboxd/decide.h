/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What people do to a request with lockboxctl: approve, deny, revoke, hand back, withdraw. */
#pragma once

#include "lockboxd/rights.h"

enum lb_refusal {
    LB_REFUSAL_NONE,
    LB_REFUSAL_NOT_PERMITTED,
    LB_REFUSAL_NOT_POSSIBLE, /* the request's state does not allow it */
    LB_REFUSAL_INVALID,      /* a parameter */
    LB_REFUSAL_UNAVAILABLE,  /* the disk */
    LB_REFUSAL_NO_REQUEST,
};

struct lb_outcome {
    int refusal;  /* enum lb_refusal */
    char *reason; /* why refused; or what else to say about what was done (owned) */
    char *id;     /* of the request */
};
void lb_outcome_clear(struct lb_outcome *o);

/* Says why not, in place of what was said before. -EACCES, for the caller to return. */
int lb_outcome_refuse(struct lb_outcome *o, int refusal, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What makes a decision a signed one. */
struct lb_proof_of_consent {
    const char *statement, *signature, *signer; /* signer: "ED25519 SHA256:…" */
};

struct lb_decision {
    const char *note;
    int64_t duration; /* µs, shortens; 0: as asked */
    int64_t from;     /* access begins then, µs since 1970; 0: at once */
    const struct lb_proof_of_consent *proof; /* it is signed; NULL: said in a login */
    bool hold;        /* pause: the access's time stands still, for `duration` at most */
};

/* Whether he may decide (`approve`: say yes) where the request stands; if not, *ret says why. */
bool lb_decide_may(struct lb_live *live, const struct lb_person *person, bool approve, struct lb_outcome *ret);

typedef void lb_decide_verb(struct lb_live *live, const struct lb_person *person, const struct lb_decision *decision,
                            struct lb_outcome *ret);
lb_decide_verb lb_decide_approve, lb_decide_deny, lb_decide_revoke, lb_decide_done, lb_decide_withdraw, lb_decide_ask,
    lb_decide_answer, lb_decide_acknowledge, lb_decide_pause, lb_decide_resume;
