/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times in the reader's zone, and texts that can do nothing to his terminal. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "lockboxd/ctl/human.h"
#include "policy/base.h"
#include "policy/deadline.h"

/* The rule itself, where no zone files are installed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define SECOND LB_USEC_PER_SEC
#define HOUR (3600 * SECOND)
/* Friday 2024-05-03 16:00:00 UTC, 18:00 in Berlin. */
#define NOW (INT64_C(1714752000) * SECOND)

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static void test_times_are_the_readers(void **state)
{
    char buf[LB_HUMAN_MAX];

    (void)state;
    zone("UTC");
    assert_string_equal(lb_human_time(NOW + 2 * HOUR, NOW, buf), "today 18:00");
    assert_string_equal(lb_human_time(NOW + 8 * HOUR, NOW, buf), "tomorrow 00:00");
    assert_string_equal(lb_human_time(NOW + 8 * HOUR - 1, NOW, buf), "today 23:59");
    assert_string_equal(lb_human_time(NOW - 16 * HOUR - 1, NOW, buf), "yesterday 23:59");
    assert_string_equal(lb_human_time(NOW - 41 * HOUR, NOW, buf), "2024-05-01 23:00");
    assert_string_equal(lb_human_time(NOW + 32 * HOUR, NOW, buf), "2024-05-05 00:00");
    zone(BERLIN);
    assert_string_equal(lb_human_time(NOW, NOW, buf), "today 18:00");
    assert_string_equal(lb_human_time(NOW + 6 * HOUR, NOW, buf), "tomorrow 00:00");
    assert_string_equal(lb_human_stamp(NOW, buf), "2024-05-03 18:00:00");
}

/* The last hours of a year, a day of 23 hours, and one without a midnight. */
static void test_neighbouring_days(void **state)
{
    const int64_t new_year = INT64_C(1735687800) * SECOND; /* 2024-12-31 23:30 UTC */
    const int64_t spring = INT64_C(1711836000) * SECOND;   /* 2024-03-30 23:00 in Berlin; the clocks change at 2 */
    const int64_t no_midnight = INT64_C(1725116400) * SECOND; /* 2024-08-31 12:00, three hours west */
    char buf[LB_HUMAN_MAX];

    (void)state;
    zone("UTC");
    assert_string_equal(lb_human_time(new_year + HOUR, new_year, buf), "tomorrow 00:30");
    assert_string_equal(lb_human_time(new_year, new_year + HOUR, buf), "yesterday 23:30");
    zone(BERLIN);
    assert_string_equal(lb_human_time(spring + 23 * HOUR, spring, buf), "tomorrow 23:00");
    assert_string_equal(lb_human_time(spring + 24 * HOUR, spring, buf), "2024-04-01 00:00");
    zone("AAA3BBB,M9.1.0/0,M4.1.0/0"); /* 2024-09-01 begins at one o'clock */
    assert_string_equal(lb_human_time(no_midnight + 21 * HOUR, no_midnight, buf), "tomorrow 10:00");
    assert_string_equal(lb_human_time(no_midnight, no_midnight + 21 * HOUR, buf), "yesterday 12:00");
}

static void test_distances(void **state)
{
    char buf[LB_HUMAN_MAX];

    (void)state;
    zone("UTC");
    assert_string_equal(lb_human_distance(NOW + 3 * HOUR + 720 * SECOND, NOW, buf), "in 3h 12min");
    assert_string_equal(lb_human_distance(NOW - 45 * SECOND, NOW, buf), "45s ago");
    assert_string_equal(lb_human_distance(NOW + 45 * SECOND + 999999, NOW, buf), "in 45s");
    assert_string_equal(lb_human_distance(NOW, NOW, buf), "now");
    assert_string_equal(lb_human_distance(NOW - 999999, NOW, buf), "now");
    assert_string_equal(lb_human_moment(NOW + 2 * HOUR, NOW, buf), "today 18:00 (in 2h)");
    assert_string_equal(lb_human_rfc3339(NOW + 999999, buf), "2024-05-03T16:00:00Z");
}

static void test_parse(void **state)
{
    static const struct {
        const char *typed;
        int64_t berlin; /* µs from NOW, which is 18:00 there */
    } cases[] = {
        { "2024-05-03T16:00:00Z", 0 },
        { "2024-05-03T16:00:00.25Z", SECOND / 4 },
        { "2024-05-03T16:00:00.123456789Z", 123456 },
        { "2024-05-03T18:30:00+02:00", HOUR / 2 },
        { "2024-05-03T12:00:00-04:00", 0 },
        { "2024-05-03 18:00", 0 },
        { "2024-05-03 18:00:01", SECOND },
        { "2024-05-03", -18 * HOUR },
        { "2024-01-01 17:00", -(123 * 24 * HOUR) },
        { "18:30", HOUR / 2 },
        { "today", -18 * HOUR },
        { "today 18:00", 0 },
        { "yesterday 18:00", -24 * HOUR },
        { "tomorrow", 6 * HOUR },
        { "-2h", -2 * HOUR },
        { "2h ago", -2 * HOUR },
        { "1h 30min ago", -HOUR * 3 / 2 },
        { "+2h", 2 * HOUR },
        { "in 1h 30min", HOUR * 3 / 2 },
    };

    (void)state;
    zone(BERLIN);
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        int64_t usec = 0;
        int64_t expected = NOW + cases[i].berlin;
        if (strcmp(cases[i].typed, "2024-01-01 17:00") == 0)
            expected = INT64_C(1704124800) * SECOND; /* winter time */
        assert_int_equal(lb_human_time_parse(cases[i].typed, NOW, &usec), 0);
        assert_int_equal(usec, expected);
    }
}

static void test_parse_refuses_the_rest(void **state)
{
    static const char *const cases[] = {
        "", "soon", "25:00", "18:", "2024-02-31", "2024-13-01", "2024-05-03T", "2024-05-03T16:00:00X",
        "2024-05-03T16:00:00Zulu", "2024-05-03 18:00 now", "todayish", "-", "-x", "ago", " ago", "2h agone",
        "infinity ago", "2024-05-03T16:00:00+2", "+", "in", "in ", "in 2h ago", "+2h ago", "+-2h", "+infinity",
        "+292250y",
    };

    (void)state;
    zone("UTC");
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        int64_t usec = 4711;
        assert_int_equal(lb_human_time_parse(cases[i], NOW, &usec), -EINVAL);
        assert_int_equal(usec, 4711);
    }
    assert_int_equal(lb_human_time_parse(NULL, NOW, &(int64_t){ 0 }), -EINVAL);
}

static void expect_text(const char *text, bool utf8, const char *expected)
{
    LB_FREE char *safe = lb_human_text(text, utf8);

    assert_non_null(safe);
    assert_string_equal(safe, expected);
}

static void test_texts_are_harmless(void **state)
{
    (void)state;
    expect_text("r\xC3\xA9sum\xC3\xA9", true, "r\xC3\xA9sum\xC3\xA9");
    expect_text("r\xC3\xA9sum\xC3\xA9 \xF0\x9F\x94\x92", false, "r?sum? ?");
    expect_text("a\033[2Jb\xC2\x9B" "31m\xE2\x80\xAE", false, "a?[2Jb?31m?");
    expect_text("one\ntwo", true, "one two");
    expect_text(NULL, true, "");
    /* Nothing that is below a space may be left. */
    for (int c = 1; c < 256; c++) {
        char text[] = { 'a', (char)c, 'b', '\0' };
        LB_FREE char *safe = lb_human_text(text, false);
        for (const char *p = safe; *p; p++)
            assert_in_range(*p, ' ', '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_the_readers),
        cmocka_unit_test(test_neighbouring_days),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses_the_rest),
        cmocka_unit_test(test_texts_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
