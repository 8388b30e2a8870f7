/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocking calls over a socket that never blocks by itself: each step polls until its own deadline. */
#include "lockboxd/proto/client.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "policy/base.h"

struct lb_client {
    int fd;
    struct lb_varlink_reader reader;
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* When a step that begins now is over; negative: never. */
static int64_t deadline(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
}

static int wait_for(int fd, short events, int64_t until)
{
    struct pollfd poller = { .fd = fd, .events = events };
    int64_t left = until < 0 ? -1 : until - now_ms();
    int r = poll(&poller, 1, until >= 0 && left < 0 ? 0 : (int)left);

    if (r == 0)
        return -ETIMEDOUT;
    return r < 0 && errno != EINTR ? -errno : 0;
}

/* A Unix socket whose queue is full says EAGAIN at once when it must not block, and nothing can be polled for. So it
 * blocks here, for as long as SO_SNDTIMEO lets it. */
static int connect_within(int fd, const struct sockaddr_un *address, int timeout_ms)
{
    int64_t until = deadline(timeout_ms);
    int r;

    do {
        int64_t left = until < 0 ? 0 : until - now_ms(); /* 0 means for ever */
        struct timeval tv = { .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };

        if (left < 0 || (until >= 0 && left == 0))
            return -ETIMEDOUT;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
            return -errno;
        r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return 0;
}

/* A socket that systemd holds for the daemon is root's too: the peer is who called listen(). */
static int check_peer(int fd, uid_t uid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    return peer.uid == uid || peer.uid == 0 || peer.uid == geteuid() ? 0 : -EPERM;
}

int lb_client_open_as(const char *path, int timeout_ms, uid_t uid, struct lb_client **ret)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    LB_CLOSE int fd = -1;
    struct lb_client *client;
    int r;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    r = connect_within(fd, &address, timeout_ms);
    if (r == 0)
        r = check_peer(fd, uid);
    if (r < 0)
        return r;
    client = malloc(sizeof(*client));
    if (!client)
        return -ENOMEM;
    *client = (struct lb_client){ .fd = fd, .reader.max = LB_VARLINK_REPLY_MAX };
    fd = -1;
    *ret = client;
    return 0;
}

int lb_client_open(const char *path, int timeout_ms, struct lb_client **ret)
{
    return lb_client_open_as(path, timeout_ms, 0, ret);
}

int lb_client_send(struct lb_client *client, const char *method, const json_t *parameters, bool more, int timeout_ms)
{
    int64_t until = deadline(timeout_ms);
    size_t size = 0, sent = 0;
    LB_FREE char *bytes = lb_varlink_format_call(method, parameters, more, &size);

    if (!bytes)
        return -ENOMEM;
    while (sent < size) {
        ssize_t n = send(client->fd, bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        int r;

        if (n >= 0) {
            sent += n;
        } else if (errno == EAGAIN) {
            r = wait_for(client->fd, POLLOUT, until);
            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return errno == EPIPE ? -ECONNRESET : -errno;
        }
    }
    return 0;
}

static int receive_some(struct lb_client *client, int64_t until)
{
    char bytes[16 * 1024];
    ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n > 0) {
        int r = lb_varlink_feed(&client->reader, bytes, n);

        return r == -EMSGSIZE ? -EBADMSG : r;
    }
    if (n == 0)
        return -ECONNRESET;
    if (errno == EAGAIN)
        return wait_for(client->fd, POLLIN, until);
    return errno == EINTR ? 0 : -errno;
}

int lb_client_receive(struct lb_client *client, int timeout_ms, struct lb_varlink_reply *ret)
{
    int64_t until = deadline(timeout_ms);
    json_t *message = NULL;
    int r;

    while ((r = lb_varlink_next(&client->reader, &message)) == 0) {
        r = receive_some(client, until);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    r = lb_varlink_reply_parse(message, ret);
    json_decref(message);
    return r;
}

int lb_client_call(struct lb_client *client, const char *method, const json_t *parameters, int timeout_ms,
                   struct lb_varlink_reply *ret)
{
    int64_t until = deadline(timeout_ms);
    int r = lb_client_send(client, method, parameters, false, timeout_ms);
    int64_t left = until < 0 ? -1 : until - now_ms();

    if (r < 0)
        return r;
    return lb_client_receive(client, until >= 0 && left < 0 ? 0 : (int)left, ret);
}

int lb_client_fd(const struct lb_client *client)
{
    return client->fd;
}

struct lb_client *lb_client_close(struct lb_client *client)
{
    if (!client)
        return NULL;
    close(client->fd);
    lb_varlink_reader_clear(&client->reader);
    free(client);
    return NULL;
}
