/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Headers and bodies in mail's own forms: their bytes, what a reader gets back, and that no text gets out of its
 * place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lockboxd/courier/mime.h"
#include "policy/base.h"
#include "policy/text.h"
#include "tests/unit/read_mail.h"

static char *header(const char *text)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);

    assert_non_null(out);
    assert_int_equal(lb_mime_header(out, "Subject", text), 0);
    fclose(out);
    return line;
}

static char *body(const char *text)
{
    char *lines = NULL;
    size_t size;
    FILE *out = open_memstream(&lines, &size);

    assert_non_null(out);
    lb_mime_body(out, text);
    fclose(out);
    return lines;
}

static void test_headers(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        { "Action needed", "Subject: Action needed\r\n" },
        { "", "Subject:\r\n" },
        { "a\r\nBcc: everybody@example", "Subject: a Bcc: everybody@example\r\n" },
        { "a\x1b[31m", "Subject: =?UTF-8?B?Ye+/vVszMW0=?=\r\n" },
        { "=?UTF-8?Q?a?=", "Subject: =?UTF-8?B?PT9VVEYtOD9RP2E/PQ==?=\r\n" },
        { "Gr\xc3\xbc\xc3\x9f" "e", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n" },
        { "Action needed: somebody with a long name asks for an account with a long one too",
          "Subject: Action needed: somebody with a long name asks for an account with a\r\n long one too\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *line = header(rows[i].text);

        assert_string_equal(line, rows[i].wanted);
    }
}

static void test_long_words_are_broken(void **state)
{
    char text[1001] = "";
    LB_FREE char *line = NULL, *read = NULL;

    (void)state;
    memset(text, 'x', 1000);
    line = header(text);
    assert_mail_lines(line, 78);
    read = read_header(line);
    assert_string_equal(read, text);
}

/* Two, three and four bytes at every place where a word can end. */
static void test_no_character_is_split(void **state)
{
    static const char *const characters[] = { "\xc3\xbc", "\xe6\xbc\xa2", "\xf0\x9f\x94\x91" };

    (void)state;
    for (size_t c = 0; c < LB_ELEMENTS(characters); c++)
        for (size_t before = 0; before < 100; before++) {
            char text[1024];
            LB_FREE char *line = NULL, *read = NULL;
            size_t n = before;

            memset(text, 'a', before);
            for (int i = 0; i < 60; i++, n += strlen(characters[c]))
                strcpy(text + n, characters[c]);
            line = header(text);
            assert_mail_lines(line, 76);
            read = read_header(line); /* fails where a word is no UTF-8 by itself */
            assert_string_equal(read, text);
        }
}

static void test_mailboxes(void **state)
{
    static const struct { const char *phrase, *wanted;
    } rows[] = {
        { NULL, "To: bob@customer.example\r\n" },
        { "bob", "To: \"bob\" <bob@customer.example>\r\n" },
        { "a \"b\" \\c, d", "To: \"a \\\"b\\\" \\\\c, d\" <bob@customer.example>\r\n" },
        { "x\r\nBcc: y", "To: \"x Bcc: y\" <bob@customer.example>\r\n" },
        { "J\xc3\xb6rg", "To: =?UTF-8?B?SsO2cmc=?= <bob@customer.example>\r\n" },
        { "a name that is as long as names can be in the files of some companies",
          "To: \"a name that is as long as names can be in the files of some companies\"\r\n "
          "<bob@customer.example>\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *line = NULL;
        size_t size;
        FILE *out = open_memstream(&line, &size);

        assert_non_null(out);
        assert_int_equal(lb_mime_mailbox(out, "To", rows[i].phrase, "bob@customer.example"), 0);
        fclose(out);
        assert_string_equal(line, rows[i].wanted);
    }
}

static void test_atoms(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        { "7F3K-9QXM.1234.bob", "7F3K-9QXM.1234.bob" },
        { "a b@c>\r\n", "a=20b=40c=3E=0D=0A" },
        { "a=20b", "a=3D20b" },
        { ".a..b.", "=2Ea=2E=2Eb=2E" },
        { "\xc3\xbc", "=C3=BC" },
    };
    char text[501] = "";

    (void)state;
    memset(text, '\n', 500);
    for (size_t i = 0; i <= LB_ELEMENTS(rows); i++) {
        LB_FREE char *atom = NULL;
        size_t size;
        FILE *out = open_memstream(&atom, &size);

        assert_non_null(out);
        lb_mime_atom(out, i < LB_ELEMENTS(rows) ? rows[i].text : text);
        fclose(out);
        if (i < LB_ELEMENTS(rows))
            assert_string_equal(atom, rows[i].wanted);
        else
            assert_in_range(size, 100, 130);
    }
}

static void test_bodies(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        { "", "" },
        { "one\n", "one\r\n" },
        { "one", "one\r\n" },
        { "a\n\nb\n", "a\r\n\r\nb\r\n" },
        { "x = y\n", "x =3D y\r\n" },
        { "blank \n\ttab\t\n", "blank=20\r\n\ttab=09\r\n" },
        { ".\n..\na.\n", "=2E\r\n=2E.\r\na.\r\n" },
        { "From here\nFrom: a\n", "=46rom here\r\nFrom: a\r\n" },
        { "a\rb\r\n", "a=0Db=0D\r\n" },
        { "\xc3\xbc\xff\n", "=C3=BC=FF\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *lines = body(rows[i].text);

        assert_string_equal(lines, rows[i].wanted);
    }
}

/* A dot that a soft line break brings to a line's beginning, too. */
static void test_long_lines_are_broken(void **state)
{
    char text[3001] = "";
    LB_FREE char *lines = NULL, *read = NULL;

    (void)state;
    memset(text, '.', 3000);
    text[2999] = '\n';
    lines = body(text);
    assert_mail_lines(lines, 76);
    assert_null(strstr(lines, "\n."));
    read = read_body(lines);
    assert_string_equal(read, text);
}

/* Any bytes: what comes out is lines of ASCII, and says what went in, as far as that is safe to show. */
static void test_random(void **state)
{
    static const char likely[] = "\r\n\r\n =?.\x1b\"\\<>@,:;()\xc3\xbc\xe2\x80\xae\xf0\x9f\x94\x91" "aaaaaaaaaaaaaaaa";
    unsigned seed = 20261128;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[400];
        size_t n = (size_t)rand_r(&seed) % (sizeof(text) - 1);
        LB_FREE char *line = NULL, *lines = NULL, *read = NULL, *read_text = NULL, *clean = NULL;

        for (size_t i = 0; i < n; i++)
            text[i] =
                round % 2 ? likely[(size_t)rand_r(&seed) % (sizeof(likely) - 1)] : (char)(1 + rand_r(&seed) % 255);
        text[n] = '\0';
        clean = lb_text_clean(text, SIZE_MAX);
        line = header(text);
        assert_mail_lines(line, 78);
        read = read_header(line);
        assert_string_equal(read, clean);
        lines = body(text);
        assert_mail_lines(lines, 76);
        read_text = read_body(lines);
        assert_memory_equal(read_text, text, n);
        assert_in_range(strlen(read_text), n, n + 1); /* a line that had no end has one now */
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_long_words_are_broken),
        cmocka_unit_test(test_no_character_is_split),
        cmocka_unit_test(test_mailboxes),
        cmocka_unit_test(test_atoms),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_long_lines_are_broken),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
