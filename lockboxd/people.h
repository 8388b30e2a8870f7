/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accounts and groups of the host, as the name service knows them. An error is never "no". */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* The account under its canonical name (owned) and uid. -ENOENT if there is none, else why it is not known. */
int lb_people_account(const char *name, char **ret_name, uid_t *ret_uid, gid_t *ret_gid);
int lb_people_account_of(uid_t uid, char **ret_name, gid_t *ret_gid);

/* Whether the account is in the group, by its primary group or by the group's own list. A group that does not exist has
 * no members. 1, 0, or -errno when the answer is not known. */
int lb_people_in_group(const char *account, gid_t primary, const char *group);

/* Those of the NULL-terminated groups that the account is in: an owned list. */
int lb_people_groups(const char *account, gid_t primary, const char *const *groups, char ***ret);

/* Names and @groups → the accounts they stand for now: an owned list without doubles. Names that do not exist are left
 * out. */
int lb_people_resolve(char *const *names, char ***ret);

/* Whether the person `name` is meant by names and @groups now. 1, 0, -errno. */
int lb_people_named(char *const *names, const char *name);
