/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/mime.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>

#include "lockboxd/proto/base64.h"
#include "policy/base.h"
#include "policy/text.h"
#include "policy/utf8.h"

#define COLUMNS 76
#define ENCODED "=?UTF-8?B?"
#define ENCODED_MAX 75
#define WORD_MAX 60 /* bytes that are left in one piece: an address, a fingerprint */
#define ATOM_MAX 120

/* --- header lines ------------------------------------------------------------------------------------------------- */

/* That is said as it is: ASCII, nothing that looks like an encoded word, and places to break the line. */
static bool is_plain(const char *text)
{
    size_t word = 0;

    for (const char *p = text; *p; p++) {
        word = *p == ' ' ? 0 : word + 1;
        if ((unsigned char)*p >= 0x7f || word > WORD_MAX)
            return false;
    }
    return !strstr(text, "=?");
}

/* Goes on at column `at`, on a new line if n bytes do not fit behind a blank. Returns the column. */
static size_t put_word(FILE *out, size_t at, const char *word, size_t n)
{
    bool fold = at > 1 && at + 1 + n > COLUMNS;

    fputs(fold ? "\r\n " : " ", out);
    fwrite(word, 1, n, out);
    return (fold ? 1 : at + 1) + n;
}

static size_t put_plain(FILE *out, size_t at, const char *text)
{
    for (const char *end; *text; text = end + (*end == ' ')) {
        end = strchrnul(text, ' ');
        at = put_word(out, at, text, (size_t)(end - text));
    }
    return at;
}

/* How much of a text fits into an encoded word of so many columns: whole characters. */
static size_t fitting(const char *text, size_t columns)
{
    size_t max = (columns - strlen(ENCODED "?=")) / 4 * 3, n = 0, length;
    uint32_t code;

    for (size_t left = strlen(text); left > 0; left -= length, n += length) {
        length = lb_utf8_decode(text + n, left, &code);
        if (n + length > max)
            break;
    }
    return n;
}

static int put_encoded(FILE *out, size_t *at, const char *text)
{
    for (size_t n; *text; text += n) {
        size_t room = *at + 1 < COLUMNS ? COLUMNS - *at - 1 : 0;
        LB_FREE char *base64 = NULL, *word = NULL;
        int length;

        n = fitting(text, room >= ENCODED_MAX / 2 && room <= ENCODED_MAX ? room : ENCODED_MAX);
        base64 = lb_base64_encode(text, n);
        length = base64 ? asprintf(&word, ENCODED "%s?=", base64) : -1;
        if (length < 0) {
            word = NULL;
            return -ENOMEM;
        }
        *at = put_word(out, *at, word, (size_t)length);
    }
    return 0;
}

int lb_mime_header(FILE *out, const char *name, const char *text)
{
    LB_FREE char *clean = lb_text_clean(text, SIZE_MAX);
    size_t at = strlen(name) + 1;
    int r = 0;

    if (!clean)
        return -ENOMEM;
    fprintf(out, "%s:", name);
    if (is_plain(clean))
        put_plain(out, at, clean);
    else
        r = put_encoded(out, &at, clean);
    fputs("\r\n", out);
    return r;
}

/* Between quotes; owned. */
static char *quote(const char *text)
{
    char *quoted = malloc(strlen(text) * 2 + 3), *to = quoted;

    if (!quoted)
        return NULL;
    *to++ = '"';
    for (; *text; *to++ = *text++)
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
    strcpy(to, "\"");
    return quoted;
}

static int put_phrase(FILE *out, size_t *at, const char *phrase)
{
    LB_FREE char *clean = lb_text_clean(phrase, SIZE_MAX);
    LB_FREE char *quoted = clean ? quote(clean) : NULL;

    if (!quoted)
        return -ENOMEM;
    if (!is_plain(quoted))
        return put_encoded(out, at, clean);
    *at = put_plain(out, *at, quoted);
    return 0;
}

int lb_mime_mailbox(FILE *out, const char *name, const char *phrase, const char *address)
{
    size_t at = strlen(name) + 1;
    int r;

    if (!phrase)
        return fprintf(out, "%s: %s\r\n", name, address) < 0 ? -ENOMEM : 0;
    fprintf(out, "%s:", name);
    r = put_phrase(out, &at, phrase);
    fprintf(out, "%s<%s>\r\n", at + strlen(" <>") + strlen(address) > COLUMNS ? "\r\n " : " ", address);
    return r;
}

void lb_mime_atom(FILE *out, const char *text)
{
    char before = '.'; /* a dot is not to come first, nor behind another one, nor last */

    for (size_t n = 0; *text && n < ATOM_MAX; before = *text++) {
        bool alone = *text == '.' && before != '.' && text[1] && text[1] != '.';

        if (alone || (isascii(*text) && isalnum((unsigned char)*text)) || strchr("_+-", *text))
            n += fputc(*text, out) != EOF;
        else
            n += (size_t)fprintf(out, "=%02X", (unsigned char)*text);
    }
}

/* --- bodies ------------------------------------------------------------------------------------------------------- */

/* How a character stands in the result, of n bytes and where in its line it may be. */
static bool is_as_it_is(const char *p, size_t n, bool first)
{
    bool last = p[n] == '\n' || p[n] == '\0';

    if (n > 1 || (unsigned char)*p >= 0x7f || *p == '=' || (first && (*p == '.' || strncmp(p, "From ", 5) == 0)))
        return false;
    return *p > ' ' || ((*p == ' ' || *p == '\t') && !last);
}

void lb_mime_body(FILE *out, const char *text)
{
    size_t left = strlen(text), at = 0, n;
    bool first = true;

    for (const char *p = text; left > 0; p += n, left -= n) {
        uint32_t code;
        bool as_it_is;

        n = lb_utf8_decode(p, left, &code);
        if (*p == '\n') {
            fputs("\r\n", out);
            at = 0;
            first = true;
            continue;
        }
        as_it_is = is_as_it_is(p, n, first);
        if (at + (as_it_is ? 1 : 3 * n) >= COLUMNS) {
            fputs("=\r\n", out);
            at = 0;
            as_it_is = is_as_it_is(p, n, true);
        }
        for (size_t i = 0; !as_it_is && i < n; i++)
            fprintf(out, "=%02X", (unsigned char)p[i]);
        if (as_it_is)
            fputc(*p, out);
        at += as_it_is ? 1 : 3 * n;
        first = false;
    }
    if (at > 0)
        fputs("\r\n", out);
}
