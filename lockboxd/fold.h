/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store's table of requests made once more from the log, to compare the one that is there with: what lists and
 * logins are answered from says nothing that the log does not. Some 100 bytes a request; no I/O.
 */
#pragma once

#include "lockboxd/peek.h"

/* A row of that table. */
struct lb_fold_row {
    struct lb_slice id, state, account, engineer, ticket; /* plain text */
    bool open, unseen;
    int64_t requested_at, closed_at; /* closed_at 0: open */
};

struct lb_fold;

struct lb_fold *lb_fold_new(void); /* NULL: out of memory */
struct lb_fold *lb_fold_free(struct lb_fold *fold); /* NULL is fine; returns NULL */

/* The next event of the log. -ENOMEM. */
int lb_fold_event(struct lb_fold *fold, const struct lb_slice members[static LB_MEMBER_MAX_]);

/* Whether the log says the same of this request; each row once. -ENOMEM, 0, 1 (it does). */
int lb_fold_agrees(struct lb_fold *fold, const struct lb_fold_row *row);

/* A request of the log that no row was about, or NULL. */
const char *lb_fold_lacking(const struct lb_fold *fold);
