/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands behind pam_lockbox.so in a stack, read as the module reads it. */
#pragma once

#include "lockboxd/inspect/doctor/pam_stack.h"

#define LB_PAM_DEFAULT_GROUP "lockbox-gated"

/* Adds those whom the line gates (users=, groups=, else the default group), each once. -errno if it is not known. */
int lb_pam_args_gated(const struct lb_host *host, const struct lb_pam_line *line, char ***ret);

/* Seconds that a login waits (wait=, else the default); `line` may be NULL. */
int64_t lb_pam_args_wait(const struct lb_pam_line *line);

/* The first argument that the module does not know, and its length: a part of the line. NULL: it knows all. */
const char *lb_pam_args_unknown(const struct lb_pam_line *line, size_t *ret_size);
