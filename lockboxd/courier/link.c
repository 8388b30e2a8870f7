/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "policy/base.h"

struct lb_link {
    int fd;
    struct lb_link_calls calls;
    void *userdata;
    sd_event_source *io, *later; /* later: what was read already, once somebody wants it again */
    struct lb_varlink_reader reader;
    char *out;
    size_t out_size, out_sent;
    bool paused;
    bool delivering, doomed; /* freed by whom a reply was just handed to: it goes when he is done */
};

static int check_peer(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    return peer.uid == 0 || peer.uid == geteuid() ? 0 : -EPERM;
}

static void watch(struct lb_link *l)
{
    sd_event_source_set_io_events(l->io, (l->paused ? 0 : EPOLLIN) | (l->out ? EPOLLOUT : 0));
}

static void lose(struct lb_link *l, int error)
{
    sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
    sd_event_source_set_enabled(l->later, SD_EVENT_OFF);
    l->calls.lost(l->userdata, error);
}

/* Hands on what has been read. */
static void deliver(struct lb_link *l)
{
    int r = 0;

    l->delivering = true;
    while (!l->doomed && !l->paused && r == 0) {
        LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };
        json_auto_t *message = NULL;

        r = lb_varlink_next(&l->reader, &message);
        if (r == 0)
            break;
        if (r > 0)
            r = lb_varlink_reply_parse(message, &reply);
        if (r == 0)
            l->calls.reply(l->userdata, &reply);
    }
    l->delivering = false;
    if (l->doomed)
        lb_link_free(l);
    else if (r < 0)
        lose(l, r);
    else
        watch(l);
}

static int on_later(sd_event_source *source, void *userdata)
{
    (void)source;
    deliver(userdata);
    return 0;
}

static void flush(struct lb_link *l)
{
    while (l->out) {
        ssize_t n = send(l->fd, l->out + l->out_sent, l->out_size - l->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0)
            break; /* a real error is read, too */
        l->out_sent += (size_t)n;
        if (l->out_sent == l->out_size) {
            free(LB_TAKE(l->out));
            l->out_size = l->out_sent = 0;
        }
    }
    watch(l);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_link *l = userdata;
    char bytes[32 * 1024];
    ssize_t n;

    (void)source;
    if (revents & EPOLLOUT)
        flush(l);
    if (!(revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return 0;
    n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0 || lb_varlink_feed(&l->reader, bytes, (size_t)n) < 0)
        lose(l, n > 0 ? -EBADMSG : -ECONNRESET);
    else
        deliver(l);
    return 0;
}

int lb_link_open(sd_event *event, const char *path, const struct lb_link_calls *calls, void *userdata,
                 struct lb_link **ret)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct lb_link *l = calloc(1, sizeof(*l));
    int r = l ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *l = (struct lb_link){ .calls = *calls, .userdata = userdata, .reader.max = LB_VARLINK_REPLY_MAX };
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        r = -errno;
    else if (strlen(path) >= sizeof(address.sun_path))
        r = -ENAMETOOLONG;
    if (r == 0) {
        strcpy(address.sun_path, path);
        r = connect(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : check_peer(l->fd);
    }
    if (r == 0)
        r = sd_event_add_io(event, &l->io, l->fd, EPOLLIN, on_io, l);
    if (r >= 0)
        r = sd_event_add_defer(event, &l->later, on_later, l);
    if (r >= 0)
        r = sd_event_source_set_enabled(l->later, SD_EVENT_OFF);
    if (r < 0)
        lb_link_free(l);
    else
        *ret = l;
    return r;
}

struct lb_link *lb_link_free(struct lb_link *l)
{
    if (!l)
        return NULL;
    l->io = sd_event_source_disable_unref(l->io);
    l->later = sd_event_source_disable_unref(l->later);
    l->doomed = l->delivering;
    if (l->doomed)
        return NULL;
    if (l->fd >= 0)
        close(l->fd);
    lb_varlink_reader_clear(&l->reader);
    free(l->out);
    free(l);
    return NULL;
}

int lb_link_send(struct lb_link *l, const char *method, const json_t *parameters, bool more)
{
    size_t size = 0;
    LB_FREE char *bytes = lb_varlink_format_call(method, parameters, more, &size);
    char *joined = bytes ? realloc(l->out, l->out_size + size) : NULL;

    if (!joined)
        return -ENOMEM;
    memcpy(joined + l->out_size, bytes, size);
    l->out = joined;
    l->out_size += size;
    flush(l);
    return 0;
}

void lb_link_pause(struct lb_link *l, bool pause)
{
    if (l->paused == pause)
        return;
    l->paused = pause;
    if (!pause)
        sd_event_source_set_enabled(l->later, SD_EVENT_ONESHOT);
    watch(l);
}
