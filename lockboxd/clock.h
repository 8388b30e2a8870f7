/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place that asks the kernel for the time. */
#pragma once

#include "policy/deadline.h"

/* Both clocks and the boot. */
struct lb_time lb_clock_now(void);
