/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The facts of one login: what PAM and the kernel know about it. */
#pragma once

#include <jansson.h>
#include <security/pam_modules.h>
#include <stdbool.h>
#include <stdint.h>

#include "pam_lockbox/args.h"

/* A PAM item of text, or NULL where it is unset or empty. */
const char *lb_login_item(const pam_handle_t *pamh, int item);

/* sshd answers for a person far away: its own caller and audit identity say nothing about that person. */
bool lb_login_is_sshd(const pam_handle_t *pamh);

/* sshd says that it has verified a key. */
bool lb_login_is_proven(pam_handle_t *pamh);

/* /proc/self/loginuid or sessionid: 0 and *ret, -1 where it is unset or the kernel has none; -errno. */
int lb_login_audit(const char *path, int64_t *ret);
#define LB_LOGIN_UID "/proc/self/loginuid"
#define LB_LOGIN_SESSION "/proc/self/sessionid"

/* org.lockbox.Login's Login object for this account; NULL: out of memory, or not UTF-8, or the kernel would not say. */
json_t *lb_login_collect(pam_handle_t *pamh, const struct lb_args *args, const char *account);

/* Columns of the terminal that it comes from, if it is here and said to show UTF-8; 0: not known. */
int lb_login_columns(const pam_handle_t *pamh);

/* Milliseconds since the connection began; 0 where that is not known. */
int64_t lb_login_age_ms(const pam_handle_t *pamh);
