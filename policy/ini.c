/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/ini.h"

#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/text.h"
#include "policy/utf8.h"

#define BLANK " \t"

/* A section or key that was met: names are "Section" or "Section]Key", as "]" is in neither. */
struct seen {
    unsigned line;
    char name[];
};

struct reader {
    const char *path;
    unsigned line;
    lb_ini_row *row;
    void *userdata;
    struct lb_ini_errors *errors;
    const char *section; /* in the text; NULL before the first, "" after one that cannot be read */
    void *seen;    /* tsearch(3) tree of struct seen */
};

#define MISTAKE(reader, ...) lb_ini_error((reader)->errors, (reader)->path, (reader)->line, __VA_ARGS__)

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->name, ((const struct seen *)b)->name);
}

/* The line where this name was met before, or 0 now that it is noted. -ENOMEM. */
static int met_before(struct reader *r, const char *key, unsigned *ret_line)
{
    size_t size = strlen(r->section) + 1 + strlen(key) + 1;
    struct seen *new = malloc(sizeof(*new) + size), **node;

    if (!new)
        return -ENOMEM;
    new->line = r->line;
    snprintf(new->name, size, "%s%s%s", r->section, *key ? "]" : "", key);
    node = tsearch(new, &r->seen, compare);
    if (!node) {
        free(new);
        return -ENOMEM;
    }
    *ret_line = *node == new ? 0 : (*node)->line;
    if (*node != new)
        free(new);
    return 0;
}

static char *trim(char *s)
{
    size_t n;

    s += strspn(s, BLANK);
    for (n = strlen(s); n > 0 && strchr(BLANK, s[n - 1]); n--)
        ;
    s[n] = '\0';
    return s;
}

static void cut_comment(char *line)
{
    for (char *c = line; *c; c++) {
        if ((*c == '#' || *c == ';') && (c == line || strchr(BLANK, c[-1]))) {
            *c = '\0';
            return;
        }
    }
}

static int read_section(struct reader *r, char *line)
{
    size_t n = strlen(line);
    unsigned before;
    int rc;

    r->section = "";
    if (n < 3 || line[n - 1] != ']' || strpbrk(line + 1, "[]") != line + n - 1) {
        MISTAKE(r, "a section is written [Name]: %s", line);
        return 0;
    }
    line[n - 1] = '\0';
    r->section = line + 1;
    rc = met_before(r, "", &before);
    if (rc < 0)
        return rc;
    if (before) {
        MISTAKE(r, "[%s] is there twice, first on line %u; a file has each section once", r->section, before);
        return 0;
    }
    return r->row(r->userdata, r->path, r->line, r->section, NULL, "", r->errors);
}

static bool key_is_valid(const char *key)
{
    const char *c = key;

    while (isascii(*c) && isalnum((unsigned char)*c))
        c++;
    return c > key && *c == '\0';
}

static int read_assignment(struct reader *r, char *line)
{
    char *value = strchr(line, '='), *key;
    unsigned before;
    int rc;

    if (value)
        *value++ = '\0';
    key = trim(line);
    if (!value || !key_is_valid(key)) {
        size_t n = strcspn(key, ":=" BLANK);

        MISTAKE(r, "an assignment is written Key=value%s%.*s%s", key[n] == ':' ? " (" : ": ", (int)n, key,
                key[n] == ':' ? "=…)" : "");
        return 0;
    }
    value = trim(value);
    if (!r->section) {
        MISTAKE(r, "%s= comes before any [Section]", key);
        return 0;
    }
    if (!*r->section)
        return 0;
    if (*value && value[strlen(value) - 1] == '\\')
        MISTAKE(r, "%s= ends in a backslash; lines are not continued", key);
    rc = met_before(r, key, &before);
    if (rc < 0)
        return rc;
    if (before) {
        MISTAKE(r, "%s= is there twice, first on line %u; put all of it on one line", key, before);
        return 0;
    }
    return r->row(r->userdata, r->path, r->line, r->section, key, value, r->errors);
}

/* Says what is wrong with the bytes of a line. */
static bool bytes_are_good(struct reader *r, const char *line, size_t size)
{
    uint32_t code;
    size_t at;

    if (!lb_text_find_bad(line, size, &at, &code))
        return true;
    if (code == LB_UTF8_INVALID)
        MISTAKE(r, "byte %zu is not UTF-8", at + 1);
    else if (code == '\r' && at == size - 1)
        MISTAKE(r, "the line ends in CR LF; end it in LF alone");
    else
        MISTAKE(r, "byte %zu is a character that cannot be seen (U+%04X)", at + 1, (unsigned)code);
    return false;
}

static int read_line(struct reader *r, char *line, size_t size)
{
    bool indented;

    if (!bytes_are_good(r, line, size)) {
        if (line[0] == '[')
            r->section = "";
        return 0;
    }
    cut_comment(line);
    indented = strchr(BLANK, line[0]) != NULL; /* an empty line too */
    line = trim(line);
    if (!*line)
        return 0;
    if (indented) {
        MISTAKE(r, "the line is indented; lines are not continued, and begin at the margin");
        return 0;
    }
    return line[0] == '[' ? read_section(r, line) : read_assignment(r, line);
}

static int read_all(struct reader *r, char *text, size_t size)
{
    for (char *line = text, *end = text + size; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *stop = newline ? newline : end;
        int rc;

        *stop = '\0'; /* the copy has room for one more */
        r->line++;
        rc = read_line(r, line, (size_t)(stop - line));
        if (rc < 0)
            return rc;
        line = stop + 1;
    }
    return 0;
}

int lb_ini_parse(const char *path, const char *text, size_t size, lb_ini_row *row, void *userdata,
                 struct lb_ini_errors *errors)
{
    struct reader r = { .path = path, .row = row, .userdata = userdata, .errors = errors };
    LB_FREE char *copy = malloc(size + 1);
    int rc;

    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, size);
    rc = read_all(&r, copy, size);
    tdestroy(r.seen, free);
    return rc < 0 ? rc : errors->oom ? -ENOMEM : 0;
}
