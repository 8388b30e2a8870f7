/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The consent text: its bytes, what it takes back, and that no byte of it can be another one unnoticed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policy/statement.h"
#include "tests/unit/samples.h"

#define NONCE "00112233445566778899aabbccddeeff"
#define DIGEST "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"

/* A request that waits at the customer's stage. */
static struct lb_request *waiting(void)
{
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);
    struct lb_request *r = NULL;

    e.nonce = (char *)NONCE;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    return r;
}

static struct lb_statement yes(void)
{
    return (struct lb_statement){ .request = (char *)"7F3K-9QXM", .approver = (char *)"bob", .approve = true,
                                  .duration = 4 * HOUR };
}

static void assert_text(const struct lb_statement *s, const struct lb_request *r, const char *wanted)
{
    LB_FREE char *text = NULL;

    assert_int_equal(lb_statement_make(s, r, "customer", DIGEST, &text), 0);
    assert_string_equal(text, wanted);
}

#define HEAD(decision) "Lockbox consent, version 1\nDecision: " decision "\nRequest: 7F3K-9QXM\nHost: appliance\n" \
    "Account: root\nEngineer: eng@vendor.example\nProven by: SHA256:abc\nFrom: 192.0.2.7\nService: sshd\nScope: login\n"
#define WHY "Ticket: CASE-1234\nReason: disk is full\n"
#define END "Nonce: " NONCE "\nDigest: " DIGEST "\n"

static void test_the_bytes(void **state)
{
    struct lb_request *r = waiting();
    struct lb_statement s = yes();

    (void)state;
    assert_text(&s, r, HEAD("approve") WHY "Duration: 4h (14400 s)\nBegins: at once\nNot after: 2026-09-22T02:13:20Z\n"
                                           "Approver: bob\nStage: customer\n" END);
    s.duration = 3661 * LB_USEC_PER_SEC;
    s.from = SAMPLE_WALL + HOUR;
    s.note = (char *)"as agreed";
    assert_text(&s, r, HEAD("approve") WHY "Duration: 1h 1min (3661 s)\nBegins: 2026-09-21T15:13:20Z\n"
                                           "Not after: 2026-09-22T02:13:20Z\nApprover: bob\nStage: customer\n"
                                           "Note: as agreed\n" END);
    s = (struct lb_statement){ .request = (char *)"7F3K-9QXM", .approver = (char *)"bob" };
    assert_text(&s, r, HEAD("deny") WHY "Not after: 2026-09-22T02:13:20Z\nApprover: bob\nStage: customer\n" END);
    lb_request_free(r);
}

static void test_what_the_request_has_not(void **state)
{
    static const char wanted[] =
        "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\nHost: appliance\nAccount: root\n"
        "Engineer: unproven\nProven by: nothing\nFrom: this host\nService: sshd\nScope: login\n"
        "Duration: forever\nBegins: with the first login\nNot after: never\nApprover: bob\nStage: customer\n" END;
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);
    struct lb_statement s = yes();
    struct lb_request *r = NULL;

    (void)state;
    e.nonce = (char *)NONCE;
    e.engineer = (char *)"unproven";
    e.key = e.rhost = e.ticket = e.reason = NULL;
    e.terms.starts = LB_STARTS_LOGIN;
    e.duration = e.terms.max_duration = e.terms.expire_after = s.duration = LB_NEVER;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_text(&s, r, wanted);
    lb_request_free(r);
}

/* More time begins with nothing of its own, and says what it is added to. */
static void test_more_time(void **state)
{
    struct lb_request *r = waiting();
    struct lb_statement s = yes();
    LB_FREE char *text = NULL;

    (void)state;
    r->extends = strdup("MORE-0001");
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), 0);
    assert_non_null(strstr(text, "\nMore time for: MORE-0001\n"));
    assert_null(strstr(text, "Begins"));
    lb_request_free(r);
}

static void test_what_cannot_be_said(void **state)
{
    struct lb_request *r = waiting(), *approved = sample_request(LB_STATE_APPROVED);
    struct lb_request *old = sample_request(LB_STATE_PENDING);
    struct lb_statement s = yes();
    char *text = NULL;

    (void)state;
    s.duration = 4 * HOUR + LB_USEC_PER_SEC;
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), -ERANGE);
    s.duration = LB_NEVER;
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), -ERANGE);
    s.duration = 0;
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), -ERANGE);
    s = yes();
    assert_int_equal(lb_statement_make(&s, approved, "customer", DIGEST, &text), -ENODATA);
    assert_int_equal(lb_statement_make(&s, old, "customer", DIGEST, &text), -ENODATA);
    s.note = (char *)"fine\nDuration: 9h (32400 s)";
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), -EINVAL);
    s = yes();
    free(r->reason);
    r->reason = strdup("x\nApprover: carol");
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), -EINVAL);
    assert_null(text);
    lb_request_free(r);
    lb_request_free(approved);
    lb_request_free(old);
}

static void test_the_choice_is_read_back(void **state)
{
    struct lb_request *r = waiting();
    struct lb_statement s = yes(), again;
    LB_FREE char *text = NULL, *deny = NULL;

    (void)state;
    s.duration = 3661 * LB_USEC_PER_SEC;
    s.from = SAMPLE_WALL + HOUR;
    s.note = (char *)"Duration: is what it says";
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), 0);
    assert_int_equal(lb_statement_parse(text, &again), 0);
    assert_string_equal(again.request, "7F3K-9QXM");
    assert_string_equal(again.approver, "bob");
    assert_string_equal(again.note, s.note);
    assert_true(again.approve && again.duration == s.duration && again.from == s.from);
    lb_statement_clear(&again);
    s = (struct lb_statement){ .request = (char *)"7F3K-9QXM", .approver = (char *)"bob" };
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &deny), 0);
    assert_int_equal(lb_statement_parse(deny, &again), 0);
    assert_true(!again.approve && again.duration == 0 && !again.note);
    lb_statement_clear(&again);
    lb_request_free(r);
}

static void test_what_is_no_statement(void **state)
{
    static const char *const texts[] = {
        "", "\n", "hello\n", "Lockbox consent, version 1", "Lockbox consent, version 1\n",
        "Lockbox consent, version 2\nDecision: deny\nRequest: 7F3K-9QXM\nApprover: bob\n",
        "Lockbox consent, version 1\nDecision: maybe\nRequest: 7F3K-9QXM\nApprover: bob\n",
        "Lockbox consent, version 1\nDecision: deny\nApprover: bob\n",
        "Lockbox consent, version 1\nDecision: deny\nRequest: 7F3K-9QXM\n",
        "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\nApprover: bob\n",
        "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\nApprover: bob\nDuration: 4h\n",
        "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\nApprover: bob\nDuration: 4h (-4 s)\n",
        "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\nApprover: bob\nDuration: 4h (0 s)\n",
        "Lockbox consent, version 1\nDecision: approve\nRequest: 7F3K-9QXM\nApprover: bob\n"
        "Duration: x (9223372036854775807 s)\n",
        "Lockbox consent, version 1\nDecision: deny\nRequest: 7F3K-9QXM\nApprover: bob\nNote: \xE2\x80\xAEhidden\n",
    };
    struct lb_statement s;
    LB_FREE char *longer = malloc(LB_STATEMENT_MAX + 2);

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        assert_int_equal(lb_statement_parse(texts[i], &s), -EINVAL);
    memset(longer, 'x', LB_STATEMENT_MAX + 1);
    longer[LB_STATEMENT_MAX + 1] = '\0';
    assert_int_equal(lb_statement_parse(longer, &s), -EINVAL);
}

/* The label of the line in which a byte stands is one of those that an approver chooses. */
static bool is_chosen(const char *text, size_t at)
{
    static const char *const labels[] = { "Decision: ", "Duration: ", "Begins: ", "Approver: ", "Note: " };
    const char *line = text + at;

    while (line > text && line[-1] != '\n')
        line--;
    for (size_t i = 0; i < LB_ELEMENTS(labels); i++)
        if (strncmp(line, labels[i], strlen(labels[i])) == 0 && (size_t)(text + at - line) >= strlen(labels[i]))
            return true;
    return false;
}

/* Made anew from what is read of it, a text with any one byte changed is another text; but for the approver's own
 * words, which make another statement, with a signature of its own. */
static void test_no_byte_is_another_one(void **state)
{
    struct lb_request *r = waiting();
    struct lb_statement s = yes();
    LB_FREE char *text = NULL;
    size_t taken = 0;

    (void)state;
    s.note = (char *)"as agreed";
    s.from = SAMPLE_WALL + HOUR;
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), 0);
    for (size_t at = 0; text[at]; at++)
        for (int byte = 1; byte < 256; byte++) {
            LB_FREE char *changed = strdup(text), *made = NULL;
            struct lb_statement read;

            changed[at] = (char)byte;
            if (changed[at] == text[at] || lb_statement_parse(changed, &read) < 0)
                continue;
            if (strcmp(read.request, r->id) == 0 && lb_statement_make(&read, r, "customer", DIGEST, &made) == 0 &&
                strcmp(made, changed) == 0) {
                assert_true(is_chosen(text, at));
                taken++;
            }
            lb_statement_clear(&read);
        }
    assert_true(taken > 100); /* "bob" may be anybody */
    lb_request_free(r);
}

static void test_no_field_of_the_request_is_another_one(void **state)
{
    struct lb_request *r = waiting();
    struct lb_statement s = yes();
    LB_FREE char *text = NULL;
    char **const fields[] = { &r->id, &r->host, &r->account, &r->engineer, &r->key, &r->rhost, &r->service, &r->scope,
                              &r->ticket, &r->reason, &r->nonce };
    static const char *const labels[] = { "Request", "Host", "Account", "Engineer", "Proven by", "From", "Service",
                                          "Scope", "Ticket", "Reason", "Nonce" };

    (void)state;
    assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &text), 0);
    for (size_t i = 0; i < LB_ELEMENTS(fields); i++) {
        LB_FREE char *made = NULL, *label = NULL;
        char *kept = *fields[i];

        *fields[i] = (char *)"another";
        assert_int_equal(lb_statement_make(&s, r, "customer", DIGEST, &made), 0);
        label = lb_statement_difference(made, text);
        assert_string_equal(label, labels[i]);
        *fields[i] = kept;
    }
    for (size_t i = 0; i < 3; i++) {
        LB_FREE char *made = NULL, *label = NULL;

        r->requested_at += i == 0 ? HOUR : 0;
        assert_int_equal(lb_statement_make(&s, r, i == 1 ? "internal" : "customer", i == 2 ? NONCE : DIGEST, &made), 0);
        r->requested_at -= i == 0 ? HOUR : 0;
        label = lb_statement_difference(made, text);
        assert_string_equal(label, i == 0 ? "Not after" : i == 1 ? "Stage" : "Digest");
    }
    assert_null(lb_statement_difference(text, text));
    lb_request_free(r);
}

/* What was signed for the vendor's stage is nothing at the customer's. */
static void test_each_stage_has_a_nonce(void **state)
{
    struct lb_event review = sample_event(LB_EVENT_REVIEW, 0), reviewed = sample_event(LB_EVENT_REVIEWED, HOUR);
    struct lb_event voted = sample_event(LB_EVENT_VOTED, 2 * HOUR);
    struct lb_request *r = NULL;

    (void)state;
    review.nonce = (char *)NONCE;
    reviewed.nonce = (char *)"another";
    review.terms.quorum = 2;
    assert_int_equal(lb_lifecycle_apply(&r, &review), 0);
    assert_string_equal(r->nonce, NONCE);
    assert_int_equal(lb_lifecycle_apply(&r, &reviewed), 0);
    assert_string_equal(r->nonce, "another");
    assert_int_equal(lb_lifecycle_apply(&r, &voted), 0);
    assert_string_equal(r->nonce, "another");
    lb_request_free(r);
}

/* The lifecycle takes no unsigned yes where the rule asked for signatures; a no it does take. */
static void test_only_signed_is_a_yes(void **state)
{
    static const int kinds[][2] = { { LB_EVENT_REVIEW, LB_EVENT_REVIEWED }, { LB_EVENT_REQUESTED, LB_EVENT_VOTED },
                                    { LB_EVENT_REQUESTED, LB_EVENT_APPROVED } };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(kinds); i++) {
        struct lb_event first = sample_event(kinds[i][0], 0), yes_event = sample_event(kinds[i][1], HOUR);
        struct lb_event no = sample_event(LB_EVENT_DENIED, HOUR);
        struct lb_request *r = NULL;
        unsigned effects;
        int next;

        first.terms.evidence = LB_EVIDENCE_SIGNED;
        assert_int_equal(lb_lifecycle_apply(&r, &first), 0);
        assert_int_equal(lb_lifecycle_check(r, r->state, &yes_event, &next, &effects), -EINVAL);
        yes_event.evidence = NULL;
        assert_int_equal(lb_lifecycle_check(r, r->state, &yes_event, &next, &effects), -EINVAL);
        yes_event.evidence = (char *)LB_EVIDENCE_SIGNATURE;
        assert_int_equal(lb_lifecycle_check(r, r->state, &yes_event, &next, &effects), 0);
        assert_int_equal(lb_lifecycle_check(r, r->state, &no, &next, &effects), 0);
        lb_request_free(r);
    }
}

static void test_difference(void **state)
{
    static const char *const cases[][3] = {
        { "T\nA: b\n", "T\nA: c\n", "A" }, { "T\nA: b\nB: c\n", "T\nA: b\n", "B" },
        { "T\nA: b\n", "T\nA: b\nB: c\n", "text" },
        { "T\nA: b\n", "U\nA: b\n", "text" }, { "T\nA: b\n", "", "text" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        LB_FREE char *label = lb_statement_difference(cases[i][0], cases[i][1]);

        assert_string_equal(label, cases[i][2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes),
        cmocka_unit_test(test_what_the_request_has_not),
        cmocka_unit_test(test_more_time),
        cmocka_unit_test(test_what_cannot_be_said),
        cmocka_unit_test(test_the_choice_is_read_back),
        cmocka_unit_test(test_what_is_no_statement),
        cmocka_unit_test(test_no_byte_is_another_one),
        cmocka_unit_test(test_no_field_of_the_request_is_another_one),
        cmocka_unit_test(test_each_stage_has_a_nonce),
        cmocka_unit_test(test_only_signed_is_a_yes),
        cmocka_unit_test(test_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
