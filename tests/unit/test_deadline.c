/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deadlines against moved clocks, suspend and reboot: nearer perhaps, later never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/samples.h"

#define YEAR (INT64_C(8766) * HOUR)
#define SPAN (4 * HOUR)

static const struct lb_time start = { SAMPLE_WALL, SAMPLE_BOOT, 77 };

/* `elapsed` µs later by a true clock, with the wall clock moved by `jump`. */
static struct lb_time later(int64_t elapsed, int64_t jump)
{
    return (struct lb_time){ start.wall + elapsed + jump, start.boot + elapsed, start.boot_id };
}

static void test_undisturbed(void **state)
{
    struct lb_deadline d = lb_deadline_after(&start, SPAN);
    struct lb_time t = later(SPAN - 1, 0);

    (void)state;
    assert_int_equal(lb_deadline_left(&d, &start), SPAN);
    assert_int_equal(lb_deadline_left(&d, &t), 1);
    assert_false(lb_deadline_due(&d, &t));
    t = later(SPAN, 0);
    assert_true(lb_deadline_due(&d, &t));
    t = later(SPAN + YEAR, 0);
    assert_int_equal(lb_deadline_left(&d, &t), 0);
}

/* Row by row: when the clock is moved by how much; never does more remain than by the true clock. */
static void test_jumps_never_extend(void **state)
{
    static const int64_t jumps[] = { -10 * YEAR, -YEAR, -24 * HOUR, -HOUR, -MINUTE, -1, 0, 1, MINUTE, HOUR,
                                     24 * HOUR, YEAR, 10 * YEAR };
    static const int64_t moments[] = { 0, 1, MINUTE, HOUR, SPAN - 1, SPAN, SPAN + 1, 24 * HOUR, YEAR };
    struct lb_deadline d = lb_deadline_after(&start, SPAN);

    (void)state;
    for (size_t j = 0; j < LB_ELEMENTS(jumps); j++)
        for (size_t m = 0; m < LB_ELEMENTS(moments); m++) {
            const struct lb_time now = later(moments[m], jumps[j]);
            int64_t truly_left = moments[m] < SPAN ? SPAN - moments[m] : 0;

            assert_true(lb_deadline_left(&d, &now) <= truly_left);
            if (jumps[j] <= 0)
                assert_int_equal(lb_deadline_left(&d, &now), truly_left);
            else
                assert_int_equal(lb_deadline_left(&d, &now), truly_left > jumps[j] ? truly_left - jumps[j] : 0);
            if (moments[m] >= SPAN)
                assert_true(lb_deadline_due(&d, &now));
        }
}

/* A clock that is wrong while the deadline is made, and right afterwards. */
static void test_made_under_a_wrong_clock(void **state)
{
    static const int64_t jumps[] = { -10 * YEAR, -HOUR, HOUR, 10 * YEAR };

    (void)state;
    for (size_t j = 0; j < LB_ELEMENTS(jumps); j++) {
        const struct lb_time wrong = later(0, jumps[j]);
        const struct lb_time right = later(SPAN, 0), before = later(HOUR, 0);
        struct lb_deadline d = lb_deadline_after(&wrong, SPAN);

        assert_true(lb_deadline_due(&d, &right));
        assert_true(lb_deadline_left(&d, &before) <= SPAN - HOUR);
    }
}

/* CLOCK_BOOTTIME runs on in suspend; the wall clock may come back wrong. */
static void test_suspend_counts(void **state)
{
    struct lb_deadline d = lb_deadline_after(&start, SPAN);
    struct lb_time awake = later(HOUR, 0);

    (void)state;
    awake.boot += 3 * HOUR; /* slept, and the wall clock stood still */
    assert_true(lb_deadline_due(&d, &awake));
}

static void test_saturation(void **state)
{
    static const struct lb_time edges[] = { { 0, 0, 1 }, { SAMPLE_WALL, 1, 1 }, { LB_NEVER - 1, LB_NEVER - 1, 1 } };
    static const int64_t spans[] = { 0, 1, SPAN, LB_NEVER - 1, LB_NEVER };

    (void)state;
    for (size_t e = 0; e < LB_ELEMENTS(edges); e++) {
        struct lb_deadline past = lb_deadline_after(&edges[e], -1),
                           distant = lb_deadline_after(&edges[e], INT64_MIN + 1);

        assert_true(lb_deadline_due(&past, &edges[e]) && lb_deadline_due(&distant, &edges[e]));
        assert_true(past.wall >= 0 && past.boot >= 0 && distant.wall >= 0 && distant.boot >= 0);
        for (size_t s = 0; s < LB_ELEMENTS(spans); s++) {
            struct lb_deadline d = lb_deadline_after(&edges[e], spans[s]);

            assert_true(d.wall >= edges[e].wall && d.boot >= edges[e].boot);
            assert_true(lb_deadline_left(&d, &edges[e]) >= spans[s] || d.wall == LB_NEVER);
            assert_int_equal(lb_deadline_due(&d, &edges[e]), spans[s] == 0);
        }
    }
}

static void test_never(void **state)
{
    const struct lb_time end_of_time = { LB_NEVER - 1, LB_NEVER - 1, 77 };
    struct lb_deadline d = lb_deadline_never(), open = lb_deadline_after(&start, LB_NEVER);
    struct lb_deadline earlier = lb_deadline_before(&d, HOUR);

    (void)state;
    assert_false(lb_deadline_due(&d, &end_of_time));
    assert_false(lb_deadline_due(&open, &end_of_time));
    assert_false(lb_deadline_due(&earlier, &end_of_time));
    assert_int_equal(lb_deadline_left(&d, &start), LB_NEVER);
    assert_int_equal(lb_deadline_left_after_reboot(&d, &start, &end_of_time), LB_NEVER);
}

static void test_before(void **state)
{
    struct lb_deadline d = lb_deadline_after(&start, SPAN), w = lb_deadline_before(&d, 15 * MINUTE);
    struct lb_deadline zero = lb_deadline_before(&d, LB_NEVER - 1);

    (void)state;
    assert_int_equal(lb_deadline_left(&w, &start), SPAN - 15 * MINUTE);
    assert_int_equal(w.boot_id, 77);
    assert_true(lb_deadline_due(&zero, &start) && zero.wall == 0 && zero.boot == 0);
}

/* The zeroed struct is a closed door, too. */
static void test_zero_is_due(void **state)
{
    struct lb_deadline zero = { 0 };

    (void)state;
    assert_true(lb_deadline_due(&zero, &start));
}

/* --- reboot ------------------------------------------------------------------------------------------------------- */

/* The boot clock begins anew; the wall clock says what it likes. */
static void test_reboot_never_extends(void **state)
{
    static const int64_t jumps[] = { -10 * YEAR, -24 * HOUR, -HOUR, -1, 0, 1, HOUR, 10 * YEAR };
    struct lb_deadline d = lb_deadline_after(&start, SPAN);

    (void)state;
    for (int64_t logged = 0; logged <= SPAN; logged += 30 * MINUTE)
        for (int64_t off = 0; off <= SPAN; off += 45 * MINUTE)
            for (size_t j = 0; j < LB_ELEMENTS(jumps); j++) {
                const struct lb_time last = later(logged, 0);
                struct lb_time now = later(logged + off, jumps[j]);
                int64_t left;

                now.boot = 5 * LB_USEC_PER_SEC;
                now.boot_id = 78;
                left = lb_deadline_left_after_reboot(&d, &last, &now);
                assert_true(left >= 0 && left <= SPAN - logged); /* the log is the floor of the time that passed */
                if (jumps[j] >= 0)
                    assert_true(left <= (logged + off < SPAN ? SPAN - logged - off : 0));
                if (jumps[j] == 0)
                    assert_int_equal(left, logged + off < SPAN ? SPAN - logged - off : 0);
            }
}

/* With the clock put back before the reboot already, what the boot clock had left counts. */
static void test_reboot_after_a_jump(void **state)
{
    struct lb_deadline d = lb_deadline_after(&start, SPAN);
    const struct lb_time last = later(3 * HOUR, -10 * YEAR);
    struct lb_time now = { last.wall + MINUTE, 5 * LB_USEC_PER_SEC, 78 };

    (void)state;
    assert_int_equal(lb_deadline_left_after_reboot(&d, &last, &now), HOUR);
}

/* Made before the boot that the log ends in: of the wall clock's two readings the later counts. */
static void test_reboot_with_an_older_deadline(void **state)
{
    struct lb_deadline d = lb_deadline_after(&start, SPAN);
    const struct lb_time last = { start.wall + 3 * HOUR, MINUTE, 78 };
    const struct lb_time put_back = { start.wall - YEAR, MINUTE, 79 },
                         right = { start.wall + 3 * HOUR + MINUTE, MINUTE, 79 };

    (void)state;
    assert_int_equal(lb_deadline_left_after_reboot(&d, &last, &put_back), HOUR);
    assert_int_equal(lb_deadline_left_after_reboot(&d, &last, &right), 59 * MINUTE);
}

/* In another boot the boot clock says nothing: the wall clock alone does. */
static void test_other_boot(void **state)
{
    struct lb_deadline d = lb_deadline_after(&start, SPAN);
    struct lb_time now = { start.wall + HOUR, start.boot + 100 * HOUR, 78 };

    (void)state;
    assert_int_equal(lb_deadline_left(&d, &now), 3 * HOUR);
}

/*
 * A life with random jumps, sleeps and reboots, as the gate lives it: after each reboot the deadline is made anew from
 * what was left. Whatever the wall clock does, it is over after the span and the time that the host was off.
 */
static void test_random_lives(void **state)
{
    uint64_t seed = 99;

    (void)state;
    for (int life = 0; life < 20000; life++) {
        struct lb_time now = start, last;
        struct lb_deadline d = lb_deadline_after(&now, SPAN);
        int64_t ran = 0;

        while (!lb_deadline_due(&d, &now)) {
            int64_t step = 1 + sample_below(&seed, HOUR);

            assert_true(ran < SPAN);
            assert_true(lb_deadline_left(&d, &now) <= SPAN - ran);
            now.boot += step;
            now.wall += step;
            ran += step;
            last = now; /* an event is logged */
            if (sample_below(&seed, 2))
                now.wall = sample_below(&seed, 2 * SAMPLE_WALL);
            if (sample_below(&seed, 4))
                continue;
            now = (struct lb_time){ now.wall, 1 + sample_below(&seed, MINUTE), now.boot_id + 1 };
            d = lb_deadline_after(&now, lb_deadline_left_after_reboot(&d, &last, &now));
        }
    }
}

/* --- beginnings --------------------------------------------------------------------------------------------------- */

static void test_beginning_waits_for_both_clocks(void **state)
{
    static const struct { int64_t after, jump, wait; } cases[] = {
        { 0, 0, SPAN },
        { HOUR, 0, SPAN - HOUR },
        { SPAN, 0, 0 },
        { HOUR, 10 * YEAR, SPAN - HOUR },  /* put ahead: the boot clock has not come to it */
        { SPAN - 1, SPAN, 1 },
        { SPAN, HOUR, 0 },
        { SPAN, -HOUR, HOUR },             /* put back: the wall clock has not */
        { SPAN + HOUR, -HOUR, 0 },
        { HOUR, -YEAR, SPAN - HOUR + YEAR },
    };
    const struct lb_deadline d = lb_deadline_after(&start, SPAN), never = lb_deadline_never();

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        const struct lb_time now = later(cases[i].after, cases[i].jump);

        assert_int_equal(lb_deadline_wait(&d, &now), cases[i].wait);
    }
    assert_int_equal(lb_deadline_wait(&never, &start), LB_NEVER);
}

/* In another boot the wall clock alone knows; and what it had been ahead before the reboot is remembered. */
static void test_beginning_after_a_reboot(void **state)
{
    const struct lb_deadline d = lb_deadline_after(&start, SPAN), never = lb_deadline_never();
    const struct lb_time last = later(HOUR, 0), ahead = later(HOUR, YEAR), back = later(HOUR, -YEAR);
    struct lb_time now = { last.wall + HOUR, 5 * LB_USEC_PER_SEC, 78 };

    (void)state;
    assert_int_equal(lb_deadline_wait(&d, &now), SPAN - 2 * HOUR);
    assert_int_equal(lb_deadline_wait_after_reboot(&d, &last, &now), SPAN - 2 * HOUR);
    assert_int_equal(lb_deadline_wait_after_reboot(&never, &last, &now), LB_NEVER);
    now.wall = ahead.wall + HOUR;
    assert_int_equal(lb_deadline_wait_after_reboot(&d, &ahead, &now), SPAN - 2 * HOUR);
    now.wall = back.wall + HOUR;
    assert_int_equal(lb_deadline_wait_after_reboot(&d, &back, &now), SPAN - 2 * HOUR + YEAR);
    now.wall = 0; /* it begins in 1970: no time has passed since the log's last word, as far as is known */
    assert_int_equal(lb_deadline_wait_after_reboot(&d, &last, &now), SPAN - HOUR);
    now.wall = last.wall + 2 * SPAN;
    assert_int_equal(lb_deadline_wait_after_reboot(&d, &last, &now), 0);
}

static void test_the_later_of_two(void **state)
{
    const struct lb_deadline none = { 0 }, a = { 10, 40, 77 }, b = { 20, 30, 77 }, other = { 5, 7, 78 };
    struct lb_deadline d = lb_deadline_later(&a, &b);

    (void)state;
    assert_true(d.wall == 20 && d.boot == 40 && d.boot_id == 77);
    d = lb_deadline_later(&none, &b);
    assert_true(d.wall == 20 && d.boot == 30 && d.boot_id == 77);
    d = lb_deadline_later(&a, &other);
    assert_true(d.wall == 10 && d.boot == 7 && d.boot_id == 78);
}

/* A life as above, with the wall clock moved while the host runs: nothing begins before its time, and most things do
 * begin. */
static void test_random_lives_begin_no_earlier(void **state)
{
    uint64_t seed = 7;
    int begun = 0;

    (void)state;
    for (int life = 0; life < 20000; life++) {
        struct lb_time now = start, last;
        struct lb_deadline d = lb_deadline_after(&now, SPAN);
        const int64_t wall = d.wall;
        int64_t passed = 0;

        for (int steps = 0; steps < 100 && lb_deadline_wait(&d, &now) > 0; steps++) {
            int64_t step = 1 + sample_below(&seed, HOUR);

            now.boot += step;
            now.wall += step + (sample_below(&seed, 8) ? 0 : sample_below(&seed, 8 * HOUR) - 4 * HOUR);
            passed += step;
            if (sample_below(&seed, 4))
                continue;
            last = now; /* an event is logged, and the host goes down for a while */
            step = sample_below(&seed, HOUR);
            now = (struct lb_time){ now.wall + step, 1 + sample_below(&seed, MINUTE), now.boot_id + 1 };
            passed += step;
            d = lb_deadline_after(&now, lb_deadline_wait_after_reboot(&d, &last, &now));
            d.wall = wall;
        }
        if (lb_deadline_wait(&d, &now) > 0)
            continue;
        assert_true(passed >= SPAN);
        begun++;
    }
    assert_true(begun > 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),
        cmocka_unit_test(test_jumps_never_extend),
        cmocka_unit_test(test_made_under_a_wrong_clock),
        cmocka_unit_test(test_suspend_counts),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_zero_is_due),
        cmocka_unit_test(test_reboot_never_extends),
        cmocka_unit_test(test_reboot_after_a_jump),
        cmocka_unit_test(test_reboot_with_an_older_deadline),
        cmocka_unit_test(test_other_boot),
        cmocka_unit_test(test_random_lives),
        cmocka_unit_test(test_beginning_waits_for_both_clocks),
        cmocka_unit_test(test_beginning_after_a_reboot),
        cmocka_unit_test(test_the_later_of_two),
        cmocka_unit_test(test_random_lives_begin_no_earlier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
