/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an event brings about, once it is committed: one small function for each enum lb_effect. */
#pragma once

#include "lockboxd/gate.h"

/* Runs all of the effects' bits, in the order of the table. */
void lb_effects_run(struct lb_live *live, unsigned effects);

/* Wakes everybody who waits for the request. */
void lb_effects_wake(struct lb_live *live);

/* Nothing runs any more: what was unlocked is locked, and then the receipt is written. For launch.c, which the end of a
 * script's access waits for. */
void lb_effects_lock(struct lb_live *live);

/* A line on the terminals of the access's open sessions. */
void lb_effects_tell_sessions(const struct lb_live *live, const char *text);

/* What belongs to the access; borrows from its request. */
struct lb_reap_target lb_effects_target(const struct lb_live *live);

/* A session of this access opens: what is still ending on the account leaves it alone. */
void lb_effects_share(const struct lb_live *live);

/* Begins to end everything that runs under the access, unless that is under way. */
void lb_effects_reap(struct lb_live *live);
