/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/sentence.h"

#include <errno.h>
#include <stdint.h>

#include "policy/base.h"

#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

/* A blank that begins here: its bytes, braces included, and its name. 0: there is none. */
static size_t blank(const char *p, char name[static LB_SENTENCE_NAME_MAX])
{
    size_t n = *p == '{' ? strspn(p + 1, NAME) : 0;

    if (n == 0 || n >= LB_SENTENCE_NAME_MAX || p[n + 1] != '}')
        return 0;
    memcpy(name, p + 1, n);
    name[n] = '\0';
    return n + 2;
}

/* Writes text[0..n); *ret_empty, where brackets are around it, is set if a value in it is empty. */
static int write_part(FILE *out, const char *text, size_t n, lb_sentence_value *value, void *userdata, bool *ret_empty)
{
    char name[LB_SENTENCE_NAME_MAX];
    int r = 0;

    for (size_t i = 0, length; r >= 0 && i < n; i += length) {
        length = blank(text + i, name);
        if (length == 0) {
            length = 1;
            fputc(text[i], out);
            continue;
        }
        r = value(userdata, name, ret_empty != NULL, out);
        if (r == 0 && ret_empty)
            *ret_empty = true;
    }
    return r < 0 ? r : 0;
}

static int write_optional(FILE *out, const char *text, size_t n, lb_sentence_value *value, void *userdata)
{
    LB_FREE char *part = NULL;
    size_t size;
    bool empty = false;
    int r;
    FILE *f = open_memstream(&part, &size);

    if (!f)
        return -ENOMEM;
    r = write_part(f, text, n, value, userdata, &empty);
    if (fclose(f) != 0)
        return -ENOMEM;
    if (r == 0 && !empty)
        fputs(part, out);
    return r;
}

int lb_sentence_write(FILE *out, const char *text, lb_sentence_value *value, void *userdata)
{
    const char *p = text;
    int r = 0;

    while (r == 0 && *p) {
        size_t n = strcspn(p, "[]");

        r = write_part(out, p, n, value, userdata, NULL);
        p += n;
        if (r < 0 || !*p)
            break;
        if (*p == ']' || p[1] == '[') {
            fputc(*p, out);
            p += p[1] == *p ? 2 : 1;
            continue;
        }
        n = strcspn(++p, "]");
        r = write_optional(out, p, n, value, userdata);
        p += n + (p[n] == ']');
    }
    return r;
}

ptrdiff_t lb_sentence_check(const char *text, bool (*known)(const char *name),
                            char ret_name[static LB_SENTENCE_NAME_MAX])
{
    const char *open = NULL, *p = text;
    size_t length;

    for (; *p; p += length) {
        length = blank(p, ret_name);
        if (length && !known(ret_name))
            return p - text;
        *ret_name = '\0';
        if (length)
            continue;
        length = !open && (*p == '[' || *p == ']') && p[1] == *p ? 2 : 1;
        if (length == 2)
            continue;
        if ((*p == '[' && open) || (*p == ']' && !open))
            return p - text;
        if (*p == '[')
            open = p;
        else if (*p == ']')
            open = NULL;
    }
    return open ? open - text : -1;
}
