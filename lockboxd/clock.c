/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/clock.h"

#include <systemd/sd-id128.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * LB_USEC_PER_SEC + ts.tv_nsec / 1000;
}

struct lb_time lb_clock_now(void)
{
    struct lb_time now = { .wall = read_clock(CLOCK_REALTIME), .boot = read_clock(CLOCK_BOOTTIME) };
    sd_id128_t id;

    if (sd_id128_get_boot(&id) >= 0) /* cached by libsystemd */
        now.boot_id = (int64_t)(id.qwords[0] & INT64_MAX);
    return now;
}

void lb_clock_week(int64_t wall, int *ret_weekday, int *ret_minute)
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    struct tm tm;

    *ret_weekday = *ret_minute = -1; /* not known: no Time= fits */
    if (!localtime_r(&seconds, &tm))
        return;
    *ret_weekday = (tm.tm_wday + 6) % 7;
    *ret_minute = tm.tm_hour * 60 + tm.tm_min;
}
