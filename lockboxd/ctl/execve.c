/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An argument is either in quotes, or where it has blanks, quotes or bytes that are no plain text, two hex digits a
 * byte. One that is too long comes as a1_len=… a1[0]=… a1[1]=….
 */
#include "lockboxd/ctl/execve.h"

#include <ctype.h>
#include <stdio.h>

#include "policy/base.h"

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

static void put_value(FILE *out, const char *value, size_t n)
{
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        fwrite(value + 1, 1, n - 2, out);
        return;
    }
    for (size_t i = 0; i + 1 < n; i += 2) {
        int high = hex_digit(value[i]), low = hex_digit(value[i + 1]);
        char byte = (char)(high * 16 + low);

        if (high < 0 || low < 0) /* it is something else */
            break;
        fputc(byte ? byte : ' ', out);
    }
}

/* The number of the argument that a word is (a part of), -1: none. */
static long argument_of(const char *word, const char *equals)
{
    char *end = NULL;
    long n = *word == 'a' && isdigit((unsigned char)word[1]) ? strtol(word + 1, &end, 10) : -1;

    return n >= 0 && (end == equals || *end == '[') ? n : -1;
}

char *lb_execve_text(const char *record)
{
    const char *p = strstr(record, "argc="), *end;
    char *text = NULL;
    size_t size = 0;
    long last = -1;
    FILE *out = p ? open_memstream(&text, &size) : NULL;

    if (!out)
        return NULL;
    for (; *p; p = end + strspn(end, " ")) {
        const char *equals = strchr(p, '=');
        long n;

        end = p + strcspn(p, " ");
        n = equals && equals < end ? argument_of(p, equals) : -1;
        if (n < 0)
            continue;
        if (last >= 0 && n != last)
            fputc(' ', out);
        put_value(out, equals + 1, (size_t)(end - equals - 1));
        last = n;
    }
    if (fclose(out) != 0 || last < 0) {
        free(text);
        return NULL;
    }
    return text;
}
