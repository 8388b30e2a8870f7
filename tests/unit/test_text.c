/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Untrusted text: made safe, cut, compared, and told apart from what looks the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "policy/base.h"
#include "policy/text.h"
#include "policy/utf8.h"

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

static void test_clean(void **state)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        { "", "" }, { "plain", "plain" }, { "  a  b ", "a b" }, { "a\n\tb\r\n", "a b" }, { "\n", "" },
        { "a\u00a0\u3000b\u2003", "a b" },
        { "na\u00efve \u4e16\u754c \U0001F512", "na\u00efve \u4e16\u754c \U0001F512" },
        { "a\033[31mred", "a" BAD "[31mred" }, { "a\007\177", "a" BAD BAD }, { "a\xC2\x9B" "31m", "a" BAD "31m" },
        { "\u202egnp.exe", BAD "gnp.exe" }, { "a\u200bb", "a" BAD "b" }, { "\u2066x\u2069", BAD "x" BAD },
        { "\ufeffx", BAD "x" }, { "x\u00ady", "x" BAD "y" }, { "a\u2028b", "a" BAD "b" },
        { "\u2764\ufe0f", "\u2764" BAD },
        { "\ue000", BAD }, { "\ufdd0\uffff\U0001fffe", BAD BAD BAD }, { "a\U000e0041", "a" BAD }, { "\u3164", BAD },
        { "\x80" "a", BAD "a" }, { "a\xC3", "a" BAD }, { "\xC0\xAF", BAD BAD }, { "\xED\xA0\x80", BAD BAD BAD },
        { "\xF4\x90\x80\x80", BAD BAD BAD BAD }, { "\xF8", BAD }, { "\xE2\x82" "x", BAD BAD "x" }, { BAD, BAD },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        LB_FREE char *clean = lb_text_clean(cases[i].text, 400);
        LB_FREE char *again = lb_text_clean(clean, 400);

        assert_string_equal(clean, cases[i].clean);
        assert_string_equal(again, clean);
        assert_int_equal(lb_text_is_clean(cases[i].text, 400), strcmp(cases[i].text, cases[i].clean) == 0);
        assert_true(lb_text_is_clean(clean, 400));
    }
    LB_FREE char *nothing = lb_text_clean(NULL, 10);
    assert_string_equal(nothing, "");
    assert_true(lb_text_is_clean(NULL, 10));
}

static void test_clean_cuts_between_characters(void **state)
{
    static const struct {
        size_t max;
        const char *clean;
    } cases[] = {
        { 0, "" }, { 1, "a" }, { 2, "a" }, { 3, "a" }, { 4, "a \u00e9" }, { 6, "a \u00e9" }, { 7, "a \u00e9\u4e16" },
        { 9, "a \u00e9\u4e16" }, { 10, "a \u00e9\u4e16" BAD }, { 11, "a \u00e9\u4e16" BAD },
        { 12, "a \u00e9\u4e16" BAD " b" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        LB_FREE char *clean = lb_text_clean("a  \u00e9\u4e16\xFF  b", cases[i].max);

        assert_string_equal(clean, cases[i].clean);
        assert_int_equal(lb_text_is_clean("a \u00e9\u4e16" BAD " b", cases[i].max), cases[i].max >= 12);
    }
}

/* Whatever comes in, what goes out is clean, and short enough. */
static void test_clean_of_every_pair_of_bytes(void **state)
{
    (void)state;
    for (unsigned a = 1; a < 256; a++) {
        for (unsigned b = 1; b < 256; b++) {
            char text[] = { 'x', (char)a, (char)b, (char)a, ' ', (char)b, 0 };
            LB_FREE char *clean = lb_text_clean(text, 8);
            size_t at;
            uint32_t code;

            assert_true(strlen(clean) <= 8);
            assert_false(lb_text_find_bad(clean, strlen(clean), &at, &code));
            assert_null(strpbrk(clean, "\t\n\r"));
            assert_null(strstr(clean, "  "));
        }
    }
}

static void test_utf8_takes_every_character_and_nothing_else(void **state)
{
    (void)state;
    for (uint32_t code = 1; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 61) {
        char s[5] = {};
        uint32_t got;

        if (code < 0x80)
            snprintf(s, sizeof(s), "%c", (int)code);
        else if (code < 0x800)
            snprintf(s, sizeof(s), "%c%c", 0xC0 | code >> 6, 0x80 | (code & 0x3F));
        else if (code < 0x10000)
            snprintf(s, sizeof(s), "%c%c%c", 0xE0 | code >> 12, 0x80 | (code >> 6 & 0x3F), 0x80 | (code & 0x3F));
        else
            snprintf(s, sizeof(s), "%c%c%c%c", 0xF0 | code >> 18, 0x80 | (code >> 12 & 0x3F),
                     0x80 | (code >> 6 & 0x3F), 0x80 | (code & 0x3F));
        bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        assert_int_equal(lb_utf8_decode(s, strlen(s), &got), surrogate ? 1 : strlen(s));
        assert_int_equal(got, surrogate ? LB_UTF8_INVALID : code);
        if (strlen(s) > 1) {
            assert_int_equal(lb_utf8_decode(s, strlen(s) - 1, &got), 1);
            assert_int_equal(got, LB_UTF8_INVALID);
        }
    }
}

static void test_find_bad(void **state)
{
    size_t at = 77;
    uint32_t code = 77;

    (void)state;
    assert_false(lb_text_find_bad("a\tb \u00e9", 6, &at, &code));
    assert_int_equal(at, 77);
    assert_true(lb_text_find_bad("a\u00e9\u202e", 6, &at, &code));
    assert_int_equal(at, 3);
    assert_int_equal(code, 0x202E);
    assert_true(lb_text_find_bad("ab\0c", 4, &at, &code));
    assert_int_equal(at, 2);
    assert_int_equal(code, 0);
}

static void test_confusable(void **state)
{
    static const char *const yes[] = {
        "p\u0430ypal",              /* Cyrillic а */
        "adm\u0456n", "support@vend\u03bfr.example", "ca\u0455e-1", "\u0410\u0421-1234", "\u0430\u0441\u0440",
        "\uff41\uff44\uff4d\uff49\uff4e", "\U0001d5ee\U0001d5f1min", "\u13a0dmin", "b\u0585b", "\u0391\u03a7\u0395",
        "ok then \u0440\u0430\u0443", "\u03b1\u0441", "\u0251dmin", "a\u043b-b",
    };
    static const char *const no[] = {
        "", "plain words, CASE-1234.", "na\u00efve \u00dcbung \u0141\u00f3d\u017a",
        "\u0437\u0430\u043c\u0435\u043d\u0430 \u0434\u0438\u0441\u043a\u0430 sda",
        "\u0441 \u043e \u0430", "\u03ba\u03b1\u03b9 \u03c4\u03bf", "\u4e16\u754c host",
        "\u0434\u0438\u0441\u043a, disk", "5\u00b5s", "\u2116 5",
        "1234", "-.-", BAD BAD,
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(yes); i++)
        if (!lb_text_is_confusable(yes[i]))
            fail_msg("%s passes", yes[i]);
    for (size_t i = 0; i < LB_ELEMENTS(no); i++)
        if (lb_text_is_confusable(no[i]))
            fail_msg("%s does not pass", no[i]);
    assert_false(lb_text_is_confusable(NULL));
}

static void test_matches_whole_strings_only(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        { "CASE-[0-9]{4,}", "CASE-1234", true }, { "CASE-[0-9]{4,}", "CASE-123", false },
        { "CASE-[0-9]{4,}", "xCASE-1234", false }, { "CASE-[0-9]{4,}", "CASE-1234x", false },
        { "CASE-[0-9]{4,}", "CASE-1234\n", false }, { "CASE-[0-9]{4,}", "x\nCASE-1234", false },
        { "a|bc", "a", true }, { "a|bc", "bc", true }, { "a|bc", "ac", false }, { "a|bc", "abc", false },
        { "a|ab", "ab", true }, { "ab|a", "ab", true }, { "(a|ab)(c|bcd)(d*)", "abcd", true },
        { "a)|b", "a)", true }, { "a)|b", "ax", false }, { "a)|b", "xb", false },
        { "", "", true }, { "", "x", false }, { "^x$", "x", true }, { "x*", "", true },
        { "[", "[", false }, { "(", "(", false }, { "a{2,1}", "aa", false },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        if (lb_text_matches(cases[i].pattern, cases[i].text) != cases[i].fits)
            fail_msg("%s and %s", cases[i].pattern, cases[i].text);
    }
}

static void test_names(void **state)
{
    static const char *const yes[] = { "bob", "field-service", "_apt", "host$", "a.b+c", "CORP\\bob",
      "bob@corp.example",
                                       "j\u00f6rg", "1st" };
    static const char *const no[] = { "", "-x", "1000", "a b", "a,b", "a:b", "a/b", "a*", "a[", "!a", "a=b", "\t" };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(yes); i++)
        assert_true(lb_text_is_name(yes[i], ""));
    for (size_t i = 0; i < LB_ELEMENTS(no); i++)
        assert_false(lb_text_is_name(no[i], ""));
    assert_true(lb_text_is_name("a*", "*"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_clean_cuts_between_characters),
        cmocka_unit_test(test_clean_of_every_pair_of_bytes),
        cmocka_unit_test(test_utf8_takes_every_character_and_nothing_else),
        cmocka_unit_test(test_find_bad),
        cmocka_unit_test(test_confusable),
        cmocka_unit_test(test_matches_whole_strings_only),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
