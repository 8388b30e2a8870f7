/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durations as people write them: systemd.time(7) spans. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* "8h", "1h 30min", "90" (seconds), "infinity" → µs (infinity: LB_NEVER). -EINVAL for anything else, -ERANGE when it
 * overflows; *ret untouched then. */
int lb_span_parse(const char *text, int64_t *ret);

/* "8h", "1h 30min", "45s", "250ms": at most the two largest units that matter; "0s"; "forever" for LB_NEVER.
 * Returns buf. 32 bytes always suffice. */
const char *lb_span_format(int64_t usec, char *buf, size_t size);
#define LB_SPAN_MAX 32
