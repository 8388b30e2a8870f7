/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a request: one table, [state][event] → next state and what has to be done. */
#pragma once

#include "policy/request.h"

/* What the gate does after the event is committed (or at once, where LB_EFFECT_CLOSING is set). */
enum lb_effect {
    LB_EFFECT_CLOSING = 1 << 0, /* ends access: acts before, and without, a commit */
    LB_EFFECT_NOTIFY = 1 << 1,  /* tell the approvers */
    LB_EFFECT_WAKE = 1 << 2,    /* answer who waits */
    LB_EFFECT_ARM = 1 << 3,     /* PID 1's own deadline for this access */
    LB_EFFECT_WARN = 1 << 4,    /* tell the engineer's terminals */
    LB_EFFECT_REAP = 1 << 5,    /* nothing of it may be left */
    LB_EFFECT_DISARM = 1 << 6,  /* PID 1's deadline is not needed any more */
    LB_EFFECT_TELL = 1 << 7,    /* the last message to the terminals of the other side */
    LB_EFFECT_UNLOCK = 1 << 8,  /* start the units that the access unlocks */
    LB_EFFECT_LOOK = 1 << 9,    /* how the host is before anybody has done anything under the access */
    LB_EFFECT_FREEZE = 1 << 10, /* nothing of it runs until … */
    LB_EFFECT_THAW = 1 << 11,   /* … it goes on */
};

struct lb_transition {
    int next; /* enum lb_state; LB_STATE_NONE: not allowed */
    unsigned effects;
};

extern const struct lb_transition lb_lifecycle[LB_STATE_MAX_][LB_EVENT_REQUEST_MAX_];

/* The cell; a row of zeroes for anything out of range. */
struct lb_transition lb_lifecycle_step(int state, int kind);

/*
 * Whether an event may come to a request (NULL: the first one of a request) that is in `state`: *ret_next is the state
 * after it, *ret_effects what has to be done. -EPERM if the state does not allow it, -EINVAL for an event that
 * contradicts the request. Changes nothing: so an event is checked, committed, and only then applied.
 */
int lb_lifecycle_check(const struct lb_request *r, int state, const struct lb_event *e, int *ret_next,
                       unsigned *ret_effects);

/*
 * Checks and applies one event. *r is NULL for the first one of a request and is made then. What check refuses changes
 * nothing; after -ENOMEM the request is good for lb_request_free alone. The only writer of struct lb_request.
 */
int lb_lifecycle_apply(struct lb_request **r, const struct lb_event *e);
