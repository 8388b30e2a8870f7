/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a gated account has that lets it in, or get further, without a login. */
#include <errno.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "policy/base.h"

#define LINGER "/var/lib/systemd/linger"

/* Whoever is in these is root by a command that asks no PAM. */
static const char *const groups[] = { "docker", "podman", "lxd", "incus", "incus-admin", "libvirt", "disk", "shadow" };

static void check_linger(struct lb_doctor *d, const char *way, const char *account)
{
    LB_FREE char *path = NULL;

    if (asprintf(&path, LINGER "/%s", account) < 0)
        return lb_doctor_keep(d, -ENOMEM);
    if (lb_host_has(&d->host, path))
        lb_doctor_find(d, LB_WAY_HOLE, way, (struct lb_place){ path, 0 }, "lingers: its services run from boot on, "
                       "without any login\nloginctl disable-linger %s", account);
}

/* PAM knows accounts by their names. */
static void check_aliases(struct lb_doctor *d, const char *way, const struct lb_account *account)
{
    const struct lb_account *other = d->host.accounts.items;

    for (size_t i = 0; i < d->host.accounts.n; i++)
        if (other[i].uid == account->uid && !lb_strings_contain(d->accounts, other[i].name))
            lb_doctor_find(d, LB_WAY_HOLE, way, (struct lb_place){ "/etc/passwd", 0 }, "%s has the same uid (%lld) "
                           "and is not gated\nusermod --append --groups lockbox-gated "
                           "%s", other[i].name, (long long)account->uid,
                           other[i].name);
}

static void check_groups(struct lb_doctor *d, const char *way, const char *account)
{
    for (size_t i = 0; i < LB_ELEMENTS(groups); i++) {
        char **members = NULL;
        int r = lb_host_add_members(&d->host, groups[i], &members);
        lb_doctor_keep(d, r);
        if (lb_strings_contain(members, account))
            lb_doctor_find(d, LB_WAY_HOLE, way, (struct lb_place){ "/etc/group", 0 }, "is in the group %s, and so as "
                           "good as root without asking\ngpasswd --delete %s %s", groups[i], account, groups[i]);
        lb_strings_free(members);
    }
}

static void check_account(struct lb_doctor *d, const char *name)
{
    const struct lb_account *account = lb_host_account(&d->host, name);
    LB_FREE char *way = NULL;

    if (asprintf(&way, "account: %s", name) < 0)
        return lb_doctor_keep(d, -ENOMEM);
    check_linger(d, way, name);
    check_groups(d, way, name);
    if (account)
        check_aliases(d, way, account);
    if (!lb_doctor_has_trouble(d, way))
        lb_doctor_find(d, LB_WAY_OK, way, LB_NOWHERE, "gated, and has no other way in");
}

/* Which logind setting there is does not decide: the end of an access looks for what is left itself. */
static void check_logind(struct lb_doctor *d)
{
    static const char *const patterns[] = {
        "/usr/lib/systemd/logind.conf.d/*.conf", "/run/systemd/logind.conf.d/*.conf", "/etc/systemd/logind.conf",
        "/etc/systemd/logind.conf.d/*.conf",
    };
    bool kills = false, there = lb_host_has(&d->host, "/usr/lib/systemd/system/systemd-logind.service");

    for (size_t i = 0; there && i < LB_ELEMENTS(patterns); i++) {
        char **paths = NULL;
        lb_doctor_keep(d, lb_host_glob(&d->host, patterns[i], &paths));
        for (char **path = paths; path && *path; path++) {
            LB_FREE char *text = NULL;
            char *at = NULL;
            if (lb_host_read(&d->host, *path, &text) < 0)
                continue;
            at = text;
            for (char *line = NULL; (line = lb_host_line(&at));)
                if (strncmp(line, "KillUserProcesses=", 18) == 0)
                    kills = strchr("yYtT1", line[18]) && line[18];
        }
        lb_strings_free(paths);
    }
    if (there)
        lb_doctor_find(d, LB_WAY_OK, "logind", LB_NOWHERE, "KillUserProcesses=%s; the end of an access does not "
                       "depend on it", kills ? "yes" : "no");
    else
        lb_doctor_find(d, LB_WAY_WARNING, "logind", LB_NOWHERE, "is not installed, so that nothing ends a session "
                       "should lockboxd be dead\ninstall systemd-logind and its PAM module");
}

void lb_doctor_accounts(struct lb_doctor *d)
{
    for (char **name = d->accounts; name && *name; name++)
        check_account(d, *name);
    check_logind(d);
}
