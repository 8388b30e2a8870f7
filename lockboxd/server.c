/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/server.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lockboxd/consent.h"
#include "lockboxd/log.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"

/* How long somebody other than root may be connected without a whole call. */
#define IDLE_MAX (30 * LB_USEC_PER_SEC)

static bool is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static void conn_free(struct lb_conn *c)
{
    lb_login_hang_up(c);
    lb_output_leave(&c->watcher);
    *c->self = c->next;
    if (c->next)
        c->next->self = c->self;
    c->server->n_conns--;
    c->server->n_others -= !is_trusted(c->peer.uid);
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->idle);
    close(c->fd);
    lb_varlink_reader_clear(&c->reader);
    lb_consent_free(c->consent);
    free(c->words);
    free(c->out);
    free(c->follow_request);
    free(c);
}

/* A dead connection is freed by the loop and not under the feet of who is using it. */
static void conn_kill(struct lb_conn *c)
{
    c->dead = true;
    lb_gate_unpark(&c->waiter);
    lb_output_leave(&c->watcher); /* what he watched goes on */
    c->consent = lb_consent_free(c->consent);
    sd_event_source_set_enabled(c->io, SD_EVENT_OFF); /* a hang-up is reported whatever is asked for */
    sd_event_source_set_time_relative(c->idle, 0);
    sd_event_source_set_enabled(c->idle, SD_EVENT_ONESHOT);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_conn *c = userdata;

    (void)source;
    (void)usec;
    conn_free(c);
    return 0;
}

/* --- sending --------------------------------------------------------------------------------------------------------- */

static void watch(struct lb_conn *c)
{
    uint32_t events = EPOLLRDHUP | (c->busy ? 0 : EPOLLIN) | (c->out || c->again ? EPOLLOUT : 0);

    if (!c->dead)
        sd_event_source_set_io_events(c->io, events);
}

static void flush(struct lb_conn *c)
{
    while (c->out && !c->dead) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            conn_kill(c);
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

static void put(struct lb_conn *c, char *bytes, size_t size)
{
    char *joined;

    if (!bytes) {
        conn_kill(c);
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
        conn_kill(c);
    }
    free(bytes);
}

void lb_call_continue(struct lb_conn *c, json_t *parameters)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_reply(parameters, true, &size);

    put(c, bytes, size);
    json_decref(parameters);
}

static void answered(struct lb_conn *c)
{
    c->busy = false;
    c->again = c->reader.used > 0;
    if (!c->dead && c->peer.uid != 0 && c->idle) {
        sd_event_source_set_time_relative(c->idle, IDLE_MAX);
        sd_event_source_set_enabled(c->idle, SD_EVENT_ONESHOT);
    }
    watch(c);
}

void lb_call_reply(struct lb_conn *c, json_t *parameters)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_reply(parameters, false, &size);

    put(c, bytes, size);
    json_decref(parameters);
    answered(c);
}

void lb_call_error(struct lb_conn *c, const char *error, json_t *parameters)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_error(error, parameters, &size);

    put(c, bytes, size);
    json_decref(parameters);
    answered(c);
}

/* --- receiving ------------------------------------------------------------------------------------------------------- */

static void run_calls(struct lb_conn *c)
{
    while (!c->busy && !c->dead) {
        struct lb_varlink_call call;
        json_auto_t *message = NULL;
        int r = lb_varlink_next(&c->reader, &message);

        if (r == 0)
            return;
        if (r < 0 || lb_varlink_call_parse(message, &call) < 0) {
            conn_kill(c);
            return;
        }
        c->more = call.more;
        c->busy = true;
        sd_event_source_set_enabled(c->idle, SD_EVENT_OFF);
        watch(c);
        lb_verbs_dispatch(c, &call);
        lb_varlink_call_clear(&call);
    }
}

static void receive(struct lb_conn *c)
{
    char buf[16 * 1024];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || lb_varlink_feed(&c->reader, buf, (size_t)n) < 0)
        conn_kill(c);
    else
        run_calls(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_conn *c = userdata;

    (void)source;
    (void)fd;
    if (revents & EPOLLOUT) {
        flush(c);
        if (!c->out && c->following)
            lb_audit_pump(c);
        if (!c->out && c->watcher.output)
            lb_run_pump(c);
    }
    if ((revents & EPOLLIN) && !c->busy)
        receive(c);
    else if (revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn_kill(c);
    if (c->again && !c->busy && !c->dead) { /* calls that came while one was unanswered */
        c->again = false;
        run_calls(c);
        watch(c);
    }
    return 0;
}

/* --- accepting ------------------------------------------------------------------------------------------------------- */

static size_t count_of(const struct lb_server *s, uid_t uid)
{
    size_t n = 0;

    for (const struct lb_conn *c = s->controls; c; c = c->next)
        n += c->peer.uid == uid;
    return n;
}

/* Places are kept for root: others fill at most their own half. */
static bool has_room(const struct lb_server *s, uid_t uid)
{
    size_t connections = (size_t)s->limits.connections;

    if (is_trusted(uid))
        return s->n_conns < 2 * connections;
    return s->n_others < connections && count_of(s, uid) < (size_t)s->limits.per_user;
}

static int conn_new(struct lb_server *s, int fd, int door, const struct lb_peer *peer)
{
    struct lb_conn *c = calloc(1, sizeof(*c)), **list = door == LB_DOOR_LOGIN ? &s->logins : &s->controls;
    int r;

    if (!c)
        return -ENOMEM;
    *c = (struct lb_conn){ .server = s, .peer = *peer, .door = door, .fd = fd };
    c->reader.max = LB_VARLINK_MESSAGE_MAX;
    c->next = *list;
    c->self = list;
    if (c->next)
        c->next->self = &c->next;
    *list = c;
    s->n_conns++;
    s->n_others += !is_trusted(peer->uid);
    r = sd_event_add_io(s->event, &c->io, fd, EPOLLIN | EPOLLRDHUP, on_io, c);
    if (r >= 0)
        r = sd_event_add_time_relative(s->event, &c->idle, CLOCK_MONOTONIC, IDLE_MAX, 1, on_idle, c);
    if (r < 0) {
        conn_free(c);
        return r;
    }
    if (is_trusted(peer->uid))
        sd_event_source_set_enabled(c->idle, SD_EVENT_OFF);
    return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_server *s = userdata;
    struct lb_peer peer;
    int door = 0, conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)revents;
    if (conn < 0)
        return 0;
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].source == source)
            door = s->listeners[i].door;
    if (lb_peer_read(conn, &peer) < 0 || !has_room(s, peer.uid) ||
        (door == LB_DOOR_LOGIN && !is_trusted(peer.uid)))
        close(conn);
    else if (conn_new(s, conn, door, &peer) < 0)
        lb_log(LOG_ERR, "A connection is refused: out of memory.");
    return 0;
}

int lb_server_listen(struct lb_server *s, int fd, int door)
{
    int r;

    if (s->n_listeners == LB_ELEMENTS(s->listeners))
        return -E2BIG;
    r = sd_event_add_io(s->event, &s->listeners[s->n_listeners].source, fd, EPOLLIN, on_accept, s);
    if (r < 0)
        return r;
    sd_event_source_set_io_fd_own(s->listeners[s->n_listeners].source, 1);
    s->listeners[s->n_listeners++].door = door;
    return 0;
}

struct lb_server *lb_server_new(sd_event *event, struct lb_gate *gate, const struct lb_limits *limits)
{
    struct lb_server *s = calloc(1, sizeof(*s));

    if (s)
        *s = (struct lb_server){ .event = sd_event_ref(event), .gate = gate, .limits = *limits };
    return s;
}

struct lb_server *lb_server_free(struct lb_server *s)
{
    if (!s)
        return NULL;
    while (s->logins)
        conn_free(s->logins);
    while (s->controls)
        conn_free(s->controls);
    for (size_t i = 0; i < s->n_listeners; i++)
        sd_event_source_disable_unref(s->listeners[i].source);
    sd_event_unref(s->event);
    lb_pace_clear(&s->submissions);
    lb_pace_clear(&s->undelivered);
    free(s);
    return NULL;
}

void lb_server_committed(struct lb_server *s, int64_t seq)
{
    (void)seq;
    for (struct lb_conn *c = s->controls; c; c = c->next)
        if (c->following && !c->dead)
            lb_audit_pump(c);
}
