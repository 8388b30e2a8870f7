/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of any kind as text, for messages that are JSON (RFC 4648, with padding). */
#pragma once

#include <stddef.h>

/* Owned, ended by NUL; NULL when out of memory. */
char *lb_base64_encode(const void *bytes, size_t n);

/* The bytes, owned; one more byte than *ret_n is there and is NUL. -EINVAL for anything but whole groups of four of the
 * alphabet with the padding that belongs there; -ENOMEM. */
int lb_base64_decode(const char *text, void **ret, size_t *ret_n);
