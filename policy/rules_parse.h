/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy files' text → rules. Strict: every mistake is named with file:line and what was probably meant. */
#pragma once

#include "policy/rules.h"

/* One policy file, read by the caller. */
struct lb_policy_text {
    const char *path;
    const char *text; /* NUL-terminated */
    size_t size;      /* bytes; a NUL inside is an error */
};

/*
 * Parses the files in the order given; the set is whole or refused. On a mistake returns -EINVAL and *ret_error is an
 * owned text, one line a mistake, "path:line: what is wrong (what was meant)\n". All mistakes of all files are listed,
 * not just the first. -ENOMEM without a text.
 */
int lb_rules_parse(const struct lb_policy_text *files, size_t n, struct lb_ruleset **ret, char **ret_error);
