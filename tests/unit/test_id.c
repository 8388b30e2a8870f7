/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IDs as people type them, and as they are printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/base.h"
#include "policy/id.h"

static void test_takes_what_people_type(void **state)
{
    static const struct {
        const char *typed, *id;
    } cases[] = {
        { "7F3K9QXM", "7F3K-9QXM" }, { "7F3K-9QXM", "7F3K-9QXM" }, { "7f3k9qxm", "7F3K-9QXM" },
        { "7f3K-9qXm", "7F3K-9QXM" }, { "oOiI-lL01", "0011-1101" }, { "ZZZZ-ZZZZ", "ZZZZ-ZZZZ" },
    };
    char id[LB_ID_PRINTED_MAX];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        assert_string_equal(lb_id_format(cases[i].typed, id), cases[i].id);
}

static void test_refuses_the_rest(void **state)
{
    static const char *const cases[] = {
        "", "-", "7F3K", "7F3K-", "7F3K-9QX", "7F3K-9QXMA", "7F3K--9QXM", "7F3-K9QXM", "-7F3K9QXM", "7F3K9QXM-",
        "7F3K 9QXM", " 7F3K9QXM", "7F3K9QXM\n", "7F3K9QXU", "7F3K9QX\xC4\xB1", "7F3K9QX%", "7F3K\x80" "9QXM",
    };
    char id[LB_ID_PRINTED_MAX];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        assert_string_equal(lb_id_format(cases[i], id), "");
    assert_string_equal(lb_id_format(NULL, id), "");
}

static void test_make_uses_forty_bits(void **state)
{
    char id[LB_ID_PRINTED_MAX], again[LB_ID_PRINTED_MAX];

    (void)state;
    lb_id_make(0, id);
    assert_string_equal(id, "0000-0000");
    lb_id_make(UINT64_MAX, id);
    assert_string_equal(id, "ZZZZ-ZZZZ");
    lb_id_make(UINT64_C(1) << 39 | 31, id);
    assert_string_equal(id, "G000-000Z");
    /* Every one that is made is one that can be typed. */
    for (uint64_t bit = 0; bit < 40; bit++) {
        lb_id_make(UINT64_C(1) << bit, id);
        assert_string_equal(lb_id_format(id, again), id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_what_people_type),
        cmocka_unit_test(test_refuses_the_rest),
        cmocka_unit_test(test_make_uses_forty_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
