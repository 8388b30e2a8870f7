/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Can a stage end in success although pam_lockbox would refuse? Every module but ours may return anything (pam_deny and
 * pam_permit what they do); ours refuses. The rules are those of libpam's dispatcher.
 */
#pragma once

#include "lockboxd/inspect/doctor/pam_stack.h"

enum lb_pam_pass {
    LB_PAM_ABSENT,  /* pam_lockbox is not in it, and it can end in success */
    LB_PAM_AVOIDED, /* a line before it decides, or jumps over it */
    LB_PAM_UNHEARD, /* it is asked, and its refusal does not count */
    LB_PAM_PASSES,
};

/* Where it is avoided or unheard, *ret_at is the line at fault, borrowed from the stack; else NULL. -ENOMEM. */
int lb_pam_walk(const struct lb_list *stack, enum lb_pam_stage stage, enum lb_pam_pass *ret,
                const struct lb_pam_line **ret_at);

#define LB_PAM_MODULE "pam_lockbox.so"
