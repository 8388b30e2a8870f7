/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What does not go on, why, since when, and when it is tried again: ever more seldom. Each new reason is logged
 * once. */
#pragma once

#include <jansson.h>

#include "policy/deadline.h"

/* Doubled at each failure, from the first to the most; µs. */
struct lb_patience {
    int64_t first, most;
};

/* All zero but for `who`: nothing is wrong. */
struct lb_trouble {
    const char *who;   /* what begins a line of the log; borrowed */
    char *text;        /* why, safe to show; NULL: it goes on */
    int64_t since;     /* µs since 1970 */
    unsigned failures; /* in a row */
};

/* One more failure. `problem` may be anybody's words. Returns after how long to try again (µs). */
int64_t lb_trouble_meet(struct lb_trouble *t, const struct lb_patience *patience, const char *problem);
/* It goes on. */
void lb_trouble_over(struct lb_trouble *t);
void lb_trouble_clear(struct lb_trouble *t);

/* How something is, for org.lockbox.Courier.Status: its state ("connected", "failing", "idle" where it has not had
 * anything to do yet), since when and why it fails, and when it last worked; µs since 1970. Takes `more`, to which
 * it adds them, and returns it; NULL when out of memory. */
json_t *lb_trouble_status(const char *problem, int64_t since, int64_t worked_at, json_t *more);
