/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One login, from the first question to the last session: what the PAM module asks. */
#pragma once

#include "lockboxd/answer.h"
#include "lockboxd/gate.h"

/* org.lockbox.Login's Login: what PAM knows. */
struct lb_login {
    char *account, *user, *ruser, *service, *scope, *rhost, *tty, *auth_info;
    int64_t loginuid, audit_session; /* as the module says; the kernel's word about the peer is what counts */
};
extern const struct lb_field lb_login_fields[];

/* What the person at the prompt said; NULL where he was not asked. */
struct lb_words {
    char *ticket, *reason, *duration;
    bool silent; /* nobody can be asked */
};

/* Finds or makes the request for a login. *ret is the answer; *ret_live the request it is about, if it is open. An
 * error (-EIO …) is the daemon's own and never an answer. */
int lb_login_begin(struct lb_gate *gate, const struct lb_peer *peer, const struct lb_login *login,
                   const struct lb_words *words, struct lb_answer *ret, struct lb_live **ret_live);

/* What was typed at the prompt of a waiting login. */
int lb_login_say(struct lb_live *live, const char *text, struct lb_answer *ret);

/* What the request means for a login now; of one for more time that has been given, the access that got it. */
void lb_login_look(struct lb_live *live, struct lb_answer *ret);

/* The access that has got the time that a closed request asked for, or NULL. */
struct lb_live *lb_login_extended(const struct lb_gate *gate, const struct lb_request *r);

/* A session opens, led by the peer. If the answer is not "allowed" the caller kills the leader. */
int lb_login_open(struct lb_gate *gate, const struct lb_peer *peer, const struct lb_login *login,
                  struct lb_answer *ret);

/* The request under which the peer leads an open session, or NULL. */
struct lb_live *lb_login_live(struct lb_gate *gate, const struct lb_peer *peer);

/* The session that the peer leads closes. */
void lb_login_close(struct lb_gate *gate, const struct lb_peer *peer);

/* A request that is made inside a session or with lockboxctl: the same rules, no login. */
int lb_login_request(struct lb_gate *gate, const struct lb_peer *peer, const struct lb_login *login,
                     const struct lb_words *words, struct lb_answer *ret, struct lb_live **ret_live);
