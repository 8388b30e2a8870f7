/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables for people: aligned in terminal cells, coloured where that helps, cut where the terminal ends. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum lb_colour { LB_COLOUR_NONE, LB_COLOUR_BOLD, LB_COLOUR_DIM, LB_COLOUR_RED, LB_COLOUR_GREEN, LB_COLOUR_YELLOW };

/* What a stream can show. */
struct lb_terminal {
    FILE *out;
    unsigned width; /* cells in a line; 0: no terminal, no limit */
    bool colour;    /* a terminal that is not dumb, and no NO_COLOR */
    bool utf8;      /* by the locale that was set */
};
struct lb_terminal lb_terminal_of(FILE *out);

/* The escape sequence that begins (or, for NONE, ends) a colour; "" where the terminal has none. */
const char *lb_terminal_colour(const struct lb_terminal *terminal, enum lb_colour colour);

/* Writes untrusted text, made safe to show. */
void lb_terminal_write(const struct lb_terminal *terminal, const char *text);

/* The same line by line; `first` goes before the first line, `rest` before the others (none before an empty one). */
void lb_terminal_write_lines(const struct lb_terminal *terminal, const char *first, const char *rest, const char *text);

struct lb_column {
    const char *title; /* NULL in all of them: no line of titles */
    bool elastic;      /* may be cut when the line is too long */
    unsigned drop;     /* where that is not enough, columns are left out, the highest first; 0: never */
};

struct lb_cell {
    const char *text; /* untrusted; NULL is "" */
    enum lb_colour colour;
};

struct lb_table;

/* `columns` is borrowed, `terminal` copied. NULL: out of memory. */
struct lb_table *lb_table_new(const struct lb_terminal *terminal, const struct lb_column *columns, size_t n);

/* A row of as many cells as there are columns; copied. -ENOMEM (and nothing added). */
int lb_table_add(struct lb_table *table, const struct lb_cell *cells);

/* Two spaces between columns, the last one not padded. 0, -ENOMEM. */
int lb_table_print(const struct lb_table *table);

struct lb_table *lb_table_free(struct lb_table *table); /* NULL is fine; returns NULL */
#define LB_TABLE __attribute__((cleanup(lb_table_freep)))
static inline void lb_table_freep(struct lb_table **table)
{
    lb_table_free(*table);
}
