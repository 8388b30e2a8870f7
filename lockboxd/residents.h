/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who runs on the host without an access: one look at all processes, for those of gated accounts that nobody accounts
 * for.
 *
 * A process belongs to the account that its login uid names, whatever uid it has now; one without a login, or of
 * somebody else's, belongs to the account whose uid it has. One in a system service without a login uid may be the
 * service's own, or have come in by a daemon that asks no PAM: it is found, and marked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/fields.h"

/* The processes of one account in one audit session. */
struct lb_resident {
    int64_t uid;      /* of the account */
    int64_t session;  /* audit session id, or LB_AUDIT_UNSET: below the account's slice without one */
    bool foreign;     /* the audit session is somebody else's: he came by su */
    bool service;     /* in a system service, without a login */
    int64_t pid;      /* the first of them … */
    int64_t started;  /* … with its start time, clock ticks since boot */
    char name[16];    /* … and its name as /proc has it: any bytes */
    int64_t count;
};

/* What a look has to be told. */
struct lb_residents_ask {
    /* Whether the account is gated; what is not known now is told by another look. */
    bool (*gated)(void *userdata, uid_t uid);
    /* Whether an access covers the session, or, where `manager`, what the account's own manager runs. */
    bool (*accounted)(void *userdata, uid_t uid, int64_t session, bool manager);
    void *userdata;
};

/* One look; appends to `ret` (struct lb_resident) what it finds. -errno if /proc cannot be read. */
int lb_residents_look(const struct lb_residents_ask *ask, struct lb_list *ret);
