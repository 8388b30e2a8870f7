/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxctl. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"

int main(int argc, char **argv)
{
    struct lb_ctl ctl = { .now = lb_ctl_now(), .options[LB_OPTION_SOCKET] = LB_CONTROL_SOCKET };
    int r = LB_EXIT_DONE;

    setlocale(LC_ALL, "");
    if (argc > 0)
        argv[0] = program_invocation_short_name; /* getopt's complaints begin with it */
    ctl.out = lb_terminal_of(stdout);
    ctl.err = lb_terminal_of(stderr);
    r = lb_ctl_run(&ctl, argc, argv);
    free(ctl.directories);
    if (fflush(stdout) != 0 || ferror(stdout))
        return lb_ctl_fail(&ctl, r ? r : LB_EXIT_FAILED, "the output could not be written");
    return r;
}
