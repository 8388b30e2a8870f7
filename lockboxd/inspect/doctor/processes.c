/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "policy/base.h"

#define COMMAND_MAX 4096

static const struct lb_field process_fields[] = {
    { "name", LB_FIELD_STRING, offsetof(struct lb_process, name) },
    { "command", LB_FIELD_STRING, offsetof(struct lb_process, command) },
    { 0 },
};

void lb_processes_free(struct lb_list *processes)
{
    struct lb_process *p = processes->items;

    for (size_t i = 0; i < processes->n; i++)
        lb_fields_clear(process_fields, &p[i]);
    free(p);
    *processes = (struct lb_list){ 0 };
}

/* A file of the process, NULs as spaces; "" once it is gone. */
static char *read_file(int64_t pid, const char *file)
{
    char path[64], buf[COMMAND_MAX];
    LB_CLOSE int fd = -1;
    ssize_t n = 0;

    snprintf(path, sizeof(path), "/proc/%lld/%s", (long long)pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));
    n = n < 0 ? 0 : n;
    for (ssize_t i = 0; i < n; i++)
        if (buf[i] == '\0' || buf[i] == '\n')
            buf[i] = ' ';
    while (n > 0 && buf[n - 1] == ' ')
        n--;
    return strndup(buf, (size_t)n);
}

static bool is_ours(int64_t pid)
{
    char path[64];
    struct stat directory, files, mine;

    snprintf(path, sizeof(path), "/proc/%lld", (long long)pid);
    if (stat(path, &directory) < 0 || directory.st_uid != 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%lld/ns/mnt", (long long)pid);
    return stat(path, &files) == 0 && stat("/proc/self/ns/mnt", &mine) == 0 && files.st_ino == mine.st_ino;
}

int lb_processes_read(struct lb_list *ret)
{
    struct lb_list all = { 0 };
    DIR *proc = opendir("/proc");
    const struct dirent *entry = NULL;
    int r = 0;

    while (proc && r == 0 && (entry = readdir(proc))) {
        int64_t pid = strtoll(entry->d_name, NULL, 10);
        struct lb_process *p = pid > 0 ? lb_list_append(&all, sizeof(*p)) : NULL;
        if (p)
            *p = (struct lb_process){ is_ours(pid), read_file(pid, "comm"), read_file(pid, "cmdline") };
        r = pid <= 0 || (p && p->name && p->command) ? 0 : -ENOMEM;
    }
    if (proc)
        closedir(proc);
    if (r < 0)
        lb_processes_free(&all);
    else
        *ret = all;
    return r;
}
