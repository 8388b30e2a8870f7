/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/reply.h"

#include <errno.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/statement.h"

#define SIGNATURE_MAX (16 * 1024) /* as lockboxd takes it */
#define DECISION "\nDecision: "

#define ROW(member, max) { #member, LB_FIELD_STRING, offsetof(struct lb_remote_reply, member), LB_FIELD_REQUIRED, max }
static const struct lb_field fields[] = {
    ROW(decision, 16), ROW(statement, LB_STATEMENT_MAX), ROW(signature, SIGNATURE_MAX), { 0 },
};

void lb_remote_reply_clear(struct lb_remote_reply *r)
{
    lb_fields_clear(fields, r);
}

/* A service that says one thing and signs the other is not to be taken by its word. */
static bool agrees(const struct lb_remote_reply *r)
{
    const char *line = strstr(r->statement, DECISION);
    size_t n = strlen(r->decision);

    return line && strncmp(line + strlen(DECISION), r->decision, n) == 0 && line[strlen(DECISION) + n] == '\n';
}

static int fail(const char **ret_problem, const char *problem)
{
    *ret_problem = problem;
    return -EINVAL;
}

int lb_remote_reply_parse(const char *body, size_t size, struct lb_remote_reply *ret, const char **ret_problem)
{
    LB_CLEANUP(lb_remote_reply_clear) struct lb_remote_reply r = { 0 };
    json_auto_t *object = lb_json_load(body, size);
    int error;

    if (!object)
        return fail(ret_problem, "the answer is no JSON object, or is too deep, or has a member twice");
    error = lb_json_unpack(fields, object, &r, 0, NULL);
    if (error == -EINVAL || (error == 0 && !*r.signature))
        return fail(ret_problem, "the answer is not made of decision, statement and signature alone, each a text of "
                                 "bounded length");
    if (error < 0)
        return error;
    if (!lb_streq(r.decision, "approve") && !lb_streq(r.decision, "deny"))
        return fail(ret_problem, "the answer's decision is neither approve nor deny");
    if (!agrees(&r))
        return fail(ret_problem, "the answer's statement does not say what its decision says");
    *ret = r;
    r = (struct lb_remote_reply){ 0 };
    return 0;
}
