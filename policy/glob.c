/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/glob.h"

#include "policy/base.h"
#include "policy/utf8.h"

/* No string here is shorter than its NUL, and decoding stops there. */
static size_t next(const char *s, uint32_t *ret_code)
{
    return lb_utf8_decode(s, 4, ret_code);
}

static const char *after_bracket(const char *p)
{
    return p + 1 + (p[1] == '!' || p[1] == '^');
}

const char *lb_glob_mistake(const char *pattern)
{
    while ((pattern = strchr(pattern, '['))) {
        const char *item = after_bracket(pattern), *end = *item ? strchr(item + 1, ']') : NULL;

        if (!end)
            return "a [ without its ]";
        for (; item < end; item++) {
            if (*item == '[' && strchr(":.=", item[1]))
                return "classes such as [:digit:] are not known here; write 0-9";
            if (item[1] == '-' && item[2] != ']' && (unsigned char)item[0] > (unsigned char)item[2])
                return "a range that runs backwards";
        }
        pattern = end + 1;
    }
    return NULL;
}

/* Whether `code` is in the set that begins at *pattern, which is moved behind it. */
static bool set_fits(const char **pattern, uint32_t code)
{
    const char *p = after_bracket(*pattern);
    bool negated = p > *pattern + 1, in = false;

    do {
        uint32_t first, last;

        p += next(p, &first);
        last = first;
        if (p[0] == '-' && p[1] != ']')
            p += 1 + next(p + 1, &last);
        in |= code >= first && code <= last;
    } while (*p != ']');
    *pattern = p + 1;
    return in != negated;
}

/* Neither is at its end. Whether the first character of *text fits the first item of *pattern; then both move on. */
static bool one_fits(const char **pattern, const char **text)
{
    const char *p = *pattern;
    uint32_t want, have;
    size_t n;
    bool fits;

    if ((unsigned char)*p < 0x80 && *p != '?' && *p != '[') { /* most of them; no * comes here */
        if (*p != **text)
            return false;
        ++*pattern;
        ++*text;
        return true;
    }
    n = next(*text, &have);
    if (*p == '[') {
        fits = set_fits(&p, have);
    } else {
        p += next(p, &want);
        fits = want == '?' || (want == have && memcmp(*pattern, *text, n) == 0); /* invalid bytes differ */
    }
    if (!fits)
        return false;
    *pattern = p;
    *text += n;
    return true;
}

/* The next place from `text` on where this pattern, which stood behind a star, may begin; NULL if there is none. Behind
 * most stars an ordinary character says so at once. */
static const char *next_place(const char *pattern, const char *text)
{
    bool ordinary = (unsigned char)*pattern < 0x80 && (!*pattern || !strchr(LB_GLOB_SPECIAL, *pattern));

    return ordinary ? strchr(text, *pattern) : text;
}

bool lb_glob_fits(const char *pattern, const char *text)
{
    const char *after_star = NULL, *resume = NULL;
    uint32_t code;

    while (*text) {
        if (*pattern == '*') {
            after_star = ++pattern;
            resume = text = next_place(pattern, text);
        } else if (!*pattern || !one_fits(&pattern, &text)) {
            /* Only the last star has to give way: what earlier ones took can stay. */
            if (!after_star)
                return false;
            pattern = after_star;
            resume += next(resume, &code);
            resume = text = next_place(pattern, resume);
        }
        if (!text)
            return false;
    }
    return pattern[strspn(pattern, "*")] == '\0';
}
