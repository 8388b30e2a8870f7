/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The few macros that every room uses: scope-bound cleanup and array lengths. */
#pragma once

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LB_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

/* Runs f(&variable) when the variable leaves its scope. */
#define LB_CLEANUP(f) __attribute__((cleanup(f)))

/* Frees a malloc'ed pointer when it leaves its scope. */
#define LB_FREE LB_CLEANUP(lb_freep)

/* Closes a descriptor (unless negative) when it leaves its scope. */
#define LB_CLOSE LB_CLEANUP(lb_closep)

/* Hands a pointer's value on and forgets it, so that cleanup leaves it alone. */
#define LB_TAKE(p)                  \
    ({                              \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

static inline void lb_freep(void *p)
{
    free(*(void **)p);
}

static inline void lb_closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Null-safe comparison; NULL and "" are the same nothing. */
static inline int lb_streq(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* A copy, or NULL for nothing (and when out of memory). */
static inline char *lb_dup(const char *s)
{
    return s && *s ? strdup(s) : NULL;
}
