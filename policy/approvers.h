/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * approvers.conf: the people who decide, by name. The name is also the principal in allowed_signers. Somebody whom the
 * file does not name is known by his account on the host; but nobody goes by a name that the file gives to another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/fields.h"

/* [bob] User= Mail= Groups= */
struct lb_approver {
    char *name;
    char *user;    /* his account on this host, or NULL: he decides by signature alone */
    char **mail;   /* addresses */
    char **groups; /* what rules name with @ */
};

struct lb_approvers {
    struct lb_list people; /* struct lb_approver, in file order */
};

/* Strict, as policy is: on a mistake -EINVAL and *ret_error, an owned text with a line "path:line: …" for each.
 * -ENOMEM without a text. */
int lb_approvers_parse(const char *path, const char *text, size_t size, struct lb_approvers **ret, char **ret_error);
struct lb_approvers *lb_approvers_free(struct lb_approvers *a); /* NULL is fine; returns NULL */

/* The person of this name, or NULL. `a` may be NULL: a file that names nobody. */
const struct lb_approver *lb_approvers_find(const struct lb_approvers *a, const char *name);

/* The name under which an account of the host decides: its person's, else its own. NULL where that is another's. */
const char *lb_approvers_name_of(const struct lb_approvers *a, const char *user);

/* Whether the file puts this person into the group. */
bool lb_approvers_in_group(const struct lb_approvers *a, const char *name, const char *group);
