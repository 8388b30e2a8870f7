/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request's ID: eight Crockford base32 characters with a dash in the middle, 7F3K-9QXM. That is how it is kept and
 * printed everywhere; people type it in any case, with or without the dash, with I and L for 1, O for 0.
 */
#pragma once

#include <stdint.h>

/* With its NUL. */
#define LB_ID_PRINTED_MAX 10

/* The ID made of the 40 low bits; any bits make a good one. */
void lb_id_make(uint64_t bits, char ret[static LB_ID_PRINTED_MAX]);

/* What a person typed → the ID; returns buf, which is "" for what is none (NULL too). */
const char *lb_id_format(const char *text, char buf[static LB_ID_PRINTED_MAX]);
