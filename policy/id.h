/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request's ID: eight Crockford base32 characters. Kept as 7F3K9QXM, printed as 7F3K-9QXM, and understood as people
 * type it: any case, with or without the dash, I and L for 1, O for 0.
 */
#pragma once

#include <stdint.h>

#include "policy/event.h"

/* The printed form with its NUL. */
#define LB_ID_PRINTED_MAX (LB_ID_LEN + 2)

/* The ID made of the 40 low bits; any bits make a good one. */
void lb_id_make(uint64_t bits, char ret[static LB_ID_LEN + 1]);

/* What a person typed → the ID as it is kept. -EINVAL for anything else; `ret` untouched then. */
int lb_id_parse(const char *text, char ret[static LB_ID_LEN + 1]);

/* The ID as it is printed; returns buf. What is not an ID (NULL too) gives "". */
const char *lb_id_format(const char *id, char buf[static LB_ID_PRINTED_MAX]);
