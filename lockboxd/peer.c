/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/peer.h"

#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "lockboxd/proc.h"
#include "policy/base.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* The peer's pidfd: the kernel's own, which cannot be another process, or one by number where it is older. */
static int peer_pidfd(int fd, pid_t pid)
{
    socklen_t size = sizeof(int);
    int pidfd = -1;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
        return pidfd;
    pidfd = pidfd_open(pid, 0);
    return pidfd < 0 ? -errno : pidfd;
}

int lb_peer_read(int fd, struct lb_peer *ret)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    struct lb_proc_stat st;
    uint32_t session, loginuid;
    LB_CLOSE int pidfd = -1;
    struct pollfd alive = { .events = POLLIN };
    int r;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return -errno;
    if (cred.pid <= 0)
        return -EPERM;
    pidfd = peer_pidfd(fd, cred.pid);
    if (pidfd < 0)
        return pidfd;
    r = lb_proc_stat(cred.pid, &st);
    if (r == 0)
        r = lb_proc_audit(cred.pid, &session, &loginuid);
    if (r < 0)
        return r;
    alive.fd = pidfd;
    if (poll(&alive, 1, 0) != 0) /* what was read may be another process's */
        return -ESRCH;
    *ret = (struct lb_peer){ cred.uid, cred.pid, st.started, session, loginuid };
    return 0;
}
