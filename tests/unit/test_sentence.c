/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text with blanks: what stands in it, what is left out, and what is wrong in one that somebody wrote. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/base.h"
#include "policy/sentence.h"

/* "full" is "x", "zero" is "0" but nothing in brackets, "bad" fails, all else is empty. */
static int value(void *userdata, const char *name, bool optional, FILE *out)
{
    (void)userdata;
    if (strcmp(name, "bad") == 0)
        return -EIO;
    if (strcmp(name, "full") == 0 || strcmp(name, "a.b") == 0)
        return fputs("x", out) >= 0;
    return strcmp(name, "zero") == 0 && !optional ? fputs("0", out) >= 0 : 0;
}

static bool known(const char *name)
{
    return strcmp(name, "full") == 0 || strcmp(name, "none") == 0;
}

static void test_write(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        { "", "" },
        { "plain", "plain" },
        { "{full}", "x" },
        { "<{full}{none}{a.b}>", "<xx>" },
        { "a[ b {full}] c", "a b x c" },
        { "a[ b {none}] c", "a c" },
        { "a[ b {full} {none}] c", "a c" },
        { "a[ b] c", "a b c" },
        { "{zero}[ {zero}]", "0" },
        { "[{none}][{full}][{none}]", "x" },
        { "[\n{full}\n]", "\nx\n" },
        /* what is no blank stays */
        { "{", "{" },
        { "{}", "{}" },
        { "{ full }", "{ full }" },
        { "{color:red}", "{color:red}" },
        { "{{full}}", "{x}" },
        { "{\"a\": [[1, {zero}]]}", "{\"a\": [1, 0]}" },
        { "[[{none}]]", "[]" },
        { "[x", "x" },
        { "x]", "x]" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        assert_int_equal(lb_sentence_write(out, rows[i].text, value, NULL), 0);
        fclose(out);
        assert_string_equal(text, rows[i].wanted);
    }
}

static void test_what_a_value_says_ends_it(void **state)
{
    FILE *out = fopen("/dev/null", "w");

    (void)state;
    assert_non_null(out);
    assert_int_equal(lb_sentence_write(out, "a {bad} b", value, NULL), -EIO);
    assert_int_equal(lb_sentence_write(out, "a [{bad}] b", value, NULL), -EIO);
    fclose(out);
}

static void test_check(void **state)
{
    static const struct { const char *text; ptrdiff_t wanted; const char *name; } rows[] = {
        { "", -1, "" },
        { "a {full}[ {none}] [[ ]] { } {a b}", -1, "" },
        { "a {fulll}", 2, "fulll" },
        { "a [b {Full}]", 5, "Full" },
        { "{full.none}", 0, "full.none" },
        { "a [b", 2, "" },
        { "a b]", 3, "" },
        { "[a [b]]", 3, "" },
        { "[a]]", 3, "" },
        { "[a[[b]", 2, "" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        char name[LB_SENTENCE_NAME_MAX] = "";

        assert_int_equal(lb_sentence_check(rows[i].text, known, name), rows[i].wanted);
        assert_string_equal(rows[i].wanted < 0 ? "" : name, rows[i].name);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_what_a_value_says_ends_it),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
