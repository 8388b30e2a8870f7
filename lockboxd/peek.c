/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/peek.h"

#include <errno.h>

#include "policy/base.h"

#define NAME(name) { name, sizeof(name) - 1 }

static const struct lb_slice names[LB_MEMBER_MAX_] = {
    [LB_MEMBER_ACCOUNT] = NAME("account"), [LB_MEMBER_APPROVER] = NAME("approver"),
    [LB_MEMBER_ENGINEER] = NAME("engineer"), [LB_MEMBER_EVENT] = NAME("event"), [LB_MEMBER_PREV] = NAME("prev"),
    [LB_MEMBER_REASON] = NAME("reason"), [LB_MEMBER_REQUEST] = NAME("request"), [LB_MEMBER_SEQ] = NAME("seq"),
    [LB_MEMBER_STATE] = NAME("state"), [LB_MEMBER_TICKET] = NAME("ticket"), [LB_MEMBER_TIME] = NAME("time"),
};

/* Behind the quote that closes the string which begins at p; NULL if none does. */
static const char *skip_string(const char *p, const char *end)
{
    if (p == end || *p != '"')
        return NULL;
    while ((p = memchr(p + 1, '"', (size_t)(end - p - 1)))) {
        const char *back = p;

        while (back[-1] == '\\')
            back--;
        if ((p - back) % 2 == 0)
            return p + 1;
    }
    return NULL;
}

/* Behind a number, a word, a list or an object, up to what ends it. */
static const char *skip_value(const char *p, const char *end)
{
    int depth = 0;

    if (p < end && *p == '"')
        return skip_string(p, end);
    while (p && p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (depth == 0 && (*p == ',' || *p == '}'))
            return p;
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        if ((unsigned char)*p <= ' ' || depth < 0)
            return NULL;
        p++;
    }
    return NULL;
}

static inline int compare(struct lb_slice a, struct lb_slice b)
{
    int r = a.n && b.n ? (unsigned char)*a.at - (unsigned char)*b.at : 0; /* which mostly tells already */

    if (r == 0)
        r = memcmp(a.at, b.at, a.n < b.n ? a.n : b.n);

    return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static inline void keep(struct lb_slice key, const char *value, const char *after, int *next, struct lb_slice *ret)
{
    int r = 1;

    while (*next < LB_MEMBER_MAX_ && (r = compare(key, names[*next])) > 0)
        (*next)++;
    if (*next == LB_MEMBER_MAX_ || r != 0)
        return;
    if (*value == '"')
        ret[*next] = (struct lb_slice){ value + 1, (size_t)(after - value) - 2 };
    else
        ret[*next] = (struct lb_slice){ value, (size_t)(after - value) };
}

int lb_peek(const char *json, size_t n, struct lb_slice ret[static LB_MEMBER_MAX_])
{
    const char *p = json, *end = json + n;
    struct lb_slice found[LB_MEMBER_MAX_] = { 0 }, last = { "", 0 };
    int next = 0;

    if (n < 2 || *p != '{' || memchr(json, 0, n))
        return -EBADMSG;
    do {
        const char *begin = ++p, *value = skip_string(begin, end), *after;
        struct lb_slice key;

        if (!value || value == end || *value++ != ':' || !(after = skip_value(value, end)) || after == end ||
            after == value)
            return -EBADMSG;
        key = (struct lb_slice){ begin + 1, (size_t)(value - begin) - 3 };
        if (compare(last, key) >= 0)
            return -EBADMSG;
        last = key;
        keep(key, value, after, &next, found);
        p = after;
    } while (*p == ',');
    if (*p != '}' || p + 1 != end)
        return -EBADMSG;
    memcpy(ret, found, sizeof(found));
    return 0;
}

/* One character of a string, by jansson's way to write it; *p moves on. Only what is below a blank is written by its
 * number. -1 for an escape that is none of those. */
static int unescape(const char **p, const char *end)
{
    static const char letters[] = "\"\"\\\\b\bf\fn\nr\rt\t";
    int code = 0;

    if (**p != '\\')
        return (unsigned char)*(*p)++;
    (*p)++;
    if (*p == end)
        return -1;
    for (const char *l = letters; *l; l += 2)
        if (*l == **p) {
            (*p)++;
            return (unsigned char)l[1];
        }
    if (**p != 'u' || end - *p < 5)
        return -1;
    for (int i = 1; i <= 4; i++) {
        const char *hex = "0123456789abcdef", *digit = strchr(hex, (*p)[i] | 0x20);

        if (!digit || !*digit)
            return -1;
        code = code * 16 + (int)(digit - hex);
    }
    *p += 5;
    return code > 0 && code < 0x80 ? code : -1;
}

bool lb_slice_says(struct lb_slice string, struct lb_slice text)
{
    const char *p = string.at, *end = p ? p + string.n : p, *t = text.at, *t_end = t ? t + text.n : t;

    if (string.n == text.n && (string.n == 0 || !memchr(p, '\\', string.n))) /* as nearly always */
        return string.n == 0 || memcmp(p, t, string.n) == 0;
    while (p != end && t != t_end)
        if (unescape(&p, end) != (unsigned char)*t++)
            return false;
    return p == end && t == t_end;
}

char *lb_slice_text(struct lb_slice string)
{
    char *text = malloc(string.n + 1);
    const char *p = string.at, *end = p ? p + string.n : p;
    size_t n = 0;

    while (text && p != end) {
        int c = unescape(&p, end);

        if (c < 0)
            break;
        text[n++] = (char)c;
    }
    if (text)
        text[n] = '\0';
    return text;
}

int64_t lb_slice_number(struct lb_slice digits)
{
    int64_t n = 0;

    if (!digits.at || digits.n == 0 || (digits.n > 1 && *digits.at == '0'))
        return -1;
    for (size_t i = 0; i < digits.n; i++) {
        int d = digits.at[i] - '0';

        if (d < 0 || d > 9 || __builtin_mul_overflow(n, (int64_t)10, &n) || __builtin_add_overflow(n, (int64_t)d, &n))
            return -1;
    }
    return n;
}
