/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/human.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/span.h"
#include "policy/text.h"

static const struct {
    const char *name;
    int days;
} day_names[] = { { "yesterday", -1 }, { "today", 0 }, { "tomorrow", 1 } };

static struct tm local_of(int64_t usec)
{
    time_t seconds = (time_t)(usec / LB_USEC_PER_SEC);
    struct tm tm = { 0 };

    localtime_r(&seconds, &tm);
    return tm;
}

/* The calendar day so many days from `tm`, at its beginning; mktime puts the 32nd right. */
static struct tm day_after(const struct tm *tm, int days)
{
    struct tm day = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday + days, .tm_isdst = -1 };

    mktime(&day);
    return day;
}

/* Reads a day, if the text begins with one, and the space after it; without one it is today. Returns what follows. */
static const char *read_day(const char *text, int64_t now, struct tm *ret)
{
    struct tm today = local_of(now), day = { 0 };
    const char *end = strptime(text, "%Y-%m-%d", &day);

    *ret = day_after(&today, 0);
    if (end)
        *ret = (struct tm){ .tm_year = day.tm_year, .tm_mon = day.tm_mon, .tm_mday = day.tm_mday };
    for (size_t i = 0; !end && i < LB_ELEMENTS(day_names); i++)
        if (strncmp(text, day_names[i].name, strlen(day_names[i].name)) == 0) {
            *ret = day_after(&today, day_names[i].days);
            end = text + strlen(day_names[i].name);
        }
    if (!end)
        return text;
    return (*end == 'T' || *end == ' ') && end[1] ? end + 1 : end;
}

/* Reads "18:00" or "18:00:30", and a fraction of a second. Returns what follows, NULL if it is no time. */
static const char *read_clock(const char *text, struct tm *tm, int64_t *ret_usec)
{
    const char *end = strptime(text, "%H:%M:%S", tm);
    int64_t unit = LB_USEC_PER_SEC;

    if (!end)
        return strptime(text, "%H:%M", tm);
    if (end[0] != '.' || end[1] < '0' || end[1] > '9')
        return end;
    for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
        *ret_usec += (*end - '0') * unit / 10;
    return end;
}

/* "", "Z" or "+02:00" → the moment. */
static int read_zone(const char *text, const struct tm *tm, int64_t usec, int64_t *ret)
{
    struct tm copy = *tm;
    struct tm offset = { 0 };
    const char *end = NULL;
    time_t t = 0;

    copy.tm_isdst = *text ? 0 : -1;
    t = *text ? timegm(&copy) : mktime(&copy);
    if (copy.tm_mday != tm->tm_mday || copy.tm_mon != tm->tm_mon)
        return -EINVAL; /* there is no 31st of February */
    if (*text == '+' || *text == '-')
        end = strptime(text + 1, "%H:%M", &offset);
    else if (*text == 'Z')
        end = text + 1;
    if (*text && (!end || *end))
        return -EINVAL;
    t += (*text == '-' ? 60 : -60) * (offset.tm_hour * 60 + offset.tm_min);
    *ret = (int64_t)t * LB_USEC_PER_SEC + usec;
    return 0;
}

/* "-2h", "2h ago", "+2h", "in 2h" → µs from now, less than zero before it. */
static int read_distance(const char *text, int64_t *ret)
{
    static const struct {
        const char *before, *after;
        int sign;
    } forms[] = { { "-", "", -1 }, { "", " ago", -1 }, { "+", "", 1 }, { "in ", "", 1 } };
    size_t n = strlen(text);

    for (size_t i = 0; i < LB_ELEMENTS(forms); i++) {
        size_t before = strlen(forms[i].before), after = strlen(forms[i].after);
        LB_FREE char *span = NULL;
        int64_t usec = 0;

        if (n < before + after || strncmp(text, forms[i].before, before) != 0 ||
            strcmp(text + n - after, forms[i].after) != 0)
            continue;
        span = strndup(text + before, n - before - after);
        if (!span || lb_span_parse(span, &usec) < 0 || usec == LB_NEVER)
            continue;
        *ret = forms[i].sign * usec;
        return 0;
    }
    return -EINVAL;
}

int lb_human_time_parse(const char *text, int64_t now, int64_t *ret)
{
    int64_t usec = 0, moment = 0;
    struct tm tm;
    const char *clock = NULL, *zone = NULL;

    if (!text || !*text)
        return -EINVAL;
    if (read_distance(text, &usec) == 0) {
        if (__builtin_add_overflow(now, usec, &moment))
            return -EINVAL;
        *ret = moment;
        return 0;
    }
    clock = read_day(text, now, &tm);
    zone = *clock ? read_clock(clock, &tm, &usec) : clock;
    return zone ? read_zone(zone, &tm, usec, ret) : -EINVAL;
}

const char *lb_human_time(int64_t usec, int64_t now, char *buf)
{
    struct tm tm = local_of(usec), today = local_of(now);

    for (size_t i = 0; i < LB_ELEMENTS(day_names); i++) {
        struct tm day = day_after(&today, day_names[i].days);
        if (tm.tm_year == day.tm_year && tm.tm_yday == day.tm_yday) {
            snprintf(buf, LB_HUMAN_MAX, "%s %02d:%02d", day_names[i].name, tm.tm_hour, tm.tm_min);
            return buf;
        }
    }
    strftime(buf, LB_HUMAN_MAX, "%Y-%m-%d %H:%M", &tm);
    return buf;
}

const char *lb_human_stamp(int64_t usec, char *buf)
{
    struct tm tm = local_of(usec);

    strftime(buf, LB_HUMAN_MAX, "%Y-%m-%d %H:%M:%S", &tm);
    return buf;
}

const char *lb_human_distance(int64_t usec, int64_t now, char *buf)
{
    int64_t distance = (usec > now ? usec - now : now - usec) / LB_USEC_PER_SEC * LB_USEC_PER_SEC;
    char span[LB_SPAN_MAX];

    lb_span_format(distance, span, sizeof(span));
    if (distance == 0)
        strcpy(buf, "now");
    else
        snprintf(buf, LB_HUMAN_MAX, usec > now ? "in %s" : "%s ago", span);
    return buf;
}

const char *lb_human_moment(int64_t usec, int64_t now, char *buf)
{
    char time[LB_HUMAN_MAX], distance[LB_HUMAN_MAX];

    lb_human_time(usec, now, time);
    lb_human_distance(usec, now, distance);
    snprintf(buf, LB_HUMAN_MAX, "%.20s (%.40s)", time, distance);
    return buf;
}

const char *lb_human_rfc3339(int64_t usec, char *buf)
{
    time_t seconds = (time_t)(usec / LB_USEC_PER_SEC);
    struct tm tm = { 0 };

    gmtime_r(&seconds, &tm);
    strftime(buf, LB_HUMAN_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return buf;
}

char *lb_human_text(const char *text, bool utf8)
{
    char *safe = lb_text_clean(text, INT_MAX);
    char *to = safe;

    if (!safe || utf8)
        return safe;
    for (const char *from = safe; *from; from++)
        if ((*from & 0xC0) != 0x80) /* a character's first byte */
            *to++ = *from & 0x80 ? '?' : *from;
    *to = '\0';
    return safe;
}
