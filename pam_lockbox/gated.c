/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Membership is the primary group or the group's list. getgrouplist() is not asked: it hides a failing lookup as
 * success without the group.
 *
 * A caller can make lookups fail (su inherits his limit of open files). So a failure lets in nobody who asks through
 * somebody else's account: only uid 0 himself, and only with no other caller behind him.
 */
#include "pam_lockbox/gated.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <security/pam_modules.h>

#include "pam_lockbox/login.h"
#include "policy/base.h"
#include "policy/fields.h"

#define SCRATCH_FIRST 4096
#define SCRATCH_MAX (64 * 1024 * 1024)
#define PEOPLE 3 /* PAM_USER, PAM_RUSER, login uid */

/* Where the account database puts what it found. */
struct scratch {
    char *data;
    size_t size;
};

struct person {
    const char *given; /* as PAM has it; NULL: known by number */
    char *name;        /* as the account database spells it; owned */
    uid_t uid;
    gid_t gid;
    bool exists;
    bool root;
    bool gated;
    int error;
};

static int grow(struct scratch *s)
{
    size_t size = s->size ? s->size * 4 : SCRATCH_FIRST;

    if (size > SCRATCH_MAX)
        return -ERANGE;
    free(s->data);
    s->data = malloc(size);
    s->size = s->data ? size : 0;
    return s->data ? 0 : -ENOMEM;
}

static int find_account(const struct person *p, struct scratch *s, struct passwd *pw, struct passwd **ret)
{
    int r = s->data ? 0 : grow(s);

    while (r == 0) {
        errno = EIO; /* what glibc returns where no backend could be asked: otherwise 0, as for "not found" */
        r = p->given ? getpwnam_r(p->given, pw, s->data, s->size, ret) : getpwuid_r(p->uid, pw, s->data, s->size, ret);
        if (r != ERANGE)
            return -r;
        r = grow(s);
    }
    return r;
}

static int find_group(const char *name, struct scratch *s, struct group *group, struct group **ret)
{
    int r = s->data ? 0 : grow(s);

    while (r == 0) {
        errno = EIO; /* as above */
        r = getgrnam_r(name, group, s->data, s->size, ret);
        if (r != ERANGE)
            return -r;
        r = grow(s);
    }
    return r;
}

/* Fills in what the account database knows of him. -ENOMEM; what else fails is his `error`. */
static int look_up(struct person *p, struct scratch *s)
{
    struct passwd pw, *found = NULL;
    const char *name = p->given;

    p->error = find_account(p, s, &pw, &found);
    p->root = p->given ? strcmp(p->given, "root") == 0 : p->uid == 0;
    if (p->error == 0 && found) {
        name = pw.pw_name;
        p->uid = pw.pw_uid;
        p->gid = pw.pw_gid;
        p->exists = true;
        p->root = pw.pw_uid == 0;
    }
    p->name = name ? strdup(name) : NULL;
    return name && !p->name ? -ENOMEM : 0;
}

/* Adds the caller behind PAM_USER, by name and by audit identity; each person once. */
static int add_callers(const pam_handle_t *pamh, struct person people[PEOPLE], size_t *n, struct scratch *s)
{
    const char *ruser = lb_login_item(pamh, PAM_RUSER);
    int64_t uid;
    int r = 0;

    if (lb_login_is_sshd(pamh))
        return 0;
    if (ruser && !lb_streq(ruser, people[0].given)) {
        people[*n].given = ruser;
        r = look_up(&people[(*n)++], s);
    }
    if (r == 0)
        r = lb_login_audit(LB_LOGIN_UID, &uid);
    if (r < 0 || uid < 0)
        return r;
    for (size_t i = 0; i < *n; i++)
        if (people[i].exists && people[i].uid == (uid_t)uid)
            return 0;
    people[*n].uid = (uid_t)uid;
    return look_up(&people[(*n)++], s);
}

static bool is_member(const struct person *p, const struct group *group)
{
    return (p->exists && p->gid == group->gr_gid) || (p->name && lb_strings_contain(group->gr_mem, p->name));
}

/* Marks who is gated. -errno if not every group could be asked. */
static int mark(const struct lb_args *args, struct person *people, size_t n, struct scratch *s)
{
    int result = 0;

    for (size_t i = 0; i < n; i++)
        people[i].gated = (people[i].given && lb_strings_contain(args->users, people[i].given)) ||
                          (people[i].name && lb_strings_contain(args->users, people[i].name));
    for (char **name = args->groups; *name; name++) {
        struct group group, *found = NULL;
        int r = find_group(*name, s, &group, &found);

        for (size_t i = 0; r == 0 && found && i < n; i++)
            people[i].gated = people[i].gated || is_member(&people[i], found);
        if (r < 0)
            result = r;
    }
    return result;
}

static int choose(struct person *people, size_t n, int group_error, char **ret)
{
    for (size_t i = 0; i < n; i++) {
        if (people[i].gated) {
            *ret = LB_TAKE(people[i].name);
            return 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!people[i].root && (people[i].error < 0 || group_error < 0))
            return people[i].error < 0 ? people[i].error : group_error;
    *ret = NULL;
    return 0;
}

int lb_gated_find(const pam_handle_t *pamh, const struct lb_args *args, char **ret)
{
    struct person people[PEOPLE] = { { .given = lb_login_item(pamh, PAM_USER) } };
    struct scratch scratch = {};
    size_t n = 1;
    int r = people[0].given ? look_up(&people[0], &scratch) : -EINVAL;

    if (r == 0)
        r = add_callers(pamh, people, &n, &scratch);
    if (r == 0)
        r = choose(people, n, mark(args, people, n, &scratch), ret);
    for (size_t i = 0; i < n; i++)
        free(people[i].name);
    free(scratch.data);
    return r;
}
