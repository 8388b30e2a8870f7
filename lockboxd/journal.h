/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every event to journald, exactly as logged, at least once and in order. It follows the log from a thread and a
 * database handle of its own, because journald may block: the loop that ends access never waits for it. An
 * event that is damaged in the log is passed over, with a line that says which.
 */
#pragma once

#include <stdint.h>

struct lb_journal;

/* Follows the log in `state_directory` from behind event `position`. */
int lb_journal_start(const char *state_directory, int64_t position, struct lb_journal **ret);

/* There are events up to `seq`. */
void lb_journal_notify(struct lb_journal *journal, int64_t seq);

/* The last event that journald took, or that was passed over. */
int64_t lb_journal_position(struct lb_journal *journal);

/* Ends it and returns the last position; what journald has not taken within `timeout` µs is sent by the next start. */
int64_t lb_journal_stop(struct lb_journal *journal, int64_t timeout);
