/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A text that is signed: a title, and a line each for what it says, "Label: value". The same values give the same
 * bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LB_LINES_MAX 4096 /* bytes of a text */

struct lb_line {
    const char *label, *value; /* no value: no line */
};

/* Owned, ended by a newline. -EINVAL: a value is not one line, or all of it is too long; -ENOMEM. */
int lb_lines_write(const char *title, const struct lb_line *lines, size_t n, char **ret);

/* The value of the first line of this label below the title, owned; NULL: there is none, or out of memory. */
char *lb_lines_find(const char *text, const char *label);

/* A time in them, whole seconds, RFC 3339 UTC; in µs since 1970. -EINVAL. What is read besides what is written is found
 * when the text is made again. */
#define LB_LINES_TIME_MAX 32
int lb_lines_format_time(int64_t usec, char *buf);
int lb_lines_parse_time(const char *text, int64_t *ret);
