/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints of the log, and who signed them. */
#pragma once

#include "lockboxd/ctl/signed.h"
#include "lockboxd/verify.h"
#include "policy/checkpoint.h"

/* Of the log as it is now, from the daemon; both owned. enum lb_exit. */
int lb_checkpoint_fetch(const struct lb_ctl *ctl, char **ret_statement, char **ret_signature);

/* The one in a file that somebody kept, its text, and the signature behind it or in FILE.sig (NULL: there is none); all
 * owned. enum lb_exit. */
int lb_checkpoint_read(const struct lb_ctl *ctl, const char *path, struct lb_checkpoint *ret, char **ret_statement,
                       char **ret_signature);

enum lb_checked { LB_CHECKED_NOT, LB_CHECKED_GOOD, LB_CHECKED_BAD };

/* Whether the host signed it: by the key of --key, else by the one beside the database in `directory` (NULL: there is
 * none). One without a signature is NOT checked. With BAD *ret_problem, owned. enum lb_exit. */
int lb_checkpoint_check(const struct lb_ctl *ctl, const struct lb_verify_checkpoint *c, const char *directory, int *ret,
                        char **ret_problem);
