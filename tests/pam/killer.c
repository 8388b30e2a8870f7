/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loaded into lockboxd by LD_PRELOAD: kills it in front of its n-th change of a file or message to somebody, n being
 * LOCKBOX_KILL_AT; of those that LOCKBOX_KILL_IN names, if it is there. What goes to the journal goes to the socket
 * LOCKBOX_JOURNAL instead, and is not counted.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define JOURNAL "/run/systemd/journal/socket"

static void count(const char *name)
{
    static atomic_long calls;
    const char *at = getenv("LOCKBOX_KILL_AT"), *in = getenv("LOCKBOX_KILL_IN");

    if (at && (!in || strcmp(in, name) == 0) && ++calls == atol(at))
        raise(SIGKILL);
}

/* The function that the name stands for without us. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    count(__func__);
    return REAL(pwrite64)(fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    count(__func__);
    return REAL(pwrite)(fd, bytes, n, at);
}

int fdatasync(int fd)
{
    count(__func__);
    return REAL(fdatasync)(fd);
}

int fsync(int fd)
{
    count(__func__);
    return REAL(fsync)(fd);
}

int ftruncate64(int fd, off64_t size)
{
    count(__func__);
    return REAL(ftruncate64)(fd, size);
}

int unlink(const char *path)
{
    count(__func__);
    return REAL(unlink)(path);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    count(__func__);
    return REAL(send)(fd, bytes, n, flags);
}

static const char *journal(void)
{
    const char *path = getenv("LOCKBOX_JOURNAL");

    return path ? path : JOURNAL;
}

int access(const char *path, int mode)
{
    return REAL(access)(strcmp(path, JOURNAL) == 0 ? journal() : path, mode);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    const struct sockaddr_un *to = message->msg_name;
    struct sockaddr_un ours = { .sun_family = AF_UNIX };
    struct msghdr m = *message;

    if (!to || to->sun_family != AF_UNIX || strcmp(to->sun_path, JOURNAL) != 0)
        return REAL(sendmsg)(fd, message, flags);
    strncpy(ours.sun_path, journal(), sizeof(ours.sun_path) - 1);
    m.msg_name = &ours;
    m.msg_namelen = sizeof(ours);
    return REAL(sendmsg)(fd, &m, flags);
}
