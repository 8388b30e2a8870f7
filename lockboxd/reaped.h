/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was killed of an access, by PID 1's own deadline too: a note in RUNTIME/reaped/ID until the receipt is
 * written. */
#pragma once

#include "lockboxd/reaper.h"

/* `lockboxd --reap ID`: ends the access without the daemon. Exit status. */
int lb_reaped_main(const char *state_directory, const char *runtime_directory, const char *id, int64_t uid);

/* Adds what the note says to what was killed since, and takes the longer time of the two; nothing without a note. */
void lb_reaped_add(const char *runtime_directory, const char *id, struct lb_reap_result *result);

/* Makes this the note. A failure is logged. */
void lb_reaped_write(const char *runtime_directory, const char *id, const struct lb_reap_result *result);
void lb_reaped_forget(const char *runtime_directory, const char *id);
