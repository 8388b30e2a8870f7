/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/keygen.h"

#include "policy/base.h"
#include "policy/deadline.h"

#define PATIENCE (10 * LB_USEC_PER_SEC)

/* Without the names of our copies. */
static const char *problem_of(char *complaint)
{
    const char *colon;

    complaint[strcspn(complaint, "\n")] = '\0';
    colon = strncmp(complaint, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0 ? strstr(complaint, ": ") : NULL;
    return colon ? colon + 2 : complaint;
}

int lb_keygen_new(sd_event *event, const struct lb_child_call *call, lb_child_done *done, void *userdata,
                  struct lb_child **ret)
{
    struct lb_child_call keygen = *call;

    keygen.program = LB_KEYGEN_PROGRAM;
    keygen.locale = "LC_ALL=C";
    keygen.patience = call->patience ? call->patience : PATIENCE;
    keygen.late = "ssh-keygen did not answer in time";
    keygen.problem = problem_of;
    return lb_child_new(event, &keygen, done, userdata, ret);
}
