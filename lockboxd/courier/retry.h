/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to try again, without a clock: a letter that was answered with "later" waits by itself, and a target that cannot
 * be reached is tried with one letter at a time, so that a dead server costs one connection now and then however many
 * letters wait for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_RETRY_FIRST INT64_C(1000000)        /* µs after the first failure … */
#define LB_RETRY_MOST (INT64_C(900) * 1000000) /* … doubled up to here */

/* How many letters may be on their way to one target, and to all targets together that are behind one server: some mail
 * servers take no more connections of one client. */
#define LB_RETRY_AT_ONCE 4

/* µs until the next try after so many failures in a row (>= 1), between half and the whole of the doubled time by
 * `random`; no less than `after`, what the other end asked for (0: nothing). */
int64_t lb_retry_delay(int64_t failures, uint32_t random, int64_t after);

/* A target, or the server that several are behind. All zero: nothing is known against it. Times are µs of the boot
 * clock. */
struct lb_circuit {
    int64_t failures; /* in a row */
    int64_t next;     /* failing: not before */
    int64_t since;    /* failing: since when */
};

void lb_circuit_failed(struct lb_circuit *c, int64_t now, uint32_t random, int64_t after);
void lb_circuit_worked(struct lb_circuit *c);

/* How many more letters may be begun now, with so many on their way. */
size_t lb_circuit_room(const struct lb_circuit *c, int64_t now, size_t on_their_way);
