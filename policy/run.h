/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* [Run]: what a script that a rule names by its digest runs as, and with. */
#pragma once

#include <stdbool.h>

enum lb_arguments { LB_ARGUMENTS_NONE, LB_ARGUMENTS_PATTERN, LB_ARGUMENTS_ANY };

struct lb_run {
    char *user;         /* account of the host; NULL in rules without Command= */
    int arguments;      /* enum lb_arguments */
    char *pattern;      /* POSIX ERE, whole string, for LB_ARGUMENTS_PATTERN */
    char **environment; /* NAME=VALUE; NULL: none */
};

/* Whether the script may have these arguments (NULL-terminated; NULL is none). Joined by single spaces all of them have
 * to match the pattern; one that is empty or has white space in it fits no pattern, as its bounds would be lost. */
bool lb_run_takes(const struct lb_run *run, const char *const *arguments);

void lb_run_clear(struct lb_run *run);
