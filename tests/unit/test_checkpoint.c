/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The text of a checkpoint: one for each log, and nothing else is taken for one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/base.h"
#include "policy/checkpoint.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TIME INT64_C(1790000000000000)

static struct lb_checkpoint sample(void)
{
    return (struct lb_checkpoint){ (char *)"appliance", 4711, (char *)HASH, TIME, (char *)"7F3K-9QXM" };
}

static const char text_of_sample[] = "Lockbox checkpoint, version 1\nHost: appliance\nEvents: 4711\nHash: " HASH
                                     "\nTime: 2026-09-21T14:13:20Z\nAccess: 7F3K-9QXM\n";

static void test_make(void **state)
{
    struct lb_checkpoint c = sample();
    LB_FREE char *with = NULL, *without = NULL;

    (void)state;
    assert_int_equal(lb_checkpoint_make(&c, &with), 0);
    assert_string_equal(with, text_of_sample);
    c.access = NULL;
    assert_int_equal(lb_checkpoint_make(&c, &without), 0);
    assert_null(strstr(without, "Access"));
}

static void test_parse(void **state)
{
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = { 0 };

    (void)state;
    assert_int_equal(lb_checkpoint_parse(text_of_sample, &c), 0);
    assert_string_equal(c.host, "appliance");
    assert_int_equal(c.events, 4711);
    assert_string_equal(c.hash, HASH);
    assert_int_equal(c.time, TIME);
    assert_string_equal(c.access, "7F3K-9QXM");
}

static void test_no_checkpoint_is_made(void **state)
{
    struct lb_checkpoint wrong[7];
    char *text = NULL;

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++)
        wrong[i] = sample();
    wrong[0].host = NULL;
    wrong[1].host = (char *)"appliance\nEvents: 5";
    wrong[2].events = 0;
    wrong[3].hash = NULL;
    wrong[4].hash = (char *)"0123";
    wrong[5].hash = (char *)"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef";
    wrong[6].access = (char *)"7f3k9qxm";
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++)
        assert_int_equal(lb_checkpoint_make(&wrong[i], &text), -EINVAL);
}

/* Every byte that is another one, is left out or comes besides makes it no checkpoint, or another one. */
static void test_every_byte_counts(void **state)
{
    size_t n = strlen(text_of_sample);

    (void)state;
    for (size_t i = 0; i <= n; i++)
        for (int what = 0; what < 3; what++) {
            LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = { 0 };
            LB_FREE char *changed = calloc(1, n + 2), *again = NULL;

            memcpy(changed, text_of_sample, n);
            if (what == 0)
                changed[i] = changed[i] == '7' ? '8' : '7';
            else if (what == 1)
                memmove(changed + i, changed + i + 1, n - i + 1);
            else
                memmove(changed + i + 1, text_of_sample + i, n - i + 1);
            if (strcmp(changed, text_of_sample) == 0 || lb_checkpoint_parse(changed, &c) < 0)
                continue;
            assert_int_equal(lb_checkpoint_make(&c, &again), 0);
            assert_string_equal(again, changed);
        }
}

static void test_no_checkpoint_is_read(void **state)
{
    static const char *const wrong[] = {
        "", "\n", "Lockbox checkpoint, version 1\n", "Lockbox checkpoint, version 2\nHost: a\n",
        "Lockbox checkpoint, version 1\nHost: a\nEvents: +5\nHash: " HASH "\nTime: 2026-09-21T14:13:20Z\n",
        "Lockbox checkpoint, version 1\nHost: a\nEvents: 05\nHash: " HASH "\nTime: 2026-09-21T14:13:20Z\n",
        "Lockbox checkpoint, version 1\nHost: a\nEvents: 99999999999999999999\nHash: " HASH
        "\nTime: 2026-09-21T14:13:20Z\n",
        "Lockbox checkpoint, version 1\nHost: a\nEvents: 5\nHash: " HASH "\nTime: 2026-02-30T14:13:20Z\n",
        "Lockbox checkpoint, version 1\nHost: a\nEvents: 5\nHash: " HASH "\nTime: 2026-09-21T14:13:20Z\nMore: yes\n",
        "Lockbox checkpoint, version 1\nEvents: 5\nHost: a\nHash: " HASH "\nTime: 2026-09-21T14:13:20Z\n",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        struct lb_checkpoint c = { 0 };

        assert_int_equal(lb_checkpoint_parse(wrong[i], &c), -EINVAL);
        assert_null(c.host);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_no_checkpoint_is_made),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_no_checkpoint_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
