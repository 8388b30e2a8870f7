/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/control.h"

#include <errno.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define CONNECTIONS 32 /* of others; root has as many of his own */
#define PER_USER 8
#define IDLE (30 * LB_USEC_PER_SEC)
#define GROUPS_MAX 1024

struct lb_control {
    struct lb_courier *courier;
    sd_event_source *listener;
    struct lb_conversation *conns;
};

/* --- connections -------------------------------------------------------------------------------------------------- */

static struct lb_conversation *conversation_of(struct lb_caller *caller)
{
    return (struct lb_conversation *)((char *)caller - offsetof(struct lb_conversation, caller));
}

static void conn_free(struct lb_conversation *c)
{
    struct lb_conversation **at = &c->control->conns;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    lb_transfer_free(c->transfer);
    lb_letter_clear(&c->letter);
    lb_caller_clear(&c->caller);
    free(c);
}

static void on_free(struct lb_caller *caller)
{
    conn_free(conversation_of(caller));
}

void lb_control_reply(struct lb_conversation *c, json_t *parameters, bool continues)
{
    if (!parameters)
        lb_caller_kill(&c->caller);
    else
        lb_caller_reply(&c->caller, parameters, continues);
}

void lb_control_refuse(struct lb_conversation *c, const char *error, json_t *parameters)
{
    lb_caller_error(&c->caller, error, parameters);
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

static void dispatch(struct lb_conversation *c, const struct lb_varlink_call *call)
{
    struct lb_control_parameters p = { 0 };
    const struct lb_control_verb *v = lb_control_verbs;
    const char *wrong = "";

    while (v->method && strcmp(v->method, call->method) != 0)
        v++;
    if (!v->method || call->oneway) {
        lb_control_refuse(c, "org.varlink.service.MethodNotFound", json_pack("{ss}", "method", call->method));
        return;
    }
    if (v->who != LB_CONTROL_ANYBODY && !(v->who == LB_CONTROL_ROOT ? c->root : c->may_read)) {
        lb_control_refuse(c, LB_COURIER_ERROR("NotPermitted"), json_pack("{ss}", "reason", v->who == LB_CONTROL_ROOT
                   ? "that is root's" : "that is for root, lockbox-auditors and lockbox-approvers"));
        return;
    }
    if (lb_json_unpack(v->fields, call->parameters, &p, LB_JSON_PUBLIC, &wrong) < 0) {
        lb_control_refuse(c, "org.varlink.service.InvalidParameter",
                          json_pack("{ss}", "parameter", wrong ? wrong : ""));
        return;
    }
    v->run(c, &p);
    lb_fields_clear(v->fields, &p);
}

static void on_call(struct lb_caller *caller, const struct lb_varlink_call *call)
{
    sd_event_source_set_time_relative(caller->idle, IDLE + LB_CONTROL_TEST_USEC);
    dispatch(conversation_of(caller), call);
}

static const struct lb_caller_owner owner = { .call = on_call, .free = on_free };

/* --- who calls ---------------------------------------------------------------------------------------------------- */

static bool is_in(const gid_t *groups, size_t n, const char *name)
{
    const struct group *gr = getgrnam(name);

    for (size_t i = 0; gr && i < n; i++)
        if (groups[i] == gr->gr_gid)
            return true;
    return false;
}

struct caller {
    uid_t uid;
    bool may_read, root;
};

/* By the groups that the kernel knew when he connected. */
static int read_peer(int fd, struct caller *ret)
{
    gid_t groups[GROUPS_MAX + 1];
    socklen_t size = GROUPS_MAX * sizeof(*groups);
    struct ucred peer;
    socklen_t peer_size = sizeof(peer);
    size_t n;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return -errno;
    n = size / sizeof(*groups);
    groups[n++] = peer.gid;
    ret->uid = peer.uid;
    ret->root = peer.uid == 0 || peer.uid == geteuid();
    ret->may_read = ret->root || is_in(groups, n, "lockbox-auditors") || is_in(groups, n, "lockbox-approvers");
    return 0;
}

/* Nobody takes the places of others alone, and nobody root's. */
static bool has_room(const struct lb_control *control, const struct caller *who)
{
    size_t roots = 0, others = 0, own = 0;

    for (const struct lb_conversation *c = control->conns; c; c = c->next) {
        roots += c->root;
        others += !c->root;
        own += c->uid == who->uid;
    }
    return who->root ? roots < CONNECTIONS : others < CONNECTIONS && own < PER_USER;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_control *control = userdata;
    struct caller who;
    int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    bool fits = taken >= 0 && read_peer(taken, &who) == 0 && has_room(control, &who);
    struct lb_conversation *c = fits ? calloc(1, sizeof(*c)) : NULL;

    (void)source;
    (void)revents;
    if (!c) {
        if (taken >= 0)
            close(taken);
        return 0;
    }
    *c = (struct lb_conversation){ .next = control->conns, .control = control, .courier = control->courier,
                                   .uid = who.uid, .may_read = who.may_read, .root = who.root };
    control->conns = c;
    if (lb_caller_start(&c->caller, control->courier->event, taken, IDLE, &owner) < 0)
        conn_free(c);
    return 0;
}

int lb_control_new(struct lb_courier *courier, struct lb_control **ret)
{
    LB_CLOSE int fd = lb_caller_listen(courier->options->runtime_directory, "control.socket", 0666);
    struct lb_control *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
    int r;

    if (!c)
        return fd < 0 ? fd : -ENOMEM;
    c->courier = courier;
    r = sd_event_add_io(courier->event, &c->listener, fd, EPOLLIN, on_accept, c);
    if (r < 0) {
        lb_control_free(c);
        return r;
    }
    sd_event_source_set_io_fd_own(c->listener, 1);
    fd = -1;
    *ret = c;
    return 0;
}

void lb_control_break_off(struct lb_control *control)
{
    for (struct lb_conversation *c = control->conns; c; c = c->next)
        if (c->transfer)
            lb_control_stop_test(c);
}

struct lb_control *lb_control_free(struct lb_control *c)
{
    if (!c)
        return NULL;
    while (c->conns)
        conn_free(c->conns);
    sd_event_source_disable_unref(c->listener);
    free(c);
    return NULL;
}
