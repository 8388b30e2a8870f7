/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/deadline.h"

static int64_t add(int64_t at, int64_t span)
{
    int64_t sum;

    if (at == LB_NEVER || span == LB_NEVER)
        return LB_NEVER;
    if (__builtin_add_overflow(at, span, &sum))
        return span < 0 ? 0 : LB_NEVER;
    return sum < 0 ? 0 : sum;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t until(int64_t deadline, int64_t now)
{
    if (deadline == LB_NEVER)
        return LB_NEVER;
    return deadline > now ? deadline - now : 0;
}

static bool same_boot(const struct lb_deadline *d, const struct lb_time *t)
{
    return d->boot_id == t->boot_id;
}

struct lb_deadline lb_deadline_after(const struct lb_time *now, int64_t span)
{
    return (struct lb_deadline){ add(now->wall, span), add(now->boot, span), now->boot_id };
}

struct lb_deadline lb_deadline_before(const struct lb_deadline *d, int64_t span)
{
    struct lb_deadline earlier = *d;

    earlier.wall = add(d->wall, -span);
    earlier.boot = add(d->boot, -span);
    return earlier;
}

struct lb_deadline lb_deadline_never(void)
{
    return (struct lb_deadline){ LB_NEVER, LB_NEVER, 0 };
}

bool lb_deadline_due(const struct lb_deadline *d, const struct lb_time *now)
{
    return lb_deadline_left(d, now) == 0;
}

int64_t lb_deadline_left(const struct lb_deadline *d, const struct lb_time *now)
{
    int64_t wall = until(d->wall, now->wall);

    return same_boot(d, now) ? min(wall, until(d->boot, now->boot)) : wall;
}

int64_t lb_deadline_left_after_reboot(const struct lb_deadline *d, const struct lb_time *last,
                                      const struct lb_time *now)
{
    int64_t wall = until(d->wall, now->wall > last->wall ? now->wall : last->wall);

    return same_boot(d, last) ? min(wall, until(d->boot, last->boot)) : wall;
}

int64_t lb_deadline_wait(const struct lb_deadline *d, const struct lb_time *now)
{
    int64_t wall = until(d->wall, now->wall);

    return same_boot(d, now) ? max(wall, until(d->boot, now->boot)) : wall;
}

int64_t lb_deadline_wait_after_reboot(const struct lb_deadline *d, const struct lb_time *last,
                                      const struct lb_time *now)
{
    return until(lb_deadline_wait(d, last), max(0, now->wall - last->wall));
}

struct lb_deadline lb_deadline_later(const struct lb_deadline *a, const struct lb_deadline *b)
{
    return (struct lb_deadline){ max(a->wall, b->wall), a->boot_id == b->boot_id ? max(a->boot, b->boot) : b->boot,
                                 b->boot_id };
}
