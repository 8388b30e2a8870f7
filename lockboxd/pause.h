/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing an access and letting it go on. The engineer reads why before and after: what is written on his terminal
 * gets a moment to reach him, because the sshd that carries it is frozen with the rest.
 */
#pragma once

#include "lockboxd/gate.h"

/* Tells the sessions, and freezes them in a moment; then wakes who waits for the access. What will not stand still is
 * tried again until it does; that this takes long live->freeze_error says, and the journal. */
void lb_pause_freeze(struct lb_live *live);

/* Freezes at once and without a word: after a restart, what the log says is frozen. */
void lb_pause_freeze_now(struct lb_live *live);

/* Whether it is still to be seen how the freeze goes. */
bool lb_pause_is_under_way(const struct lb_live *live);

/* Thaws, and tells the sessions. */
void lb_pause_thaw(struct lb_live *live);
