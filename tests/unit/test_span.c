/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durations: what systemd.time(7) takes, what is refused, how they are shown. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/span.h"

#define S LB_USEC_PER_SEC

static void test_parse_takes_spans(void **state)
{
    static const struct {
        const char *text;
        int64_t usec;
    } cases[] = {
        { "8h", 8 * 3600 * S }, { "1h 30min", 5400 * S }, { "1h30min", 5400 * S }, { "90", 90 * S }, { "0", 0 },
        { "1.5h", 5400 * S }, { ".5s", S / 2 }, { "0.000001s", 1 }, { "1.0000009s", S }, { "250ms", 250000 },
        { "7us", 7 }, { "7usec", 7 }, { "7\u00b5s", 7 }, { "7\u03bcs", 7 }, { "2msec", 2000 }, { "3 sec", 3 * S },
        { "1second", S }, { "2seconds", 2 * S }, { "2m", 120 * S }, { "2min", 120 * S }, { "1minute", 60 * S },
        { "2minutes", 120 * S }, { "1hr", 3600 * S }, { "1hour", 3600 * S }, { "2hours", 7200 * S },
        { "1d", 86400 * S }, { "2day", 172800 * S }, { "4days", 345600 * S }, { "1w", 604800 * S },
        { "1week", 604800 * S }, { "2weeks", 1209600 * S }, { "1M", 2629800 * S }, { "1month", 2629800 * S },
        { "12months", 31557600 * S }, { "1y", 31557600 * S }, { "1year", 31557600 * S }, { "2years", 63115200 * S },
        { "5m 5m", 600 * S }, { " \t1h ", 3600 * S }, { "1h 30", 3630 * S }, { "1 .5s", 3 * S / 2 },
        { "9223372036854775806us", INT64_MAX - 1 }, { "infinity", LB_NEVER }, { " infinity ", LB_NEVER },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        int64_t usec = -1;
        int r = lb_span_parse(cases[i].text, &usec);

        if (r != 0 || usec != cases[i].usec)
            fail_msg("\"%s\": %d, %jd us", cases[i].text, r, (intmax_t)usec);
    }
}

static void test_parse_refuses_the_rest(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        { "", -EINVAL }, { " ", -EINVAL }, { "-1", -EINVAL }, { "-1h", -EINVAL }, { "1h-1min", -EINVAL },
        { "+1", -EINVAL }, { "h", -EINVAL }, { "min 5", -EINVAL }, { "1.", -EINVAL }, { "1.s", -EINVAL },
        { ".", -EINVAL }, { ".s", -EINVAL }, { "1.5.5h", -EINVAL }, { "1e3", -EINVAL }, { "0x10", -EINVAL },
        { "1H", -EINVAL }, { "1hrs", -EINVAL }, { "1mins", -EINVAL }, { "1 fortnight", -EINVAL }, { "1h,", -EINVAL },
        { "1h\n", -EINVAL }, { "infinity 1", -EINVAL }, { "1h infinity", -EINVAL }, { "inf", -EINVAL },
        { "1ns", -EINVAL }, { "1\xC2", -EINVAL }, { "\xEF\xBC\x91h", -EINVAL },
        { "9223372036854775807us", -ERANGE }, { "9223372036854775808us", -ERANGE }, { "99999999999999999999", -ERANGE },
        { "300000y", -ERANGE }, { "292271y 1y", -ERANGE }, { "9223372036854.775807s", -ERANGE },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        int64_t usec = 42;
        int r = lb_span_parse(cases[i].text, &usec);

        if (r != cases[i].error || usec != 42)
            fail_msg("\"%s\": %d, %jd us", cases[i].text, r, (intmax_t)usec);
    }
}

static void test_format_shows_two_units(void **state)
{
    static const struct {
        int64_t usec;
        const char *text;
    } cases[] = {
        { 0, "0s" }, { -5, "0s" }, { 1, "1us" }, { 1500, "1ms 500us" }, { 250000, "250ms" }, { 45 * S, "45s" },
        { 60 * S, "1min" }, { 5400 * S, "1h 30min" }, { 8 * 3600 * S, "8h" }, { 86400 * S, "1d" },
        { 86400 * S + 300 * S, "1d 5min" }, { (86400 + 3600 + 60) * S, "1d 1h" }, { 28 * 86400 * S, "28d" },
        { INT64_MAX - 1, "106751991d 4h" }, { LB_NEVER, "forever" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        char buf[LB_SPAN_MAX];

        assert_ptr_equal(lb_span_format(cases[i].usec, buf, sizeof(buf)), buf);
        assert_string_equal(buf, cases[i].text);
    }
}

static void test_format_stays_inside_a_small_buffer(void **state)
{
    char buf[LB_SPAN_MAX];

    (void)state;
    for (size_t size = 1; size < sizeof(buf); size++) {
        memset(buf, '#', sizeof(buf));
        lb_span_format(INT64_MAX - 1, buf, size);
        assert_true(memchr(buf, '\0', size) != NULL);
        assert_int_equal(buf[size], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_takes_spans),
        cmocka_unit_test(test_parse_refuses_the_rest),
        cmocka_unit_test(test_format_shows_two_units),
        cmocka_unit_test(test_format_stays_inside_a_small_buffer),
    };
    return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
