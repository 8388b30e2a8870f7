/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/server.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lockboxd/consent.h"
#include "lockboxd/countersign.h"
#include "lockboxd/log.h"
#include "lockboxd/paste.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"

/* How long somebody other than root may be connected without a whole call. */
#define IDLE_MAX (30 * LB_USEC_PER_SEC)

static bool is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static struct lb_conn *conn_of(struct lb_caller *caller)
{
    return (struct lb_conn *)((char *)caller - offsetof(struct lb_conn, caller));
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
    lb_caller_clear(&c->caller);
    lb_consent_free(c->consent);
    lb_paste_free(c->paste);
    lb_countersign_free(c->countersign);
    lb_notary_forget(&c->checkpoint);
    free(c->words);
    free(c->follow_request);
    free(c);
}

/* --- what becomes of a connection --------------------------------------------------------------------------------- */

static void on_call(struct lb_caller *caller, const struct lb_varlink_call *call)
{
    sd_event_source_set_enabled(caller->idle, SD_EVENT_OFF);
    lb_verbs_dispatch(conn_of(caller), call);
}

static void on_sent(struct lb_caller *caller)
{
    struct lb_conn *c = conn_of(caller);

    if (c->following)
        lb_audit_pump(c);
    if (c->watcher.output)
        lb_run_pump(c);
}

static void on_lost(struct lb_caller *caller)
{
    struct lb_conn *c = conn_of(caller);

    lb_gate_unpark(&c->waiter);
    lb_output_leave(&c->watcher); /* what he watched goes on */
    c->consent = lb_consent_free(c->consent);
    c->paste = lb_paste_free(c->paste);
    c->countersign = lb_countersign_free(c->countersign);
    lb_notary_forget(&c->checkpoint);
}

static void on_free(struct lb_caller *caller)
{
    conn_free(conn_of(caller));
}

static const struct lb_caller_owner owner = { on_call, on_sent, on_lost, on_free };

/* --- for verbs ---------------------------------------------------------------------------------------------------- */

static void answered(struct lb_conn *c)
{
    if (c->caller.dead || c->peer.uid == 0)
        return;
    sd_event_source_set_time_relative(c->caller.idle, IDLE_MAX);
    sd_event_source_set_enabled(c->caller.idle, SD_EVENT_ONESHOT);
}

void lb_call_reply(struct lb_conn *c, json_t *parameters)
{
    lb_caller_reply(&c->caller, parameters, false);
    answered(c);
}

void lb_call_continue(struct lb_conn *c, json_t *parameters)
{
    lb_caller_reply(&c->caller, parameters, true);
}

void lb_call_error(struct lb_conn *c, const char *error, json_t *parameters)
{
    lb_caller_error(&c->caller, error, parameters);
    answered(c);
}

void lb_call_refuse(struct lb_conn *c, const char *error, const char *reason)
{
    lb_call_error(c, error, json_pack("{ss}", "reason", reason));
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

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

    if (!c) {
        close(fd);
        return -ENOMEM;
    }
    *c = (struct lb_conn){ .server = s, .peer = *peer, .door = door };
    c->next = *list;
    c->self = list;
    if (c->next)
        c->next->self = &c->next;
    *list = c;
    s->n_conns++;
    s->n_others += !is_trusted(peer->uid);
    r = lb_caller_start(&c->caller, s->event, fd, IDLE_MAX, &owner);
    if (r < 0) {
        conn_free(c);
        return r;
    }
    if (is_trusted(peer->uid))
        sd_event_source_set_enabled(c->caller.idle, SD_EVENT_OFF);
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
    lb_pace_clear(&s->checkpoints);
    lb_pace_clear(&s->undelivered);
    free(s);
    return NULL;
}

void lb_server_committed(struct lb_server *s, int64_t seq)
{
    (void)seq;
    for (struct lb_conn *c = s->controls; c; c = c->next)
        if (c->following && !c->caller.dead)
            lb_audit_pump(c);
}
