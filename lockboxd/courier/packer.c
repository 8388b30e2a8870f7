/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/packer.h"

#include <signal.h>

#include "policy/deadline.h"

#define PATIENCE (600 * LB_USEC_PER_SEC)

static const char *problem_of(char *complaint)
{
    return *complaint ? complaint : "no evidence pack was made";
}

int lb_packer_new(sd_event *event, const char *program, const char *request, const char *path, lb_child_done *done,
                  void *userdata, struct lb_child **ret)
{
    const char *const argv[] = { program, "audit", "pack", request, "-o", path, NULL };
    const struct lb_child_call call = {
        .program = program, .argv = argv, .locale = "LC_ALL=C.UTF-8", .in = -1, .patience = PATIENCE,
        .late = "the evidence pack was not made in time", .problem = problem_of,
        .signal = SIGTERM, /* it takes away what it has made so far */
    };

    return lb_child_new(event, &call, done, userdata, ret);
}
