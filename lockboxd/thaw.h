/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* `lockboxd --thaw`, which PID 1 runs whenever the daemon is gone: what is frozen goes on, except where the log says that
 * it is to stand still, because it is paused or at its end; PID 1's deadline ends that. Without a log that can be read
 * all goes on. Exit status. */
int lb_thaw_main(const char *state_directory, const char *runtime_directory);
