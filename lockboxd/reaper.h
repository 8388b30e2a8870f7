/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends a grant: kills what runs under it and looks again until nothing is left.
 *
 * It needs /proc and the cgroup tree alone: no logind, no D-Bus, no disk. A cgroup is killed only below the account's
 * own slice; what is elsewhere goes process by process; an unset audit session is never swept, and in a foreign one (an
 * administrator's, who came by su) only the account's own processes are.
 */
#pragma once

#include <systemd/sd-event.h>

#include "policy/request.h"

/* Where a request's script runs, with its children: format for the ID. The name is the unit's (systemd.h). */
#define LB_SCRIPT_CGROUP "/system.slice/lockbox-run-%s.service"

/* What has to go. */
struct lb_reap_target {
    int64_t uid;                        /* of the account */
    const struct lb_session *sessions;  /* all of the request's, closed ones too: they may have left children */
    size_t n;
    bool slice; /* nobody else has access to the account: all of its slice goes */
    const char *id; /* of the request: the unit of its script goes, if there is one; NULL: there is none */
};

struct lb_reap_result {
    int64_t killed; /* processes */
    int64_t left;   /* found alive by the last look */
    int64_t ms;     /* from the begin to the last one gone */
};

struct lb_reaper;

/* Kills and looks once. NULL: out of memory. */
struct lb_reaper *lb_reaper_new(const struct lb_reap_target *target);
struct lb_reaper *lb_reaper_free(struct lb_reaper *reaper); /* NULL is fine; returns NULL */

/* One look: kills what it finds. True when two looks in a row found nothing. */
bool lb_reaper_round(struct lb_reaper *reaper);
struct lb_reap_result lb_reaper_result(const struct lb_reaper *reaper);

/* Looks again and again on the event loop, at growing intervals; tells when it is done, and once a minute while it
 * is not. The callback may free the reaper when done. */
typedef void lb_reaper_done(void *userdata, const struct lb_reap_result *result, bool done);
int lb_reaper_start(struct lb_reaper *reaper, sd_event *event, lb_reaper_done *callback, void *userdata);

/* Looks again and again, sleeping in between, at most `timeout` µs. True when nothing is left. */
bool lb_reaper_run(struct lb_reaper *reaper, int64_t timeout);
