/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IDs as people type them, and as they are printed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/base.h"
#include "policy/id.h"

static void test_parse_takes_what_people_type(void **state)
{
    static const struct {
        const char *typed, *kept;
    } cases[] = {
        { "7F3K9QXM", "7F3K9QXM" }, { "7F3K-9QXM", "7F3K9QXM" }, { "7f3k9qxm", "7F3K9QXM" },
        { "7f3K-9qXm", "7F3K9QXM" }, { "oOiI-lL01", "00111101" }, { "ZZZZ-ZZZZ", "ZZZZZZZZ" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        char id[LB_ID_LEN + 1] = "";
        assert_int_equal(lb_id_parse(cases[i].typed, id), 0);
        assert_string_equal(id, cases[i].kept);
    }
}

static void test_parse_refuses_the_rest(void **state)
{
    static const char *const cases[] = {
        "", "-", "7F3K", "7F3K-", "7F3K-9QX", "7F3K-9QXMA", "7F3K--9QXM", "7F3-K9QXM", "-7F3K9QXM", "7F3K9QXM-",
        "7F3K 9QXM", " 7F3K9QXM", "7F3K9QXM\n", "7F3K9QXU", "7F3K9QX\xC4\xB1", "7F3K9QX%", "7F3K\x80" "9QXM",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        char id[LB_ID_LEN + 1] = "untouche";
        assert_int_equal(lb_id_parse(cases[i], id), -EINVAL);
        assert_string_equal(id, "untouche");
    }
    char id[LB_ID_LEN + 1] = "";
    assert_int_equal(lb_id_parse(NULL, id), -EINVAL);
}

static void test_format_prints_with_a_dash(void **state)
{
    char buf[LB_ID_PRINTED_MAX];

    (void)state;
    assert_string_equal(lb_id_format("7F3K9QXM", buf), "7F3K-9QXM");
    assert_string_equal(lb_id_format("7f3k-9qxm", buf), "7F3K-9QXM");
    assert_string_equal(lb_id_format("nonsense!", buf), "");
    assert_string_equal(lb_id_format(NULL, buf), "");
}

static void test_make_uses_forty_bits(void **state)
{
    char id[LB_ID_LEN + 1], again[LB_ID_LEN + 1];

    (void)state;
    lb_id_make(0, id);
    assert_string_equal(id, "00000000");
    lb_id_make(UINT64_MAX, id);
    assert_string_equal(id, "ZZZZZZZZ");
    lb_id_make(UINT64_C(1) << 39 | 31, id);
    assert_string_equal(id, "G000000Z");
    /* Every one that is made is one that can be typed. */
    for (uint64_t bit = 0; bit < 40; bit++) {
        lb_id_make(UINT64_C(1) << bit, id);
        assert_int_equal(lb_id_parse(id, again), 0);
        assert_string_equal(again, id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_takes_what_people_type),
        cmocka_unit_test(test_parse_refuses_the_rest),
        cmocka_unit_test(test_format_prints_with_a_dash),
        cmocka_unit_test(test_make_uses_forty_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
