/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/interrupt.h"

#include <errno.h>
#include <sys/wait.h>

#include "policy/base.h"

static const int interrupts[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

void lb_interrupt_hold(sigset_t *ret)
{
    struct sigaction action;
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGCHLD); /* to wait for it together with them */
    for (size_t i = 0; i < LB_ELEMENTS(interrupts); i++)
        if (sigaction(interrupts[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&held, interrupts[i]);
    sigprocmask(SIG_BLOCK, &held, ret);
}

void lb_interrupt_release(const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
}

bool lb_interrupted(void)
{
    sigset_t pending;
    bool is = false;

    sigemptyset(&pending);
    sigpending(&pending);
    for (size_t i = 0; i < LB_ELEMENTS(interrupts); i++)
        is |= sigismember(&pending, interrupts[i]) > 0;
    return is;
}

int lb_interrupt_wait(pid_t pid, int *ret_status)
{
    sigset_t awaited;
    int r, got;

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    for (size_t i = 0; i < LB_ELEMENTS(interrupts); i++)
        sigaddset(&awaited, interrupts[i]);
    while ((r = waitpid(pid, ret_status, WNOHANG)) == 0) {
        got = sigwaitinfo(&awaited, NULL);
        if (got < 0 || got == SIGCHLD)
            continue;
        kill(pid, SIGTERM);
        r = waitpid(pid, ret_status, 0);
        raise(got); /* for lb_interrupted */
        break;
    }
    return r < 0 ? -errno : 0;
}
