/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A QR code as characters: module for module what was encoded, with the quiet zone around. That it can be read is for
 * the system tests, with a reader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <qrencode.h>

#include "lockboxd/qr.h"
#include "policy/base.h"

#define QUIET 4

/* The half of a character: -1 if it is none of ours. *text is moved behind it. */
static int read_cell(const char **text, bool lower)
{
    static const struct { const char *cell; bool upper, lower; } cells[] = {
        { " ", false, false }, { "▀", true, false }, { "▄", false, true }, { "█", true, true },
    };

    for (size_t i = 0; i < LB_ELEMENTS(cells); i++)
        if (strncmp(*text, cells[i].cell, strlen(cells[i].cell)) == 0) {
            *text += strlen(cells[i].cell);
            return lower ? cells[i].lower : cells[i].upper;
        }
    return -1;
}

static void check(const char *text)
{
    QRcode *code = QRcode_encodeData((int)strlen(text), (const unsigned char *)text, 0, QR_ECLEVEL_L);
    LB_FREE char *drawn = NULL;
    size_t columns = 0;
    const char *at;
    int size;

    assert_non_null(code);
    size = code->width + 2 * QUIET;
    assert_int_equal(lb_qr_draw(text, &drawn, &columns), 0);
    assert_int_equal(columns, size);
    at = drawn;
    for (int y = 0; y < size; y += 2) {
        for (int lower = 0; lower < 2; lower++) {
            const char *cell = at;

            for (int x = 0; x < size; x++) {
                int mx = x - QUIET, my = y + lower - QUIET;
                bool inside = mx >= 0 && my >= 0 && mx < code->width && my < code->width;
                bool light = inside ? !(code->data[my * code->width + mx] & 1) : y + lower < size;

                assert_int_equal(read_cell(&cell, lower), light);
            }
            assert_true(*cell == '\n');
        }
        at = strchr(at, '\n') + 1;
    }
    assert_string_equal(at, "");
    QRcode_free(code);
}

static void test_modules(void **state)
{
    char text[2000];

    (void)state;
    for (size_t n = 1; n < sizeof(text); n += 199) {
        memset(text, 'x', n);
        text[n] = '\0';
        check(text);
    }
    check("Lockbox consent, version 1\nDecision: approve\n");
}

static void test_too_long(void **state)
{
    char text[4097];
    char *drawn = NULL;
    size_t columns = 0;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(lb_qr_draw(text, &drawn, &columns), -EFBIG);
    text[2953] = '\0'; /* the most that a code holds */
    assert_int_equal(lb_qr_draw(text, &drawn, &columns), 0);
    assert_int_equal(columns, 177 + 2 * QUIET);
    free(drawn);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_modules), cmocka_unit_test(test_too_long) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
