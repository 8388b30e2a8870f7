/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends a grant: what runs under it (footprint.h) is frozen, so that nobody runs away meanwhile, killed, thawed, and
 * looked for again until nothing is left. No logind, no D-Bus, no disk is needed. With all of the account's slice goes
 * its linger, by which its user manager would come back.
 */
#pragma once

#include <systemd/sd-event.h>

#include "lockboxd/footprint.h"

struct lb_reap_result {
    int64_t killed;         /* processes … */
    struct lb_killed kinds; /* … by where they were */
    int64_t left;           /* found alive by the last look */
    int64_t shared;         /* alive, and perhaps another engineer's: nobody can tell (see footprint.h) */
    int64_t ms;             /* from the end of the access to the last one gone; 0 if there was none */
};

struct lb_reaper;

/* What is frozen is noted under this ID in the runtime directory; without one (NULL) nothing is frozen. NULL: out of
 * memory. */
struct lb_reaper *lb_reaper_new(const char *runtime_directory, const char *id, const struct lb_reap_target *target);
struct lb_reaper *lb_reaper_free(struct lb_reaper *reaper); /* NULL is fine; returns NULL */

/* From now on somebody else has access to the account, too: not all of its slice goes any more. */
void lb_reaper_share(struct lb_reaper *reaper);

/* One look: kills what it finds. True when two looks in a row found nothing. */
bool lb_reaper_round(struct lb_reaper *reaper);
struct lb_reap_result lb_reaper_result(const struct lb_reaper *reaper);

/* Looks again and again on the event loop, at growing intervals; tells when it is done, and once a minute while it
 * is not. The callback may free the reaper when done. */
typedef void lb_reaper_done(void *userdata, const struct lb_reap_result *result, bool done);
int lb_reaper_start(struct lb_reaper *reaper, sd_event *event, lb_reaper_done *callback, void *userdata);

/* Looks again and again, sleeping in between, at most `timeout` µs. True when nothing is left. */
bool lb_reaper_run(struct lb_reaper *reaper, int64_t timeout);
