/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a request comes about: what has to be said, what is made of it, and what a rule lets in without. */
#pragma once

#include "lockboxd/attempt.h"

/* Asks for what the rule wants; `problem` says what was wrong with the last answers, or NULL. -ENOMEM. */
int lb_make_ask(const struct lb_attempt *a, struct lb_answer *ret, const char *problem);

/* Checks what was said and makes the request (or finds the one with that ticket), asks again, or refuses. *ret_live is
 * the request; it is left alone otherwise. -errno: the daemon's own trouble. */
int lb_make_request(const struct lb_attempt *a, const struct lb_words *w, struct lb_answer *ret,
                    struct lb_live **ret_live);

/* A rule lets it in: a request of the same shape that begins at once, unless another engineer is on the account. */
int lb_make_permitted(const struct lb_attempt *a, struct lb_answer *ret, struct lb_live **ret_live);

/* The first event of a script's access, as far as the caller and the rule that permits it (a->verdict) say; those who
 * may stop it are the rule's approvers. */
int lb_make_script(const struct lb_attempt *a, struct lb_event *ret);

/* His access is frozen because its time is over, and he logs in again: he is asked for how much longer, and that is a
 * request for more time. Where nobody can be asked it is a refusal. */
int lb_make_more(const struct lb_attempt *a, const struct lb_request *access, const struct lb_words *w,
                 struct lb_answer *ret, struct lb_live **ret_live);

/* An engineer asks for more time of an access that runs: a request that links to it and goes the same way. `a` is made
 * of the access (lb_attempt_of). */
int lb_make_extension(const struct lb_attempt *a, const struct lb_request *access, const char *reason,
                      int64_t duration, struct lb_answer *ret, struct lb_live **ret_live);
