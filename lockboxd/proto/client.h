/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client's end of the two sockets: blocking, with a deadline on every step. For the PAM module and the tools. */
#pragma once

#include <sys/types.h>

#include "lockboxd/proto/varlink.h"

#define LB_LOGIN_SOCKET "/run/lockbox/login.socket"
#define LB_CONTROL_SOCKET "/run/lockbox/control.socket"

struct lb_client;

/*
 * Connects (within timeout_ms) and checks that root, or the caller's own effective uid, listens. Close-on-exec, no
 * SIGPIPE, no environment read. -ENOENT/-ECONNREFUSED…: not reachable; -EPERM: an impostor; -ETIMEDOUT; -ENOMEM.
 */
int lb_client_open(const char *path, int timeout_ms, struct lb_client **ret);

/* The same for a server of another user's: `uid`, root, or the caller's own. */
int lb_client_open_as(const char *path, int timeout_ms, uid_t uid, struct lb_client **ret);

/* Sends one call. timeout_ms < 0: for ever. */
int lb_client_send(struct lb_client *client, const char *method, const json_t *parameters, bool more, int timeout_ms);

/* Receives one reply into *ret (clear it). -ETIMEDOUT (the connection stays usable), -ECONNRESET on hang-up, -EBADMSG
 * for nonsense and for more than LB_VARLINK_REPLY_MAX bytes. */
int lb_client_receive(struct lb_client *client, int timeout_ms, struct lb_varlink_reply *ret);

/* send + receive. */
int lb_client_call(struct lb_client *client, const char *method, const json_t *parameters, int timeout_ms,
                   struct lb_varlink_reply *ret);

int lb_client_fd(const struct lb_client *client);
struct lb_client *lb_client_close(struct lb_client *client); /* NULL is fine; returns NULL */
