/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <time.h>

#include "lockboxd/clock.h"
#include "lockboxd/freezer.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define LINGER "/var/lib/systemd/linger"
#define PID_LIMIT (4 * 1024 * 1024) /* the kernel's PID_MAX_LIMIT */
#define FIRST_WAIT 1000             /* µs between the first looks; a quarter more each time, up to … */
#define LAST_WAIT (1000 * 1000)
#define TELL_FIRST (5 * LB_USEC_PER_SEC)
#define TELL_EVERY (60 * LB_USEC_PER_SEC)

struct lb_reaper {
    char *runtime_directory, *id, *account;
    struct lb_reap_target target; /* its strings and sessions are ours; of the sessions only the numbers */
    struct lb_session *sessions;
    struct lb_footprint found; /* by this look */
    unsigned char *counted;    /* a bit a pid */
    struct lb_reap_result result;
    bool growing;     /* the last look found somebody new: they have to stand still to be caught */
    unsigned quiet;   /* looks in a row that found nothing */
    int64_t over_at;  /* the access */
    bool linger_told; /* that it cannot be cleared */
    /* on the event loop */
    sd_event_source *timer;
    lb_reaper_done *callback;
    void *userdata;
    int64_t wait, tell_at;
};

static int copy_sessions(struct lb_reaper *r, const struct lb_reap_target *t)
{
    r->sessions = calloc(t->n ? t->n : 1, sizeof(*r->sessions));
    if (!r->sessions)
        return -ENOMEM;
    for (size_t i = 0; i < t->n; i++)
        r->sessions[i] = (struct lb_session){ .session = t->sessions[i].session,
                                              .pid = t->sessions[i].pid,
                                              .pid_started = t->sessions[i].pid_started,
                                              .foreign = t->sessions[i].foreign };
    return 0;
}

struct lb_reaper *lb_reaper_new(const char *runtime_directory, const char *id, const struct lb_reap_target *t)
{
    struct lb_reaper *r = calloc(1, sizeof(*r));
    int64_t now = lb_clock_now().boot;

    if (!r)
        return NULL;
    r->runtime_directory = lb_dup(runtime_directory);
    r->id = strdup(id);
    r->account = lb_dup(t->account);
    r->counted = calloc(1, PID_LIMIT / 8);
    if (!r->id || !r->counted || copy_sessions(r, t) < 0)
        return lb_reaper_free(r);
    r->target = *t;
    r->target.sessions = r->sessions;
    r->target.account = r->account;
    r->target.id = r->id;
    r->growing = true;
    r->over_at = now - t->late;
    r->wait = FIRST_WAIT;
    r->tell_at = now + TELL_FIRST;
    return r;
}

struct lb_reaper *lb_reaper_free(struct lb_reaper *r)
{
    if (!r)
        return NULL;
    sd_event_source_disable_unref(r->timer);
    lb_footprint_clear(&r->found);
    free(r->runtime_directory);
    free(r->id);
    free(r->account);
    free(r->sessions);
    free(r->counted);
    free(r);
    return NULL;
}

struct lb_reap_result lb_reaper_result(const struct lb_reaper *r)
{
    return r->result;
}

void lb_reaper_share(struct lb_reaper *r)
{
    r->target.slice = false;
}

/* --- one look ----------------------------------------------------------------------------------------------------- */

/* Which number of a receipt counts which kind of process. */
static const size_t numbers[LB_PROCESS_MAX_] = {
    [LB_PROCESS_OTHER] = offsetof(struct lb_killed, other),
    [LB_PROCESS_SESSION] = offsetof(struct lb_killed, session),
    [LB_PROCESS_SCOPE] = offsetof(struct lb_killed, scope),
    [LB_PROCESS_SERVICE] = offsetof(struct lb_killed, service),
    [LB_PROCESS_CONNECTION] = offsetof(struct lb_killed, connection),
};

/* Counts whom no look has found before. */
static void count(struct lb_reaper *r)
{
    const struct lb_process *p = r->found.processes.items;
    int64_t before = r->result.killed;

    for (size_t i = 0; i < r->found.processes.n; i++) {
        unsigned char *byte = &r->counted[p[i].pid / 8], bit = (unsigned char)(1 << p[i].pid % 8);

        if (*byte & bit)
            continue;
        *byte |= bit;
        r->result.killed++;
        ++*(int64_t *)((char *)&r->result.kinds + numbers[p[i].kind]);
    }
    r->growing = r->result.killed > before;
    r->result.left = (int64_t)r->found.processes.n + r->found.hidden;
    r->result.shared = r->found.shared;
}

/* Kills one process if it still is what made us want to: that is asked again once it cannot be another one. */
static void kill_process(const struct lb_reaper *r, pid_t pid)
{
    LB_CLOSE int fd = pidfd_open(pid, 0);

    if (fd >= 0 && lb_footprint_owns(&r->target, pid))
        pidfd_send_signal(fd, SIGKILL, NULL, 0);
}

static bool kill_cgroup(const char *cgroup)
{
    char path[LB_CGROUP_MAX + 32];
    LB_CLOSE int fd = -1;

    snprintf(path, sizeof(path), "%s/cgroup.kill", cgroup);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, "1", 1) == 1;
}

static void kill_found(const struct lb_reaper *r)
{
    char (*cgroups)[LB_CGROUP_MAX] = r->found.cgroups.items;
    const struct lb_process *p = r->found.processes.items;
    bool all = true;

    for (size_t i = 0; i < r->found.cgroups.n; i++)
        all &= kill_cgroup(cgroups[i]);
    for (size_t i = 0; i < r->found.processes.n; i++)
        if (p[i].alone || !all)
            kill_process(r, p[i].pid);
}

/* With it the account's user manager would come back, now or at the next boot. */
static void clear_linger(struct lb_reaper *r)
{
    char path[sizeof(LINGER) + 256];

    if (!r->target.slice || !r->account || strchr(r->account, '/'))
        return;
    snprintf(path, sizeof(path), LINGER "/%s", r->account);
    if (unlink(path) == 0 || errno == ENOENT || r->linger_told)
        return;
    lb_log(LOG_ERR, "%s lingers on: %s: %s. Run: loginctl disable-linger %s", r->account, path, strerror(errno),
           r->account);
    r->linger_told = true;
}

bool lb_reaper_round(struct lb_reaper *r)
{
    int error;

    clear_linger(r);
    if (r->growing && r->runtime_directory)
        lb_freezer_freeze_cgroups(r->runtime_directory, r->id, &r->target); /* what cannot be is killed running */
    error = lb_footprint_look(&r->found, &r->target);
    count(r);
    kill_found(r);
    if (r->runtime_directory)
        lb_freezer_thaw(r->runtime_directory, r->id);
    if (r->result.left == 0 && error == 0) {
        if (r->quiet++ == 0 && r->result.killed > 0)
            r->result.ms = (lb_clock_now().boot - r->over_at + 999) / 1000;
    } else {
        r->quiet = 0;
        r->result.ms = (lb_clock_now().boot - r->over_at + 999) / 1000;
    }
    return r->quiet >= 2;
}

/* --- until nothing is left ---------------------------------------------------------------------------------------- */

static int64_t next_wait(struct lb_reaper *r)
{
    int64_t wait = r->wait;

    r->wait = r->wait * 5 / 4 > LAST_WAIT ? LAST_WAIT : r->wait * 5 / 4; /* so the receipt's time is as true as that */
    return r->quiet ? FIRST_WAIT : wait;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_reaper *r = userdata;
    bool done = lb_reaper_round(r);
    struct lb_reap_result result = lb_reaper_result(r);
    int64_t now = lb_clock_now().boot;

    (void)usec;
    if (!done) {
        sd_event_source_set_time_relative(source, (uint64_t)next_wait(r));
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    if (done || now >= r->tell_at) {
        r->tell_at = now + TELL_EVERY;
        r->callback(r->userdata, &result, done);
    }
    return 0;
}

int lb_reaper_start(struct lb_reaper *r, sd_event *event, lb_reaper_done *callback, void *userdata)
{
    r->callback = callback;
    r->userdata = userdata;
    return sd_event_add_time_relative(event, &r->timer, CLOCK_BOOTTIME, (uint64_t)next_wait(r), 1, on_timer, r);
}

bool lb_reaper_run(struct lb_reaper *r, int64_t timeout)
{
    int64_t until = lb_clock_now().boot + timeout;

    while (!lb_reaper_round(r)) {
        int64_t wait = next_wait(r);
        struct timespec ts = { wait / LB_USEC_PER_SEC, wait % LB_USEC_PER_SEC * 1000 };

        if (lb_clock_now().boot > until)
            return false;
        nanosleep(&ts, NULL);
    }
    return true;
}
