/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A text as a QR code that a terminal shows: two modules in each character, for light letters on a dark ground. */
#pragma once

#include <stddef.h>

/* UTF-8 lines, each ended by a newline and *ret_columns wide, with the quiet zone around (owned). -EFBIG: more text
 * than a code holds; -ENOMEM. */
int lb_qr_draw(const char *text, char **ret, size_t *ret_columns);
