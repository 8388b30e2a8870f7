/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The grammar of all our files: [Section], Key=value, comments that begin a line or follow a space with ; or #.
 * Strict: duplicate sections and keys, `key: value`, indented lines and a backslash at the end (continuations), control
 * and invisible characters, NUL, invalid UTF-8 and text outside a section are errors. Lines have no length limit.
 */
#pragma once

#include <stddef.h>
#include <stdbool.h>

/* Collects mistakes: "path:line: text\n", those of one file in the order of its lines. Zero-initialise;
 * free(text). */
struct lb_ini_errors {
    char *text;
    size_t size; /* bytes of text */
    size_t n;
    bool oom;
};

/* Adds a mistake. line 0: about the whole file. */
void lb_ini_error(struct lb_ini_errors *errors, const char *path, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Where a mistake is reported: an assignment. */
struct lb_ini_place {
    struct lb_ini_errors *errors;
    const char *path;
    unsigned line;
    const char *key;
};

/* One assignment, in file order. value is trimmed, "" if empty, valid during the call. Called with key NULL when a
 * section begins. Report mistakes with lb_ini_error and go on. Return -errno only for what ends everything
 * (-ENOMEM). */
typedef int lb_ini_row(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                       const char *value, struct lb_ini_errors *errors);

/* 0, also when there were mistakes (errors->n counts); -ENOMEM. */
int lb_ini_parse(const char *path, const char *text, size_t size, lb_ini_row *row, void *userdata,
                 struct lb_ini_errors *errors);

/* The nearest of NULL-terminated `known` to `word` for "did you mean", or NULL if none is near. */
const char *lb_ini_suggest(const char *word, const char *const *known);
