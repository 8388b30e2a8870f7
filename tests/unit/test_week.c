/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time=, minute by minute of the whole week. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "policy/base.h"
#include "policy/week.h"

#define DAY (24 * 60)
#define WEEK (7 * DAY)

static struct lb_week *parse(const char *value)
{
    struct lb_ini_errors errors = {};
    struct lb_ini_place at = { &errors, "f", 3, "Time" };
    struct lb_week *week = NULL;

    assert_int_equal(lb_week_parse(value, &at, &week), 0);
    if (!week)
        fail_msg("%s", errors.text);
    assert_null(errors.text);
    return week;
}

static bool contains(const struct lb_week *week, int minute)
{
    return lb_week_contains(week, minute / DAY, minute % DAY);
}

/* All of it as "Mon 08:00-Mon 18:00; …". */
static char *show(const struct lb_week *week)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (int i = 0; i <= WEEK; i++) {
        bool in = i < WEEK && contains(week, i), before = i > 0 && contains(week, i - 1);

        if (in != before)
            fprintf(out, "%s %02d:%02d%s", lb_week_days[i % WEEK / DAY], i % DAY / 60, i % 60, in ? "-" : "; ");
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_every_minute_of_the_week(void **state)
{
    static const char *const cases[][2] = {
        { "Mon..Wed 08:00-18:00", "Mon 08:00-Mon 18:00; Tue 08:00-Tue 18:00; Wed 08:00-Wed 18:00; " },
        { "Mon,Wed..Thu 08:00-18:00", "Mon 08:00-Mon 18:00; Wed 08:00-Wed 18:00; Thu 08:00-Thu 18:00; " },
        { "Sat..Sun", "Sat 00:00-Mon 00:00; " },
        { "Mon..Sun", "Mon 00:00-Mon 00:00; " },
        { "00:00-24:00", "Mon 00:00-Mon 00:00; " },
        { "!Sat..Sun", "Mon 00:00-Sat 00:00; " },
        { "Tue 00:00-00:01", "Tue 00:00-Tue 00:01; " },
        { "Tue 23:59-24:00", "Tue 23:59-Wed 00:00; " },
        { "Tue 23:59-00:00", "Tue 23:59-Wed 00:00; " },
        /* over midnight: of the day on which it begins */
        { "Fri 22:00-06:00", "Fri 22:00-Sat 06:00; " },
        { "Sun 22:00-06:00", "Mon 00:00-Mon 06:00; Sun 22:00-Mon 00:00; " },
        { "Fri !22:00-06:00", "Fri 06:00-Fri 22:00; " },
        { "Fri..Sat !Fri 22:00-06:00", "Fri 00:00-Fri 22:00; Sat 06:00-Sun 00:00; " },
        /* several windows */
        { "Mon 08:00-12:00,13:00-18:00", "Mon 08:00-Mon 12:00; Mon 13:00-Mon 18:00; " },
        { "Mon 08:00-18:00 !12:00-13:00", "Mon 08:00-Mon 12:00; Mon 13:00-Mon 18:00; " },
        { "!12:00-13:00 Mon 08:00-18:00", "Mon 08:00-Mon 12:00; Mon 13:00-Mon 18:00; " },
        { "Mon 08:00-18:00 Sat 10:00-12:00", "Mon 08:00-Mon 18:00; Sat 10:00-Sat 12:00; " },
        { "Mon Sat", "Mon 00:00-Tue 00:00; Sat 00:00-Sun 00:00; " },
        { "Mon Tue 10:00-11:00", "Mon 00:00-Tue 00:00; Tue 10:00-Tue 11:00; " },
        { "Mon !Mon 10:00-11:00 Wed", "Mon 00:00-Mon 10:00; Mon 11:00-Tue 00:00; Wed 00:00-Thu 00:00; " },
        { "Mon 08:00-10:00,09:00-11:00", "Mon 08:00-Mon 11:00; " },
        { "Mon 08:00-10:00,10:00-11:00", "Mon 08:00-Mon 11:00; " },
        { "Mon 08:00-12:00\tTue", "Mon 08:00-Mon 12:00; Tue 00:00-Wed 00:00; " },
        { "!Mon..Fri !Sun 00:00-23:00", "Sat 00:00-Sun 00:00; Sun 23:00-Mon 00:00; " },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_week *week = parse(cases[i][0]);
        LB_FREE char *shown = show(week);

        if (strcmp(shown, cases[i][1]) != 0)
            fail_msg("%s is %s", cases[i][0], shown);
        lb_week_free(week);
    }
}

static void test_times_that_are_not_known(void **state)
{
    struct lb_week *always = parse("Mon..Sun"), *excluding = parse("!Sun 23:58-23:59");
    static const int unknown[][2] = { { -1, 600 }, { 0, -1 }, { -1, -1 }, { 7, 0 }, { 0, DAY }, { 6, DAY } };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(unknown); i++) {
        assert_false(lb_week_contains(always, unknown[i][0], unknown[i][1]));
        assert_false(lb_week_contains(excluding, unknown[i][0], unknown[i][1]));
    }
    lb_week_free(always);
    lb_week_free(excluding);
}

static void test_mistakes(void **state)
{
    static const char *const cases[][2] = {
        { "Monday 08:00-18:00", "Monday is no day; days are Mon Tue Wed Thu Fri Sat Sun (did you mean Mon?)" },
        { "mon", "mon is no day; days are Mon Tue Wed Thu Fri Sat Sun (did you mean Mon?)" },
        { "Mon..Fir", "Fir is no day; days are Mon Tue Wed Thu Fri Sat Sun (did you mean Fri?)" },
        { "Mon-Fri", "Mon-Fri is no day; days are Mon Tue Wed Thu Fri Sat Sun (did you mean Mon?)" },
        { "daily", "daily is no day; days are Mon Tue Wed Thu Fri Sat Sun" },
        { "Mon, Tue", " is no day; days are Mon Tue Wed Thu Fri Sat Sun" },
        { "Fri..Mon", "Fri..Mon runs backwards (did you mean Fri..Sun,Mon?)" },
        { "Sun..Tue 08:00-09:00", "Sun..Tue runs backwards (did you mean Sun,Mon..Tue?)" },
        { "8:00-18:00", "8:00-18:00 is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "08:00..18:00", "08:00..18:00 is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "08:00-18:60", "08:00-18:60 is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "08:00-24:01", "08:00-24:01 is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "24:00-08:00", "24:00-08:00 is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "08:00-18:00:00", "08:00-18:00:00 is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "08:00-18:00,", " is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "*", "* is neither a day nor a time such as 08:00-18:00 or 22:00-06:00" },
        { "Mon 08:00-08:00", "08:00-08:00 is no time at all; days alone are whole days" },
        { "Mon 08:00-12:00 13:00-18:00",
          "13:00-18:00 has no days before it; times of the same days are joined by a comma" },
        { "!12:00-13:00 08:00-18:00",
          "08:00-18:00 has no days before it; times of the same days are joined by a comma" },
        { "!", ": one ! stands right before days or times" },
        { "!!Mon", "!Mon: one ! stands right before days or times" },
        { "! Mon", ": one ! stands right before days or times" },
        { "Mon !Mon", " fits no minute of the week" },
        { "!Mon..Sun", " fits no minute of the week" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_ini_errors errors = {};
        struct lb_ini_place at = { &errors, "f", 3, "Time" };
        struct lb_week *week = NULL;
        char expected[256];

        snprintf(expected, sizeof(expected), "f:3: Time=%s\n", cases[i][1]);
        assert_int_equal(lb_week_parse(cases[i][0], &at, &week), 0);
        assert_null(week);
        assert_string_equal(errors.text, expected);
        free(errors.text);
    }
}

/* --- any value against its windows, one by one -------------------------------------------------------------------- */

struct window {
    bool negated;
    unsigned days;
    int n;
    int times[3][2];
};

static unsigned random_state = 12345;

static int draw(int n)
{
    random_state = random_state * 1103515245 + 12345;
    return (int)(random_state >> 16) % n;
}

static void draw_window(struct window *w, bool first, FILE *out)
{
    const char *comma = "";

    w->negated = draw(3) == 0;
    w->n = draw(4);
    w->days = (first || w->negated) && w->n > 0 && draw(3) == 0 ? 0 : (unsigned)draw(127) + 1;
    fprintf(out, "%s%s", first ? "" : " ", w->negated ? "!" : "");
    for (int day = 0; day < 7; day++) {
        if (w->days & 1U << day) {
            fprintf(out, "%s%s", comma, lb_week_days[day]);
            comma = ",";
        }
    }
    for (int i = 0; i < w->n; i++) {
        w->times[i][0] = draw(DAY);
        w->times[i][1] = (w->times[i][0] + 1 + draw(DAY - 1)) % DAY;
        fprintf(out, "%s%02d:%02d-%02d:%02d", i ? "," : w->days ? " " : "", w->times[i][0] / 60, w->times[i][0] % 60,
                w->times[i][1] / 60, w->times[i][1] % 60);
    }
    w->days = w->days ? w->days : 127;
}

static bool window_has(const struct window *w, int day, int minute)
{
    unsigned today = w->days >> day & 1, yesterday = w->days >> (day + 6) % 7 & 1;

    for (int i = 0; i < w->n; i++) {
        int first = w->times[i][0], end = w->times[i][1];

        if (first < end ? today && minute >= first && minute < end
                        : (today && minute >= first) || (yesterday && minute < end))
            return true;
    }
    return w->n == 0 && today;
}

static bool windows_have(const struct window *w, int n, int day, int minute)
{
    bool positive = false, in = false;

    for (int i = 0; i < n; i++) {
        bool here = window_has(&w[i], day, minute);

        if (w[i].negated && here)
            return false;
        positive |= !w[i].negated;
        in |= !w[i].negated && here;
    }
    return in || !positive;
}

static void test_random_windows(void **state)
{
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct window windows[4];
        struct lb_ini_errors errors = {};
        struct lb_ini_place at = { &errors, "f", 3, "Time" };
        struct lb_week *week = NULL;
        int n = 1 + draw(4), minutes = 0;
        LB_FREE char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        for (int i = 0; i < n; i++)
            draw_window(&windows[i], i == 0, out);
        assert_int_equal(fclose(out), 0);
        assert_int_equal(lb_week_parse(text, &at, &week), 0);
        for (int i = 0; i < WEEK; i++) {
            bool expected = windows_have(windows, n, i / DAY, i % DAY);

            minutes += expected;
            if (week && contains(week, i) != expected)
                fail_msg("%s: %s %02d:%02d", text, lb_week_days[i / DAY], i % DAY / 60, i % 60);
        }
        if (!week != (minutes == 0) || !week != !!errors.text)
            fail_msg("%s: %s", text, errors.text);
        free(errors.text);
        lb_week_free(week);
    }
}

static void test_covers(void **state)
{
    static const char *const values[] = {
        "Mon..Fri 08:00-18:00", "Mon..Fri", "Mon 08:00-18:00", "Wed 09:00-10:00", "Mon..Sun", "!Sat..Sun",
        "Fri 22:00-06:00", "Sat 00:00-06:00", "Sun 22:00-06:00", "Mon 00:00-06:00", "Mon..Fri !12:00-13:00",
        "Wed 08:00-12:00,13:00-18:00", "00:00-24:00", "!Wed",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(values); i++) {
        for (size_t j = 0; j < LB_ELEMENTS(values); j++) {
            struct lb_week *wide = parse(values[i]), *narrow = parse(values[j]);
            bool all = true;

            for (int minute = 0; minute < WEEK; minute++)
                all &= !contains(narrow, minute) || contains(wide, minute);
            if (lb_week_covers(wide, narrow) != all)
                fail_msg("%s over %s", values[i], values[j]);
            lb_week_free(wide);
            lb_week_free(narrow);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_minute_of_the_week),
        cmocka_unit_test(test_times_that_are_not_known),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_random_windows),
        cmocka_unit_test(test_covers),
    };
    return cmocka_run_group_tests_name("week", tests, NULL, NULL);
}
