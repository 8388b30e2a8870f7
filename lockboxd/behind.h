/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an access leaves behind on the host: one picture of it when the access begins, one when nothing of it runs any
 * more, and the difference as an event. lockbox-inspect takes them, in units of PID 1's; closing waits for neither, and
 * the receipt only so long.
 */
#pragma once

#include "lockboxd/gate.h"

/* Has the first picture taken. Nothing without PID 1, and for a window, which nobody is in. */
void lb_behind_begin(struct lb_live *live);

/* Whether that picture is still being taken: who is let in now waits for it, so that it shows nothing of his. When it
 * is there, or a second has passed, who waits for the request is woken. */
bool lb_behind_holds(const struct lb_live *live);

/* Has the second picture taken, records what is different, or that it is not known, and calls `done`: from the event
 * loop, or at once where there is nothing to be done. */
void lb_behind_end(struct lb_live *live, void (*done)(struct lb_live *live));

/* Takes away what is left of accesses that are no more. */
void lb_behind_sweep(const struct lb_gate *gate);

struct lb_behind *lb_behind_free(struct lb_behind *b); /* gives up; NULL is fine; returns NULL */
