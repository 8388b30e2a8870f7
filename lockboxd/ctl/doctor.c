/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The looking is done by a program of its own, which reads what only root may read and needs no daemon. */
#include <errno.h>

#include "lockboxd/ctl/ctl.h"

#define PROGRAM LB_LIBEXECDIR "/lockbox-inspect"

int verb_doctor(struct lb_ctl *ctl)
{
    const char *root = ctl->options[LB_OPTION_ROOT];
    const char *argv[6] = { PROGRAM, "doctor" };
    size_t n = 2;

    if (!root && geteuid() != 0)
        return lb_ctl_fail(ctl, LB_EXIT_NOT_PERMITTED, "doctor reads what only root may read: sudo lockboxctl doctor");
    if (ctl->options[LB_OPTION_JSON])
        argv[n++] = "--json";
    if (root) {
        argv[n++] = "--root";
        argv[n++] = root;
    }
    execv(PROGRAM, (char *const *)argv);
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s; it is part of lockbox: install it again", PROGRAM,
                       strerrordesc_np(errno));
}
