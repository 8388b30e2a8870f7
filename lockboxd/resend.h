/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes to the journal once more after the machine went down hard. journald has what it is sent on the disk only
 * every five minutes (SyncIntervalSec=): what it had taken and not written is lost with the machine, and it cannot say
 * what.
 */
#pragma once

#include "lockboxd/store.h"

/*
 * The seq behind which the journal has to be sent everything, in the boot `boot_id`: `position` itself, or less in a
 * new boot before which the log does not say that the daemon stopped in order, and never more than there is. A boot
 * that was too short for journald to write what it was sent again counts together with the one before.
 */
int64_t lb_resend_position(struct lb_store *store, int64_t position, int64_t boot_id);
