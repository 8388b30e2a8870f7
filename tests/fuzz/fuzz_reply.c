/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as what an approval service answers, or a store: taken is only what agrees with itself and is short enough
 * for lockboxd; a store's word is a word. See fuzz_policy.c.
 */
#include <assert.h>
#include <errno.h>

#include "lockboxd/courier/object.h"
#include "lockboxd/courier/question.h"
#include "lockboxd/courier/reply.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/statement.h"

#include "tests/fuzz/fuzz_main.h"

static void check_reply(const char *text, size_t size)
{
    struct lb_remote_reply reply = { 0 };
    const char *problem = NULL, *line;
    int r = lb_remote_reply_parse(text, size, &reply, &problem);

    assert(r == 0 ? !problem : r == -EINVAL && problem && !reply.decision && !reply.statement && !reply.signature);
    if (r < 0)
        return;
    line = strstr(reply.statement, "\nDecision: ");
    assert(lb_streq(reply.decision, "approve") || lb_streq(reply.decision, "deny"));
    assert(line && strncmp(line + 11, reply.decision, strlen(reply.decision)) == 0);
    assert(strlen(reply.statement) <= LB_STATEMENT_MAX && *reply.signature && strlen(reply.signature) <= 16 * 1024);
    lb_remote_reply_clear(&reply);
}

static void check_reason(const char *text)
{
    LB_FREE char *reason = lb_object_reason(text);

    for (const char *p = reason; p && *p; p++)
        assert((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9'));
    assert(!reason || (*reason && strlen(reason) < 64));
}

/* What lockboxd says is put into a question: whatever it is, the question has one shape. */
static void check_question(const char *text, size_t size)
{
    json_auto_t *request = lb_json_load(text, size), *asked = NULL;
    LB_FREE char *body = NULL;
    char id[LB_QUESTION_ID_MAX];

    assert(lb_question_id(text, text, id) == 0 && strlen(id) < sizeof(id));
    if (!request)
        return;
    body = lb_question_body("Q", "board", request, "yes\n", NULL);
    assert(body);
    asked = json_loads(body, 0, NULL);
    assert(asked && json_object_size(asked) == 5 && json_equal(json_object_get(asked, "request"), request));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LB_FREE char *text = calloc(1, size + 1);

    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    check_reply(text, size);
    check_reason(text);
    check_question(text, size);
    return 0;
}
