/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signs checkpoints of the log (policy/checkpoint.h) with a key of the host's own: after each end of an access, once a
 * day, and when somebody asks. Beside the loop, and nothing waits for it but who asked; what it cannot sign opens and
 * closes nothing, and is tried again. Many ends at a time make few checkpoints: each stands for all events before it.
 */
#pragma once

#include "lockboxd/gate.h"

/* The key, in the state directory; it is made at the first start. The public half is beside it, in NAME.pub. */
#define LB_NOTARY_KEY "checkpoint_key"

struct lb_notary;

/* A checkpoint that is in the log now; or only the problem. All borrowed. */
struct lb_notary_result {
    const char *statement, *signature, *signer;
    int64_t seq; /* of its event */
    const char *problem;
};

/* Somebody who waits for one. Not touched any more once done is called; it may free what it is part of. */
struct lb_notary_wait {
    struct lb_notary_wait *next, **self; /* self NULL: not waiting */
    int64_t turn;
    void (*done)(struct lb_notary_wait *wait, const struct lb_notary_result *result);
};

/* Begins to work for the gate, whose `notary` it is from now on. -errno. */
int lb_notary_new(struct lb_gate *gate, struct lb_notary **ret);
struct lb_notary *lb_notary_free(struct lb_notary *notary); /* NULL is fine; returns NULL */

/* The access of this ID is over. NULL is fine. */
void lb_notary_ended(struct lb_notary *notary, const char *id);

/* Wants one of the log as it is now. The answer may come at once. */
void lb_notary_ask(struct lb_notary *notary, struct lb_notary_wait *wait);
void lb_notary_forget(struct lb_notary_wait *wait);

/* The public key, "ssh-ed25519 AAAA…", borrowed; NULL: there is none yet. */
const char *lb_notary_key(const struct lb_notary *notary);

/* The newest one: the seq of its event (0: none is known) and its time, µs since 1970; and why there is none of today's
 * log, or NULL. */
int64_t lb_notary_last(const struct lb_notary *notary, int64_t *ret_time);
const char *lb_notary_problem(const struct lb_notary *notary);
