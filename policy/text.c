/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/text.h"

#include <ctype.h>
#include <regex.h>

#include "policy/base.h"
#include "policy/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

static const struct lb_utf8_range spaces[] = {
    { 0x0009, 0x000D }, { 0x0020, 0x0020 }, { 0x00A0, 0x00A0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A },
    { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
};

/* What a reader cannot see, or what makes him see something else. */
static const struct lb_utf8_range bad[] = {
    { 0x0000, 0x001F }, { 0x007F, 0x009F }, /* C0, DEL, C1 */
    { 0x00AD, 0x00AD },                     /* soft hyphen */
    { 0x034F, 0x034F },                     /* grapheme joiner */
    { 0x061C, 0x061C },                     /* Arabic letter mark */
    { 0x115F, 0x1160 },                     /* Hangul fillers */
    { 0x17B4, 0x17B5 },                     /* Khmer inherent vowels */
    { 0x180B, 0x180F },                     /* Mongolian selectors and vowel separator */
    { 0x200B, 0x200F },                     /* zero width, direction marks */
    { 0x2028, 0x202E },                     /* line and paragraph separators, embeddings, overrides */
    { 0x2060, 0x206F },                     /* word joiner, invisible operators, isolates, deprecated */
    { 0x2800, 0x2800 },                     /* empty Braille cell */
    { 0x3164, 0x3164 }, { 0xFFA0, 0xFFA0 }, /* Hangul fillers */
    { 0xD800, 0xF8FF },                     /* surrogates, private use */
    { 0xFDD0, 0xFDEF },                     /* noncharacters */
    { 0xFE00, 0xFE0F }, { 0xFEFF, 0xFEFF }, /* variation selectors, byte order mark */
    { 0xFFF0, 0xFFFC },                     /* specials; U+FFFD itself may stay */
    { 0x1BCA0, 0x1BCA3 }, { 0x1D173, 0x1D17A },
    { 0xE0000, UINT32_MAX },                /* tags, selectors, private planes, LB_UTF8_INVALID */
};

static bool is_bad(uint32_t code)
{
    return LB_UTF8_IN(bad, code) || (code & 0xFFFE) == 0xFFFE;
}

char *lb_text_clean(const char *text, size_t max)
{
    size_t size = text ? strlen(text) : 0, most = size * LB_TEXT_GROWS, used = 0;
    char *out = malloc((most < max ? most : max) + 1);
    bool gap = false;
    uint32_t code;

    if (!out)
        return NULL;
    for (size_t i = 0, n; i < size; i += n) {
        const char *from = text + i;
        size_t len = n = lb_utf8_decode(from, size - i, &code);

        if (LB_UTF8_IN(spaces, code)) {
            gap = used > 0;
            continue;
        }
        if (is_bad(code)) {
            from = REPLACEMENT;
            len = strlen(REPLACEMENT);
        }
        if (used + gap + len > max)
            break;
        if (gap)
            out[used++] = ' ';
        memcpy(out + used, from, len);
        used += len;
        gap = false;
    }
    out[used] = '\0';
    return out;
}

bool lb_text_is_clean(const char *text, size_t max)
{
    LB_FREE char *clean = lb_text_clean(text, max);

    return clean && lb_streq(clean, text);
}

bool lb_text_find_bad(const char *text, size_t size, size_t *ret_offset, uint32_t *ret_code)
{
    for (size_t i = 0, n; i < size; i += n) {
        uint32_t code;

        n = lb_utf8_decode(text + i, size - i, &code);
        if (!is_bad(code) || code == '\t')
            continue;
        *ret_offset = i;
        *ret_code = code;
        return true;
    }
    return false;
}

bool lb_text_is_name(const char *text, const char *more)
{
    const char *c = text;

    while (*c && ((*c & 0x80) || isalnum((unsigned char)*c) || strchr("_.-+$\\@", *c) || strchr(more, *c)))
        c++;
    return *c == '\0' && *text != '-' && text[strspn(text, "0123456789")] != '\0' && strlen(text) <= LB_NAME_MAX;
}

bool lb_text_matches(const char *pattern, const char *text)
{
    /* POSIX matches are leftmost and longest: if the whole text can match, this match is the whole text. Wrapping
     * the pattern in ^( )$ would let one that holds a lone ")" escape from the brackets. */
    regmatch_t match = { -1, -1 };
    regex_t regex;
    int r;

    if (regcomp(&regex, pattern, REG_EXTENDED) != 0)
        return false;
    r = regexec(&regex, text, 1, &match, 0);
    regfree(&regex);
    return r == 0 && match.rm_so == 0 && text[match.rm_eo] == '\0';
}
