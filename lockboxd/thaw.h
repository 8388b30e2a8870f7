/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "lockboxd/store.h"

/* Whether what is frozen under this name stays so, for lb_freezer_thaw_all: the log says that the access is paused or
 * at its end, where PID 1's deadline is its clock. Without a log that can be read (NULL) every access is taken for
 * one. */
bool lb_thaw_keeps(void *store, const char *id);

/* `lockboxd --thaw`, which PID 1 runs whenever the daemon is gone: what is frozen goes on, except what stays. Exit
 * status. */
int lb_thaw_main(const char *state_directory, const char *runtime_directory);
