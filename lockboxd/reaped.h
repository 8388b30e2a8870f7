/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What PID 1's own deadline killed while the daemon could not: a note in RUNTIME/reaped/ID for the receipt. */
#pragma once

#include <stdint.h>

/* `lockboxd --reap ID`: ends the access without the daemon. Exit status. */
int lb_reaped_main(const char *state_directory, const char *runtime_directory, const char *id, int64_t uid);

/* How many processes were killed so; 0 without a note. */
int64_t lb_reaped_count(const char *runtime_directory, const char *id);
void lb_reaped_forget(const char *runtime_directory, const char *id);
