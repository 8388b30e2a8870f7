/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an engineer at a prompt is told of a request in each state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "lockboxd/answer.h"
#include "tests/unit/samples.h"

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static struct lb_answer answer(const struct lb_request *r, const struct lb_request *blocker, int64_t after)
{
    const struct lb_time now = sample_time(after);
    struct lb_answer a = { 0 };

    lb_answer_request(&a, r, blocker, &now);
    return a;
}

static void assert_answer(const struct lb_request *r, const struct lb_request *blocker, int64_t after, int verdict,
                          const char *message)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, blocker, after);

    assert_string_equal(a.message, message);
    assert_string_equal(lb_answer_verdict_names[a.verdict], lb_answer_verdict_names[verdict]);
    assert_string_equal(a.request, r->id);
    assert_int_equal(a.later != NULL, verdict == LB_ANSWER_WAITING);
}

/* SAMPLE_WALL is Mon 21 Sep 2026 14:13:20 UTC. */
static void test_every_state(void **state)
{
    static const struct { int verdict; const char *message; } wanted[LB_STATE_MAX_] = {
        [LB_STATE_REVIEW] = { LB_ANSWER_WAITING,
            "Request 7F3K-9QXM for root on appliance is pending: the vendor's own approver decides first, then the "
            "customer, until Tue 22 Sep 02:13 UTC (in 11h).\n"
            "Engineer eng@vendor.example, ticket CASE-1234, asked for 4h." },
        [LB_STATE_PENDING] = { LB_ANSWER_WAITING,
            "Request 7F3K-9QXM for root on appliance is pending: the customer decides until Tue 22 Sep 02:13 UTC (in "
            "11h).\n"
            "Engineer eng@vendor.example, ticket CASE-1234, asked for 4h." },
        [LB_STATE_APPROVED] = { LB_ANSWER_ALLOWED, "Access 7F3K-9QXM to root is approved for 4h, from now on." },
        [LB_STATE_ACTIVE] = { LB_ANSWER_ALLOWED, "Access 7F3K-9QXM to root until Mon 21 Sep 18:13 UTC (in 3h)." },
        [LB_STATE_PAUSED] = { LB_ANSWER_DENIED,
            "Access 7F3K-9QXM to root is paused by bob since Mon 21 Sep 14:13 UTC. It ends Mon 21 Sep 18:13 UTC (in "
            "3h) "
            "if it is not resumed. Log in again then." },
        [LB_STATE_ENDING] = { LB_ANSWER_DENIED, "Access 7F3K-9QXM to root is ending." },
        [LB_STATE_COMPLETED] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (completed). Log in again to make a new request." },
        [LB_STATE_ENDED] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (ended). Log in again to make a new request." },
        [LB_STATE_REVOKED] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (revoked). Log in again to make a new request." },
        [LB_STATE_DENIED] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM was denied by bob. Log in again to make a new request." },
        [LB_STATE_EXPIRED] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (expired). Log in again to make a new request." },
        [LB_STATE_WITHDRAWN] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (withdrawn). Log in again to make a new request." },
        [LB_STATE_LAPSED] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (lapsed). Log in again to make a new request." },
        [LB_STATE_UNDECIDABLE] = { LB_ANSWER_DENIED,
            "Request 7F3K-9QXM is over (undecidable). Log in again to make a new request." },
    };

    (void)state;
    for (int s = LB_STATE_REVIEW; s < LB_STATE_MAX_; s++) {
        struct lb_request *r = sample_request(s);
        int64_t begun = r->state == LB_STATE_ACTIVE ? 2 * LB_USEC_PER_SEC : 0;

        assert_answer(r, NULL, HOUR + begun, wanted[s].verdict, wanted[s].message);
        lb_request_free(r);
    }
}

static void test_only_two_states_allow(void **state)
{
    (void)state;
    for (int s = LB_STATE_REVIEW; s < LB_STATE_MAX_; s++) {
        struct lb_request *r = sample_request(s);
        LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, NULL, HOUR);

        assert_int_equal(a.verdict == LB_ANSWER_ALLOWED, s == LB_STATE_APPROVED || s == LB_STATE_ACTIVE);
        assert_int_equal(a.remaining > 0, a.verdict == LB_ANSWER_ALLOWED);
        lb_request_free(r);
    }
}

static void test_zero_is_no(void **state)
{
    const struct lb_answer a = { 0 };

    (void)state;
    assert_int_equal(a.verdict, LB_ANSWER_DENIED);
}

static void test_words_of_the_waiting(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_MESSAGE, HOUR);

    (void)state;
    free(LB_TAKE(r->ticket));
    r->previous = strdup("AAAA-AAA1, denied by bob");
    e.note = "which disk?";
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_answer(r, NULL, 0, LB_ANSWER_WAITING,
                  "Request 7F3K-9QXM for root on appliance is pending: the customer decides until Tue 22 Sep 02:13 UTC "
                  "(in 12h).\nEngineer eng@vendor.example, asked for 4h.\nPrevious: AAAA-AAA1, denied by bob\n"
                  "bob: which disk?");
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, NULL, 0);
    assert_string_equal(a.later,
                        "Request 7F3K-9QXM is still pending and stays open until Tue 22 Sep 02:13 UTC (in 12h). "
                        "Log in again to pick the decision up.");
    lb_request_free(r);
}

static void assert_remark(const struct lb_answer *a, const struct lb_request *r, int64_t after, const char *remark)
{
    const struct lb_time now = sample_time(after);
    LB_FREE char *text = lb_answer_remark(a, r, &now);

    assert_int_equal(text != NULL, remark != NULL);
    if (remark)
        assert_string_equal(text, remark);
}

/* Who is shown the request reads its state and times there, and not a second time in the host's zone. */
static void test_remark(void **state)
{
    struct lb_request *pending = sample_request(LB_STATE_PENDING), *approved = sample_request(LB_STATE_APPROVED);
    struct lb_request *active = sample_request(LB_STATE_ACTIVE);
    LB_CLEANUP(lb_answer_clear) struct lb_answer waits = answer(pending, NULL, 0);
    LB_CLEANUP(lb_answer_clear) struct lb_answer runs = answer(active, NULL, 3 * MINUTE);
    LB_CLEANUP(lb_answer_clear) struct lb_answer blocked = answer(approved, active, 3 * MINUTE);
    LB_CLEANUP(lb_answer_clear) struct lb_answer ends = answer(active, NULL, 10 * HOUR);

    (void)state;
    assert_remark(&waits, pending, 0, NULL);
    assert_remark(&runs, active, 3 * MINUTE, NULL);
    assert_remark(&blocked, approved, 3 * MINUTE, blocked.message);
    assert_remark(&ends, active, 10 * HOUR, "Access 7F3K-9QXM to root is ending.");
    lb_answer_clamp(&waits, 4 * HOUR);
    assert_remark(&waits, pending, 0, "The rule allows 4h at most.");
    assert_int_equal(strncmp(waits.message, "The rule allows 4h at most.\nRequest 7F3K-9QXM for ", 49), 0);
    lb_request_free(pending);
    lb_request_free(approved);
    lb_request_free(active);
}

static void test_denied_with_a_note(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_DENIED, HOUR);

    (void)state;
    e.note = "not on a Sunday";
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_answer(r, NULL, HOUR, LB_ANSWER_DENIED,
                  "Request 7F3K-9QXM was denied by bob: not on a Sunday. Log in again to make a new request.");
    lb_request_free(r);
}

static void test_in_use(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_APPROVED), *blocker = sample_request(LB_STATE_ACTIVE);

    (void)state;
    free(blocker->engineer);
    blocker->engineer = strdup("colleague");
    assert_answer(r, blocker, 2 * LB_USEC_PER_SEC, LB_ANSWER_WAITING,
                  "Request 7F3K-9QXM is approved, but root is in use by colleague until Mon 21 Sep 18:13 UTC (in 4h).");
    lb_request_free(r);
    lb_request_free(blocker);
}

static void test_without_an_end(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING), *blocker = sample_request(LB_STATE_ACTIVE);

    (void)state;
    r->decide_by = blocker->not_after = lb_deadline_never();
    assert_answer(r, NULL, HOUR, LB_ANSWER_WAITING,
                  "Request 7F3K-9QXM for root on appliance is pending: the customer decides until further notice.\n"
                  "Engineer eng@vendor.example, ticket CASE-1234, asked for 4h.");
    r->state = LB_STATE_APPROVED;
    assert_answer(r, blocker, HOUR, LB_ANSWER_WAITING,
                  "Request 7F3K-9QXM is approved, but root is in use by eng@vendor.example until further notice.");
    assert_answer(blocker, NULL, HOUR, LB_ANSWER_ALLOWED, "Access 7F3K-9QXM to root until further notice.");
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(blocker, NULL, HOUR);
    assert_int_equal(a.remaining, LB_NEVER);
    lb_request_free(r);
    lb_request_free(blocker);
}

static void test_too_many_sessions(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);

    (void)state;
    r->terms.max_sessions = 1;
    assert_answer(r, NULL, HOUR, LB_ANSWER_DENIED,
                  "Access 7F3K-9QXM has as many sessions open as its rule allows (1); close one.");
    r->terms.max_sessions = 2;
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, NULL, HOUR);
    assert_int_equal(a.verdict, LB_ANSWER_ALLOWED);
    lb_request_free(r);
}

/* Time is over before the timer has said so, as after a stop of the whole host: no more. */
static void test_over_before_the_timer(void **state)
{
    static const struct { int state; int64_t after; } late[] = {
        { LB_STATE_ACTIVE, 4 * HOUR + 2 * LB_USEC_PER_SEC }, { LB_STATE_APPROVED, 24 * HOUR + LB_USEC_PER_SEC } };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(late); i++) {
        struct lb_request *r = sample_request(late[i].state);
        LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, NULL, late[i].after);
        LB_CLEANUP(lb_answer_clear) struct lb_answer before = answer(r, NULL, late[i].after - 1);

        assert_int_equal(a.verdict, LB_ANSWER_DENIED);
        assert_int_equal(a.remaining, 0);
        assert_int_equal(before.verdict, LB_ANSWER_ALLOWED);
        lb_request_free(r);
    }
}

/* What is left is told by the clock that says less. */
static void test_moved_clock(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_time now = sample_time(HOUR);
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };

    (void)state;
    now.wall -= 10 * 365 * 24 * HOUR;
    lb_answer_request(&a, r, NULL, &now);
    assert_int_equal(a.remaining, 23 * HOUR + 2 * LB_USEC_PER_SEC); /* eight may still be added, and twelve held */
    lb_request_free(r);
}

/* Approved for later: nobody comes in before, and everybody is told when. */
static void test_not_yet(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_APPROVED, 0);

    (void)state;
    e.not_before = SAMPLE_WALL + 2 * HOUR;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_answer(r, NULL, HOUR, LB_ANSWER_WAITING,
                  "Request 7F3K-9QXM is approved; access begins Mon 21 Sep 16:13 UTC (in 1h).");
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, NULL, 2 * HOUR - 1);
    assert_int_equal(a.verdict, LB_ANSWER_WAITING);
    assert_int_equal(a.remaining, 0);
    assert_answer(r, NULL, 2 * HOUR, LB_ANSWER_ALLOWED, "Access 7F3K-9QXM to root is approved for 4h, from now on.");
    lb_request_free(r);
}

/* What PID 1 is told as the end at the latest: with all the time that may be added, or for which it may be held or
 * frozen, and never less than there is. */
static void test_remaining(void **state)
{
    static const struct { int64_t duration, most, held, freeze, remaining; } wanted[] = {
        { 4 * HOUR, 12 * HOUR, 0, 0, 23 * HOUR }, { 4 * HOUR, 4 * HOUR, 0, 0, 7 * HOUR },
        { 4 * HOUR, 12 * HOUR, 12 * HOUR, 0, 11 * HOUR }, { 4 * HOUR, 4 * HOUR, 4 * HOUR, 0, 3 * HOUR },
        { 4 * HOUR, 4 * HOUR, 4 * HOUR, HOUR, 4 * HOUR }, { 4 * HOUR, 1 * HOUR, 1 * HOUR, 0, 3 * HOUR },
        { 4 * HOUR, LB_NEVER, 0, 0, LB_NEVER } };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wanted); i++) {
        struct lb_request *r = sample_request(LB_STATE_ACTIVE);

        r->duration = wanted[i].duration;
        r->terms.max_duration = wanted[i].most;
        r->terms.freeze = wanted[i].freeze;
        r->held = wanted[i].held;
        LB_CLEANUP(lb_answer_clear) struct lb_answer a = answer(r, NULL, HOUR + 2 * LB_USEC_PER_SEC);
        assert_int_equal(a.remaining, wanted[i].remaining);
        lb_request_free(r);
    }
}

/* Who froze it and why, until when, and what can be done. */
static void test_paused(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_PAUSED, HOUR);

    (void)state;
    e.note = "what is that?";
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_answer(
        r, NULL, HOUR, LB_ANSWER_DENIED,
        "Access 7F3K-9QXM to root is paused by bob since Mon 21 Sep 15:13 UTC: what is that?. It ends Mon 21 Sep "
        "18:13 UTC (in 3h 2s) if it is not resumed. Log in again then.");
    r->terms.on_end = LB_ON_END_FREEZE;
    r->terms.freeze = e.duration = HOUR;
    e = sample_event(LB_EVENT_RESUMED, HOUR);
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    e = sample_event(LB_EVENT_FROZEN, 5 * HOUR);
    e.by = LB_BY_CLOCK;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_answer(
        r, NULL, 5 * HOUR, LB_ANSWER_DENIED,
        "Access 7F3K-9QXM to root is frozen since Mon 21 Sep 19:13 UTC, when its time was over. It ends Mon 21 Sep "
        "20:13 UTC (in 1h) if no more time is approved. Log in interactively to ask for it.");
    lb_request_free(r);
}

static void test_say_again(void **state)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };

    (void)state;
    lb_answer_say(&a, LB_ANSWER_ASK, "first");
    lb_answer_say(&a, LB_ANSWER_DENIED, "%s %d", "second", 2);
    assert_int_equal(a.verdict, LB_ANSWER_DENIED);
    assert_string_equal(a.message, "second 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state),
        cmocka_unit_test(test_only_two_states_allow),
        cmocka_unit_test(test_zero_is_no),
        cmocka_unit_test(test_words_of_the_waiting),
        cmocka_unit_test(test_remark),
        cmocka_unit_test(test_denied_with_a_note),
        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_without_an_end),
        cmocka_unit_test(test_too_many_sessions),
        cmocka_unit_test(test_over_before_the_timer),
        cmocka_unit_test(test_moved_clock),
        cmocka_unit_test(test_not_yet),
        cmocka_unit_test(test_remaining),
        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_say_again),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
