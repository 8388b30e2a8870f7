/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ssh-keygen, which makes keys, signs and verifies for us. */
#pragma once

#include "lockboxd/child.h"

#define LB_KEYGEN_PROGRAM "/usr/bin/ssh-keygen"

/* Begins; of the call are used: argv, in, kept, and patience (0: ten seconds). What the problem is said to be is its
 * first word of complaint ("" where it has none). The rest is as lb_child_new() has it. */
int lb_keygen_new(sd_event *event, const struct lb_child_call *call, lb_child_done *done, void *userdata,
                  struct lb_child **ret);
