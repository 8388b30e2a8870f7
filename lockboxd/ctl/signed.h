/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A text and its OpenSSH signature: where they are kept, and the stock ssh-keygen that signs and verifies. */
#pragma once

#include "lockboxd/ctl/ctl.h"

/* All of a file, at most 64 KiB. Owned. enum lb_exit. */
int lb_signed_read_file(const struct lb_ctl *ctl, const char *path, char **ret);

/* The text in `file` (NULL and "-" are standard input) and its signature: behind it in the same file, or else in
 * `beside` (NULL: in FILE.sig). Both owned. enum lb_exit. */
int lb_signed_read(const struct lb_ctl *ctl, const char *file, const char *beside, char **ret_text,
                   char **ret_signature);

/* Cuts off the signature that stands behind the text, armoured or in one line, and returns it (owned); NULL: there is
 * none. */
char *lb_signed_split(char *text);

/* Puts the armour around a signature in one line, as a prompt takes it. -ENOMEM. */
int lb_signed_armour(char **signature);

/* The signature of the text with this key (a file; or its .pub, where an agent has it), for this namespace. It asks for
 * a passphrase or a touch by itself. Owned. enum lb_exit. */
int lb_signed_sign(const struct lb_ctl *ctl, const char *namespace, const char *key, const char *text, char **ret);

/* Whether it is the principal's signature by these lines of allowed signers. 1; 0 with *ret_problem, owned; -errno. */
struct lb_signed {
    const char *namespace, *principal, *text, *signature;
};
int lb_signed_verify(const struct lb_signed *what, const char *signers, char **ret_problem);
