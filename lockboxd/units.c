/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/units.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/fields.h"

/* A unit that is not there after this long is told as failed; what it does later is its own affair. */
#define PATIENCE (90 * LB_USEC_PER_SEC)

struct lb_units {
    struct lb_systemd *systemd;
    char **units;
    size_t next, n; /* how many have been tried, of how many */
    bool start;
    lb_units_failed *failed;
    lb_units_done *done;
    void *userdata;
    struct lb_systemd_job *job;
    sd_event_source *step, *patience;
};

static const char *current(const struct lb_units *u)
{
    return u->units[u->start ? u->next : u->n - 1 - u->next];
}

/* The next one, from the event loop: a long list is no deep recursion, and `done` never comes from inside run. */
static void go_on(struct lb_units *u)
{
    u->job = lb_systemd_job_free(u->job);
    sd_event_source_set_enabled(u->patience, SD_EVENT_OFF);
    sd_event_source_set_enabled(u->step, SD_EVENT_ONESHOT);
}

static void on_result(void *userdata, const char *result)
{
    struct lb_units *u = userdata;

    if (strcmp(result, "done") != 0 && strcmp(result, "skipped") != 0)
        u->failed(u->userdata, current(u), u->start, result);
    u->next++;
    go_on(u);
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    on_result(userdata, "timeout");
    return 0;
}

static int on_step(sd_event_source *source, void *userdata)
{
    struct lb_units *u = userdata;
    int r;

    (void)source;
    if (u->next == u->n) {
        u->done(u->userdata);
        return 0;
    }
    sd_event_source_set_time_relative(u->patience, PATIENCE);
    sd_event_source_set_enabled(u->patience, SD_EVENT_ONESHOT);
    r = lb_systemd_job_new(u->systemd, current(u), u->start, on_result, u, &u->job);
    if (r < 0)
        on_result(u, strerror(-r));
    return 0;
}

int lb_units_run(struct lb_systemd *systemd, sd_event *event, char *const *units, bool start, lb_units_failed *failed,
                 lb_units_done *done, void *userdata, struct lb_units **ret)
{
    struct lb_units *u = calloc(1, sizeof(*u));
    int r = -ENOMEM;

    if (!u)
        return r;
    *u = (struct lb_units){ .systemd = systemd, .start = start, .failed = failed, .done = done, .userdata = userdata };
    u->units = lb_strings_copy(units);
    while (u->units && u->units[u->n])
        u->n++;
    if (u->units)
        r = sd_event_add_defer(event, &u->step, on_step, u);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &u->patience, CLOCK_BOOTTIME, PATIENCE, 0, on_patience, u);
    if (r < 0) {
        lb_units_free(u);
        return r;
    }
    sd_event_source_set_enabled(u->patience, SD_EVENT_OFF);
    *ret = u;
    return 0;
}

struct lb_units *lb_units_free(struct lb_units *u)
{
    if (!u)
        return NULL;
    lb_systemd_job_free(u->job);
    sd_event_source_disable_unref(u->step);
    sd_event_source_disable_unref(u->patience);
    lb_strings_free(u->units);
    free(u);
    return NULL;
}
