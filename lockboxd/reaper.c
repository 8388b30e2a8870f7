/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/reaper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <time.h>

#include "lockboxd/clock.h"
#include "lockboxd/proc.h"
#include "policy/base.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PATH_BYTES 1024
#define PID_LIMIT (4 * 1024 * 1024) /* the kernel's PID_MAX_LIMIT */
#define FIRST_WAIT 1000             /* µs between the first looks; doubled up to … */
#define LAST_WAIT (1000 * 1000)
#define TELL_FIRST (5 * LB_USEC_PER_SEC)
#define TELL_EVERY (60 * LB_USEC_PER_SEC)

struct lb_reaper {
    int64_t uid;
    struct lb_session *sessions; /* numbers only, no strings */
    size_t n;
    bool slice;
    char slice_path[64]; /* "/user.slice/user-1001.slice" */
    char script_path[96]; /* "/system.slice/lockbox-run-7F3K-9QXM.service"; "": none */
    struct lb_list scopes; /* char[PATH_BYTES], this look's */
    unsigned char *seen; /* a bit a pid */
    int64_t killed, left;
    unsigned quiet; /* looks in a row that found nothing */
    int64_t began, last_found;
    /* on the event loop */
    sd_event_source *timer;
    lb_reaper_done *callback;
    void *userdata;
    int64_t wait, tell_at;
};

struct lb_reaper *lb_reaper_new(const struct lb_reap_target *t)
{
    struct lb_reaper *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->seen = calloc(1, PID_LIMIT / 8);
    r->sessions = calloc(t->n ? t->n : 1, sizeof(*r->sessions));
    if (!r->seen || !r->sessions)
        return lb_reaper_free(r);
    r->n = t->n;
    for (size_t i = 0; i < t->n; i++)
        r->sessions[i] = (struct lb_session){ .session = t->sessions[i].session,
                                              .pid = t->sessions[i].pid,
                                              .pid_started = t->sessions[i].pid_started,
                                              .foreign = t->sessions[i].foreign };
    r->uid = t->uid;
    r->slice = t->slice;
    snprintf(r->slice_path, sizeof(r->slice_path), "/user.slice/user-%lld.slice", (long long)t->uid);
    if (t->id)
        snprintf(r->script_path, sizeof(r->script_path), LB_SCRIPT_CGROUP, t->id);
    r->began = r->last_found = lb_clock_now().boot;
    r->wait = FIRST_WAIT;
    r->tell_at = r->began + TELL_FIRST;
    return r;
}

struct lb_reaper *lb_reaper_free(struct lb_reaper *r)
{
    if (!r)
        return NULL;
    sd_event_source_disable_unref(r->timer);
    free(r->scopes.items);
    free(r->sessions);
    free(r->seen);
    free(r);
    return NULL;
}

struct lb_reap_result lb_reaper_result(const struct lb_reaper *r)
{
    return (struct lb_reap_result){ r->killed, r->left, (r->last_found - r->began + 999) / 1000 };
}

/* --- one look -------------------------------------------------------------------------------------------------------- */

/* Counts a living process; false for a dead one that only waits for its parent. */
static bool found(struct lb_reaper *r, pid_t pid)
{
    struct lb_proc_stat st;

    if (lb_proc_stat(pid, &st) < 0 || st.state == 'Z' || st.state == 'X')
        return false;
    r->left++;
    if (pid < PID_LIMIT && !(r->seen[pid / 8] & (1 << pid % 8))) {
        r->seen[pid / 8] |= (unsigned char)(1 << pid % 8);
        r->killed++;
    }
    return true;
}

/* Kills one process if it still is what made us want to: `wanted` is asked again once it cannot be another one. */
static void kill_process(struct lb_reaper *r, pid_t pid, bool (*wanted)(const struct lb_reaper *r, pid_t pid))
{
    LB_CLOSE int fd = pidfd_open(pid, 0);

    if (fd >= 0 && wanted(r, pid))
        pidfd_send_signal(fd, SIGKILL, NULL, 0);
}

static bool is_ours(const struct lb_reaper *r, pid_t pid)
{
    uint32_t session, loginuid;
    uid_t uid;

    if (lb_proc_audit(pid, &session, &loginuid) < 0 || session == LB_AUDIT_UNSET)
        return false;
    for (size_t i = 0; i < r->n; i++) {
        const struct lb_session *s = &r->sessions[i];

        if (s->session != session)
            continue;
        if (!s->foreign)
            return loginuid == r->uid;
        return lb_proc_uid(pid, &uid) == 0 && uid == r->uid;
    }
    return false;
}

static bool is_leader(const struct lb_reaper *r, pid_t pid)
{
    struct lb_proc_stat st;

    if (lb_proc_stat(pid, &st) < 0)
        return false;
    for (size_t i = 0; i < r->n; i++)
        if (r->sessions[i].pid == pid && r->sessions[i].pid_started == st.started)
            return true;
    return false;
}

/* "/user.slice/user-1001.slice/session-3.scope/…" → the part up to the scope; false if it is not below the slice. */
static bool scope_of(const struct lb_reaper *r, const char *cgroup, char *ret, size_t size)
{
    size_t slice = strlen(r->slice_path), unit;

    if (strncmp(cgroup, r->slice_path, slice) != 0 || cgroup[slice] != '/')
        return false;
    unit = strcspn(cgroup + slice + 1, "/");
    if (unit == 0 || slice + 1 + unit >= size)
        return false;
    snprintf(ret, size, "%.*s", (int)(slice + 1 + unit), cgroup);
    return strncmp(ret + slice + 1, "session-", 8) == 0;
}

static void add_scope(struct lb_reaper *r, const char *scope)
{
    char (*scopes)[PATH_BYTES] = r->scopes.items;
    char *added;

    for (size_t i = 0; i < r->scopes.n; i++)
        if (strcmp(scopes[i], scope) == 0)
            return;
    added = lb_list_append(&r->scopes, PATH_BYTES);
    if (added) /* without: the processes found are killed one by one all the same */
        snprintf(added, PATH_BYTES, "%s", scope);
}

static int look_at(void *userdata, pid_t pid)
{
    struct lb_reaper *r = userdata;
    char cgroup[PATH_BYTES], scope[PATH_BYTES];
    bool leader = is_leader(r, pid);

    if ((!leader && !is_ours(r, pid)) || !found(r, pid))
        return 0;
    if (lb_proc_cgroup(pid, cgroup, sizeof(cgroup)) == 0 && scope_of(r, cgroup, scope, sizeof(scope)))
        add_scope(r, scope);
    kill_process(r, pid, leader ? is_leader : is_ours);
    return 0;
}

static int open_cgroup(const char *path, const char *file, int flags)
{
    char name[PATH_BYTES + 32];

    snprintf(name, sizeof(name), CGROUP_ROOT "%s/%s", path, file);
    return open(name, flags | O_CLOEXEC);
}

/* Counts the processes of a cgroup and of all below it. */
static void count_cgroup(struct lb_reaper *r, const char *path)
{
    char name[PATH_BYTES + 300], line[32];
    struct dirent *entry;
    FILE *procs;
    DIR *dir;

    snprintf(name, sizeof(name), CGROUP_ROOT "%s/cgroup.procs", path);
    procs = fopen(name, "re");
    if (procs) {
        while (fgets(line, sizeof(line), procs))
            found(r, (pid_t)atoi(line));
        fclose(procs);
    }
    snprintf(name, sizeof(name), CGROUP_ROOT "%s", path);
    dir = opendir(name);
    while (dir && (entry = readdir(dir)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
            if (strlen(name) < PATH_BYTES)
                count_cgroup(r, name);
        }
    if (dir)
        closedir(dir);
}

static void kill_cgroup(const char *path)
{
    LB_CLOSE int fd = open_cgroup(path, "cgroup.kill", O_WRONLY);

    if (fd >= 0 && write(fd, "1", 1) < 0)
        return; /* the next look finds what is left */
}

/* PID 1's own helper, which clears the account's runtime directory away when the last session ends. */
static bool is_helper(const char *unit)
{
    return strncmp(unit, "user-runtime-dir@", strlen("user-runtime-dir@")) == 0;
}

/* Each unit below the account's slice; never the slice itself, into which PID 1 puts helpers of its own. */
static void kill_slice(struct lb_reaper *r)
{
    char path[PATH_BYTES];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), CGROUP_ROOT "%s", r->slice_path);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && !is_helper(entry->d_name)) {
            snprintf(path, sizeof(path), "%s/%.255s", r->slice_path, entry->d_name);
            count_cgroup(r, path);
            kill_cgroup(path);
        }
    if (dir)
        closedir(dir);
}

bool lb_reaper_round(struct lb_reaper *r)
{
    char (*scopes)[PATH_BYTES];

    r->left = 0;
    r->scopes.n = 0;
    lb_proc_each(look_at, r);
    scopes = r->scopes.items;
    for (size_t i = 0; i < r->scopes.n; i++)
        kill_cgroup(scopes[i]);
    if (r->slice)
        kill_slice(r);
    if (*r->script_path) {
        count_cgroup(r, r->script_path);
        kill_cgroup(r->script_path);
    }
    r->quiet = r->left ? 0 : r->quiet + 1;
    if (r->left)
        r->last_found = lb_clock_now().boot;
    return r->quiet >= 2;
}

/* --- until nothing is left ------------------------------------------------------------------------------------------- */

static int64_t next_wait(struct lb_reaper *r)
{
    int64_t wait = r->wait;

    r->wait = r->wait * 2 > LAST_WAIT ? LAST_WAIT : r->wait * 2;
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
    while (!lb_reaper_round(r)) {
        int64_t wait = next_wait(r);
        struct timespec ts = { wait / LB_USEC_PER_SEC, wait % LB_USEC_PER_SEC * 1000 };

        if (lb_clock_now().boot - r->began > timeout)
            return false;
        nanosleep(&ts, NULL);
    }
    return true;
}
