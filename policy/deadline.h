/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deadlines that a moved clock can only bring nearer, and beginnings that it can only put off.
 *
 * A deadline stands on two clocks: the wall (CLOCK_REALTIME) and the time since boot (CLOCK_BOOTTIME, which runs on in
 * suspend). Whichever says "due" first wins. All times are int64_t microseconds; time is always an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LB_USEC_PER_SEC INT64_C(1000000)
#define LB_NEVER INT64_MAX

/* One reading of both clocks. */
struct lb_time {
    int64_t wall;    /* since 1970, UTC */
    int64_t boot;    /* since boot */
    int64_t boot_id; /* which boot: 63 bits of the kernel's boot id */
};

struct lb_deadline {
    int64_t wall; /* LB_NEVER: none */
    int64_t boot; /* counts only in the boot it was made in */
    int64_t boot_id;
};

/* The deadline `span` after `now`. Saturates; LB_NEVER stays never; a negative span is due at once. */
struct lb_deadline lb_deadline_after(const struct lb_time *now, int64_t span);

/* The same deadline moved earlier by `span` (for warnings). */
struct lb_deadline lb_deadline_before(const struct lb_deadline *d, int64_t span);

/* No deadline at all. */
struct lb_deadline lb_deadline_never(void);

bool lb_deadline_due(const struct lb_deadline *d, const struct lb_time *now);

/* Microseconds until due by the clock that says less; 0 when due, LB_NEVER for none. */
int64_t lb_deadline_left(const struct lb_deadline *d, const struct lb_time *now);

/*
 * What is left of a deadline after a reboot: the lesser of what was left on the boot clock when the log was last
 * written (`last`) and what the wall clock says now; a wall clock that fell behind `last` counts as `last`.
 */
int64_t lb_deadline_left_after_reboot(const struct lb_deadline *d, const struct lb_time *last,
                                      const struct lb_time *now);

/* --- beginnings: here a moved clock can only put off, so that whichever clock says "due" last wins --- */

/* Microseconds until both clocks have come to it; 0 when they have, LB_NEVER for none. */
int64_t lb_deadline_wait(const struct lb_deadline *d, const struct lb_time *now);

/* The same after a reboot: what there was to wait for when the log was last written (`last`), less the time that has
 * passed since by the wall clock, which alone can know; one that fell behind `last` has seen none pass. */
int64_t lb_deadline_wait_after_reboot(const struct lb_deadline *d, const struct lb_time *last,
                                      const struct lb_time *now);

/* On each clock the later of the two; on the boot clock that of `b` where `a` is of another boot. */
struct lb_deadline lb_deadline_later(const struct lb_deadline *a, const struct lb_deadline *b);
