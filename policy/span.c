/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/span.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/deadline.h"

#define MSEC INT64_C(1000)
#define SEC LB_USEC_PER_SEC
#define MINUTE (60 * SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define BLANK " \t"

/* Months and years are systemd's: a twelfth of a year, and 365.25 days. */
static const struct {
    const char *name;
    int64_t usec;
} units[] = {
    { "", SEC },
    { "us", 1 }, { "usec", 1 }, { "µs", 1 }, { "μs", 1 },
    { "ms", MSEC }, { "msec", MSEC },
    { "s", SEC }, { "sec", SEC }, { "second", SEC }, { "seconds", SEC },
    { "m", MINUTE }, { "min", MINUTE }, { "minute", MINUTE }, { "minutes", MINUTE },
    { "h", HOUR }, { "hr", HOUR }, { "hour", HOUR }, { "hours", HOUR },
    { "d", DAY }, { "day", DAY }, { "days", DAY },
    { "w", 7 * DAY }, { "week", 7 * DAY }, { "weeks", 7 * DAY },
    { "M", 2629800 * SEC }, { "month", 2629800 * SEC }, { "months", 2629800 * SEC },
    { "y", 31557600 * SEC }, { "year", 31557600 * SEC }, { "years", 31557600 * SEC },
};

static int64_t unit_usec(const char *word, size_t len)
{
    for (size_t i = 0; i < LB_ELEMENTS(units); i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, word, len) == 0)
            return units[i].usec;
    return 0;
}

/* Whole units. */
static int add_whole(const char *digits, size_t n, int64_t unit, int64_t *sum)
{
    int64_t value = 0;

    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digits[i] - '0', &value))
            return -ERANGE;
    if (__builtin_mul_overflow(value, unit, &value) || __builtin_add_overflow(*sum, value, sum))
        return -ERANGE;
    return 0;
}

/* What follows the point; cut off, not rounded, below a microsecond. */
static int add_fraction(const char *digits, size_t n, int64_t unit, int64_t *sum)
{
    for (size_t i = 0; i < n && (unit /= 10) > 0; i++)
        if (__builtin_add_overflow(*sum, (digits[i] - '0') * unit, sum))
            return -ERANGE;
    return 0;
}

/* One "1.5h" at *text, which is moved behind it. */
static int add_term(const char **text, int64_t *sum)
{
    const char *whole = *text, *fraction = "", *word;
    size_t n_whole = strspn(whole, "0123456789"), n_fraction = 0, n_word;
    int64_t unit;
    int r;

    word = whole + n_whole;
    if (*word == '.') {
        fraction = word + 1;
        n_fraction = strspn(fraction, "0123456789");
        word = fraction + n_fraction;
        if (n_fraction == 0 || *word == '.')
            return -EINVAL;
    }
    if (n_whole + n_fraction == 0)
        return -EINVAL;
    word += strspn(word, BLANK);
    n_word = strcspn(word, BLANK "0123456789.");
    unit = unit_usec(word, n_word);
    if (unit == 0)
        return -EINVAL;
    *text = word + n_word;
    r = add_whole(whole, n_whole, unit, sum);
    return r < 0 ? r : add_fraction(fraction, n_fraction, unit, sum);
}

static int parse_infinity(const char *text, int64_t *ret)
{
    const char *rest = text + strlen("infinity");

    if (strncmp(text, "infinity", strlen("infinity")) != 0 || rest[strspn(rest, BLANK)] != '\0')
        return -EINVAL;
    *ret = LB_NEVER;
    return 0;
}

int lb_span_parse(const char *text, int64_t *ret)
{
    int64_t sum = 0;
    int r;

    text += strspn(text, BLANK);
    if (*text == 'i')
        return parse_infinity(text, ret);
    do {
        r = add_term(&text, &sum);
        if (r < 0)
            return r;
        text += strspn(text, BLANK);
    } while (*text);
    if (sum == LB_NEVER)
        return -ERANGE;
    *ret = sum;
    return 0;
}

const char *lb_span_format(int64_t usec, char *buf, size_t size)
{
    static const struct {
        const char *name;
        int64_t usec;
    } shown[] = { { "d", DAY }, { "h", HOUR }, { "min", MINUTE }, { "s", SEC }, { "ms", MSEC }, { "us", 1 } };
    size_t used = 0;

    snprintf(buf, size, "%s", usec == LB_NEVER ? "forever" : "0s");
    if (usec == LB_NEVER)
        return buf;
    for (size_t i = 0, n = 0; i < LB_ELEMENTS(shown) && n < 2 && used < size; i++) {
        if (usec < shown[i].usec)
            continue;
        used += (size_t)snprintf(buf + used, size - used, "%s%" PRId64 "%s", n++ ? " " : "", usec / shown[i].usec,
                                 shown[i].name);
        usec %= shown[i].usec;
    }
    return buf;
}
