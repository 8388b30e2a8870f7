/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times and texts between the daemon and a person: the reader's zone, the reader's terminal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_HUMAN_MAX 64

/*
 * What a person types, or RFC 3339 → µs since 1970: "2024-05-03T18:00:00Z", "2024-05-03 18:00", "2024-05-03", "18:00",
 * "today", "yesterday 18:00", "-2h", "2h ago", "+2h", "in 2h"; without a zone it is the reader's. -EINVAL; *ret
 * untouched then.
 */
int lb_human_time_parse(const char *text, int64_t now, int64_t *ret);

/* "today 18:00", "yesterday 18:00", "tomorrow 09:00", else "2024-05-03 18:00". Each returns buf, of LB_HUMAN_MAX. */
const char *lb_human_time(int64_t usec, int64_t now, char *buf);

/* "2024-05-03 18:00:30" */
const char *lb_human_stamp(int64_t usec, char *buf);

/* "in 3h 12min", "now", "3h 12min ago". */
const char *lb_human_distance(int64_t usec, int64_t now, char *buf);

/* "today 18:00 (in 3h 12min)" */
const char *lb_human_moment(int64_t usec, int64_t now, char *buf);

/* "2024-05-03T16:00:00Z", rounded down to the second. */
const char *lb_human_rfc3339(int64_t usec, char *buf);

/*
 * A copy that can do nothing to a terminal (lb_text_clean) and that it can show: without utf8 each other character
 * is a question mark. NULL: out of memory; NULL text gives "".
 */
char *lb_human_text(const char *text, bool utf8);
