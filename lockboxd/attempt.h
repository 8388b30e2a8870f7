/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything that is known of one login: who, from where, what the rules say, and what there is for it already. */
#pragma once

#include "lockboxd/login.h"
#include "policy/base.h"

struct lb_attempt {
    struct lb_gate *gate;
    const struct lb_peer *peer;
    const struct lb_login *login;
    char *account; /* canonical */
    uid_t uid;
    gid_t gid;
    struct lb_identity identity;
    char **groups;
    char *rhost; /* safe to show */
    struct lb_verdict verdict;
    bool orphan;  /* a job, and it cannot be said whose: no access is for it */
    bool foreign; /* the login session is somebody else's than the account's */
};

/* Learns all there is to know. -ENOENT: no such account; -EINVAL: a key that cannot be understood; -EIO and the like:
 * the daemon cannot say. To be cleared in any case. */
int lb_attempt_fill(struct lb_attempt *a, struct lb_gate *gate, const struct lb_peer *peer,
                    const struct lb_login *login);

/* The same of an access that there is, as the rules see it now; `login` is filled in and borrows from the request. */
int lb_attempt_of(struct lb_attempt *a, struct lb_gate *gate, const struct lb_peer *peer, const struct lb_request *r,
                  struct lb_login *login);
void lb_attempt_clear(struct lb_attempt *a);

/* As the rules ask for it; borrowed from the attempt. */
struct lb_facts lb_attempt_facts(const struct lb_attempt *a);

static inline bool lb_attempt_is_sshd(const struct lb_attempt *a)
{
    return lb_streq(a->login->service, "sshd");
}

/* Started by cron or at, long after somebody asked for it: nobody is there to talk to, and nobody's identity is
 * proven. */
bool lb_attempt_is_job(const struct lb_attempt *a);

/* A refusal is recorded (when the disk allows) and said. Returns 0. */
int lb_attempt_refuse(const struct lb_attempt *a, struct lb_answer *ret, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What the rules forbid outright. True if the login is refused. */
bool lb_attempt_forbidden(const struct lb_attempt *a, struct lb_answer *ret);

/* Whether a request is for this account, engineer and scope. */
bool lb_attempt_is_for(const struct lb_attempt *a, const struct lb_request *r);

/* The access that there is; of several the one that ends last. NULL: none. */
struct lb_live *lb_attempt_access(const struct lb_attempt *a);

/* The waiting request with this ticket; with NULL, a proven engineer's only one. */
struct lb_live *lb_attempt_waiting(const struct lb_attempt *a, const char *ticket);
