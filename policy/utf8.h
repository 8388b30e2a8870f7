/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strict UTF-8, one character at a time, whatever the locale. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LB_UTF8_INVALID UINT32_MAX

/*
 * Decodes the character at `s`, which has n > 0 bytes, and returns its length. A byte that begins no valid character
 * (stray, cut off, overlong, a surrogate, above U+10FFFF) has length 1 and the code LB_UTF8_INVALID. Never reads
 * behind a NUL.
 */
size_t lb_utf8_decode(const char *s, size_t n, uint32_t *ret_code);

struct lb_utf8_range {
    uint32_t first, last;
};

#define LB_UTF8_IN(table, code) lb_utf8_in((table), sizeof(table) / sizeof((table)[0]), (code))
static inline int lb_utf8_in(const struct lb_utf8_range *table, size_t n, uint32_t code)
{
    for (size_t i = 0; i < n; i++)
        if (code >= table[i].first && code <= table[i].last)
            return 1;
    return 0;
}
