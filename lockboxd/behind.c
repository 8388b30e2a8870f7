/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/behind.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/clock.h"
#include "lockboxd/effects.h"
#include "lockboxd/log.h"
#include "lockboxd/report.h"
#include "policy/base.h"
#include "policy/id.h"

#define PROGRAM LB_LIBEXECDIR "/lockbox-inspect"
#define CAP_DAC_READ_SEARCH (UINT64_C(1) << 2)
#define PATIENCE (10 * LB_USEC_PER_SEC) /* for one unit */
#define HOLD (1 * LB_USEC_PER_SEC)      /* how long who is let in waits for the first picture */

/* One unit that runs. */
struct lb_behind {
    struct lb_live *live;
    struct lb_systemd_job *job;
    sd_event_source *patience, *hold;
    bool holding;
    bool last;                          /* the second picture, with the comparison */
    void (*done)(struct lb_live *live); /* the access has ended meanwhile: what comes next */
    char *unit;
};

struct lb_behind *lb_behind_free(struct lb_behind *b)
{
    if (!b)
        return NULL;
    lb_systemd_job_free(b->job);
    sd_event_source_disable_unref(b->patience);
    sd_event_source_disable_unref(b->hold);
    free(b->unit);
    free(b);
    return NULL;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static char *directory_of(const struct lb_gate *g)
{
    char *path;

    return asprintf(&path, "%s/snapshots", g->state_directory) < 0 ? NULL : path;
}

static char *path_of(const struct lb_live *live, const char *what)
{
    const char *directory = live->gate->state_directory;
    char *path;

    return asprintf(&path, "%s/snapshots/%s.%s", directory, live->request->id, what) < 0 ? NULL : path;
}

static void forget(const struct lb_live *live)
{
    static const char *const files[] = { "before", "after", "report" };

    for (size_t i = 0; i < LB_ELEMENTS(files); i++) {
        LB_FREE char *path = path_of(live, files[i]);

        if (path)
            unlink(path);
    }
}

/* A unit that was given up may still have written its file. */
void lb_behind_sweep(const struct lb_gate *g)
{
    LB_FREE char *directory = directory_of(g);
    DIR *d = directory ? opendir(directory) : NULL;
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char id[LB_ID_PRINTED_MAX];

        snprintf(id, sizeof(id), "%.*s", LB_ID_PRINTED_MAX - 1, e->d_name);
        if (e->d_name[0] != '.' && !lb_gate_find(g, id))
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

/* --- the event ---------------------------------------------------------------------------------------------------- */

/* What comes after the report: `b` is gone then. */
static void go_on(struct lb_live *live, struct lb_event *e)
{
    void (*done)(struct lb_live *live) = live->behind ? live->behind->done : NULL;

    live->behind = lb_behind_free(live->behind);
    lb_gate_step(live, e);
    forget(live);
    if (done)
        done(live);
}

static void no_report(struct lb_live *live, const char *why)
{
    struct lb_event e = { .kind = LB_EVENT_NO_REPORT, .note = strdup(why) };

    go_on(live, &e);
}

/* The unit has done its work: what it wrote was made of what a hostile hand may have written. */
static void report(struct lb_live *live)
{
    LB_FREE char *path = path_of(live, "report");
    struct lb_event e = { .kind = LB_EVENT_LEFT_BEHIND };
    int r = path ? lb_report_read(path, &e.count, &e.changes) : -ENOMEM;

    if (r < 0) {
        no_report(live, "the report cannot be read");
        return;
    }
    e.note = lb_report_kinds(&e.changes);
    go_on(live, &e);
}

static void failed(struct lb_live *live, const char *result)
{
    LB_FREE char *before = path_of(live, "before"), *note = NULL;

    if (before && access(before, F_OK) < 0)
        no_report(live, "there is no picture of how things were at the beginning");
    else if (asprintf(&note, "the host could not be looked at (%s); journalctl -u %s may tell why", result,
                      live->behind->unit) < 0)
        no_report(live, result);
    else
        no_report(live, note);
}

/* --- the units ---------------------------------------------------------------------------------------------------- */

static void take_last(struct lb_live *live, void (*done)(struct lb_live *live));

/* The first picture is there, or will not be. */
static void on_first(struct lb_live *live)
{
    void (*done)(struct lb_live *live) = live->behind->done;

    live->behind = lb_behind_free(live->behind);
    if (done)
        take_last(live, done);
    else
        lb_effects_wake(live);
}

static void on_result(void *userdata, const char *result)
{
    struct lb_behind *b = userdata;
    struct lb_live *live = b->live;
    bool good = lb_streq(result, "done");

    if (!good && !b->last)
        lb_log(LOG_WARNING, "No picture could be taken as access %s began (%s).", live->request->id, result);
    if (!b->last)
        on_first(live);
    else if (good)
        report(live);
    else
        failed(live, result);
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    on_result(userdata, "timeout");
    return 0;
}

static int on_hold(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_behind *b = userdata;

    (void)source;
    (void)usec;
    b->holding = false;
    lb_effects_wake(b->live);
    return 0;
}

/* A name that no unit has, not even one that an earlier daemon started for the same access. */
static char *unit_name(const struct lb_live *live)
{
    char *name;

    return asprintf(&name, "lockbox-inspect-%s-%" PRId64 ".service", live->request->id, lb_clock_now().boot) < 0 ? NULL
                                                                                                                 : name;
}

static int start(struct lb_live *live, const char *description, const char *const *first, const char *const *second)
{
    LB_FREE char *directory = directory_of(live->gate);
    struct lb_behind *b = calloc(1, sizeof(*b));
    struct lb_systemd_task task = { .description = description, .commands = { first, second }, .writable = directory,
                                    .capabilities = CAP_DAC_READ_SEARCH, .timeout = PATIENCE };
    int r = b && directory && (b->unit = unit_name(live)) ? 0 : -ENOMEM;

    if (r == 0) {
        b->live = live;
        task.unit = b->unit;
        mkdir(directory, 0700);
        r = sd_event_add_time_relative(live->gate->event, &b->patience, CLOCK_BOOTTIME, PATIENCE + LB_USEC_PER_SEC, 0,
                                       on_patience, b);
    }
    if (r >= 0)
        r = lb_systemd_task_new(live->gate->systemd, &task, on_result, b, &b->job);
    if (r < 0) {
        lb_behind_free(b);
        return r;
    }
    live->behind = b;
    return 0;
}

/* An access that somebody can be in; of a script it is known what it does. */
static bool is_watched(const struct lb_live *live)
{
    const struct lb_request *r = live->request;

    return live->gate->systemd && r->not_after.wall && !lb_request_is_window(r) && !lb_request_is_script(r);
}

void lb_behind_begin(struct lb_live *live)
{
    LB_FREE char *before = path_of(live, "before");
    const char *const command[] = { PROGRAM, "snapshot", "-o", before, NULL };
    int r;

    if (!is_watched(live))
        return;
    r = before ? start(live, "What is on this host before an access", command, NULL) : -ENOMEM;
    if (r == 0)
        r = sd_event_add_time_relative(live->gate->event, &live->behind->hold, CLOCK_BOOTTIME, HOLD, 0, on_hold,
                                       live->behind);
    if (r >= 0)
        live->behind->holding = true;
    else
        lb_log(LOG_WARNING, "No picture can be taken as access %s begins: %s", live->request->id, strerror(-r));
}

bool lb_behind_holds(const struct lb_live *live)
{
    return live->behind && live->behind->holding;
}

static void take_last(struct lb_live *live, void (*done)(struct lb_live *live))
{
    LB_FREE char *before = path_of(live, "before"), *after = path_of(live, "after"), *path = path_of(live, "report");
    LB_FREE char *why = NULL;
    const char *const snapshot[] = { PROGRAM, "snapshot", "-o", after, NULL };
    const char *const compare[] = { PROGRAM, "compare", "-o", path, before, after, NULL };
    int r = before && after && path ? start(live, "What an access has left behind on this host", snapshot, compare)
                                    : -ENOMEM;

    if (r == 0) {
        live->behind->last = true;
        live->behind->done = done;
        return;
    }
    if (asprintf(&why, "PID 1 could not be asked to look at the host (%s)", strerror(-r)) < 0)
        why = NULL;
    no_report(live, why ? why : strerror(-r));
    done(live);
}

void lb_behind_end(struct lb_live *live, void (*done)(struct lb_live *live))
{
    if (!is_watched(live) || live->request->left_behind.at) {
        live->behind = lb_behind_free(live->behind);
        done(live);
    } else if (live->behind && !live->behind->last) {
        live->behind->done = done; /* a short access: the first picture comes first */
    } else {
        live->behind = lb_behind_free(live->behind);
        take_last(live, done);
    }
}
