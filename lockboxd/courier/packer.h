/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `lockboxctl audit pack ID -o FILE`, run beside the loop. */
#pragma once

#include "lockboxd/child.h"

/* Begins; where there is no problem, the file is written. The rest is as lb_child_new() has it. */
int lb_packer_new(sd_event *event, const char *program, const char *request, const char *path, lb_child_done *done,
                  void *userdata, struct lb_child **ret);
