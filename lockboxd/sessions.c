/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/sessions.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "lockboxd/proc.h"
#include "policy/base.h"

struct leader {
    struct leader *next;
    struct lb_sessions *owner;
    char *request;
    pid_t pid;
    int64_t started;
    sd_event_source *source; /* owns the pidfd */
};

struct lb_sessions {
    sd_event *event;
    lb_sessions_gone *gone;
    void *userdata;
    struct leader *leaders;
};

int lb_sessions_new(sd_event *event, lb_sessions_gone *gone, void *userdata, struct lb_sessions **ret)
{
    struct lb_sessions *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    *s = (struct lb_sessions){ sd_event_ref(event), gone, userdata, NULL };
    *ret = s;
    return 0;
}

static void leader_free(struct leader *l)
{
    sd_event_source_disable_unref(l->source);
    free(l->request);
    free(l);
}

/* Takes leaders out of the list: this one, or all of a request. */
static void remove_leaders(struct lb_sessions *s, const struct leader *one, const char *request)
{
    for (struct leader **at = &s->leaders; *at;) {
        struct leader *l = *at;

        if (l != one && !(request && strcmp(l->request, request) == 0)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        leader_free(l);
    }
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct leader *l = userdata;
    struct lb_sessions *s = l->owner;
    LB_FREE char *request = LB_TAKE(l->request);
    pid_t pid = l->pid;
    int64_t started = l->started;

    (void)source;
    (void)fd;
    (void)revents;
    remove_leaders(s, l, NULL);
    s->gone(s->userdata, request, pid, started);
    return 0;
}

int lb_sessions_watch(struct lb_sessions *s, const char *request, pid_t pid, int64_t started)
{
    LB_CLOSE int fd = lb_proc_open(pid, started);
    struct leader *l;
    int r;

    if (fd < 0)
        return fd;
    l = calloc(1, sizeof(*l));
    if (!l || !(l->request = strdup(request))) {
        free(l);
        return -ENOMEM;
    }
    l->owner = s;
    l->pid = pid;
    l->started = started;
    r = sd_event_add_io(s->event, &l->source, fd, EPOLLIN, on_exit_of, l);
    if (r < 0) {
        leader_free(l);
        return r;
    }
    sd_event_source_set_io_fd_own(l->source, 1);
    fd = -1;
    l->next = s->leaders;
    s->leaders = l;
    return 0;
}

void lb_sessions_settle(struct lb_sessions *s, const char *request)
{
    for (struct leader *l = s->leaders, *next; l; l = next) {
        struct pollfd exited = { .fd = sd_event_source_get_io_fd(l->source), .events = POLLIN };

        next = l->next;
        if (strcmp(l->request, request) == 0 && poll(&exited, 1, 0) == 1)
            on_exit_of(l->source, exited.fd, EPOLLIN, l);
    }
}

void lb_sessions_forget(struct lb_sessions *s, const char *request)
{
    remove_leaders(s, NULL, request);
}

struct lb_sessions *lb_sessions_free(struct lb_sessions *s)
{
    if (!s)
        return NULL;
    while (s->leaders)
        remove_leaders(s, s->leaders, NULL);
    sd_event_unref(s->event);
    free(s);
    return NULL;
}
