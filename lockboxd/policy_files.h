/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy's files → rules. A directory's *.policy are read in name order; a later directory's file replaces one of
 * the same name, and there an empty file or a link to /dev/null masks it, as with systemd.
 */
#pragma once

#include "policy/rules.h"

/* Where a host has them, the last one the administrator's. NULL-terminated. */
extern const char *const lb_policy_directories[];

/*
 * Reads the NULL-terminated directories; one that does not exist is an empty one. The set is whole or refused: -EINVAL
 * and *ret_error, an owned text with a line "path:line: …" (or "path: …" where a file cannot be read) for each mistake.
 * -ENOMEM without a text.
 */
int lb_policy_files_load(const char *const *directories, struct lb_ruleset **ret, char **ret_error);

/* The same of files named one by one, in the order given; one that does not exist is a mistake. */
int lb_policy_files_load_named(const char *const *paths, struct lb_ruleset **ret, char **ret_error);
