/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a key in allowed_signers. Good for saying whom to ask; whether a signature counts is ssh-keygen's to say. */
#pragma once

#include <stdbool.h>

/* Whether one of these principals, patterns as allowed_signers has them, a line each, means this name. */
bool lb_signers_mean(const char *principals, const char *name);

/* The principals of a file of keys, a line each (owned); NULL: it cannot be read, or there is none. */
char *lb_signers_read(const char *path);
