/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is gated: the account logged in to, or who asks for it from inside. */
#pragma once

#include <security/pam_modules.h>

#include "pam_lockbox/args.h"

/*
 * The gated account that this login concerns: PAM_USER if that is gated, else the caller (PAM_RUSER, or the account of
 * the audit login uid) if he is. 0 and *ret, owned; NULL: nobody is gated. -errno if that cannot be told: a lookup that
 * fails is not "no", except for uid 0, who is gated only where he is named. -EINVAL without a PAM_USER; -ENOMEM.
 */
int lb_gated_find(const pam_handle_t *pamh, const struct lb_args *args, char **ret);
