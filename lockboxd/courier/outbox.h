/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is to be told and has not been yet, on disk: letters, and up to where the log has been read, which move on in
 * one commit. So each event is told exactly what it was planned to be, whenever this process dies; a letter may arrive
 * twice, under the same name. All SQL of the courier is here. Times are µs since 1970.
 *
 * Errors: -ENOSPC, -EUCLEAN (damaged), -EROFS/-EACCES/-EIO, -ENOMEM.
 */
#pragma once

#include "lockboxd/courier/letter.h"

struct lb_outbox;

/* Opens or makes DIRECTORY/outbox.db. -EPROTONOSUPPORT: it is of a later version, and is left as it is. */
int lb_outbox_open(const char *directory, struct lb_outbox **ret);
struct lb_outbox *lb_outbox_close(struct lb_outbox *o); /* NULL is fine; returns NULL */

/* The last event that was read: its seq (-1: none ever was), and its hash ("" for none). Borrowed. */
int64_t lb_outbox_position(const struct lb_outbox *o, const char **ret_hash);

/* A step of a page: a letter that is added, or what asks for a decision on letter.request by letter.channel and waits
 * yet, which is withdrawn: from letter.target, or where that is NULL from everybody. */
struct lb_step {
    struct lb_letter letter;
    bool withdraw;
};

/* All of a page in one durable commit, steps in their order, and the position behind it. A letter whose channel
 * has its id already is left as it is; of a target that has LB_OUTBOX_MAX letters waiting none is added, but counted in
 * *ret_dropped. */
#define LB_OUTBOX_MAX 50000
int lb_outbox_take(struct lb_outbox *o, int64_t position, const char *hash, const struct lb_step *steps, size_t n,
                   int64_t *ret_dropped);

/* How many it has dropped so since it was made. */
int64_t lb_outbox_dropped(const struct lb_outbox *o);

/* --- sending --- */

/* Calls row for each target that has letters. Non-zero from it is handed on, here and below. */
struct lb_outbox_target {
    const char *channel, *target;
    int64_t waiting, dead;
};
int lb_outbox_targets(struct lb_outbox *o, int (*row)(void *userdata, const struct lb_outbox_target *t),
                      void *userdata);

/* Calls row for letters of a target that may be sent now, in their order, until it returns non-zero: none that comes
 * behind one of the same request that has failed already. `request` may be NULL. */
int lb_outbox_due(struct lb_outbox *o, const char *channel, const char *target, int64_t now,
                  int (*row)(void *userdata, int64_t number, const char *request), void *userdata);

/* When the next letter of the target is due that is not yet; LB_NEVER if there is none. */
int64_t lb_outbox_next_due(struct lb_outbox *o, const char *channel, const char *target, int64_t now);

/* The letter; clear it. -ENOENT: it was withdrawn. */
int lb_outbox_load(struct lb_outbox *o, int64_t row, struct lb_letter *ret);

/* What became of letters that were sent, all in one durable commit. */
enum lb_mark_kind { LB_MARK_FAILED, LB_MARK_SENT, LB_MARK_DEAD };
struct lb_mark {
    int64_t row;
    int kind;
    int64_t due;       /* FAILED: not before */
    const char *error; /* not SENT; borrowed */
};
int lb_outbox_mark(struct lb_outbox *o, const struct lb_mark *marks, size_t n);

/* --- what is given up --- */

/* Gives up what is past its time. The number of letters, or -errno. What was to be tried again later than that is ever
 * said is due at once: the clock was set back. */
int64_t lb_outbox_expire(struct lb_outbox *o, int64_t now);

/* Calls row for each target with letters given up of which the trail does not know yet: the first one's request and
 * error, how many there are, and the last one's row. */
struct lb_outbox_untold {
    const char *channel, *target, *request, *error;
    int64_t count, last;
};
int lb_outbox_untold(struct lb_outbox *o, int (*row)(void *userdata, const struct lb_outbox_untold *u), void *userdata);
int lb_outbox_told(struct lb_outbox *o, const char *channel, const char *target, int64_t last);

/* Letters that were given up, newest first, without their bodies; the newest 1000 are kept. */
int lb_outbox_dead(struct lb_outbox *o, int64_t limit, int (*row)(void *userdata, const struct lb_letter *l),
                   void *userdata);

/* Lets them be sent after all, those called `id` or all (NULL), until `until`. How many, or -errno. With all of them,
 * what is to be tried again later is due at once. */
int64_t lb_outbox_revive(struct lb_outbox *o, const char *id, int64_t until);
