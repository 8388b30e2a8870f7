/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "policy/base.h"
#include "policy/deadline.h"

#define TIME "%Y-%m-%dT%H:%M:%SZ"

int lb_lines_format_time(int64_t usec, char *buf)
{
    time_t seconds = usec / LB_USEC_PER_SEC;
    struct tm tm;

    return gmtime_r(&seconds, &tm) && strftime(buf, LB_LINES_TIME_MAX, TIME, &tm) > 0 ? 0 : -EINVAL;
}

int lb_lines_parse_time(const char *text, int64_t *ret)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, TIME, &tm);

    return end && !*end && !__builtin_mul_overflow((int64_t)timegm(&tm), LB_USEC_PER_SEC, ret) ? 0 : -EINVAL;
}

/* A value that has more than one line could say anything. */
static bool is_line(const char *value)
{
    for (; *value; value++)
        if ((unsigned char)*value < ' ' || *value == 0x7f)
            return false;
    return true;
}

int lb_lines_write(const char *title, const struct lb_line *lines, size_t n, char **ret)
{
    LB_FREE char *text = NULL;
    size_t size;
    bool good = true;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return -ENOMEM;
    fprintf(f, "%s\n", title);
    for (size_t i = 0; i < n; i++) {
        if (!lines[i].value || !*lines[i].value)
            continue;
        good = good && is_line(lines[i].value);
        fprintf(f, "%s: %s\n", lines[i].label, lines[i].value);
    }
    if (fclose(f) != 0)
        return -ENOMEM;
    if (!good || size > LB_LINES_MAX)
        return -EINVAL;
    *ret = LB_TAKE(text);
    return 0;
}

char *lb_lines_find(const char *text, const char *label)
{
    size_t n = strlen(label);

    for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        if (strncmp(line + 1, label, n) == 0 && strncmp(line + 1 + n, ": ", 2) == 0) {
            const char *value = line + 1 + n + 2;

            return strndup(value, strcspn(value, "\n"));
        }
    return NULL;
}
