/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole conversation of one login: ask, wait, and what is shown meanwhile. */
#pragma once

#include <security/pam_modules.h>

#include "pam_lockbox/outcome.h"
#include "pam_lockbox/args.h"

#define LB_ANSWER_WITHIN_MS 5000 /* in which the daemon answers what needs no person */

/* Shows text as PAM_TEXT_INFO or PAM_ERROR_MSG, if it can be shown at all. NULL and "" show nothing. */
void lb_conversation_show(pam_handle_t *pamh, int style, const char *text);

/*
 * Begins the request for `login` (an object as of lb_login_collect) and waits for its decision, asking the person for
 * what the rule wants. Where nobody can be asked, answers at once. *reply is the daemon's last; clear it.
 */
enum lb_outcome lb_conversation_hold(pam_handle_t *pamh, const struct lb_args *args, struct lb_client *client,
                                     json_t *login, struct lb_reply *reply);
