/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/table.h"

#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include "lockboxd/ctl/human.h"
#include "policy/base.h"
#include "policy/fields.h"

#define GAP 2
/* A column cut to less tells nothing any more; then the line may rather be too long. */
#define ELASTIC_MIN 8
#define WIDTH_DEFAULT 80

struct cell {
    char *text; /* made for the terminal */
    enum lb_colour colour;
};

struct lb_table {
    struct lb_terminal to;
    const struct lb_column *columns;
    size_t n;
    struct lb_list cells; /* of struct cell, row by row */
};

struct lb_terminal lb_terminal_of(FILE *out)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    struct winsize size = { 0 };
    bool tty = isatty(fileno(out));

    if (tty && (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0))
        size.ws_col = WIDTH_DEFAULT;
    return (struct lb_terminal){
        .out = out,
        .width = tty ? size.ws_col : 0,
        .colour = tty && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0,
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
    };
}

const char *lb_terminal_colour(const struct lb_terminal *terminal, enum lb_colour colour)
{
    static const char *const sequences[] = {
        [LB_COLOUR_NONE] = "\033[0m", [LB_COLOUR_BOLD] = "\033[1m",   [LB_COLOUR_DIM] = "\033[2m",
        [LB_COLOUR_RED] = "\033[31m", [LB_COLOUR_GREEN] = "\033[32m", [LB_COLOUR_YELLOW] = "\033[33m",
    };

    return terminal->colour ? sequences[colour] : "";
}

void lb_terminal_write(const struct lb_terminal *terminal, const char *text)
{
    LB_FREE char *safe = lb_human_text(text, terminal->utf8);

    fputs(safe ? safe : "?", terminal->out);
}

void lb_terminal_write_lines(const struct lb_terminal *terminal, const char *first, const char *rest, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        LB_FREE char *line = strndup(text, n);
        fputs(n ? first : "", terminal->out);
        lb_terminal_write(terminal, line);
        fputc('\n', terminal->out);
        first = rest;
        text += n + (text[n] == '\n');
    }
}

/* The next character of a safe text: its bytes, and its cells through ret_cells. */
static size_t character(const char *text, bool utf8, unsigned *ret_cells)
{
    mbstate_t state = { 0 };
    wchar_t c = 0;
    size_t n = utf8 ? mbrtowc(&c, text, strlen(text), &state) : 1;
    int cells = utf8 ? wcwidth(c) : 1;

    *ret_cells = cells < 0 ? 1 : (unsigned)cells;
    return n == 0 || n > MB_LEN_MAX ? 1 : n;
}

/* How many bytes of the text fit into so many cells, and how many cells those take. */
static size_t fitting(const char *text, bool utf8, unsigned limit, unsigned *ret_cells)
{
    size_t used = 0;
    unsigned cells = 0;

    *ret_cells = 0;
    while (text[used]) {
        size_t n = character(text + used, utf8, &cells);
        if (*ret_cells + cells > limit)
            break;
        *ret_cells += cells;
        used += n;
    }
    return used;
}

static unsigned width_of(const char *text, bool utf8)
{
    unsigned cells = 0;

    fitting(text, utf8, UINT_MAX, &cells);
    return cells;
}

struct lb_table *lb_table_new(const struct lb_terminal *terminal, const struct lb_column *columns, size_t n)
{
    struct lb_table *table = calloc(1, sizeof(*table));

    if (table)
        *table = (struct lb_table){ .to = *terminal, .columns = columns, .n = n };
    return table;
}

int lb_table_add(struct lb_table *table, const struct lb_cell *cells)
{
    size_t before = table->cells.n;

    for (size_t i = 0; i < table->n; i++) {
        struct cell *cell = lb_list_append(&table->cells, sizeof(*cell));
        if (cell)
            *cell = (struct cell){ lb_human_text(cells[i].text, table->to.utf8), cells[i].colour };
        if (cell && cell->text)
            continue;
        while (table->cells.n > before)
            free(((struct cell *)table->cells.items)[--table->cells.n].text);
        return -ENOMEM;
    }
    return 0;
}

struct lb_table *lb_table_free(struct lb_table *table)
{
    struct cell *cell = table ? table->cells.items : NULL;

    for (size_t i = 0; table && i < table->cells.n; i++)
        free(cell[i].text);
    free(cell);
    free(table);
    return NULL;
}

static unsigned line_width(const unsigned *widths, size_t n)
{
    unsigned line = 0;

    for (size_t i = 0; i < n; i++)
        line += widths[i] ? widths[i] + (line ? GAP : 0) : 0;
    return line;
}

/* Takes from the widest elastic column, cell by cell, until the line fits (true) or none can give. */
static bool squeeze(const struct lb_table *table, unsigned *widths, unsigned limit)
{
    for (unsigned line = line_width(widths, table->n); line > limit; line--) {
        unsigned *widest = NULL;
        for (size_t i = 0; i < table->n; i++)
            if (table->columns[i].elastic && widths[i] > ELASTIC_MIN && (!widest || widths[i] > *widest))
                widest = &widths[i];
        if (!widest)
            return false;
        --*widest;
    }
    return true;
}

/* Makes the natural widths fit; a width of 0 leaves the column out. */
static void fit(const struct lb_table *table, unsigned *widths, unsigned limit)
{
    LB_FREE unsigned *squeezed = calloc(table->n, sizeof(*squeezed));

    while (squeezed && limit) {
        size_t drop = 0;
        memcpy(squeezed, widths, table->n * sizeof(*widths));
        for (size_t i = 0; i < table->n; i++)
            if (widths[i] && table->columns[i].drop > (widths[drop] ? table->columns[drop].drop : 0))
                drop = i;
        if (squeeze(table, squeezed, limit) || !table->columns[drop].drop || !widths[drop]) {
            memcpy(widths, squeezed, table->n * sizeof(*widths));
            return;
        }
        widths[drop] = 0;
    }
}

/* Returns how many cells are to be filled up before the next column. */
static unsigned print_cell(const struct lb_terminal *to, const char *text, enum lb_colour colour, unsigned width)
{
    const char *ellipsis = to->utf8 ? "…" : "...";
    unsigned cells = width_of(text, to->utf8);
    size_t bytes = strlen(text);
    bool cut = cells > width;

    if (cut) {
        unsigned mark = width_of(ellipsis, to->utf8);
        bytes = fitting(text, to->utf8, width - mark, &cells);
        cells += mark;
    }
    fprintf(to->out, "%s%.*s%s%s", colour ? lb_terminal_colour(to, colour) : "", (int)bytes, text, cut ? ellipsis : "",
            colour ? lb_terminal_colour(to, LB_COLOUR_NONE) : "");
    return width - cells + GAP;
}

static void print_row(const struct lb_table *table, const struct cell *cells, const unsigned *widths)
{
    unsigned fill = 0;

    for (size_t i = 0; i < table->n; i++) {
        if (!widths[i])
            continue;
        fprintf(table->to.out, "%*s", (int)fill, "");
        fill = print_cell(&table->to, cells[i].text, cells[i].colour, widths[i]);
    }
    fputc('\n', table->to.out);
}

int lb_table_print(const struct lb_table *table)
{
    LB_FREE unsigned *widths = calloc(table->n, sizeof(*widths));
    LB_FREE struct cell *titles = calloc(table->n, sizeof(*titles));
    const struct cell *cell = table->cells.items;
    bool titled = table->columns[0].title;

    if (!widths || !titles)
        return -ENOMEM;
    for (size_t i = 0; i < table->n && titled; i++) {
        titles[i] = (struct cell){ (char *)table->columns[i].title, LB_COLOUR_BOLD };
        widths[i] = width_of(titles[i].text, table->to.utf8);
    }
    for (size_t i = 0; i < table->cells.n; i++) {
        unsigned *width = &widths[i % table->n], cells = width_of(cell[i].text, table->to.utf8);
        if (cells > *width)
            *width = cells;
    }
    fit(table, widths, table->to.width);
    if (titled)
        print_row(table, titles, widths);
    for (size_t i = 0; i < table->cells.n; i += table->n)
        print_row(table, cell + i, widths);
    return 0;
}
