/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "policy/base.h"

/* A whole small file; NUL-terminated and without its last newline. Bytes read, or -ESRCH. */
static ssize_t read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
    LB_CLOSE int fd = -1;
    char path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    if (n > 0 && buf[n - 1] == '\n')
        n--;
    buf[n] = '\0';
    return n;
}

int lb_proc_stat(pid_t pid, struct lb_proc_stat *ret)
{
    char buf[1024], *p;
    ssize_t n = read_proc(pid, "stat", buf, sizeof(buf));
    struct lb_proc_stat s;
    int parent, tty;
    long long started;

    if (n < 0)
        return (int)n;
    p = strrchr(buf, ')'); /* the name before it may hold anything */
    if (!p || sscanf(p + 1, " %c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld", &s.state,
                     &parent, &tty, &started) != 4)
        return -EBADMSG;
    s.parent = parent;
    s.tty = (unsigned)tty;
    s.started = started;
    *ret = s;
    return 0;
}

static int read_number(pid_t pid, const char *name, uint32_t *ret)
{
    char buf[32], *end;
    ssize_t n = read_proc(pid, name, buf, sizeof(buf));
    unsigned long value;

    if (n < 0)
        return (int)n;
    value = strtoul(buf, &end, 10);
    if (n == 0 || *end != '\0' || value > UINT32_MAX)
        return -EBADMSG;
    *ret = (uint32_t)value;
    return 0;
}

int lb_proc_audit(pid_t pid, uint32_t *ret_session, uint32_t *ret_loginuid)
{
    uint32_t session, loginuid;
    int r = read_number(pid, "sessionid", &session);

    if (r == 0)
        r = read_number(pid, "loginuid", &loginuid);
    if (r < 0)
        return r;
    *ret_session = session;
    *ret_loginuid = loginuid;
    return 0;
}

int lb_proc_cgroup(pid_t pid, char *ret, size_t size)
{
    char buf[4096], *line, *save = NULL;
    ssize_t n = read_proc(pid, "cgroup", buf, sizeof(buf));

    if (n < 0)
        return (int)n;
    for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, "0::", 3) == 0 && strlen(line + 3) < size) {
            strcpy(ret, line + 3);
            return 0;
        }
    return -ENODATA;
}

int lb_proc_uid(pid_t pid, uid_t *ret)
{
    char buf[2048], *p;
    ssize_t n = read_proc(pid, "status", buf, sizeof(buf));

    if (n < 0)
        return (int)n;
    p = strstr(buf, "\nUid:");
    if (!p)
        return -EBADMSG;
    *ret = (uid_t)strtoul(p + 5, NULL, 10);
    return 0;
}

int lb_proc_name(pid_t pid, char *ret, size_t size)
{
    ssize_t n = read_proc(pid, "comm", ret, size);

    return n < 0 ? (int)n : 0;
}

int lb_proc_each(int (*row)(void *userdata, pid_t pid), void *userdata)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return -errno;
    while (r == 0 && (entry = readdir(dir))) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (*end == '\0' && pid > 0)
            r = row(userdata, (pid_t)pid);
    }
    closedir(dir);
    return r;
}

int lb_proc_open(pid_t pid, int64_t started)
{
    LB_CLOSE int fd = pidfd_open(pid, 0);
    struct lb_proc_stat st;
    int r, taken;

    if (fd < 0)
        return -errno;
    r = lb_proc_stat(pid, &st);
    if (r < 0)
        return r;
    if (st.started != started)
        return -ESRCH;
    taken = fd;
    fd = -1;
    return taken;
}
