/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How often somebody may do what costs something: so many times a minute for each uid. */
#pragma once

#include <sys/types.h>

#include "policy/fields.h"

/* All zero: nobody has done anything. */
struct lb_pace {
    struct lb_list minutes; /* of those who did something within the last one */
};

/* Whether it may be done once more at `boot` (µs, the boot clock), `most` times a minute; then it is counted. */
bool lb_pace_take(struct lb_pace *pace, uid_t uid, int64_t boot, int64_t most);
void lb_pace_clear(struct lb_pace *pace);
