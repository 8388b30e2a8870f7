/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mail addresses. */
#pragma once

#include <stdbool.h>

/* True for an address as mail programs take it, not all that the RFC allows: no quoting, no comments, nothing that
 * could end a header line or be an option, and ASCII alone: in other letters it could be somebody else's who looks the
 * same. */
bool lb_mailbox_is_address(const char *text);
