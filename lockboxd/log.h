/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's words about itself, on standard error with a priority that journald understands. Never blocks: without
 * room the line is lost. Events do not go this way (journal.h). */
#pragma once

#include <syslog.h>

void lb_log(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
