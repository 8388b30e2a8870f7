/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an approval service answers: a decision, the statement that it has signed, and the signature. Nothing of it is
 * believed here; it is read strictly, so that what is handed on is what was meant, and lockboxd judges it.
 */
#pragma once

#include <stddef.h>

struct lb_remote_reply {
    char *decision;  /* "approve" or "deny", as the statement says as well */
    char *statement; /* with a newline at its end */
    char *signature; /* armoured */
};

/* One JSON object with exactly these members, not too deep, none twice, no text longer than lockboxd would take.
 * -EINVAL and *ret_problem (static), for a person; -ENOMEM. */
int lb_remote_reply_parse(const char *body, size_t size, struct lb_remote_reply *ret, const char **ret_problem);
void lb_remote_reply_clear(struct lb_remote_reply *r);
