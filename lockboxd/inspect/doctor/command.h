/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks another program. */
#pragma once

#include <stdbool.h>

/* Runs argv[0], an absolute path, with no input and an empty environment. 0 once it has ended: *ret_text is what it
 * printed, to both of its outputs and up to 1 MiB, owned; *ret_ok whether its status was 0. -ENOMEM, -errno: it could
 * not be run; -ETIME: it took more than 10 seconds, and was killed. */
int lb_command_run(char *const *argv, char **ret_text, bool *ret_ok);
