/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the courier tries again: longer and longer, and a dead server costs little however many letters wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lockboxd/courier/retry.h"

#define SECOND INT64_C(1000000)

static void test_the_delay_doubles_and_ends(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 200; n++) {
        int64_t whole = n > 10 ? 900 * SECOND : SECOND << (n - 1), least = lb_retry_delay(n, 0, 0);

        whole = whole > 900 * SECOND ? 900 * SECOND : whole;
        assert_int_equal(least, whole / 2);
        assert_int_equal(lb_retry_delay(n, UINT32_MAX, 0), whole);
        assert_in_range(lb_retry_delay(n, 0x80000000U, 0), least, whole);
    }
    assert_int_equal(lb_retry_delay(INT64_MAX, UINT32_MAX, 0), 900 * SECOND);
}

static void test_what_the_other_end_asks_for(void **state)
{
    (void)state;
    assert_int_equal(lb_retry_delay(1, 0, 3600 * SECOND), 3600 * SECOND);
    assert_int_equal(lb_retry_delay(1, UINT32_MAX, 1), SECOND); /* never sooner than we would */
}

static void test_a_target_that_works(void **state)
{
    struct lb_circuit c = { 0 };

    (void)state;
    assert_int_equal(lb_circuit_room(&c, 0, 0), LB_RETRY_AT_ONCE);
    assert_int_equal(lb_circuit_room(&c, 0, 3), LB_RETRY_AT_ONCE - 3);
    assert_int_equal(lb_circuit_room(&c, 0, 100), 0);
}

/* Those that were on their way together fail together: that is one failure, and no more than one more try. */
static void test_a_failure_closes_it(void **state)
{
    struct lb_circuit c = { 0 };

    (void)state;
    for (int i = 0; i < LB_RETRY_AT_ONCE; i++)
        lb_circuit_failed(&c, 5 * SECOND, UINT32_MAX, 0);
    assert_int_equal(c.failures, 1);
    assert_int_equal(c.since, 5 * SECOND);
    assert_int_equal(c.next, 6 * SECOND);
    assert_int_equal(lb_circuit_room(&c, 6 * SECOND - 1, 0), 0);
    assert_int_equal(lb_circuit_room(&c, 6 * SECOND, 0), 1);
    assert_int_equal(lb_circuit_room(&c, 6 * SECOND, 1), 0);
    lb_circuit_failed(&c, 6 * SECOND, UINT32_MAX, 0);
    assert_int_equal(c.next, 8 * SECOND);
    assert_int_equal(c.since, 5 * SECOND);
    lb_circuit_worked(&c);
    assert_int_equal(lb_circuit_room(&c, 6 * SECOND, 0), LB_RETRY_AT_ONCE);
}

/* "Retry-After: 60" counts, also when it comes with the second of several answers. */
static void test_a_wish_among_failures(void **state)
{
    struct lb_circuit c = { 0 };

    (void)state;
    lb_circuit_failed(&c, SECOND, UINT32_MAX, 0);
    lb_circuit_failed(&c, SECOND, UINT32_MAX, 60 * SECOND);
    assert_int_equal(c.next, 61 * SECOND);
    assert_int_equal(c.failures, 1);
}

/* A thousand letters, and a server that is dead for an hour. */
static void test_tries_in_an_hour(void **state)
{
    struct lb_circuit c = { 0 };
    int tries = 0;

    (void)state;
    for (int64_t now = 0; now < 3600 * SECOND; now += SECOND / 10)
        for (size_t n = lb_circuit_room(&c, now, 0); n > 0; n--, tries++)
            lb_circuit_failed(&c, now, UINT32_MAX / 2, 0);
    assert_in_range(tries, 10, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_delay_doubles_and_ends),
        cmocka_unit_test(test_what_the_other_end_asks_for),
        cmocka_unit_test(test_a_target_that_works),
        cmocka_unit_test(test_a_failure_closes_it),
        cmocka_unit_test(test_a_wish_among_failures),
        cmocka_unit_test(test_tries_in_an_hour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
