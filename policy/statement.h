/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The consent text that a person reads and signs: all that he says yes or no to, a line each. It is canonical: the same
 * request and the same choice give the same bytes, so that a signed text is checked by making it once more.
 */
#pragma once

#include "policy/lines.h"
#include "policy/request.h"

#define LB_STATEMENT_MAX LB_LINES_MAX /* bytes */

/* What the approver chose; all the rest of the text is the request's. */
struct lb_statement {
    char *request;    /* ID, as printed */
    char *approver;
    bool approve;     /* false: deny, and the next two are 0 */
    int64_t duration; /* µs, whole seconds, or LB_NEVER */
    int64_t from;     /* access begins then, µs since 1970, whole seconds; 0: at once, or with the first login */
    char *note;       /* safe to show (lb_text_clean); NULL: none */
};

/*
 * The text (owned), ended by a newline. `stage` is the request's ("internal", "customer"), `digest` what stands for all
 * of the request, in hex. -ERANGE: longer than the request is for; -ENODATA: the request has no nonce, which one that
 * waits for no decision or comes from an older log has not; -EINVAL: a value would not be one line; -ENOMEM.
 */
int lb_statement_make(const struct lb_statement *s, const struct lb_request *r, const char *stage, const char *digest,
                      char **ret);

/* The choice in a text. That all else in it is right is known only once it has been made again and is the same bytes.
 * -EINVAL for what cannot be a statement; -ENOMEM. Clear with lb_statement_clear. */
int lb_statement_parse(const char *text, struct lb_statement *ret);
void lb_statement_clear(struct lb_statement *s);

/* What the first line begins with in which a text is not as it was made: "Ticket", or "text" where that is no line of
 * ours. Owned; NULL: they are the same, or out of memory. */
char *lb_statement_difference(const char *made, const char *text);
