/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/terminals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lockboxd/proc.h"
#include "policy/base.h"
#include "policy/fields.h"

/* The text as it goes to a terminal: a line of its own, with a bell, whatever stood at the cursor. */
static int tell(const char *path, const char *text)
{
    LB_CLOSE int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    LB_FREE char *line = NULL;
    int n;

    if (fd < 0)
        return -errno;
    n = asprintf(&line, "\r\n\a*** %s\r\n", text);
    if (n < 0)
        return -ENOMEM;
    return write(fd, line, (size_t)n) < 0 ? -errno : 0;
}

static unsigned tell_in(const char *dir, const char *prefix, uid_t uid, const char *text)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    unsigned told = 0;
    struct stat st;
    char path[300];

    while (d && (entry = readdir(d))) {
        const char *number = entry->d_name + strlen(prefix);

        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || *number < '0' || *number > '9')
            continue;
        snprintf(path, sizeof(path), "%s/%.250s", dir, entry->d_name);
        if (stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_uid == uid && (st.st_mode & S_IWGRP))
            told += tell(path, text) == 0;
    }
    if (d)
        closedir(d);
    return told;
}

unsigned lb_terminals_tell_user(uid_t uid, const char *text)
{
    return tell_in("/dev/pts", "", uid, text) + tell_in("/dev", "tty", uid, text);
}

struct search {
    const int64_t *sessions;
    size_t n;
    struct lb_list devices; /* unsigned */
};

static int look_at(void *userdata, pid_t pid)
{
    struct search *s = userdata;
    struct lb_proc_stat st;
    uint32_t session, loginuid;
    unsigned *device = s->devices.items;
    bool ours = false;

    if (lb_proc_audit(pid, &session, &loginuid) < 0 || session == LB_AUDIT_UNSET)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        ours |= s->sessions[i] == session;
    if (!ours || lb_proc_stat(pid, &st) < 0 || st.tty == 0)
        return 0;
    for (size_t i = 0; i < s->devices.n; i++)
        if (device[i] == st.tty)
            return 0;
    device = lb_list_append(&s->devices, sizeof(*device));
    if (device)
        *device = st.tty;
    return 0;
}

/* The device's path, as the kernel names it: pts/3, tty1, ttyS0. -errno. */
static int device_path(unsigned device, char *ret, size_t size)
{
    char link[64], target[256];
    bool pts = major(device) >= 136 && major(device) <= 143; /* Unix98 pseudo-terminals are not in sysfs */
    ssize_t n;

    if (pts) {
        snprintf(ret, size, "/dev/pts/%u", (major(device) - 136) * 256 + minor(device));
        return 0;
    }
    snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(device), minor(device));
    n = readlink(link, target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    snprintf(ret, size, "/dev/%s", strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
    return 0;
}

unsigned lb_terminals_tell_sessions(const int64_t *sessions, size_t n, const char *text)
{
    struct search s = { .sessions = sessions, .n = n };
    unsigned *device, told = 0;
    char path[300];

    lb_proc_each(look_at, &s);
    device = s.devices.items;
    for (size_t i = 0; i < s.devices.n; i++)
        told += device_path(device[i], path, sizeof(path)) == 0 && tell(path, text) == 0;
    free(s.devices.items);
    return told;
}
