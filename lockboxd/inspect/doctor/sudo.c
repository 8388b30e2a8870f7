/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Defaults of sudoers that take the gate out of sudo. For whom they are set is not looked at: there is no good
 * reason to have them for anybody. Whose password is asked for (targetpw, rootpw) makes no difference to the gate.
 */
#include <ctype.h>
#include <errno.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "policy/base.h"

#define SUDOERS "/etc/sudoers"
#define DEPTH_MAX 16
#define WAY "sudoers"

static const struct {
    const char *name, *text;
} switches[] = {
    { "pam_acct_mgmt", "sudo does not ask PAM's account stage, which is the gate" },
    { "pam_session", "sudo opens no PAM session, so that nothing is known of what it starts" },
};

static void check_service(struct lb_doctor *d, const char *name, struct lb_place at)
{
    const struct lb_service *service = lb_doctor_service(d, name);

    if (!service || !service->gated)
        lb_doctor_find(d, LB_WAY_HOLE, WAY, at, "sudo asks the PAM service %s, which is not gated\n" LB_PAM_SETUP " "
                       "add %s",
                       name, name);
}

/* "!pam_session", "pam_service = other", "pam_login_service=…" */
static void check_setting(struct lb_doctor *d, char *setting, struct lb_place at)
{
    bool off = false;
    char *value = NULL;
    size_t n = 0;

    setting += strspn(setting, " \t");
    for (; *setting == '!'; setting += 1 + strspn(setting + 1, " \t"))
        off = !off;
    n = strcspn(setting, " \t=+-");
    value = setting + n + strspn(setting + n, " \t");
    for (size_t i = 0; off && i < LB_ELEMENTS(switches); i++)
        if (strlen(switches[i].name) == n && strncmp(setting, switches[i].name, n) == 0)
            lb_doctor_find(d, LB_WAY_HOLE, WAY, at, "%s\ntake out: !%s", switches[i].text, switches[i].name);
    if (*value != '=' || off)
        return;
    value += 1 + strspn(value + 1, " \t\"");
    value[strcspn(value, " \t\"")] = '\0';
    setting[n] = '\0';
    if (strcmp(setting, "pam_service") == 0 || strcmp(setting, "pam_login_service") == 0 ||
        strcmp(setting, "pam_askpass_service") == 0)
        check_service(d, value, at);
}

/* Defaults, Defaults:user, Defaults@host, Defaults>runas, Defaults!command, with settings and commas between; a comma
 * in quotes is none. */
static void check_defaults(struct lb_doctor *d, char *line, struct lb_place at)
{
    char *settings = line + strlen("Defaults");
    bool quoted = false;

    if (*settings && !isspace((unsigned char)*settings))
        settings += strcspn(settings, " \t");
    for (char *end = settings;; end++) {
        char c = *end;
        quoted = c == '"' ? !quoted : quoted;
        if (c && (c != ',' || quoted))
            continue;
        *end = '\0';
        check_setting(d, settings, at);
        settings = end + 1;
        if (!c)
            return;
    }
}

static void read_file(struct lb_doctor *d, const char *path, int depth);

static void read_directory(struct lb_doctor *d, const char *directory, int depth)
{
    char **names = NULL;
    int r = lb_host_list(&d->host, directory, &names);

    lb_doctor_keep(d, r);
    for (char **name = names; r == 0 && name && *name; name++) {
        LB_FREE char *path = NULL;
        if (strchr(*name, '.') || (*name)[strlen(*name) - 1] == '~') /* as sudo leaves them out */
            continue;
        if (asprintf(&path, "%s/%s", directory, *name) < 0)
            d->r = -ENOMEM;
        else
            read_file(d, path, depth + 1);
    }
    lb_strings_free(names);
}

/* @include FILE and @includedir DIR, or with # as they were written once. A relative path is one beside the file. */
static bool read_include(struct lb_doctor *d, char *line, const char *from, int depth)
{
    static const char *const words[] = { "includedir", "include" };

    for (size_t i = 0; (*line == '@' || *line == '#') && i < LB_ELEMENTS(words); i++) {
        size_t n = strlen(words[i]);
        char *path = line + 1 + n;
        LB_FREE char *whole = NULL;
        if (strncmp(line + 1, words[i], n) != 0 || !isspace((unsigned char)*path))
            continue;
        path += strspn(path, " \t\"");
        path[strcspn(path, " \t\"")] = '\0';
        if (asprintf(&whole, "%.*s%s", *path == '/' ? 0 : (int)(strrchr(from, '/') - from) + 1, from, path) < 0)
            d->r = -ENOMEM;
        else if (i == 0)
            read_directory(d, whole, depth);
        else
            read_file(d, whole, depth + 1);
        return true;
    }
    return false;
}

static void read_line(struct lb_doctor *d, char *line, struct lb_place at, int depth)
{
    line += strspn(line, " \t");
    if (read_include(d, line, at.file, depth) || *line == '#')
        return;
    if (strncmp(line, "Defaults", strlen("Defaults")) == 0)
        check_defaults(d, line, at);
}

static void read_file(struct lb_doctor *d, const char *path, int depth)
{
    LB_FREE char *text = NULL;
    char *at = NULL;
    unsigned number = 0;
    int r = depth < DEPTH_MAX ? lb_host_read(&d->host, path, &text) : -ELOOP;

    lb_doctor_keep(d, r);
    if (r < 0 && r != -ENOENT)
        lb_doctor_find(d, LB_WAY_HOLE, WAY, (struct lb_place){ path, 0 }, "cannot be read (%s), so that nothing is "
                       "known of it", strerrordesc_np(-r));
    for (at = text; r == 0 && *at;) {
        char *line = at, *end = strchrnul(at, '\n');
        unsigned first = ++number;
        while (*end && end > line && end[-1] == '\\') {
            end[-1] = *end = ' ';
            end = strchrnul(end, '\n');
            number++;
        }
        at = *end ? end + 1 : end;
        *end = '\0';
        read_line(d, line, (struct lb_place){ path, first }, depth);
    }
}

/* sudoers may also come from a directory service, which cannot be read like a file. */
static void check_source(struct lb_doctor *d)
{
    LB_FREE char *text = NULL;
    char *at = NULL;
    unsigned number = 0;

    if (lb_host_read(&d->host, "/etc/nsswitch.conf", &text) < 0)
        return;
    at = text;
    for (char *line = NULL; (line = lb_host_line(&at));) {
        number++;
        if (strncmp(line, "sudoers:", 8) == 0 && (strstr(line, "ldap") || strstr(line, "sss")))
            lb_doctor_find(d, LB_WAY_WARNING, WAY, (struct lb_place){ "/etc/nsswitch.conf", number },
                           "sudoers come from a directory service too; what it says is not looked at\nlook there for "
                           "!pam_acct_mgmt, !pam_session and pam_service");
    }
}

void lb_doctor_sudo(struct lb_doctor *d)
{
    if (!lb_host_has(&d->host, SUDOERS))
        return;
    read_file(d, SUDOERS, 0);
    check_source(d);
    if (!lb_doctor_has_trouble(d, WAY))
        lb_doctor_find(d, LB_WAY_OK, WAY, LB_NOWHERE, "no setting takes the gate out of sudo");
}
