/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The grammar of all our files, and the words for mistakes in them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "policy/base.h"
#include "policy/ini.h"

/* Every row as "line section key value|". */
static int collect(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                   const char *value, struct lb_ini_errors *errors)
{
    FILE *out = userdata;

    (void)errors;
    assert_string_equal(path, "f");
    if (key)
        fprintf(out, "%u %s %s <%s>|", line, section, key, value);
    else
        fprintf(out, "%u %s|", line, section);
    return 0;
}

static void check_bytes(const char *text, size_t size, const char *rows, const char *mistakes)
{
    struct lb_ini_errors errors = {};
    char *seen = NULL;
    size_t n;
    FILE *out = open_memstream(&seen, &n);

    assert_non_null(out);
    assert_int_equal(lb_ini_parse("f", text, size, collect, out, &errors), 0);
    assert_int_equal(fclose(out), 0);
    if (rows)
        assert_string_equal(seen, rows);
    assert_string_equal(errors.text ? errors.text : "", mistakes);
    assert_int_equal(errors.size, strlen(mistakes));
    assert_int_equal(errors.n > 0, *mistakes != '\0');
    free(seen);
    free(errors.text);
}

static void check(const char *text, const char *rows, const char *mistakes)
{
    check_bytes(text, strlen(text), rows, mistakes);
}

static void test_reads_sections_keys_and_comments(void **state)
{
    (void)state;
    check("", "", "");
    check("\n \n\t\n# all\n; comment\n  # even here\n", "", "");
    check("[A]\nK=v", "1 A|2 A K <v>|", "");
    check("[A] ; c\nK = v w\t# c\nL=\nM=a;b#c\nN=;x\nO= ;x\nP=a=b\n", "1 A|2 A K <v w>|3 A L <>|4 A M <a;b#c>|"
          "5 A N <;x>|6 A O <>|7 A P <a=b>|", "");
    check("[A]\nK=1\n[B]\nK=2\n", "1 A|2 A K <1>|3 B|4 B K <2>|", "");
    check("[A]\nK=\u00e9\u4e16\n", "1 A|2 A K <\u00e9\u4e16>|", "");
}

static void test_lines_have_no_limit(void **state)
{
    enum { N = 1 << 20 };
    char *text = malloc(N + 1);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', N);
    memcpy(text, "[A]\nK=", 6);
    text[N] = '\0';
    char *rows = NULL;
    assert_true(asprintf(&rows, "1 A|2 A K <%s>|", text + 6) > 0);
    check(text, rows, "");
    free(rows);
    free(text);
}

static void test_refuses_what_surprises(void **state)
{
    (void)state;
    check("K=v\n", "", "f:1: K= comes before any [Section]\n");
    check("[A]\nK: v\n", "1 A|", "f:2: an assignment is written Key=value (K=…)\n");
    check("[A]\nK: v=w\n", "1 A|", "f:2: an assignment is written Key=value (K=…)\n");
    check("[A]\nword\n", "1 A|", "f:2: an assignment is written Key=value: word\n");
    check("[A]\n=v\n", "1 A|", "f:2: an assignment is written Key=value: \n");
    check("[A]\nK K=v\n", "1 A|", "f:2: an assignment is written Key=value: K\n");
    check("[A]\nK=a\n  b=c\n", "1 A|2 A K <a>|",
          "f:3: the line is indented; lines are not continued, and begin at the margin\n");
    check("[A]\nK=a \\\nb=c\n", NULL, "f:2: K= ends in a backslash; lines are not continued\n");
    check("[A]\nK=1\nK=2\n", "1 A|2 A K <1>|", "f:3: K= is there twice, first on line 2; put all of it on one line\n");
    check("[A]\n[B]\n[A]\n", "1 A|2 B|", "f:3: [A] is there twice, first on line 1; a file has each section once\n");
}

static void test_a_section_that_cannot_be_read_takes_its_keys_along(void **state)
{
    (void)state;
    check("[A]\n[]\nK=1\n", "1 A|", "f:2: a section is written [Name]: []\n");
    check("[A]\n[B\nK=1\n", "1 A|", "f:2: a section is written [Name]: [B\n");
    check("[A]\n[B] x\nK=1\n", "1 A|", "f:2: a section is written [Name]: [B] x\n");
    check("[A]\n[[B]]\nK=1\n", "1 A|", "f:2: a section is written [Name]: [[B]]\n");
    check("[A]\n[\u202eB]\nK=1\n", "1 A|", "f:2: byte 2 is a character that cannot be seen (U+202E)\n");
}

static void test_refuses_bytes_that_are_no_text(void **state)
{
    (void)state;
    check_bytes("[A]\nK=a\0b\n", 10, "1 A|", "f:2: byte 4 is a character that cannot be seen (U+0000)\n");
    check("[A]\r\nK=1\r\n", "", "f:1: the line ends in CR LF; end it in LF alone\n"
                               "f:2: the line ends in CR LF; end it in LF alone\n");
    check("[A]\nK=\033[31m\n", "1 A|", "f:2: byte 3 is a character that cannot be seen (U+001B)\n");
    check("[A]\n# \xC3\n", "1 A|", "f:2: byte 3 is not UTF-8\n");
    check("\uFEFF[A]\n", "", "f:1: byte 1 is a character that cannot be seen (U+FEFF)\n");
    check("[A]\nK=a\u200b\n", "1 A|", "f:2: byte 4 is a character that cannot be seen (U+200B)\n");
}

static void test_mistakes_stand_in_the_order_of_lines(void **state)
{
    struct lb_ini_errors errors = {};

    (void)state;
    lb_ini_error(&errors, "a", 9, "nine");
    lb_ini_error(&errors, "b", 10, "ten");
    lb_ini_error(&errors, "b", 2, "two %s", "words");
    lb_ini_error(&errors, "b", 10, "ten again");
    lb_ini_error(&errors, "b", 0, "whole");
    lb_ini_error(&errors, "b", 3, "three");
    assert_string_equal(errors.text, "a:9: nine\nb: whole\nb:2: two words\nb:3: three\nb:10: ten\nb:10: ten again\n");
    assert_int_equal(errors.n, 6);
    free(errors.text);
}

static int out_of_memory(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                         const char *value, struct lb_ini_errors *errors)
{
    (void)path, (void)line, (void)section, (void)value, (void)errors;
    ++*(int *)userdata;
    return key ? -ENOMEM : 0;
}

static void test_a_failing_row_ends_everything(void **state)
{
    struct lb_ini_errors errors = {};
    int calls = 0;

    (void)state;
    assert_int_equal(lb_ini_parse("f", "[A]\nK=1\nL=2\n", 12, out_of_memory, &calls, &errors), -ENOMEM);
    assert_int_equal(calls, 2);
}

static void test_suggestions(void **state)
{
    static const char *const known[] = { "Account", "Service", "RemoteHost", "Key", "yes", NULL };

    (void)state;
    assert_string_equal(lb_ini_suggest("Acount", known), "Account");
    assert_string_equal(lb_ini_suggest("account", known), "Account");
    assert_string_equal(lb_ini_suggest("Sevrice", known), "Service");
    assert_string_equal(lb_ini_suggest("RemoteHosts", known), "RemoteHost");
    assert_string_equal(lb_ini_suggest("ys", known), "yes");
    assert_null(lb_ini_suggest("Colour", known));
    assert_null(lb_ini_suggest("", known));
    assert_null(lb_ini_suggest("RemoteHostRemoteHostRemoteHostRemoteHost", known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_sections_keys_and_comments),
        cmocka_unit_test(test_lines_have_no_limit),
        cmocka_unit_test(test_refuses_what_surprises),
        cmocka_unit_test(test_a_section_that_cannot_be_read_takes_its_keys_along),
        cmocka_unit_test(test_refuses_bytes_that_are_no_text),
        cmocka_unit_test(test_mistakes_stand_in_the_order_of_lines),
        cmocka_unit_test(test_a_failing_row_ends_everything),
        cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests_name("ini", tests, NULL, NULL);
}
