/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an approval service is asked, and what of its answers is handed on: only what is exactly an answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/courier/question.h"
#include "lockboxd/courier/reply.h"
#include "lockboxd/courier/trouble.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define YES "Lockbox consent, version 1\\nDecision: approve\\nRequest: 7F3K-9QXM\\n"
#define ANSWER "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":\"SIG\"}"

static const char *problem_of(const char *body, size_t size)
{
    struct lb_remote_reply r = { 0 };
    const char *problem = NULL;

    assert_int_equal(lb_remote_reply_parse(body, size, &r, &problem), -EINVAL);
    assert_null(r.decision);
    assert_null(r.statement);
    assert_null(r.signature);
    assert_non_null(problem);
    return problem;
}

static void an_answer_is_taken_as_it_is(void **state)
{
    struct lb_remote_reply r = { 0 };
    const char *problem = NULL;

    (void)state;
    assert_int_equal(lb_remote_reply_parse(ANSWER, strlen(ANSWER), &r, &problem), 0);
    assert_string_equal(r.decision, "approve");
    assert_string_equal(r.statement, "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\n");
    assert_string_equal(r.signature, "SIG");
    lb_remote_reply_clear(&r);
}

/* Row 30: whatever else comes is no answer. */
static void nothing_else_is_an_answer(void **state)
{
    static const char *const bodies[] = {
        "", "{", "{}", "[]", "null", "true", "\"approve\"", "<html>Sign in</html>", ANSWER " x", ANSWER ANSWER,
        "{\"decision\":\"approve\"}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\"}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":\"SIG\",\"for\":1}",
        "{\"decision\":\"deny\",\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":\"SIG\"}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":\"SIG\",\"signature\":\"SIG\"}",
        "{\"decision\":\"deny\",\"statement\":\"" YES "\",\"signature\":\"SIG\"}",
        "{\"decision\":\"app\",\"statement\":\"" YES "\",\"signature\":\"SIG\"}",
        "{\"decision\":\"\",\"statement\":\"" YES "\",\"signature\":\"SIG\"}",
        "{\"decision\":\"APPROVE\",\"statement\":\"" YES "\",\"signature\":\"SIG\"}",
        "{\"decision\":true,\"statement\":\"" YES "\",\"signature\":\"SIG\"}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":99999999999999999999999999}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":1e999}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":null}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":\"\"}",
        "{\"decision\":\"approve\",\"statement\":\"" YES "\",\"signature\":[\"SIG\"]}",
        "{\"decision\":\"approve\",\"statement\":\"Decision: approve\",\"signature\":\"SIG\"}",
        "{\"decision\":\"approve\",\"statement\":\"a\\u0000b\",\"signature\":\"SIG\"}",
        "{\"decision\":\"approve\",\"statement\":\"\xff\",\"signature\":\"SIG\"}",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(bodies); i++)
        problem_of(bodies[i], strlen(bodies[i]));
}

static void long_and_deep_answers_are_none(void **state)
{
    enum { N = 64 * 1024 };
    LB_FREE char *body = malloc(N);

    (void)state;
    assert_non_null(body);
    memset(body, '[', N);
    problem_of(body, N);
    memset(body, '{', N);
    problem_of(body, N);
    memset(body, 'x', N);
    memcpy(body, "{\"decision\":\"approve\",\"signature\":\"", 34);
    memcpy(body + N - 2, "\"}", 2);
    problem_of(body, N);
}

static void the_same_text_is_the_same_question(void **state)
{
    char a[LB_QUESTION_ID_MAX], b[LB_QUESTION_ID_MAX];

    (void)state;
    assert_int_equal(lb_question_id("7F3K-9QXM", "text\n", a), 0);
    assert_int_equal(lb_question_id("7F3K-9QXM", "text\n", b), 0);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), strlen("7F3K-9QXM.0123456789abcdef"));
    assert_memory_equal(a, "7F3K-9QXM.", 10);
    assert_int_equal(lb_question_id("7F3K-9QXM", "text \n", b), 0);
    assert_string_not_equal(a, b);
}

static void a_question_has_both_texts_or_one(void **state)
{
    json_auto_t *request = json_pack("{ss}", "id", "7F3K-9QXM");
    LB_FREE char *both = lb_question_body("Q", "board", request, "yes\n", "no\n");
    LB_FREE char *one = lb_question_body("Q", "board", request, "yes\n", NULL);

    (void)state;
    assert_string_equal(both, "{\"approver\":\"board\",\"id\":\"Q\",\"request\":{\"id\":\"7F3K-9QXM\"},\"statements\":"
                              "{\"approve\":\"yes\\n\",\"deny\":\"no\\n\"},\"type\":\"request.waiting\"}");
    assert_null(strstr(one, "deny"));
}

static void where_it_goes(void **state)
{
    static const char *const rows[][4] = {
        { "https://a.example", "", "", "https://a.example/requests" },
        { "https://a.example/x/", "", "", "https://a.example/x/requests" },
        { "https://a.example/x", "7F3K-9QXM", "/closed", "https://a.example/x/requests/7F3K-9QXM/closed" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *url = lb_question_url(rows[i][0], rows[i][1], rows[i][2]);

        assert_string_equal(url, rows[i][3]);
    }
}

/* --- what goes wrong ---------------------------------------------------------------------------------------------- */

static void trouble_is_met_ever_more_seldom(void **state)
{
    static const struct lb_patience patience = { 10, 75 };
    static const int64_t delays[] = { 10, 20, 40, 75, 75 };
    struct lb_trouble t = { .who = "test" };
    int64_t since = 0;

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(delays); i++) {
        assert_int_equal(lb_trouble_meet(&t, &patience, i % 2 ? "a\nb\033[2J" : "c"), delays[i]);
        since = since ? since : t.since;
        assert_int_equal(t.since, since);
        assert_string_equal(t.text, i % 2 ? "a b\xef\xbf\xbd[2J" : "c"); /* anybody's words */
    }
    lb_trouble_over(&t);
    assert_null(t.text);
    assert_int_equal(lb_trouble_meet(&t, &patience, NULL), 10);
    assert_non_null(t.text);
    lb_trouble_clear(&t);
}

static void a_state_is_told(void **state)
{
    static const struct { const char *problem; int64_t worked_at; const char *told; } rows[] = {
        { NULL, 0, "{\"state\":\"idle\"}" },
        { NULL, 5000000, "{\"state\":\"connected\",\"worked_at\":\"1970-01-01T00:00:05Z\"}" },
        { "away", 5000000, "{\"problem\":\"away\",\"since\":\"1970-01-01T00:00:07Z\",\"state\":\"failing\","
                           "\"worked_at\":\"1970-01-01T00:00:05Z\"}" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        json_auto_t *told = lb_trouble_status(rows[i].problem, 7000000, rows[i].worked_at, json_object());
        LB_FREE char *text = lb_json_canonical(told);

        assert_string_equal(text, rows[i].told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_taken_as_it_is), cmocka_unit_test(nothing_else_is_an_answer),
        cmocka_unit_test(long_and_deep_answers_are_none), cmocka_unit_test(the_same_text_is_the_same_question),
        cmocka_unit_test(a_question_has_both_texts_or_one), cmocka_unit_test(where_it_goes),
        cmocka_unit_test(trouble_is_met_ever_more_seldom), cmocka_unit_test(a_state_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
