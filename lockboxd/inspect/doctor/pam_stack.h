/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stage of a PAM service, laid out flat as libpam does: includes in place, Debian's @include too, substacks with
 * their level; /etc/pam.d before /usr/lib/pam.d before /usr/etc/pam.d; a stage without a line is that of `other`.
 */
#pragma once

#include "lockboxd/inspect/doctor/host.h"

enum lb_pam_stage { LB_PAM_AUTH, LB_PAM_ACCOUNT, LB_PAM_SESSION, LB_PAM_PASSWORD, LB_PAM_STAGES_ };

#define LB_PAM_CODES 32 /* return values of PAM; see security/_pam_types.h */
enum lb_pam_code {
    LB_PAM_SUCCESS = 0, LB_PAM_PERM_DENIED = 6, LB_PAM_AUTHINFO_UNAVAIL = 9, LB_PAM_NEW_AUTHTOK_REQD = 12,
    LB_PAM_ACCT_EXPIRED = 13, LB_PAM_IGNORE = 25, LB_PAM_MODULE_UNKNOWN = 28, LB_PAM_INCOMPLETE = 31,
};

/* What a return value does; a positive number skips so many lines. */
enum lb_pam_action {
    LB_PAM_DO_IGNORE = 0, LB_PAM_DO_OK = -1, LB_PAM_DO_DONE = -2, LB_PAM_DO_BAD = -3, LB_PAM_DO_DIE = -4,
    LB_PAM_DO_RESET = -5, LB_PAM_DO_UNDEFINED = -6,
};

struct lb_pam_line {
    char *file;
    unsigned line;
    int level;    /* of substacks */
    bool marker;  /* stands for a substack, whose lines follow */
    char *module; /* NULL: a mistake in the line, which fails */
    char *args;
    int actions[LB_PAM_CODES];
};

/* What the administrator should see of a service: NULL where no directory has it. Owned. -ENOMEM. */
int lb_pam_find(const struct lb_host *host, const char *service, char **ret);

/* The lines of a stage: struct lb_pam_line. `own`: nothing of `other`'s. -ENOENT: no such service; -ENOMEM. */
int lb_pam_stack_read(const struct lb_host *host, const char *service, enum lb_pam_stage stage, bool own,
                      struct lb_list *ret);
void lb_pam_stack_free(struct lb_list *stack);

/* The names that the services include: added to *ret, each once. -ENOMEM. */
int lb_pam_included(const struct lb_host *host, const char *service, char ***ret);

/* All names that there are in the directories: owned, in order. -ENOMEM. */
int lb_pam_services(const struct lb_host *host, char ***ret);

bool lb_pam_line_is(const struct lb_pam_line *line, const char *module);

/* The value of an argument like `scope=`, into a buffer; false if there is none. */
bool lb_pam_line_arg(const struct lb_pam_line *line, const char *prefix, char *buf, size_t size);
