/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/export.h"
#include "lockboxd/courier/part.h"
#include "lockboxd/courier/remote.h"

const struct lb_part *const lb_parts[] = {
    &lb_part_remote,
    &lb_part_export,
    NULL,
};
