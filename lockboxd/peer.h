/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is at the other end of a socket, as the kernel knew it when he connected. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct lb_peer {
    uid_t uid;
    pid_t pid;
    int64_t started;   /* with pid: a name that never comes again */
    int64_t session;   /* audit session id, LB_AUDIT_UNSET if unset */
    int64_t loginuid;  /* LB_AUDIT_UNSET if unset */
};

/* Reads a connected socket's peer. -ESRCH if it is gone already, -EPERM if it is in another pid namespace. */
int lb_peer_read(int fd, struct lb_peer *ret);
