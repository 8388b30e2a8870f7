/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mistakes in files, in their order, and what was probably meant. */
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/ini.h"

/* Where in the list a mistake belongs: mistakes of one file stand in the order of their lines. */
static size_t place_of(const struct lb_ini_errors *errors, const char *path, unsigned line)
{
    size_t at = errors->size, len = strlen(path);

    while (at > 0) {
        const char *before = memrchr(errors->text, '\n', at - 1);

        before = before ? before + 1 : errors->text;
        if (strncmp(before, path, len) != 0 || before[len] != ':' || strtoul(before + len + 1, NULL, 10) <= line)
            break;
        at = (size_t)(before - errors->text);
    }
    return at;
}

static void insert(struct lb_ini_errors *errors, size_t at, const char *text, size_t n)
{
    char *grown = realloc(errors->text, errors->size + n + 1);

    if (!grown) {
        errors->oom = true;
        return;
    }
    if (errors->size == 0)
        *grown = '\0';
    memmove(grown + at + n, grown + at, errors->size - at + 1);
    memcpy(grown + at, text, n);
    errors->text = grown;
    errors->size += n;
}

void lb_ini_error(struct lb_ini_errors *errors, const char *path, unsigned line, const char *format, ...)
{
    LB_FREE char *message = NULL;
    LB_FREE char *whole = NULL;
    char number[16] = "";
    va_list ap;
    int n;

    va_start(ap, format);
    n = vasprintf(&message, format, ap);
    va_end(ap);
    if (n < 0)
        message = NULL;
    if (line > 0)
        snprintf(number, sizeof(number), "%u:", line);
    n = message ? asprintf(&whole, "%s:%s %s\n", path, number, message) : -1;
    if (n < 0) {
        whole = NULL;
        errors->oom = true;
        return;
    }
    errors->n++;
    insert(errors, place_of(errors, path, line), whole, (size_t)n);
}

#define WORD_MAX 32

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swapped neighbours between two words of at most WORD_MAX, case aside. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], *two = rows[0], *one = rows[1], *now = rows[2];
    size_t n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        one[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *oldest = two;

        now[0] = i;
        for (size_t j = 1; j <= n; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);

            now[j] = least(least(one[j], now[j - 1]) + 1, one[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) && y == tolower((unsigned char)a[i - 2]))
                now[j] = least(now[j], two[j - 2] + 1);
        }
        two = one;
        one = now;
        now = oldest;
    }
    return one[n];
}

const char *lb_ini_suggest(const char *word, const char *const *known)
{
    size_t len = strlen(word), best = 1 + len / 4 + 1;
    const char *nearest = NULL;

    for (; len <= WORD_MAX && *known; known++) {
        size_t distance = strlen(*known) <= WORD_MAX ? edit_distance(word, *known) : SIZE_MAX;

        if (distance >= best)
            continue;
        best = distance;
        nearest = *known;
    }
    return nearest;
}
