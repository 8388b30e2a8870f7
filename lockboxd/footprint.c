/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/footprint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "lockboxd/proc.h"
#include "policy/base.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PID_LIMIT (4 * 1024 * 1024) /* the kernel's PID_MAX_LIMIT */
#define DEPTH_MAX 64                /* of cgroups in one another; a user may nest his own without end */

struct look {
    struct lb_footprint *f;
    const struct lb_reap_target *target;
    char slice[64]; /* "/user.slice/user-1001.slice" */
    int r;
};

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* --- whose is a process? ------------------------------------------------------------------------------------------ */

static const struct lb_session *session_led_by(const struct lb_reap_target *t, pid_t pid)
{
    struct lb_proc_stat st;

    for (size_t i = 0; i < t->n; i++)
        if (t->sessions[i].pid == pid && lb_proc_stat(pid, &st) == 0 && t->sessions[i].pid_started == st.started)
            return &t->sessions[i];
    return NULL;
}

static bool is_in_session(const struct lb_reap_target *t, pid_t pid)
{
    uint32_t session, loginuid;
    uid_t uid;

    if (lb_proc_audit(pid, &session, &loginuid) < 0 || session == LB_AUDIT_UNSET)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        const struct lb_session *s = &t->sessions[i];

        if (s->session != session)
            continue;
        if (!s->foreign)
            return loginuid == t->uid;
        return lb_proc_uid(pid, &uid) == 0 && uid == t->uid;
    }
    return false;
}

bool lb_footprint_owns(const struct lb_reap_target *t, pid_t pid)
{
    return session_led_by(t, pid) || is_in_session(t, pid);
}

/* --- what kind is it? --------------------------------------------------------------------------------------------- */

/* A unit directly below the account's slice. */
static int kind_of_unit(const char *name)
{
    return begins(name, "session-") ? LB_PROCESS_SESSION
           : begins(name, "user@")  ? LB_PROCESS_SERVICE
                                    : LB_PROCESS_OTHER;
}

/* A cgroup inside of another. The user manager itself lives in init.scope. */
static int kind_within(int kind, const char *name)
{
    if (kind == LB_PROCESS_SESSION || begins(name, "session-") || strcmp(name, "init.scope") == 0)
        return kind;
    return ends(name, ".scope") ? LB_PROCESS_SCOPE : kind;
}

/* "/user.slice/user-1001.slice/session-3.scope/…" → "session-3.scope/…"; NULL if it is not below the slice. */
static const char *below_slice(const struct look *l, const char *cgroup)
{
    size_t n = strlen(l->slice);

    return strncmp(cgroup, l->slice, n) == 0 && cgroup[n] == '/' && cgroup[n + 1] ? cgroup + n + 1 : NULL;
}

static int kind_of_path(const struct look *l, char *path)
{
    const char *below = below_slice(l, path);
    int kind = below ? kind_of_unit(below) : LB_PROCESS_OTHER;
    char *save = NULL;

    for (char *name = strtok_r(path, "/", &save); name; name = strtok_r(NULL, "/", &save))
        kind = kind_within(kind, name);
    return kind;
}

/* --- finding them ------------------------------------------------------------------------------------------------- */

static bool is_seen(const struct lb_footprint *f, pid_t pid)
{
    return pid >= PID_LIMIT || f->seen[pid / 8] & (1 << pid % 8);
}

static void add_process(struct look *l, pid_t pid, int kind, bool alone)
{
    struct lb_process *p;

    if (is_seen(l->f, pid))
        return;
    p = lb_list_append(&l->f->processes, sizeof(*p));
    if (!p) {
        l->r = -ENOMEM;
        return;
    }
    *p = (struct lb_process){ pid, kind, alone };
    l->f->seen[pid / 8] |= (unsigned char)(1 << pid % 8);
}

typedef void lb_footprint_row(struct look *l, pid_t pid, int kind);

static void add_member(struct look *l, pid_t pid, int kind)
{
    add_process(l, pid, kind, false);
}

/* A service that anybody with access to the account may have started is nobody's. */
static void count_shared(struct look *l, pid_t pid, int kind)
{
    (void)kind;
    l->f->shared += !is_seen(l->f, pid);
}

static size_t read_procs(struct look *l, int dir, int kind, lb_footprint_row *row)
{
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *procs = fd < 0 ? NULL : fdopen(fd, "r");
    char line[32];
    size_t n = 0;

    if (!procs) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (; fgets(line, sizeof(line), procs); n++)
        row(l, (pid_t)atoi(line), kind);
    fclose(procs);
    return n;
}

/* The processes of a cgroup and of all below it; how many there were. Takes the descriptor. */
static size_t walk(struct look *l, int fd, int kind, int depth, lb_footprint_row *row)
{
    DIR *dir = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    size_t n;

    if (!dir) {
        close(fd);
        return 0;
    }
    n = read_procs(l, dirfd(dir), kind, row);
    while ((entry = readdir(dir))) {
        int sub;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        sub = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sub >= 0)
            n += walk(l, sub, kind_within(kind, entry->d_name), depth + 1, row);
    }
    closedir(dir);
    return n;
}

static bool is_populated(const char *cgroup)
{
    char path[LB_CGROUP_MAX + 32], line[64];
    bool populated = false;
    FILE *events;

    snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
    events = fopen(path, "re");
    while (events && fgets(line, sizeof(line), events))
        populated |= strcmp(line, "populated 1\n") == 0;
    if (events)
        fclose(events);
    return populated;
}

static const char *root_of(const struct look *l)
{
    return l->target->cgroups ? l->target->cgroups : CGROUP_ROOT;
}

static bool has_cgroup(const struct lb_footprint *f, const char *path)
{
    char (*cgroups)[LB_CGROUP_MAX] = f->cgroups.items;

    for (size_t i = 0; i < f->cgroups.n; i++)
        if (strcmp(cgroups[i], path) == 0)
            return true;
    return false;
}

static void add_cgroup(struct look *l, char path[static LB_CGROUP_MAX], int kind)
{
    char *added;
    int fd;

    if (strchr(path, '\n') || !is_populated(path))
        return;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    added = has_cgroup(l->f, path) ? path : lb_list_append(&l->f->cgroups, LB_CGROUP_MAX);
    if (!added)
        l->r = -ENOMEM; /* its processes are found all the same */
    else if (added != path)
        strcpy(added, path);
    if (walk(l, fd, kind, 0, add_member) == 0 && is_populated(path))
        l->f->hidden++;
}

/* All of the unit `name` (of n bytes) below the account's slice. */
static void add_unit(struct look *l, const char *name, size_t n)
{
    char path[LB_CGROUP_MAX];

    if (snprintf(path, sizeof(path), "%s%s/%.*s", root_of(l), l->slice, (int)n, name) < (int)sizeof(path))
        add_cgroup(l, path, kind_of_unit(name));
}

static void add_script(struct look *l, const char *id)
{
    char path[LB_CGROUP_MAX];

    if (snprintf(path, sizeof(path), "%s" LB_SCRIPT_CGROUP, root_of(l), id) < (int)sizeof(path))
        add_cgroup(l, path, LB_PROCESS_OTHER);
}

static int look_at(void *userdata, pid_t pid)
{
    struct look *l = userdata;
    char cgroup[LB_CGROUP_MAX] = "";
    struct lb_proc_stat st;
    const char *unit;

    if (is_seen(l->f, pid) || !lb_footprint_owns(l->target, pid))
        return 0;
    if (lb_proc_stat(pid, &st) < 0 || st.state == 'Z' || st.state == 'X') /* dead, and only waits for its parent */
        return 0;
    lb_proc_cgroup(pid, cgroup, sizeof(cgroup));
    unit = below_slice(l, cgroup);
    if (unit && kind_of_unit(unit) == LB_PROCESS_SESSION)
        add_unit(l, unit, strcspn(unit, "/"));
    add_process(l, pid, kind_of_path(l, cgroup), true); /* unless the unit had it */
    return 0;
}

/* PID 1's own helper, which clears the account's runtime directory away when the last session ends. */
static bool is_helper(const char *unit)
{
    return begins(unit, "user-runtime-dir@");
}

/* Each unit below the account's slice: all is ours, or what no session holds is perhaps another's. */
static void look_at_slice(struct look *l)
{
    char path[LB_CGROUP_MAX];
    const struct dirent *entry;
    DIR *dir;
    int sub;

    snprintf(path, sizeof(path), "%s%s", root_of(l), l->slice);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || is_helper(entry->d_name))
            continue;
        if (l->target->slice)
            add_unit(l, entry->d_name, strlen(entry->d_name));
        else if (kind_of_unit(entry->d_name) != LB_PROCESS_SESSION &&
                 (sub = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
            walk(l, sub, LB_PROCESS_SERVICE, 0, count_shared);
    }
    if (dir)
        closedir(dir);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static bool read_small(const char *path, char *buf, size_t size)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool is_sshd(pid_t pid)
{
    char path[64], name[32];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    return read_small(path, name, sizeof(name)) && begins(name, "sshd");
}

static void set_kind(struct lb_footprint *f, pid_t pid, int kind)
{
    struct lb_process *p = f->processes.items;

    for (size_t i = 0; i < f->processes.n; i++)
        if (p[i].pid == pid)
            p[i].kind = kind;
}

/* The leader of an ssh session is sshd, which has a child for the user's side of the connection. */
static void mark_connection(struct lb_footprint *f, pid_t leader)
{
    char path[80], children[512], *p = children, *end;

    if (!is_sshd(leader))
        return;
    set_kind(f, leader, LB_PROCESS_CONNECTION);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)leader, (int)leader);
    read_small(path, children, sizeof(children));
    for (pid_t child = (pid_t)strtol(p, &end, 10); end != p; child = (pid_t)strtol(p, &end, 10)) {
        if (is_sshd(child))
            set_kind(f, child, LB_PROCESS_CONNECTION);
        p = end;
    }
}

/* --- all together ------------------------------------------------------------------------------------------------- */

int lb_footprint_look(struct lb_footprint *f, const struct lb_reap_target *t)
{
    struct look l = { .f = f, .target = t };
    const struct lb_session *s = t->sessions;

    f->processes.n = f->cgroups.n = 0;
    f->hidden = f->shared = 0;
    free(f->seen);
    f->seen = calloc(1, PID_LIMIT / 8);
    if (!f->seen)
        return -ENOMEM;
    if (t->id)
        add_script(&l, t->id);
    if (t->n == 0 && !t->slice)
        return l.r;
    snprintf(l.slice, sizeof(l.slice), "/user.slice/user-%lld.slice", (long long)t->uid);
    if (t->slice)
        look_at_slice(&l);
    lb_proc_each(look_at, &l);
    if (!t->slice)
        look_at_slice(&l);
    for (size_t i = 0; i < t->n; i++)
        if (session_led_by(t, (pid_t)s[i].pid))
            mark_connection(f, (pid_t)s[i].pid);
    return l.r;
}

void lb_footprint_clear(struct lb_footprint *f)
{
    free(f->processes.items);
    free(f->cgroups.items);
    free(f->seen);
    *f = (struct lb_footprint){ 0 };
}
