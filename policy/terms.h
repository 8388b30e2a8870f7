/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terms a rule sets: what a request must say, who decides, how long access lasts. Copied into each request. */
#pragma once

#include "policy/fields.h"

enum lb_need { LB_NEED_NO, LB_NEED_OPTIONAL, LB_NEED_REQUIRED };
enum lb_starts { LB_STARTS_APPROVAL, LB_STARTS_LOGIN };
enum lb_on_end { LB_ON_END_KILL, LB_ON_END_FREEZE };
enum lb_on_reboot { LB_ON_REBOOT_END, LB_ON_REBOOT_KEEP };
enum lb_evidence { LB_EVIDENCE_ANY, LB_EVIDENCE_SIGNED };

#define LB_WARN_MAX 8

struct lb_terms {
    /* [Request] */
    int ticket;             /* enum lb_need */
    char *ticket_pattern;   /* POSIX ERE, whole string; NULL: anything */
    char *ticket_url;       /* with %t for the ticket, or NULL */
    int reason;             /* enum lb_need */
    int64_t expire_after;   /* µs */
    int64_t max_pending;    /* per account */
    /* [Approval] names or @groups, as written; never NULL in a rule */
    char **internal;
    char **customer;
    int64_t quorum;
    int evidence;           /* enum lb_evidence */
    /* [Access] */
    int64_t duration;       /* µs */
    int64_t max_duration;   /* µs */
    int starts;             /* enum lb_starts */
    int64_t use_by;         /* µs */
    char **units;
    int on_end;             /* enum lb_on_end */
    int64_t freeze;         /* µs, for LB_ON_END_FREEZE */
    int64_t warn[LB_WARN_MAX]; /* µs before the end, longest first, 0 ends the list */
    int on_reboot;          /* enum lb_on_reboot */
    int record;             /* enum lb_need */
    int64_t max_sessions;
    bool exclusive;
    /* [BreakGlass] */
    bool emergency;
    int64_t emergency_duration; /* µs */
};

extern const struct lb_field lb_terms_fields[];
extern const char *const lb_need_names[], *const lb_starts_names[], *const lb_on_end_names[],
    *const lb_on_reboot_names[], *const lb_evidence_names[];

/* The terms where no rule says otherwise (DESIGN: "Defaults"). `ret` is overwritten; -ENOMEM. */
int lb_terms_defaults(struct lb_terms *ret);
int lb_terms_copy(struct lb_terms *ret, const struct lb_terms *from);
void lb_terms_clear(struct lb_terms *terms);
