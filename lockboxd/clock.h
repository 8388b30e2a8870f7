/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place that asks the kernel for the time. */
#pragma once

#include "policy/deadline.h"

/* Both clocks and the boot. */
struct lb_time lb_clock_now(void);

/* A wall-clock time in the host's zone: the day of the week (0 is Monday) and the minute of the day. */
void lb_clock_week(int64_t wall, int *ret_weekday, int *ret_minute);
