/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What time alone demands of a request: deadlines, warnings, and that the timer is set for the moment they are due. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/samples.h"

#define STARTED (2 * LB_USEC_PER_SEC) /* when the sample's access begins */

/* What is due `after` µs after the request was made; the warning is checked, too. */
static void assert_due(const struct lb_request *r, int64_t after, int kind, int64_t warning)
{
    const struct lb_time now = sample_time(after);
    int64_t due_warning = -1;
    int due = lb_request_due(r, &now, &due_warning);

    assert_string_equal(lb_event_names[due], lb_event_names[kind]);
    assert_int_equal(due_warning, warning);
}

/* The timer as it is set when the access of the sample begins. */
static struct lb_deadline deadline(const struct lb_request *r)
{
    const struct lb_time now = sample_time(STARTED);

    return lb_request_deadline(r, &now);
}

static void test_state_groups(void **state)
{
    static const char *const open = " review pending approved active paused ending ";
    static const char *const access = " active paused ", *const waiting = " review pending ";

    (void)state;
    for (int s = 0; s < LB_STATE_MAX_; s++) {
        char word[32];

        snprintf(word, sizeof(word), " %s ", s ? lb_state_names[s] : "none");
        assert_int_equal(lb_state_is_open(s), strstr(open, word) != NULL);
        assert_int_equal(lb_state_is_access(s), strstr(access, word) != NULL);
        assert_int_equal(lb_state_is_waiting(s), strstr(waiting, word) != NULL);
    }
}

static void test_waiting_expires(void **state)
{
    static const int states[] = { LB_STATE_REVIEW, LB_STATE_PENDING };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(states); i++) {
        struct lb_request *r = sample_request(states[i]);

        assert_due(r, 0, LB_EVENT_NONE, 0);
        assert_due(r, 12 * HOUR - 1, LB_EVENT_NONE, 0);
        assert_due(r, 12 * HOUR, LB_EVENT_EXPIRED, 0);
        assert_int_equal(deadline(r).wall, SAMPLE_WALL + 12 * HOUR);
        lb_request_free(r);
    }
}

static void test_approved_lapses(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_APPROVED);

    (void)state;
    assert_due(r, STARTED, LB_EVENT_BEGUN, 0);
    r->terms.starts = LB_STARTS_LOGIN;
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + 24 * HOUR + LB_USEC_PER_SEC);
    assert_due(r, STARTED, LB_EVENT_NONE, 0);
    assert_due(r, 24 * HOUR, LB_EVENT_NONE, 0);
    assert_due(r, 24 * HOUR + LB_USEC_PER_SEC, LB_EVENT_LAPSED, 0);
    lb_request_free(r);
}

/* An approver put it off to two hours from now. */
static struct lb_request *late_request(void)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_APPROVED, LB_USEC_PER_SEC);

    e.not_before = SAMPLE_WALL + 2 * HOUR;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    return r;
}

static void test_later_start(void **state)
{
    struct lb_request *r = late_request();
    const struct lb_time before = sample_time(2 * HOUR - 1), then = sample_time(2 * HOUR);

    (void)state;
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(deadline(r).boot, SAMPLE_BOOT + 2 * HOUR);
    assert_false(lb_request_may_begin(r, &before));
    assert_due(r, 2 * HOUR - 1, LB_EVENT_NONE, 0);
    assert_true(lb_request_may_begin(r, &then));
    assert_due(r, 2 * HOUR, LB_EVENT_BEGUN, 0);
    assert_due(r, 26 * HOUR - 1, LB_EVENT_BEGUN, 0); /* UseBy= counts from then on */
    assert_due(r, 26 * HOUR, LB_EVENT_LAPSED, 0);
    r->terms.starts = LB_STARTS_LOGIN;
    assert_true(lb_request_may_begin(r, &then)); /* by a login; the clock alone begins nothing */
    assert_due(r, 2 * HOUR, LB_EVENT_NONE, 0);
    assert_int_equal(lb_request_deadline(r, &then).wall, SAMPLE_WALL + 26 * HOUR);
    lb_request_free(r);
}

/* After a reboot, under a clock that fell back, only the time to use it counts on the boot clock. */
static void test_later_start_after_a_reboot(void **state)
{
    struct lb_request *r = late_request();
    struct lb_event e = sample_event(LB_EVENT_REBOOTED, -1000 * HOUR);
    struct lb_time now;
    int64_t warning;

    (void)state;
    e.time.boot = 5;
    e.time.boot_id = 78;
    e.left_usec = 25 * HOUR;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_int_equal(lb_request_deadline(r, &e.time).boot, 5 + 25 * HOUR);
    assert_int_equal(lb_request_deadline(r, &e.time).boot_id, 78);
    now = (struct lb_time){ e.time.wall + 25 * HOUR, 5 + 25 * HOUR, 78 };
    assert_int_equal(lb_request_due(r, &now, &warning), LB_EVENT_LAPSED);
    lb_request_free(r);
}

/* A request for more time is no access: it never begins, by the clock or by a login. */
static void test_extension_never_begins(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_APPROVED);
    const struct lb_time now = sample_time(STARTED);

    (void)state;
    r->extends = strdup("7F3K-9QXM");
    assert_false(lb_request_may_begin(r, &now));
    assert_due(r, STARTED, LB_EVENT_NONE, 0);
    assert_due(r, 24 * HOUR + LB_USEC_PER_SEC, LB_EVENT_LAPSED, 0);
    lb_request_free(r);
}

static void test_only_the_approved_may_begin(void **state)
{
    const struct lb_time now = sample_time(STARTED);

    (void)state;
    for (int s = LB_STATE_REVIEW; s < LB_STATE_MAX_; s++) {
        struct lb_request *r = sample_request(s);

        assert_int_equal(lb_request_may_begin(r, &now), s == LB_STATE_APPROVED);
        lb_request_free(r);
    }
}

static void test_access_warns_and_ends(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    const int64_t end = STARTED + 4 * HOUR;

    (void)state;
    assert_due(r, end - 15 * MINUTE - 1, LB_EVENT_NONE, 0);
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + end - 15 * MINUTE);
    assert_due(r, end - 15 * MINUTE, LB_EVENT_WARNED, 15 * MINUTE);
    assert_due(r, end - 5 * MINUTE, LB_EVENT_WARNED, 5 * MINUTE); /* only the last that is due */
    assert_due(r, end - 1, LB_EVENT_WARNED, 1 * MINUTE);
    assert_due(r, end, LB_EVENT_TIME_OVER, 0); /* the end before any warning */
    r->warned = 15 * MINUTE;
    assert_due(r, end - 5 * MINUTE - 1, LB_EVENT_NONE, 0);
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + end - 5 * MINUTE);
    r->warned = 1 * MINUTE;
    assert_due(r, end - 1, LB_EVENT_NONE, 0);
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + end);
    lb_request_free(r);
}

static void test_no_warning_as_long_as_the_access(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);

    (void)state;
    r->duration = 5 * MINUTE;
    r->not_after = lb_deadline_after(&(struct lb_time){ SAMPLE_WALL, SAMPLE_BOOT, 77 }, r->duration);
    assert_due(r, 0, LB_EVENT_NONE, 0);
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + 4 * MINUTE);
    assert_due(r, 4 * MINUTE, LB_EVENT_WARNED, 1 * MINUTE);
    lb_request_free(r);
}

static void test_pause_is_not_warned_but_ends(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PAUSED);

    (void)state;
    assert_due(r, 4 * HOUR - 1, LB_EVENT_NONE, 0);
    assert_int_equal(deadline(r).wall, SAMPLE_WALL + 4 * HOUR);
    assert_due(r, 4 * HOUR, LB_EVENT_TIME_OVER, 0);
    lb_request_free(r);
}

static void test_time_changes_nothing_else(void **state)
{
    (void)state;
    for (int s = LB_STATE_ENDING; s < LB_STATE_MAX_; s++) {
        struct lb_request *r = sample_request(s);

        assert_due(r, 10000 * HOUR, LB_EVENT_NONE, 0);
        assert_int_equal(deadline(r).wall, LB_NEVER);
        lb_request_free(r);
    }
}

static void test_endless_access(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);

    (void)state;
    r->duration = LB_NEVER;
    r->not_after = lb_deadline_never();
    assert_due(r, 100000 * HOUR, LB_EVENT_NONE, 0);
    assert_int_equal(deadline(r).wall, LB_NEVER);
    lb_request_free(r);
}

static void test_whose_request(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);

    (void)state;
    assert_true(lb_request_is_for(r, "root", "eng@vendor.example", "SHA256:abc", "login"));
    assert_false(lb_request_is_for(r, "support", "eng@vendor.example", "SHA256:abc", "login"));
    assert_false(lb_request_is_for(r, "root", "colleague@vendor.example", "SHA256:abc", "login"));
    assert_false(lb_request_is_for(r, "root", "eng@vendor.example", "SHA256:abd", "login"));
    assert_false(lb_request_is_for(r, "root", "eng@vendor.example", NULL, "login"));
    assert_false(lb_request_is_for(r, "root", "eng@vendor.example", "SHA256:abc", "root"));
    lb_request_free(r);
}

/* --- the timer and the answer agree ------------------------------------------------------------------------------- */

static int64_t random_moment(uint64_t *seed)
{
    switch (sample_below(seed, 12)) {
    case 0:
        return LB_NEVER;
    case 1:
        return 0;
    default:
        return sample_below(seed, 40 * MINUTE);
    }
}

static struct lb_deadline random_deadline(uint64_t *seed)
{
    return (struct lb_deadline){ random_moment(seed), random_moment(seed), sample_below(seed, 2) };
}

/* Warnings stand longest first, as the reader of the rules leaves them. */
static void random_warnings(uint64_t *seed, struct lb_request *r)
{
    int64_t warning = sample_below(seed, 20) * MINUTE;

    memset(r->terms.warn, 0, sizeof(r->terms.warn));
    for (size_t i = 0; i < LB_WARN_MAX && warning > 0; i++) {
        r->terms.warn[i] = warning;
        warning -= (1 + sample_below(seed, 6)) * MINUTE;
    }
    r->warned = sample_below(seed, 3) ? 0 : r->terms.warn[sample_below(seed, LB_WARN_MAX)];
}

/* A request in any state with deadlines of any kind, as no life would leave it. */
static struct lb_request random_request(uint64_t *seed)
{
    struct lb_request r = { .state = (int)sample_below(seed, LB_STATE_MAX_), .duration = random_moment(seed) };

    r.decide_by = random_deadline(seed);
    r.begin_at = random_deadline(seed);
    r.use_by = random_deadline(seed);
    r.not_after = random_deadline(seed);
    r.terms.starts = (int)sample_below(seed, 2);
    r.extends = sample_below(seed, 4) ? NULL : "7F3K-9QXM"; /* borrowed: it is never freed */
    random_warnings(seed, &r);
    return r;
}

/* The timer stands for the moment of what is due. A beginning alone is due longer than its moment: what keeps it from
 * happening is not the request's own, and the timer is for the next thing then. Until both clocks have come to it,
 * there is a timer on each of them that has not. */
static void assert_timer(const struct lb_request *r, const struct lb_time *now, int kind)
{
    struct lb_deadline timer = lb_request_deadline(r, now);

    if (kind != LB_EVENT_BEGUN)
        assert_int_equal(kind != LB_EVENT_NONE, lb_deadline_due(&timer, now));
    else
        assert_int_equal(lb_deadline_left(&timer, now), lb_deadline_left(&r->use_by, now));
    if (r->state == LB_STATE_APPROVED && r->begin_at.wall > now->wall)
        assert_true(timer.wall <= r->begin_at.wall);
    if (r->state == LB_STATE_APPROVED && r->begin_at.boot_id == now->boot_id && r->begin_at.boot > now->boot)
        assert_true(timer.boot <= r->begin_at.boot && timer.boot_id == now->boot_id);
}

static void test_due_when_the_timer_says_so(void **state)
{
    uint64_t seed = 42;
    static const int by_time[] = { LB_EVENT_NONE,  LB_EVENT_EXPIRED, LB_EVENT_LAPSED,
                                   LB_EVENT_BEGUN, LB_EVENT_WARNED,  LB_EVENT_TIME_OVER };
    size_t due[LB_EVENT_MAX_] = { 0 };

    (void)state;
    for (size_t i = 0; i < 500000; i++) {
        struct lb_request r = random_request(&seed);
        struct lb_time now = { sample_below(&seed, 40 * MINUTE), sample_below(&seed, 40 * MINUTE),
                               sample_below(&seed, 2) };
        int64_t warning;
        int kind = lb_request_due(&r, &now, &warning);

        due[kind]++;
        assert_timer(&r, &now, kind);
        assert_int_equal(kind == LB_EVENT_WARNED, warning != 0);
        if (kind != LB_EVENT_NONE)
            assert_int_not_equal(lb_lifecycle_step(r.state, kind).next, LB_STATE_NONE);
        if (kind == LB_EVENT_BEGUN)
            assert_true(lb_request_may_begin(&r, &now) && r.terms.starts == LB_STARTS_APPROVAL);
        if (lb_state_is_access(r.state) && lb_deadline_due(&r.not_after, &now))
            assert_int_equal(kind, LB_EVENT_TIME_OVER);
    }
    for (size_t i = 0; i < LB_ELEMENTS(by_time); i++)
        assert_true(due[by_time[i]] > 500);
}

/* From timer to timer, as the gate goes: each warning at most once, in order, then the end, then nothing. */
static void test_walk_from_timer_to_timer(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        struct lb_request *r = sample_request(LB_STATE_ACTIVE);
        struct lb_time now = sample_time(STARTED);
        int64_t last = LB_NEVER, warning = 0;
        int kind = LB_EVENT_NONE;

        random_warnings(&seed, r);
        r->warned = 0;
        for (int steps = 0; kind != LB_EVENT_TIME_OVER; steps++) {
            struct lb_event e = sample_event(0, 0);
            struct lb_deadline timer;

            assert_true(steps <= LB_WARN_MAX);
            timer = lb_request_deadline(r, &now);
            now.boot = timer.boot;
            now.wall = timer.wall;
            e.kind = kind = lb_request_due(r, &now, &warning);
            e.warning = warning;
            e.time = now;
            assert_int_not_equal(kind, LB_EVENT_NONE);
            if (kind == LB_EVENT_WARNED)
                assert_true(warning < last);
            last = warning;
            assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
        }
        assert_int_equal(now.boot, SAMPLE_BOOT + STARTED + 4 * HOUR);
        assert_int_equal(lb_request_due(r, &now, &warning), LB_EVENT_NONE);
        lb_request_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_groups),
        cmocka_unit_test(test_waiting_expires),
        cmocka_unit_test(test_approved_lapses),
        cmocka_unit_test(test_later_start),
        cmocka_unit_test(test_later_start_after_a_reboot),
        cmocka_unit_test(test_extension_never_begins),
        cmocka_unit_test(test_only_the_approved_may_begin),
        cmocka_unit_test(test_access_warns_and_ends),
        cmocka_unit_test(test_no_warning_as_long_as_the_access),
        cmocka_unit_test(test_pause_is_not_warned_but_ends),
        cmocka_unit_test(test_time_changes_nothing_else),
        cmocka_unit_test(test_endless_access),
        cmocka_unit_test(test_whose_request),
        cmocka_unit_test(test_due_when_the_timer_says_so),
        cmocka_unit_test(test_walk_from_timer_to_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
