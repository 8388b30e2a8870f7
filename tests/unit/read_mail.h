/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A reader of the forms that mail takes, strict, and none of ours. */
#pragma once

#include <ctype.h>
#include <stdio.h>

#include "lockboxd/proto/base64.h"
#include "policy/base.h"
#include "policy/utf8.h"

/* Lines of printable ASCII, each ended by CRLF and of at most `most` columns. */
static inline void assert_mail_lines(const char *text, size_t most)
{
    for (const char *end; *text; text = end + 2) {
        end = strstr(text, "\r\n");
        assert_non_null(end);
        assert_in_range(end - text, 0, most);
        for (; text < end; text++)
            assert_true(*text == '\t' || (*text >= ' ' && *text < 0x7f));
    }
}

/* An encoded word, which has to be whole characters by itself; returns what is behind it. */
static inline const char *read_word(const char *word, FILE *out)
{
    const char *base64 = word + strlen("=?UTF-8?B?"), *end = strstr(base64, "?=");
    LB_FREE char *text = end ? strndup(base64, (size_t)(end - base64)) : NULL;
    void *bytes = NULL;
    size_t n = 0;
    uint32_t code;

    assert_non_null(end);
    assert_in_range(end + 2 - word, 12, 75);
    assert_int_equal(lb_base64_decode(text, &bytes, &n), 0);
    for (size_t i = 0; i < n;) {
        i += lb_utf8_decode((char *)bytes + i, n - i, &code);
        assert_true(code != LB_UTF8_INVALID);
    }
    fwrite(bytes, 1, n, out);
    free(bytes);
    return end + 2;
}

/* The value of a header line; owned. */
static inline char *read_header(const char *line)
{
    const char *p = strchr(line, ':');
    char *value = NULL;
    size_t size;
    FILE *out = open_memstream(&value, &size);
    bool encoded = false; /* blanks between two encoded words are none */

    assert_non_null(p);
    assert_non_null(out);
    for (p += 1 + strspn(p + 1, " "); *p;) {
        size_t blank = strspn(p, " \r\n");
        bool word = strncmp(p + blank, "=?UTF-8?B?", 10) == 0;

        if (blank && p[blank] && !(word && encoded))
            fputc(' ', out);
        p += blank;
        encoded = word || (encoded && blank);
        if (word)
            p = read_word(p, out);
        else if (*p)
            fputc(*p++, out);
    }
    fclose(out);
    return value;
}

/* The text of a quoted-printable body; owned. */
static inline char *read_body(const char *lines)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    unsigned byte;

    assert_non_null(out);
    while (*lines) {
        if (strncmp(lines, "=\r\n", 3) == 0) {
            lines += 3;
        } else if (*lines == '=') {
            assert_true(isxdigit((unsigned char)lines[1]) && isxdigit((unsigned char)lines[2]));
            assert_int_equal(sscanf(lines + 1, "%2X", &byte), 1);
            fputc((int)byte, out);
            lines += 3;
        } else {
            lines += *lines == '\r';
            fputc(*lines++, out);
        }
    }
    fclose(out);
    return text;
}
