/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxctl, as a function. */
#pragma once

#include <getopt.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"

/* Its exit status; what it says on both ends is owned. `socket`: where lockboxd would listen; NULL: where it does. */
static inline int run_ctl(const char **argv, const char *socket, char **ret_out, char **ret_err)
{
    char *out = NULL, *err = NULL;
    size_t out_n, err_n;
    struct lb_ctl ctl = { .now = lb_ctl_now(), .options[LB_OPTION_SOCKET] = socket };
    int argc = 0, r;

    while (argv[argc])
        argc++;
    ctl.out.out = open_memstream(&out, &out_n);
    ctl.err.out = open_memstream(&err, &err_n);
    optind = 0; /* getopt begins anew */
    r = lb_ctl_run(&ctl, argc, (char **)argv);
    fclose(ctl.out.out);
    fclose(ctl.err.out);
    *ret_out = out;
    *ret_err = err;
    return r;
}
