/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc says of a process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LB_AUDIT_UNSET UINT32_MAX

/* The parts of /proc/PID/stat that we use. */
struct lb_proc_stat {
    char state;
    pid_t parent;
    unsigned tty;    /* device number, 0: none */
    int64_t started; /* clock ticks since boot; with the pid, a name that never comes again */
};

/* -ESRCH if there is no such process. */
int lb_proc_stat(pid_t pid, struct lb_proc_stat *ret);

/* The audit session and login uid; LB_AUDIT_UNSET if unset. -ESRCH. */
int lb_proc_audit(pid_t pid, uint32_t *ret_session, uint32_t *ret_loginuid);

/* The cgroup v2 path ("/user.slice/…"); owned by the caller's buffer. -ESRCH, -ENODATA without cgroup v2. */
int lb_proc_cgroup(pid_t pid, char *ret, size_t size);

/* The real uid. -ESRCH. */
int lb_proc_uid(pid_t pid, uid_t *ret);

/* What the process calls itself: at most 15 of any bytes. -ESRCH. */
int lb_proc_name(pid_t pid, char *ret, size_t size);

/* Calls row for each process there is, until it returns non-zero (handed on). */
int lb_proc_each(int (*row)(void *userdata, pid_t pid), void *userdata);

/* A descriptor of exactly this process, or -ESRCH when it is gone or another one has its number. */
int lb_proc_open(pid_t pid, int64_t started);
