/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an approval service is asked: a request as lockboxctl shows it, and the texts of which it may sign one. The same
 * texts are the same question, so that a service that is asked twice knows it.
 */
#pragma once

#include <jansson.h>

#define LB_QUESTION_ID_MAX 64

/* "7F3K-9QXM.0123456789abcdef": the request and a digest of the text to approve. -ENOMEM. */
int lb_question_id(const char *request, const char *approve, char ret[static LB_QUESTION_ID_MAX]);

/* The body of a question; `deny` may be NULL. Owned; NULL: out of memory. */
char *lb_question_body(const char *id, const char *approver, json_t *request, const char *approve, const char *deny);

/* The bodies that say that a request is open no more, and that this is a test. Owned; NULL: out of memory. */
char *lb_question_closed(const char *host, json_t *request);
char *lb_question_test(const char *host);

/* BASE/requests/REQUEST, or further in it: `what` is "", "/closed" … Owned; NULL: out of memory. */
char *lb_question_url(const char *base, const char *request, const char *what);
