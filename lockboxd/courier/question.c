/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/question.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/chain.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define DIGITS 16 /* of the digest: enough to tell the questions about one request apart */

int lb_question_id(const char *request, const char *approve, char ret[static LB_QUESTION_ID_MAX])
{
    char hash[LB_HASH_MAX];
    int r = lb_chain_hash(approve, strlen(approve), hash);

    if (r == 0)
        snprintf(ret, LB_QUESTION_ID_MAX, "%.32s.%.*s", request, DIGITS, hash);
    return r;
}

char *lb_question_body(const char *id, const char *approver, json_t *request, const char *approve, const char *deny)
{
    json_auto_t *body = json_pack("{ss ss ss sO s{ss ss*}}", "type", "request.waiting", "id", id, "approver", approver,
                                  "request", request, "statements", "approve", approve, "deny", deny);

    return body ? lb_json_canonical(body) : NULL;
}

char *lb_question_closed(const char *host, json_t *request)
{
    json_auto_t *body = json_pack("{ss ss sO}", "type", "request.closed", "host", host, "request", request);

    return body ? lb_json_canonical(body) : NULL;
}

char *lb_question_test(const char *host)
{
    json_auto_t *body = json_pack("{ss ss}", "type", "test", "host", host);

    return body ? lb_json_canonical(body) : NULL;
}

char *lb_question_url(const char *base, const char *request, const char *what)
{
    size_t n = strlen(base);
    char *url;

    while (n > 0 && base[n - 1] == '/')
        n--;
    return asprintf(&url, "%.*s/requests%s%s%s", (int)n, base, *request ? "/" : "", request, what) < 0 ? NULL : url;
}
