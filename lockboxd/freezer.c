/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/freezer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#include "lockboxd/clock.h"
#include "lockboxd/proc.h"
#include "policy/base.h"

#define PATIENCE (20 * 1000) /* µs that a freeze goes on at most, its last look not counted */
#define STEP 500             /* µs between two looks whether all stands still */

/* --- cgroups ------------------------------------------------------------------------------------------------------ */

static int set_frozen(const char *cgroup, const char *value)
{
    char path[LB_CGROUP_MAX + 32];
    LB_CLOSE int fd = -1;

    snprintf(path, sizeof(path), "%s/cgroup.freeze", cgroup);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return write(fd, value, 1) == 1 || errno == ENODEV ? 0 : -errno; /* gone is neither frozen nor in anybody's way */
}

/* Frozen through and through, or nobody is in it. */
static bool is_still(const char *cgroup)
{
    char path[LB_CGROUP_MAX + 32], line[64];
    bool frozen = false, populated = false;
    FILE *events;

    snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
    events = fopen(path, "re");
    while (events && fgets(line, sizeof(line), events)) {
        frozen |= strcmp(line, "frozen 1\n") == 0;
        populated |= strcmp(line, "populated 1\n") == 0;
    }
    if (events)
        fclose(events);
    return frozen || !populated;
}

/* --- processes in none of them ------------------------------------------------------------------------------------ */

static int send_signal(pid_t pid, int64_t started, int number)
{
    LB_CLOSE int fd = lb_proc_open(pid, started);

    if (fd < 0)
        return fd == -ESRCH ? 0 : fd;
    return pidfd_send_signal(fd, number, NULL, 0) == 0 || errno == ESRCH ? 0 : -errno;
}

static bool is_stopped(const struct lb_proc_stat *st)
{
    return strchr("TtZX", st->state);
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static char *list_path(const char *runtime_directory, const char *id)
{
    char *path;

    return asprintf(&path, "%s/frozen/%s", runtime_directory, id) < 0 ? NULL : path;
}

struct hold {
    const struct lb_reap_target *target;
    const char *runtime_directory, *id;
    bool strays;   /* stop processes outside of the cgroups, too */
    int list;      /* descriptor; -1: not open yet */
    char **listed; /* what we have written ourselves */
};

static int open_list(struct hold *h)
{
    LB_FREE char *path = list_path(h->runtime_directory, h->id), *directory = NULL;

    if (h->list >= 0)
        return 0;
    if (!path || asprintf(&directory, "%s/frozen", h->runtime_directory) < 0)
        return -ENOMEM;
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return -errno;
    h->list = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return h->list >= 0 ? 0 : -errno;
}

/* 1: written down; 0: it was, already. */
static int list_line(struct hold *h, const char *line)
{
    char text[LB_CGROUP_MAX + 3];
    int n = snprintf(text, sizeof(text), "\n%s\n", line), r; /* behind a line that was cut short, too */

    if (lb_strings_contain(h->listed, line))
        return 0;
    r = open_list(h);
    if (r == 0 && write(h->list, text, (size_t)n) != n) /* at once, so that two who write do not mix */
        r = -EIO;
    if (r == 0)
        r = lb_strings_append(&h->listed, line);
    return r < 0 ? r : 1;
}

/* True while the list is where the next one looks for it. */
static bool is_in_force(const struct hold *h)
{
    struct stat st;

    return h->list < 0 || (fstat(h->list, &st) == 0 && st.st_nlink > 0);
}

/* --- freeze ------------------------------------------------------------------------------------------------------- */

/* 1: new. */
static int hold_cgroup(struct hold *h, const char *cgroup)
{
    int fresh = list_line(h, cgroup), r = fresh > 0 ? set_frozen(cgroup, "1") : 0;

    return r < 0 ? r : fresh;
}

static int hold_process(struct hold *h, pid_t pid)
{
    struct lb_proc_stat st;
    char line[64];
    int fresh, r;

    if (lb_proc_stat(pid, &st) < 0 || is_stopped(&st))
        return 0;
    snprintf(line, sizeof(line), "%d %" PRId64, (int)pid, st.started);
    fresh = list_line(h, line);
    r = fresh < 0 ? fresh : lb_footprint_owns(h->target, pid) ? send_signal(pid, st.started, SIGSTOP) : 0;
    return r < 0 ? r : fresh;
}

/* Holds all that was found; how much of it was new. */
static int hold_all(struct hold *h, const struct lb_footprint *f)
{
    char (*cgroups)[LB_CGROUP_MAX] = f->cgroups.items;
    const struct lb_process *p = f->processes.items;
    int r = 0, fresh = 0;

    for (size_t i = 0; i < f->cgroups.n && r >= 0; i++, fresh += r > 0)
        r = hold_cgroup(h, cgroups[i]);
    for (size_t i = 0; i < f->processes.n && r >= 0 && h->strays; i++, fresh += r > 0)
        r = p[i].alone ? hold_process(h, p[i].pid) : 0;
    return r < 0 ? r : fresh;
}

static bool all_still(const struct hold *h, const struct lb_footprint *f)
{
    char (*cgroups)[LB_CGROUP_MAX] = f->cgroups.items;
    const struct lb_process *p = f->processes.items;
    struct lb_proc_stat st;

    for (size_t i = 0; i < f->cgroups.n; i++)
        if (!is_still(cgroups[i]))
            return false;
    for (size_t i = 0; i < f->processes.n && h->strays; i++)
        if (p[i].alone && lb_proc_stat(p[i].pid, &st) == 0 && !is_stopped(&st))
            return false;
    return true;
}

static bool await_still(const struct hold *h, const struct lb_footprint *f, int64_t until)
{
    const struct timespec step = { 0, STEP * 1000 };
    bool still;

    while (!(still = all_still(h, f)) && lb_clock_now().boot < until)
        nanosleep(&step, NULL);
    return still;
}

static int hold(struct hold *h, struct lb_footprint *f)
{
    int64_t until = lb_clock_now().boot + PATIENCE;
    bool still = true;
    int fresh, looks = 0;

    do {
        int r = lb_footprint_look(f, h->target);

        fresh = hold_all(h, f);
        if (fresh < 0 || r < 0)
            return fresh < 0 ? fresh : r;
        still = await_still(h, f, until);
    } while (fresh > 0 && (++looks < 2 || lb_clock_now().boot < until)); /* a second one, however slow the first was */
    return fresh == 0 && still ? 0 : -EINPROGRESS;
}

static int thaw_line(const char *line)
{
    int64_t started;
    int pid;

    if (*line == '/')
        return set_frozen(line, "0");
    return sscanf(line, "%d %" SCNd64, &pid, &started) == 2 ? send_signal(pid, started, SIGCONT) : 0;
}

static int freeze(struct hold *h)
{
    struct lb_footprint f = { 0 };
    int r = hold(h, &f);

    if (!is_in_force(h)) { /* somebody thawed while we froze, perhaps without what came late to the list */
        for (char **line = h->listed; line && *line; line++)
            thaw_line(*line);
        r = -ECANCELED;
    }
    lb_footprint_clear(&f);
    lb_strings_free(h->listed);
    if (h->list >= 0)
        close(h->list);
    return r;
}

int lb_freezer_freeze(const char *runtime_directory, const char *id, const struct lb_reap_target *target)
{
    return freeze(&(struct hold){ target, runtime_directory, id, true, -1 });
}

int lb_freezer_freeze_cgroups(const char *runtime_directory, const char *id, const struct lb_reap_target *target)
{
    return freeze(&(struct hold){ target, runtime_directory, id, false, -1 });
}

/* --- thaw --------------------------------------------------------------------------------------------------------- */

/* Calls row for each line from where the file was read last to its end; the first error. */
static int each_line(FILE *list, int (*row)(void *userdata, const char *line), void *userdata)
{
    LB_FREE char *line = NULL;
    size_t size = 0;
    ssize_t n;
    int r = 0;

    clearerr(list);
    while ((n = getline(&line, &size, list)) > 0) {
        int error;

        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        error = row(userdata, line);
        r = r < 0 ? r : error;
    }
    return r;
}

static int remember_line(void *userdata, const char *line)
{
    return lb_strings_append(userdata, line);
}

/* What stands in the lists of others: two accesses share a session where one was elevated inside of the other. */
static int read_others(const char *runtime_directory, const char *id, char ***ret)
{
    LB_FREE char *path = list_path(runtime_directory, "");
    const struct dirent *entry;
    DIR *dir = path ? opendir(path) : NULL;
    int r = path ? 0 : -ENOMEM;

    while (r == 0 && dir && (entry = readdir(dir))) {
        LB_FREE char *name = NULL;
        FILE *list;

        if (entry->d_name[0] == '.' || strcmp(entry->d_name, id) == 0)
            continue;
        name = list_path(runtime_directory, entry->d_name);
        list = name ? fopen(name, "re") : NULL;
        r = !name ? -ENOMEM : list ? each_line(list, remember_line, ret) : errno == ENOENT ? 0 : -errno;
        if (list)
            fclose(list);
    }
    if (dir)
        closedir(dir);
    return r;
}

static int thaw_unless_held(void *userdata, const char *line)
{
    return lb_strings_contain(*(char ***)userdata, line) ? 0 : thaw_line(line);
}

int lb_freezer_thaw(const char *runtime_directory, const char *id)
{
    LB_FREE char *path = list_path(runtime_directory, id);
    FILE *list = path ? fopen(path, "re") : NULL;
    char **others = NULL;
    int r;

    if (!list)
        return !path ? -ENOMEM : errno == ENOENT ? 0 : -errno;
    r = read_others(runtime_directory, id, &others);
    if (r == 0)
        r = each_line(list, thaw_unless_held, &others);
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = -errno;
    if (r == 0) /* what was added meanwhile; who comes later sees that the list is gone */
        r = each_line(list, thaw_unless_held, &others);
    fclose(list);
    lb_strings_free(others);
    return r;
}

bool lb_freezer_is_frozen(const char *runtime_directory, const char *id)
{
    LB_FREE char *path = list_path(runtime_directory, id);

    return path && access(path, F_OK) == 0;
}

int lb_freezer_thaw_all(const char *runtime_directory, bool (*keep)(void *userdata, const char *id), void *userdata)
{
    LB_FREE char *path = list_path(runtime_directory, "");
    const struct dirent *entry;
    DIR *dir = path ? opendir(path) : NULL;
    int r = 0;

    if (!dir)
        return !path ? -ENOMEM : errno == ENOENT ? 0 : -errno;
    while ((entry = readdir(dir))) {
        int error;

        if (entry->d_name[0] == '.' || (keep && keep(userdata, entry->d_name)))
            continue;
        error = lb_freezer_thaw(runtime_directory, entry->d_name);
        r = r < 0 ? r : error;
    }
    closedir(dir);
    return r;
}
