/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a script must be like to be run by a rule. Which one may run is the rule's to say (run.h). */
#pragma once

#include <stddef.h>

#define LB_SCRIPT_MAX (36 * 1024)     /* bytes; with its arguments it has to fit into one message */
#define LB_SCRIPT_ARGUMENTS_MAX 64    /* how many */
#define LB_SCRIPT_ARGUMENT_BYTES 2048 /* of all of them together */
#define LB_SCRIPT_NAME_MAX 64         /* bytes of its name */

/* Why these bytes cannot be run, in words; NULL: they can. Borrowed. */
const char *lb_script_problem(const char *bytes, size_t n);

/* Why it cannot have these arguments (NULL-terminated; NULL is none). Borrowed; NULL: it can. */
const char *lb_script_arguments_problem(char *const *arguments);

/* The last part of a path, made safe to show and to be the name of a file; owned. NULL: out of memory. */
char *lb_script_name(const char *path);
