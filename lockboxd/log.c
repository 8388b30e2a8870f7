/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void lb_log(int priority, const char *format, ...)
{
    struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
    char line[2048];
    va_list args;
    int saved = errno, prefix = 0, n;

    if (!isatty(STDERR_FILENO))
        prefix = snprintf(line, sizeof(line), "<%d>", priority);
    va_start(args, format);
    n = vsnprintf(line + prefix, sizeof(line) - 1 - (size_t)prefix, format, args) + prefix;
    va_end(args);
    if (n > (int)sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) && write(STDERR_FILENO, line, (size_t)n) < 0)
        n = 0;
    errno = saved;
}
