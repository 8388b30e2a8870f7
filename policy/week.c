/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/week.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "policy/base.h"

#define BLANK " \t"
#define DAYS 7
#define DAY (24 * 60)
#define WEEK (DAYS * DAY)
#define EVERY_DAY ((1U << DAYS) - 1)

const char *const lb_week_days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", NULL };

/* Minutes from `first` up to, not including, `end`. */
struct run {
    uint16_t first, end;
};

/* Runs in order that do not touch; one over the end of the week is two. */
struct lb_week {
    size_t n;
    struct run runs[];
};

/* A value while it is read. */
struct chart {
    const struct lb_ini_place *at;
    bool in[WEEK], out[WEEK];
    bool positive; /* there was a window without ! */
    unsigned days; /* the window that is open: named days that may still get their times; 0: none */
    bool negated;
};

#define MISTAKE(chart, word, format, ...)                                                                          \
    lb_ini_error((chart)->at->errors, (chart)->at->path, (chart)->at->line, "%s=%s" format, (chart)->at->key, word, \
                 ##__VA_ARGS__)

/* --- days --------------------------------------------------------------------------------------------------------- */

static int day_of(const char *word, size_t n)
{
    int day = 0;

    while (lb_week_days[day] && (strlen(lb_week_days[day]) != n || strncmp(lb_week_days[day], word, n) != 0))
        day++;
    return lb_week_days[day] ? day : -1;
}

static void tell_no_day(const struct chart *c, const char *word, size_t n)
{
    char begin[4] = "";
    const char *meant;

    memcpy(begin, word, n < 3 ? n : 3); /* Monday is near to Mon then */
    meant = lb_ini_suggest(begin, lb_week_days);
    MISTAKE(c, "", "%.*s is no day; days are Mon Tue Wed Thu Fri Sat Sun%s%s%s", (int)n, word,
            meant ? " (did you mean " : "", meant ? meant : "", meant ? "?)" : "");
}

static void tell_backwards(const struct chart *c, int first, int last)
{
    const char *from = lb_week_days[first], *to = lb_week_days[last];

    MISTAKE(c, from, "..%s runs backwards (did you mean %s%s,Mon%s%s?)", to, from, first < DAYS - 1 ? "..Sun" : "",
            last > 0 ? ".." : "", last > 0 ? to : "");
}

/* "Mon" or "Mon..Fri", n bytes. Bits of days; 0 after a mistake. */
static unsigned read_range_of_days(const struct chart *c, const char *word, size_t n)
{
    const char *dots = memmem(word, n, "..", 2);
    size_t head = dots ? (size_t)(dots - word) : n;
    int first = day_of(word, head), last = dots ? day_of(dots + 2, n - head - 2) : first;

    if (first < 0)
        tell_no_day(c, word, head);
    else if (last < 0)
        tell_no_day(c, dots + 2, n - head - 2);
    else if (first > last)
        tell_backwards(c, first, last);
    else
        return (1U << (last + 1)) - (1U << first);
    return 0;
}

static unsigned read_days(const struct chart *c, const char *word)
{
    unsigned all = 0;

    for (;; word++) {
        size_t n = strcspn(word, ",");
        unsigned some = read_range_of_days(c, word, n);

        if (!some)
            return 0;
        all |= some;
        word += n;
        if (!*word)
            return all;
    }
}

/* --- times -------------------------------------------------------------------------------------------------------- */

/* Two digits up to `most`, or -1. */
static int number(const char *s, int most)
{
    int value = isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]) ? (s[0] - '0') * 10 + s[1] - '0' : -1;

    return value <= most ? value : -1;
}

/* The minute of the day that HH:MM lb_week_days, or -1. */
static int minute_of(const char *s)
{
    int hour = number(s, 24), minute = hour >= 0 && s[2] == ':' ? number(s + 3, 59) : -1;

    return minute >= 0 && hour * 60 + minute <= DAY ? hour * 60 + minute : -1;
}

static void mark(struct chart *c, unsigned days, int first, int length)
{
    bool *to = c->negated ? c->out : c->in;

    c->positive |= !c->negated;
    for (int day = 0; day < DAYS; day++)
        for (int i = 0; (days & 1U << day) && i < length; i++)
            to[(day * DAY + first + i) % WEEK] = true;
}

/* "08:00-18:00", n bytes. */
static bool read_range_of_times(struct chart *c, unsigned days, const char *word, size_t n)
{
    bool shaped = n == strlen("HH:MM-HH:MM") && word[5] == '-';
    int first = shaped ? minute_of(word) : -1, end = shaped ? minute_of(word + 6) : -1;

    if (first < 0 || first == DAY || end < 0)
        MISTAKE(c, "", "%.*s is neither a day nor a time such as 08:00-18:00 or 22:00-06:00", (int)n, word);
    else if (first == end)
        MISTAKE(c, "", "%.*s is no time at all; days alone are whole days", (int)n, word);
    else
        mark(c, days, first, end > first ? end - first : end + DAY - first);
    return first >= 0 && first != DAY && end >= 0 && first != end;
}

static bool read_times(struct chart *c, unsigned days, const char *word)
{
    for (;; word++) {
        size_t n = strcspn(word, ",");

        if (!read_range_of_times(c, days, word, n))
            return false;
        word += n;
        if (!*word)
            return true;
    }
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

/* Days that got no times are whole. */
static void close_window(struct chart *c)
{
    if (c->days)
        mark(c, c->days, 0, DAY);
    c->days = 0;
}

/* False after a mistake: what follows would only be told in its wake. */
static bool read_word(struct chart *c, const char *word, bool first)
{
    bool negated = *word == '!';

    word += negated;
    if (!*word || *word == '!') {
        MISTAKE(c, word, ": one ! stands right before days or times");
        return false;
    }
    if (!negated && c->days && !isalpha((unsigned char)*word)) {
        unsigned days = c->days;

        c->days = 0;
        return read_times(c, days, word);
    }
    close_window(c);
    c->negated = negated;
    if (isalpha((unsigned char)*word))
        return (c->days = read_days(c, word)) != 0;
    if (negated || first)
        return read_times(c, EVERY_DAY, word);
    MISTAKE(c, word, " has no days before it; times of the same days are joined by a comma");
    return false;
}

static bool is_in(const struct chart *c, int minute)
{
    return (c->in[minute] || !c->positive) && !c->out[minute];
}

static int to_runs(const struct chart *c, struct lb_week **ret)
{
    struct lb_week *week;
    size_t n = 0;

    for (int i = 0; i < WEEK; i++)
        n += is_in(c, i) && (i == 0 || !is_in(c, i - 1));
    if (n == 0) {
        MISTAKE(c, "", " fits no minute of the week");
        return 0;
    }
    week = calloc(1, sizeof(*week) + n * sizeof(week->runs[0]));
    if (!week)
        return -ENOMEM;
    for (int i = 0; i < WEEK; i++) {
        if (!is_in(c, i))
            continue;
        if (i == 0 || !is_in(c, i - 1))
            week->runs[week->n++].first = (uint16_t)i;
        week->runs[week->n - 1].end = (uint16_t)(i + 1);
    }
    lb_week_free(*ret);
    *ret = week;
    return 0;
}

int lb_week_parse(const char *value, const struct lb_ini_place *at, struct lb_week **ret)
{
    LB_FREE struct chart *c = calloc(1, sizeof(*c));
    LB_FREE char *words = strdup(value);
    char *rest = NULL;
    bool first = true;

    if (!c || !words)
        return -ENOMEM;
    c->at = at;
    for (char *word = strtok_r(words, BLANK, &rest); word; word = strtok_r(NULL, BLANK, &rest)) {
        if (!read_word(c, word, first))
            return at->errors->oom ? -ENOMEM : 0;
        first = false;
    }
    close_window(c);
    return to_runs(c, ret);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* The run that this minute is in, or NULL. */
static const struct run *find(const struct lb_week *week, unsigned minute)
{
    size_t low = 0, high = week->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct run *run = &week->runs[middle];

        if (minute >= run->first && minute < run->end)
            return run;
        if (minute < run->first)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool lb_week_contains(const struct lb_week *week, int weekday, int minute)
{
    if (weekday < 0 || weekday >= DAYS || minute < 0 || minute >= DAY)
        return false;
    return find(week, (unsigned)(weekday * DAY + minute)) != NULL;
}

bool lb_week_covers(const struct lb_week *wide, const struct lb_week *narrow)
{
    for (size_t i = 0; i < narrow->n; i++) {
        const struct run *run = find(wide, narrow->runs[i].first);

        if (!run || run->end < narrow->runs[i].end)
            return false;
    }
    return true;
}

struct lb_week *lb_week_free(struct lb_week *week)
{
    free(week);
    return NULL;
}
