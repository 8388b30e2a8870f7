/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words on the terminals of people who are logged in; never waits for one. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes to each terminal that belongs to the uid and takes messages (mesg y). How many were reached. */
unsigned lb_terminals_tell_user(uid_t uid, const char *text);

/* Writes to the terminals that processes of these audit sessions have. How many were reached. */
unsigned lb_terminals_tell_sessions(const int64_t *sessions, size_t n, const char *text);
