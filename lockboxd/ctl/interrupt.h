/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must not stay behind in half is made with Ctrl-C and its like held back: it looks for them, and clears up
 * first. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* From here on they wait (those that are not ignored); *ret is what was before. */
void lb_interrupt_hold(sigset_t *ret);

/* Who was interrupted meanwhile ends of it here. */
void lb_interrupt_release(const sigset_t *before);

/* Whether one waits: then nothing more is to be done but to clear up. */
bool lb_interrupted(void);

/* How a child ended (as waitpid says it) that was given what was before; who interrupts us interrupts it. 0 or
 * -errno. */
int lb_interrupt_wait(pid_t pid, int *ret_status);
