/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accounts and groups of the host, as the name service knows them. An error is never "no". */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "policy/approvers.h"

/* The account under its canonical name (owned) and uid. -ENOENT if there is none, else why it is not known. */
int lb_people_account(const char *name, char **ret_name, uid_t *ret_uid, gid_t *ret_gid);
int lb_people_account_of(uid_t uid, char **ret_name, gid_t *ret_gid);

/* Whether the account is in the group, by its primary group or by the group's own list. A group that does not exist has
 * no members. 1, 0, or -errno when the answer is not known. */
int lb_people_in_group(const char *account, gid_t primary, const char *group);

/* Those of the NULL-terminated groups that the account is in: an owned list. */
int lb_people_groups(const char *account, gid_t primary, const char *const *groups, char ***ret);

/*
 * Who decides: names and @groups as rules have them. A name is a person of approvers.conf, else an account; a group is
 * one of approvers.conf, one of the host, or both. Accounts stand for the person they belong to (lb_approvers_name_of).
 */

/* The people that these names stand for now: an owned list without doubles. What does not exist is left out. */
int lb_people_resolve(const struct lb_approvers *approvers, char *const *names, char ***ret);

/* Whether the person is meant by these names now. 1, 0, -errno. */
int lb_people_named(const struct lb_approvers *approvers, char *const *names, const char *person);

/* A person's account. -ENOENT if he has none on this host. */
int lb_people_account_of_person(const struct lb_approvers *approvers, const char *person, char **ret_name,
                                uid_t *ret_uid, gid_t *ret_gid);
