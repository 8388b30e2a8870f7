/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What PID 1's own deadline killed while the daemon could not: a note in RUNTIME/reaped/ID for the receipt. */
#pragma once

#include "lockboxd/reaper.h"

/* `lockboxd --reap ID`: ends the access without the daemon. Exit status. */
int lb_reaped_main(const char *state_directory, const char *runtime_directory, const char *id, int64_t uid);

/* Adds what was killed so to the daemon's own count, and takes the longer time of the two; nothing without a note. */
void lb_reaped_add(const char *runtime_directory, const char *id, struct lb_reap_result *result);
void lb_reaped_forget(const char *runtime_directory, const char *id);
