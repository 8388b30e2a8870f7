/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/caller.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "policy/base.h"

int lb_caller_listen(const char *directory, const char *name, mode_t mode)
{
    LB_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    mode_t mask;
    int r, taken;

    if (fd < 0)
        return -errno;
    if (snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", directory, name) >= (int)sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    unlink(sa.sun_path);
    mask = umask(0777 & ~mode);
    r = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : 0;
    umask(mask);
    if (r < 0)
        return r;
    taken = fd;
    fd = -1;
    return taken;
}

void lb_caller_kill(struct lb_caller *c)
{
    c->dead = true;
    if (c->owner->lost)
        c->owner->lost(c);
    sd_event_source_set_enabled(c->io, SD_EVENT_OFF); /* a hang-up is reported whatever is asked for */
    sd_event_source_set_time_relative(c->idle, 0);
    sd_event_source_set_enabled(c->idle, SD_EVENT_ONESHOT);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_caller *c = userdata;

    (void)source;
    (void)usec;
    c->owner->free(c);
    return 0;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void watch(struct lb_caller *c)
{
    uint32_t events = EPOLLRDHUP | (c->busy ? 0 : EPOLLIN) | (c->out || c->again ? EPOLLOUT : 0);

    if (!c->dead)
        sd_event_source_set_io_events(c->io, events);
}

static void flush(struct lb_caller *c)
{
    while (c->out && !c->dead) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            lb_caller_kill(c);
            return;
        }
        c->out_sent += (size_t)n;
        if (c->out_sent == c->out_size) {
            free(LB_TAKE(c->out));
            c->out_size = c->out_sent = 0;
        }
    }
    watch(c);
}

static void put(struct lb_caller *c, char *bytes, size_t size)
{
    char *joined;

    if (!bytes) {
        lb_caller_kill(c);
        return;
    }
    if (!c->out) {
        c->out = bytes;
        c->out_size = size;
        flush(c);
        return;
    }
    joined = realloc(c->out, c->out_size + size);
    if (joined) {
        memcpy(joined + c->out_size, bytes, size);
        c->out = joined;
        c->out_size += size;
    } else {
        lb_caller_kill(c);
    }
    free(bytes);
}

static void answered(struct lb_caller *c)
{
    c->busy = false;
    c->again = c->reader.used > 0;
    watch(c);
}

void lb_caller_reply(struct lb_caller *c, json_t *parameters, bool continues)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_reply(parameters, continues, &size);

    put(c, bytes, size);
    json_decref(parameters);
    if (!continues)
        answered(c);
}

void lb_caller_error(struct lb_caller *c, const char *error, json_t *parameters)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_error(error, parameters, &size);

    put(c, bytes, size);
    json_decref(parameters);
    answered(c);
}

bool lb_caller_takes(const struct lb_caller *c)
{
    return !c->out && !c->dead;
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static void run_calls(struct lb_caller *c)
{
    while (!c->busy && !c->dead) {
        struct lb_varlink_call call;
        json_auto_t *message = NULL;
        int r = lb_varlink_next(&c->reader, &message);

        if (r == 0)
            return;
        if (r < 0 || lb_varlink_call_parse(message, &call) < 0) {
            lb_caller_kill(c);
            return;
        }
        c->more = call.more;
        c->busy = true;
        watch(c);
        c->owner->call(c, &call);
        lb_varlink_call_clear(&call);
    }
}

static void receive(struct lb_caller *c)
{
    char buf[16 * 1024];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || lb_varlink_feed(&c->reader, buf, (size_t)n) < 0)
        lb_caller_kill(c);
    else
        run_calls(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_caller *c = userdata;

    (void)source;
    (void)fd;
    if (revents & EPOLLOUT) {
        flush(c);
        if (c->owner->sent && lb_caller_takes(c))
            c->owner->sent(c);
    }
    if ((revents & EPOLLIN) && !c->busy)
        receive(c);
    else if (revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        lb_caller_kill(c);
    if (c->again && !c->busy && !c->dead) { /* calls that came while one was unanswered */
        c->again = false;
        run_calls(c);
        watch(c);
    }
    return 0;
}

/* --- from begin to end -------------------------------------------------------------------------------------------- */

int lb_caller_start(struct lb_caller *c, sd_event *event, int fd, int64_t idle, const struct lb_caller_owner *owner)
{
    int r;

    *c = (struct lb_caller){ .owner = owner, .fd = fd, .reader.max = LB_VARLINK_MESSAGE_MAX };
    r = sd_event_add_io(event, &c->io, fd, EPOLLIN | EPOLLRDHUP, on_io, c);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &c->idle, CLOCK_MONOTONIC, (uint64_t)idle, 1, on_idle, c);
    return r < 0 ? r : 0;
}

void lb_caller_clear(struct lb_caller *c)
{
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->idle);
    close(c->fd);
    lb_varlink_reader_clear(&c->reader);
    free(c->out);
}
