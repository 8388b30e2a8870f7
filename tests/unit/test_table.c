/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables: alignment in cells, cutting, dropping, colours, and nothing that could harm a terminal. */
#include <fcntl.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "lockboxd/ctl/table.h"
#include "policy/base.h"

static const struct lb_column columns[] = {
    { "ID", false, 0 }, { "NAME", true, 0 }, { "REASON", true, 1 }, { "FOR", false, 2 },
};

/* Prints rows of four cells, ended by NULL, into memory. */
static char *print(struct lb_terminal terminal, const char *const *cells)
{
    char *text = NULL;
    size_t size = 0;

    terminal.out = open_memstream(&text, &size);
    assert_non_null(terminal.out);
    LB_TABLE struct lb_table *table = lb_table_new(&terminal, columns, LB_ELEMENTS(columns));
    assert_non_null(table);
    for (; cells[0]; cells += 4) {
        const struct lb_cell row[] = {
            { cells[0], LB_COLOUR_BOLD }, { cells[1], 0 }, { cells[2], 0 }, { cells[3], 0 },
        };
        assert_int_equal(lb_table_add(table, row), 0);
    }
    assert_int_equal(lb_table_print(table), 0);
    fclose(terminal.out);
    return text;
}

static void expect(struct lb_terminal terminal, const char *const *cells, const char *expected)
{
    LB_FREE char *text = print(terminal, cells);

    assert_string_equal(text, expected);
}

static void test_columns_are_aligned(void **state)
{
    static const char *const cells[] = { "A", "alice", "a disk", "4h", "BBBB", "bob", "x", "", NULL };

    (void)state;
    expect((struct lb_terminal){ 0 }, cells,
           "ID    NAME   REASON  FOR\n"
           "A     alice  a disk  4h\n"
           "BBBB  bob    x       \n");
}

/* One character of two cells, one of none (a combining accent), one of one cell and two bytes. */
static void test_widths_are_cells(void **state)
{
    static const char *const cells[] = { "日本", "e\xCC\x81", "é", "1", "abcd", "x", "y", "2", NULL };

    (void)state;
    expect((struct lb_terminal){ .utf8 = true }, cells,
           "ID    NAME  REASON  FOR\n"
           "日本  e\xCC\x81     é       1\n"
           "abcd  x     y       2\n");
    expect((struct lb_terminal){ .utf8 = false }, cells,
           "ID    NAME  REASON  FOR\n"
           "??    e?    ?       1\n"
           "abcd  x     y       2\n");
}

static const char *const long_cells[] = {
    "7F3K", "alice@vendor.example", "the array has lost a disk", "4h", NULL,
};

static void test_the_widest_is_cut_first(void **state)
{
    (void)state;
    /* natural: 4 + 20 + 25 + 3 and three gaps are 58 cells */
    expect((struct lb_terminal){ .width = 58, .utf8 = true }, long_cells,
           "ID    NAME                  REASON                     FOR\n"
           "7F3K  alice@vendor.example  the array has lost a disk  4h\n");
    expect((struct lb_terminal){ .width = 50, .utf8 = true }, long_cells,
           "ID    NAME                REASON               FOR\n"
           "7F3K  alice@vendor.exam…  the array has lost…  4h\n");
}

static void test_columns_are_dropped_when_cutting_is_not_enough(void **state)
{
    (void)state;
    /* 4 + 8 + 8 + 3 and the gaps are 29: below that FOR goes, below 24 REASON */
    expect((struct lb_terminal){ .width = 29, .utf8 = true }, long_cells,
           "ID    NAME      REASON    FOR\n"
           "7F3K  alice@v…  the arr…  4h\n");
    expect((struct lb_terminal){ .width = 28, .utf8 = true }, long_cells,
           "ID    NAME        REASON\n"
           "7F3K  alice@ven…  the array…\n");
    expect((struct lb_terminal){ .width = 23, .utf8 = true }, long_cells,
           "ID    NAME\n"
           "7F3K  alice@vendor.exa…\n");
    /* What is left is not cut to nothing, however narrow the terminal is. */
    expect((struct lb_terminal){ .width = 1, .utf8 = false }, long_cells,
           "ID    NAME\n"
           "7F3K  alice...\n");
}

/* A wide character that would stick out is left out as a whole. */
static void test_cuts_fall_between_characters(void **state)
{
    static const char *const cells[] = { "A", "日本語日本語", "", "", NULL };

    (void)state;
    expect((struct lb_terminal){ .width = 11, .utf8 = true }, cells,
           "ID  NAME\n"
           "A   日本語…\n");
    expect((struct lb_terminal){ .width = 12, .utf8 = true }, cells,
           "ID  NAME\n"
           "A   日本語…\n");
    expect((struct lb_terminal){ .width = 13, .utf8 = true }, cells,
           "ID  NAME\n"
           "A   日本語日…\n");
}

static void test_colours_only_where_they_are(void **state)
{
    static const char *const cells[] = { "A", "b", "c", "d", NULL };

    (void)state;
    expect((struct lb_terminal){ .colour = true }, cells,
           "\033[1mID\033[0m  \033[1mNAME\033[0m  \033[1mREASON\033[0m  \033[1mFOR\033[0m\n"
           "\033[1mA\033[0m   b     c       d\n");
}

static void test_cells_are_harmless(void **state)
{
    static const char *const cells[] = { "\033[2J", "a\nb", "\xE2\x80\xAE" "c", "\xFF", NULL };

    (void)state;
    expect((struct lb_terminal){ 0 }, cells,
           "ID    NAME  REASON  FOR\n"
           "?[2J  a b   ?c      ?\n");
}

static void test_lines_are_told_one_by_one(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct lb_terminal terminal = { .out = open_memstream(&text, &size) };

    (void)state;
    lb_terminal_write_lines(&terminal, "1 ", "- ", "one\n\ntwo\033\n");
    fclose(terminal.out);
    assert_string_equal(text, "1 one\n\n- two?\n");
    free(text);
}

/* A file is no terminal: nothing is cut and nothing coloured, whatever the environment says. */
static void test_a_file_is_no_terminal(void **state)
{
    FILE *file = tmpfile();
    struct lb_terminal terminal;

    (void)state;
    assert_non_null(file);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    terminal = lb_terminal_of(file);
    assert_int_equal(terminal.width, 0);
    assert_false(terminal.colour);
    fclose(file);
}

static struct lb_terminal terminal_of_pty(const char *term, const char *no_colour)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    struct lb_terminal terminal;
    FILE *file = NULL;

    assert_true(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0);
    file = fdopen(fd, "r+");
    assert_non_null(file);
    setenv("TERM", term, 1);
    setenv("NO_COLOR", no_colour, 1);
    terminal = lb_terminal_of(file);
    fclose(file);
    return terminal;
}

static void test_a_terminal_has_colours_unless_told(void **state)
{
    (void)state;
    assert_true(terminal_of_pty("xterm", "").colour);
    assert_int_equal(terminal_of_pty("xterm", "").width, 80);
    assert_false(terminal_of_pty("xterm", "1").colour);
    assert_false(terminal_of_pty("dumb", "").colour);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_aligned),
        cmocka_unit_test(test_widths_are_cells),
        cmocka_unit_test(test_the_widest_is_cut_first),
        cmocka_unit_test(test_columns_are_dropped_when_cutting_is_not_enough),
        cmocka_unit_test(test_cuts_fall_between_characters),
        cmocka_unit_test(test_colours_only_where_they_are),
        cmocka_unit_test(test_cells_are_harmless),
        cmocka_unit_test(test_lines_are_told_one_by_one),
        cmocka_unit_test(test_a_file_is_no_terminal),
        cmocka_unit_test(test_a_terminal_has_colours_unless_told),
    };

    /* The C library's own UTF-8 locale is everywhere. */
    if (!setlocale(LC_ALL, "C.UTF-8"))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
