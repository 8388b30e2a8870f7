/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A mail, complete: what a letter of the channel "mail" has for a body. The same matter gives the same bytes. */
#pragma once

#include "lockboxd/courier/config.h"
#include "lockboxd/courier/letter.h"

/*
 * `address` is the recipient (lb_mailbox_is_address). Mails about one request refer to one another, so that a mail
 * program shows them as one conversation; two of the same name are the same, by whatever way they came. *ret is owned:
 * ASCII, lines ended by CRLF, none longer than 998. -ENOMEM.
 */
int lb_compose(const struct lb_mail_config *config, const struct lb_matter *m, const char *address, char **ret);
