/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What runs on this host. */
#pragma once

#include <stdbool.h>

#include "policy/fields.h"

struct lb_process {
    bool ours;     /* root's, and sees the same files as we do: not in a container */
    char *name;    /* of the command, as the kernel has it: up to 15 bytes */
    char *command; /* its arguments with spaces between, or what it calls itself */
};

/* All processes: struct lb_process. -ENOMEM. */
int lb_processes_read(struct lb_list *ret);
void lb_processes_free(struct lb_list *processes);
