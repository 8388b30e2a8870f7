/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the administrator wrote behind pam_lockbox.so. */
#pragma once

#include <stdbool.h>

struct lb_args {
    char **users;       /* users=a,b: gated by name */
    char **groups;      /* groups=a,b: gated by membership; lockbox-gated where no groups= is given */
    const char *scope;  /* scope=; "login" */
    const char *socket; /* socket=; an absolute path */
    int wait_ms;        /* wait=: how long a login may take in all; 90 s */
    bool quiet;         /* prompts and refusals only */
    const char *bad;    /* the first argument that was not understood, or NULL */
};

/* The lists of repeated users= and groups= add up. The rest is borrowed from argv. -ENOMEM; what is merely wrong is
 * left out and named in `bad`, so that the caller can still tell who is gated. */
int lb_args_parse(int argc, const char **argv, struct lb_args *ret);
void lb_args_clear(struct lb_args *args);
