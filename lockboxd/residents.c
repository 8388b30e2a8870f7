/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/residents.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lockboxd/proc.h"

#define PATH_BYTES 1024
#define SERVICES "/system.slice/"

struct look {
    const struct lb_residents_ask *ask;
    struct lb_list *found;
};

/* Whether the path is below the account's slice, and what unit of it: "session-3.scope/…", "user@1001.service/…". */
static const char *unit_of(uid_t uid, const char *cgroup)
{
    char slice[64];
    int n = snprintf(slice, sizeof(slice), "/user.slice/user-%u.slice/", uid);

    return strncmp(cgroup, slice, (size_t)n) == 0 ? cgroup + n : NULL;
}

/* Fills in whose the process is; false: no gated account's. */
static bool find_owner(const struct lb_residents_ask *ask, pid_t pid, struct lb_resident *ret)
{
    uint32_t session, loginuid;
    uid_t uid;

    if (lb_proc_audit(pid, &session, &loginuid) < 0)
        return false;
    ret->session = session;
    if (loginuid != LB_AUDIT_UNSET && ask->gated(ask->userdata, loginuid)) {
        ret->uid = loginuid;
        return true;
    }
    if (lb_proc_uid(pid, &uid) < 0 || !ask->gated(ask->userdata, uid))
        return false;
    ret->uid = uid;
    ret->foreign = session != LB_AUDIT_UNSET;
    return true;
}

static struct lb_resident *find_known(const struct lb_list *found, const struct lb_resident *like)
{
    struct lb_resident *known = found->items;

    for (size_t i = 0; i < found->n; i++)
        if (known[i].uid == like->uid && known[i].session == like->session &&
            known[i].service == like->service)
            return &known[i];
    return NULL;
}

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* Containers, whose uids are others, are machines or scopes of system services. */
static bool is_container(const char *cgroup)
{
    return begins(cgroup, "/machine.slice/") || (begins(cgroup, SERVICES) && strstr(cgroup, ".scope"));
}

/* In a system service; ours are those that an access runs itself. */
static bool is_service(const char *cgroup)
{
    return begins(cgroup, SERVICES) && !begins(cgroup, SERVICES "lockbox-");
}

/* Whether it is neither dead, nor accounted for, nor somewhere that a login never is. */
static bool is_resident(const struct lb_residents_ask *ask, pid_t pid, struct lb_resident *r)
{
    char cgroup[PATH_BYTES] = "";
    struct lb_proc_stat st;
    const char *unit;

    if (lb_proc_stat(pid, &st) < 0 || st.state == 'Z' || st.state == 'X')
        return false;
    r->started = st.started;
    lb_proc_cgroup(pid, cgroup, sizeof(cgroup));
    unit = unit_of((uid_t)r->uid, cgroup);
    r->service = !unit && r->session == LB_AUDIT_UNSET;
    if (is_container(cgroup) || (r->service && !is_service(cgroup)))
        return false;
    return !ask->accounted(ask->userdata, (uid_t)r->uid, r->session, unit && !begins(unit, "session-"));
}

static int look_at(void *userdata, pid_t pid)
{
    const struct look *look = userdata;
    struct lb_resident r = { .pid = pid, .count = 1 }, *known;

    if (!find_owner(look->ask, pid, &r) || !is_resident(look->ask, pid, &r))
        return 0;
    known = find_known(look->found, &r);
    if (known) {
        known->count++;
        return 0;
    }
    known = lb_list_append(look->found, sizeof(r));
    if (!known)
        return -ENOMEM;
    *known = r;
    lb_proc_name(pid, known->name, sizeof(known->name));
    return 0;
}

int lb_residents_look(const struct lb_residents_ask *ask, struct lb_list *ret)
{
    struct look look = { ask, ret };

    return lb_proc_each(look_at, &look);
}
