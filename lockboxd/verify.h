/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a copy of the event log is whole: each event's bytes have the hash that is kept with them, each names the
 * hash of the one before, no number is left out. The copies come from elsewhere, event by event; here is no I/O.
 *
 * A log that was cut off, or written anew from some event on with new hashes, is a good log by itself: only a hash that
 * somebody kept (lb_verify_know) shows that.
 */
#pragma once

#include "lockboxd/chain.h"
#include "lockboxd/peek.h"

enum lb_flaw {
    LB_FLAW_NONE,
    LB_FLAW_EMPTY,     /* there is no event */
    LB_FLAW_MISSING,   /* `seq` to `to` are not there */
    LB_FLAW_MISPLACED, /* `seq` comes after others that it was before, or under another's number */
    LB_FLAW_CHANGED,   /* `seq` is not as it was written; `what` says how that is seen */
    LB_FLAW_TWICE,     /* there are two different ones of this number */
    LB_FLAW_REWRITTEN, /* `seq` is not the one that is known: it, or one before it, was written anew */
    LB_FLAW_FORGED,    /* `seq` is a checkpoint, or the countersignature of one, that this log cannot have */
    LB_FLAW_MAX_,
};

extern const char *const lb_flaw_names[]; /* by enum lb_flaw, for programs */

/* The newest checkpoint (policy/checkpoint.h) that was found good, but for its signature: that is for the caller to
 * verify. */
struct lb_verify_checkpoint {
    int64_t seq;            /* of its event; 0: there is none */
    int64_t events, time;   /* as its text says */
    char *host, *statement, *signature; /* borrowed until lb_verify_free */
};

struct lb_verdict {
    int flaw; /* the first one */
    int64_t seq, to;
    const char *what;       /* static text, or NULL */
    int64_t events;         /* how many different ones were found good, from the first on */
    int64_t last;           /* the last of them … */
    char hash[LB_HASH_MAX]; /* … and its hash */
    struct lb_verify_checkpoint checkpoint;
};

struct lb_verify;

/* NULL: out of memory. */
struct lb_verify *lb_verify_new(void);
struct lb_verify *lb_verify_free(struct lb_verify *verify); /* NULL is fine; returns NULL */

/* The hash of event `seq` (from 1) is known for sure, before the first event comes. With may_begin a copy is whole also
 * if it begins with the event after that. */
void lb_verify_know(struct lb_verify *verify, int64_t seq, const char hash[static LB_HASH_MAX], bool may_begin);

/*
 * The next event of the copy: the number and the hash that are kept with it (what is none: -1, ""), and its bytes.
 * ret_members (may be NULL) are those of the bytes. 1: it is good, and new; 0: it is there once more (a journal has an
 * event at least once), or a flaw was found here or before; -ENOMEM.
 */
int lb_verify_event(struct lb_verify *verify, int64_t seq, struct lb_slice hash, struct lb_slice json,
                    struct lb_slice ret_members[LB_MEMBER_MAX_]);

/* What is kept beside the event that lb_verify_event took last does not agree with its bytes. `what` is static. */
void lb_verify_disagrees(struct lb_verify *verify, int64_t seq, const char *what);

/* The number that the next event should have. */
int64_t lb_verify_next(const struct lb_verify *verify);

/* There are no more. */
struct lb_verdict lb_verify_end(struct lb_verify *verify);
