/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `sshd -T` says, and where in sshd_config it comes from. */
#pragma once

#include "lockboxd/inspect/doctor/host.h"

/* The value of a keyword (in lower case) in the output of `sshd -T`, into a buffer; "" where it has none. False if it
 * is not there. *at, if not NULL, is where to look from, and is moved on, for keywords that come more than once. */
bool lb_sshd_value(const char *text, const char *keyword, const char **at, char *buf, size_t size);

/* The first line that sets a keyword, in a file and what it includes: owned in *ret_file. False if there is none. */
bool lb_sshd_place(const struct lb_host *host, const char *config, const char *keyword, char **ret_file,
                   unsigned *ret_line);

/* As sshd_config spans are printed and written: "2m", "120" → seconds; -1 for none of these. */
int64_t lb_sshd_seconds(const char *text);
