/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cgroup tree of plain files, with real processes in it: children that do nothing until they are killed. */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lockboxd/footprint.h"
#include "lockboxd/proc.h"
#include "tests/unit/directory.h"

#define UID 54321
#define SLICE "user.slice/user-54321.slice"

static char top[] = "/tmp/lockbox-cgroups-XXXXXX";

static inline pid_t fake_process(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static inline void fake_end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static inline const char *fake_path(const char *cgroup, const char *file)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s/%s%s%s", top, cgroup, *file ? "/" : "", file);
    return path;
}

static inline void fake_write(const char *cgroup, const char *file, const char *format, ...)
{
    FILE *f = fopen(fake_path(cgroup, file), "w");
    va_list args;

    assert_non_null(f);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fclose(f);
}

/* A cgroup, with those above it, that holds one process (0: none). */
static inline void fake_cgroup(const char *cgroup, pid_t pid)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s", fake_path(cgroup, ""));
    for (char *p = path + strlen(top) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(path, 0755);
    }
    mkdir(path, 0755);
    fake_write(cgroup, "cgroup.procs", pid ? "%d\n" : "", (int)pid);
    fake_write(cgroup, "cgroup.events", "populated 1\nfrozen 0\n");
    fake_write(cgroup, "cgroup.freeze", "0\n");
}

static inline struct lb_session fake_session(pid_t leader)
{
    struct lb_proc_stat st;

    assert_int_equal(lb_proc_stat(leader, &st), 0);
    return (struct lb_session){ .session = LB_AUDIT_UNSET, .pid = leader, .pid_started = st.started };
}

static inline int fake_setup(void **state)
{
    (void)state;
    strcpy(top + strlen(top) - 6, "XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static inline int fake_teardown(void **state)
{
    (void)state;
    directory_remove(top);
    return 0;
}
