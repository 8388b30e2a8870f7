/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/people.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "policy/base.h"
#include "policy/fields.h"

#define BUFFER_MAX (16 * 1024 * 1024) /* a group of some hundred thousand members */

/* Calls a get…_r function with a buffer that grows until the answer fits. Where no backend could be asked glibc returns
 * errno as it was before: not 0, which would be "not found". */
#define LOOKUP(call, buffer, size, result)                                   \
    ({                                                                       \
        int error_ = ERANGE;                                                 \
        for ((size) = 4096; error_ == ERANGE && (size) <= BUFFER_MAX; (size) *= 4) { \
            free(buffer);                                                    \
            (buffer) = malloc(size);                                         \
            errno = EIO;                                                     \
            error_ = (buffer) ? (call) : ENOMEM;                             \
        }                                                                    \
        error_ ? -error_ : (result) ? 0 : -ENOENT;                           \
    })

/* glibc says these for "not found" in one backend or another. */
static int not_found(int r)
{
    return r == -ESRCH || r == -EBADF || r == -EPERM ? -ENOENT : r;
}

static int take_account(const struct passwd *pw, char **ret_name, uid_t *ret_uid, gid_t *ret_gid)
{
    char *copy = strdup(pw->pw_name);

    if (!copy)
        return -ENOMEM;
    *ret_name = copy;
    if (ret_uid)
        *ret_uid = pw->pw_uid;
    if (ret_gid)
        *ret_gid = pw->pw_gid;
    return 0;
}

int lb_people_account(const char *name, char **ret_name, uid_t *ret_uid, gid_t *ret_gid)
{
    struct passwd pw, *found = NULL;
    LB_FREE char *buf = NULL;
    size_t size;
    int r = LOOKUP(getpwnam_r(name, &pw, buf, size, &found), buf, size, found);

    return r < 0 ? not_found(r) : take_account(found, ret_name, ret_uid, ret_gid);
}

int lb_people_account_of(uid_t uid, char **ret_name, gid_t *ret_gid)
{
    struct passwd pw, *found = NULL;
    LB_FREE char *buf = NULL;
    size_t size;
    int r = LOOKUP(getpwuid_r(uid, &pw, buf, size, &found), buf, size, found);

    return r < 0 ? not_found(r) : take_account(found, ret_name, NULL, ret_gid);
}

/* The group's own list of members, and its gid. -ENOENT if there is none. */
static int group_members(const char *name, gid_t *ret_gid, char ***ret)
{
    struct group gr, *found = NULL;
    LB_FREE char *buf = NULL;
    char **members = NULL;
    size_t size;
    int r = LOOKUP(getgrnam_r(name, &gr, buf, size, &found), buf, size, found);

    if (r < 0)
        return not_found(r);
    members = lb_strings_copy(found->gr_mem);
    if (!members)
        return -ENOMEM;
    *ret_gid = found->gr_gid;
    *ret = members;
    return 0;
}

int lb_people_in_group(const char *account, gid_t primary, const char *group)
{
    char **members = NULL;
    gid_t gid;
    int r = group_members(group, &gid, &members);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = gid == primary || lb_strings_contain(members, account);
    lb_strings_free(members);
    return r;
}

int lb_people_groups(const char *account, gid_t primary, const char *const *groups, char ***ret)
{
    char **in = NULL;

    for (size_t i = 0; groups && groups[i]; i++) {
        int r = lb_people_in_group(account, primary, groups[i]);

        if (r > 0)
            r = lb_strings_append(&in, groups[i]);
        if (r < 0) {
            lb_strings_free(in);
            return r;
        }
    }
    *ret = in;
    return 0;
}

static int add_once(char ***list, const char *name)
{
    return !name || lb_strings_contain(*list, name) ? 0 : lb_strings_append(list, name);
}

/* Accounts whose primary group it is; they stand in no list of the group's. */
static int add_primary(const struct lb_approvers *a, char ***list, gid_t gid)
{
    struct passwd *pw;
    int r = 0;

    setpwent();
    while (r == 0 && (errno = 0, pw = getpwent()))
        if (pw->pw_gid == gid)
            r = add_once(list, lb_approvers_name_of(a, pw->pw_name));
    endpwent();
    return r;
}

static int add_group(const struct lb_approvers *a, char ***list, const char *group)
{
    const struct lb_approver *people = a ? a->people.items : NULL;
    char **members = NULL;
    gid_t gid;
    int r = 0;

    for (size_t i = 0; r == 0 && a && i < a->people.n; i++)
        if (lb_strings_contain(people[i].groups, group))
            r = add_once(list, people[i].name);
    if (r == 0)
        r = group_members(group, &gid, &members);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    for (size_t i = 0; r == 0 && members[i]; i++)
        r = add_once(list, lb_approvers_name_of(a, members[i]));
    lb_strings_free(members);
    return r < 0 ? r : add_primary(a, list, gid);
}

static int add_person(const struct lb_approvers *a, char ***list, const char *name)
{
    LB_FREE char *canonical = NULL;
    int r;

    if (lb_approvers_find(a, name))
        return add_once(list, name);
    r = lb_people_account(name, &canonical, NULL, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return add_once(list, lb_approvers_name_of(a, canonical));
}

int lb_people_resolve(const struct lb_approvers *a, char *const *names, char ***ret)
{
    char **list = NULL;

    for (size_t i = 0; names && names[i]; i++) {
        int r = names[i][0] == '@' ? add_group(a, &list, names[i] + 1) : add_person(a, &list, names[i]);

        if (r < 0) {
            lb_strings_free(list);
            return r;
        }
    }
    *ret = list;
    return 0;
}

int lb_people_account_of_person(const struct lb_approvers *a, const char *person, char **ret_name, uid_t *ret_uid,
                                gid_t *ret_gid)
{
    const struct lb_approver *p = lb_approvers_find(a, person);

    if (p && !p->user)
        return -ENOENT;
    return lb_people_account(p ? p->user : person, ret_name, ret_uid, ret_gid);
}

int lb_people_named(const struct lb_approvers *a, char *const *names, const char *person)
{
    LB_FREE char *account = NULL;
    gid_t gid = 0;
    int known = lb_people_account_of_person(a, person, &account, NULL, &gid), r = 0;

    if (known < 0 && known != -ENOENT)
        return known;
    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        const char *group = names[i][0] == '@' ? names[i] + 1 : NULL;

        if (!group)
            r = lb_streq(names[i], person) ||
                (account && !lb_approvers_find(a, names[i]) && lb_streq(names[i], account));
        else if (lb_approvers_in_group(a, person, group))
            r = 1;
        else if (account)
            r = lb_people_in_group(account, gid, group);
    }
    return r;
}
