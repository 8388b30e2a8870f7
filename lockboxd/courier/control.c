/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lockboxd/proto/json.h"
#include "lockboxd/proto/varlink.h"
#include "policy/base.h"

#define CONNECTIONS 32
#define IDLE (30 * LB_USEC_PER_SEC)
#define GROUPS_MAX 1024

struct lb_control {
    struct lb_courier *courier;
    sd_event_source *listener;
    struct lb_conversation *conns;
    size_t n;
};

/* --- connections ----------------------------------------------------------------------------------------------------- */

static void conn_free(struct lb_conversation *c)
{
    struct lb_conversation **at = &c->control->conns;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->control->n--;
    lb_transfer_free(c->transfer);
    lb_letter_clear(&c->letter);
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->idle);
    sd_event_source_disable_unref(c->bury);
    close(c->fd);
    lb_varlink_reader_clear(&c->reader);
    free(c->out);
    free(c);
}

/* Freed by the loop, and not under curl's feet, or a verb's. */
static void conn_kill(struct lb_conversation *c)
{
    c->dead = true;
    sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
    sd_event_source_set_enabled(c->bury, SD_EVENT_ONESHOT);
}

static int on_bury(sd_event_source *source, void *userdata)
{
    (void)source;
    conn_free(userdata);
    return 0;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    conn_kill(userdata);
    return 0;
}

static void watch(struct lb_conversation *c)
{
    if (!c->dead)
        sd_event_source_set_io_events(c->io, EPOLLRDHUP | (c->busy ? 0 : EPOLLIN) | (c->out ? EPOLLOUT : 0));
}

static void flush(struct lb_conversation *c)
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

static void put(struct lb_conversation *c, char *bytes, size_t size)
{
    char *joined = bytes ? realloc(c->out, c->out_size + size) : NULL;

    if (joined) {
        memcpy(joined + c->out_size, bytes, size);
        c->out = joined;
        c->out_size += size;
    }
    free(bytes);
    if (joined)
        flush(c);
    else
        conn_kill(c);
}

/* Both take the parameters. */
void lb_control_reply(struct lb_conversation *c, json_t *parameters, bool continues)
{
    size_t size = 0;
    char *bytes = parameters ? lb_varlink_format_reply(parameters, continues, &size) : NULL;

    json_decref(parameters);
    c->busy = continues;
    put(c, bytes, size);
}

void lb_control_refuse(struct lb_conversation *c, const char *error, json_t *parameters)
{
    size_t size = 0;
    char *bytes = lb_varlink_format_error(error, parameters, &size);

    json_decref(parameters);
    c->busy = false;
    put(c, bytes, size);
}

/* --- calls ----------------------------------------------------------------------------------------------------------- */

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
        lb_control_refuse(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", wrong ? wrong : ""));
        return;
    }
    v->run(c, &p);
    lb_fields_clear(v->fields, &p);
}

void lb_control_go_on(struct lb_conversation *c)
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
        c->busy = true;
        c->more = call.more;
        sd_event_source_set_time_relative(c->idle, IDLE + LB_CONTROL_TEST_USEC);
        dispatch(c, &call);
        lb_varlink_call_clear(&call);
    }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_conversation *c = userdata;
    char bytes[4096];
    ssize_t n = 0;

    (void)source;
    if (revents & EPOLLOUT)
        flush(c);
    if ((revents & EPOLLIN) && !c->busy) {
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0 || lb_varlink_feed(&c->reader, bytes, (size_t)n) < 0)
            conn_kill(c);
        else
            lb_control_go_on(c);
    } else if (revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        conn_kill(c);
    }
    return 0;
}

/* --- who calls ------------------------------------------------------------------------------------------------------- */

static bool is_in(const gid_t *groups, size_t n, const char *name)
{
    const struct group *gr = getgrnam(name);

    for (size_t i = 0; gr && i < n; i++)
        if (groups[i] == gr->gr_gid)
            return true;
    return false;
}

/* By the groups that the kernel knew when he connected. */
static int read_peer(struct lb_conversation *c)
{
    gid_t groups[GROUPS_MAX + 1];
    socklen_t size = GROUPS_MAX * sizeof(*groups);
    struct ucred peer;
    socklen_t peer_size = sizeof(peer);
    size_t n;

    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) < 0 ||
        getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return -errno;
    n = size / sizeof(*groups);
    groups[n++] = peer.gid;
    c->root = peer.uid == 0 || peer.uid == geteuid();
    c->may_read = c->root || is_in(groups, n, "lockbox-auditors") || is_in(groups, n, "lockbox-approvers");
    return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_control *control = userdata;
    int r, taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct lb_conversation *c = taken >= 0 && control->n < CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;

    (void)source;
    (void)revents;
    if (!c) {
        if (taken >= 0)
            close(taken);
        return 0;
    }
    *c = (struct lb_conversation){ .next = control->conns, .control = control, .courier = control->courier, .fd = taken,
                                    .reader.max = LB_VARLINK_MESSAGE_MAX };
    control->conns = c;
    control->n++;
    r = read_peer(c);
    if (r >= 0)
        r = sd_event_add_io(control->courier->event, &c->io, taken, EPOLLIN | EPOLLRDHUP, on_io, c);
    if (r >= 0)
        r = sd_event_add_time_relative(control->courier->event, &c->idle, CLOCK_MONOTONIC, IDLE, 1, on_idle, c);
    if (r >= 0)
        r = sd_event_add_defer(control->courier->event, &c->bury, on_bury, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->bury, SD_EVENT_OFF);
    if (r < 0)
        conn_free(c);
    return 0;
}

int lb_control_new(struct lb_courier *courier, struct lb_control **ret)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    LB_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct lb_control *c = calloc(1, sizeof(*c));
    mode_t mask = umask(0111);
    int r = c ? 0 : -ENOMEM;

    if (r == 0 && fd < 0)
        r = -errno;
    if (r == 0 && snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.socket",
                           courier->options->runtime_directory) >= (int)sizeof(address.sun_path))
        r = -ENAMETOOLONG;
    if (r == 0) {
        unlink(address.sun_path);
        r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : 0;
    }
    umask(mask);
    if (r == 0) {
        c->courier = courier;
        r = sd_event_add_io(courier->event, &c->listener, fd, EPOLLIN, on_accept, c);
    }
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
