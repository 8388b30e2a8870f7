/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What belongs to an access, as /proc and the cgroup tree show it: no logind, no D-Bus, no disk.
 *
 * A whole cgroup belongs to it only below the account's own slice, and never the slice itself, into which PID 1 puts
 * helpers of its own. What is elsewhere belongs to it process by process: an unset audit session is never taken, and of
 * a foreign one (an administrator's, who came by su) only the account's own processes are.
 */
#pragma once

#include <sys/types.h>

#include "policy/request.h"

/* Where a request's script runs, with its children: format for the ID. The name is the unit's (systemd.h). */
#define LB_SCRIPT_CGROUP "/system.slice/lockbox-run-%s.service"

struct lb_reap_target {
    int64_t uid;                        /* of the account */
    const struct lb_session *sessions;  /* all of the request's, closed ones too: they may have left children */
    size_t n;
    bool slice;          /* nobody else has access to the account: all of its slice belongs to this one */
    const char *account; /* whose linger goes with the slice; NULL: left alone */
    int64_t late;        /* µs for which the access has been over already */
    const char *id;      /* of the request: its script belongs to it, if it runs one; NULL: it runs none */
    const char *cgroups; /* where cgroup v2 is mounted; NULL: /sys/fs/cgroup */
};

enum lb_process_kind {
    LB_PROCESS_OTHER,      /* elsewhere: sudo to another place, an administrator's su */
    LB_PROCESS_SESSION,    /* in a session's scope */
    LB_PROCESS_SCOPE,      /* in a scope of another name: tmux, systemd-run --scope */
    LB_PROCESS_SERVICE,    /* below the account's user manager, itself included */
    LB_PROCESS_CONNECTION, /* sshd, which carries tunnels and further channels */
    LB_PROCESS_MAX_,
};

struct lb_process {
    pid_t pid;
    int kind;   /* enum lb_process_kind */
    bool alone; /* in none of the cgroups below: to be dealt with by itself */
};

#define LB_CGROUP_MAX 512

/* Zero it before its first use. */
struct lb_footprint {
    struct lb_list processes; /* struct lb_process: alive, each once */
    struct lb_list cgroups;   /* char[LB_CGROUP_MAX], absolute: each as a whole belongs to the access */
    int64_t hidden;           /* cgroups that hold somebody, deeper than we look */
    int64_t shared;           /* processes outside of any session that may be another engineer's as well */
    unsigned char *seen;      /* a bit a pid */
};

/* Looks anew; what an earlier look found is forgotten. -ENOMEM: not all was found. */
int lb_footprint_look(struct lb_footprint *f, const struct lb_reap_target *target);

void lb_footprint_clear(struct lb_footprint *f);

/* Whether a process by itself belongs to the access: it leads one of its sessions or is in its audit session. */
bool lb_footprint_owns(const struct lb_reap_target *target, pid_t pid);
