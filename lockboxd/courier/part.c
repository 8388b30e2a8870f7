/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/part.h"

const struct lb_part *const lb_parts[] = {
    NULL,
};
