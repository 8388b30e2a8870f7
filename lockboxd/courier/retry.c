/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/retry.h"

int64_t lb_retry_delay(int64_t failures, uint32_t random, int64_t after)
{
    int64_t delay = LB_RETRY_FIRST;

    for (int64_t i = 1; i < failures && delay < LB_RETRY_MOST; i++)
        delay *= 2;
    if (delay > LB_RETRY_MOST)
        delay = LB_RETRY_MOST;
    delay = delay / 2 + (int64_t)((uint64_t)(delay / 2) * random / UINT32_MAX);
    return delay > after ? delay : after;
}

/* Those that were on their way together fail together: that is one failure. */
void lb_circuit_failed(struct lb_circuit *c, int64_t now, uint32_t random, int64_t after)
{
    bool again = c->failures > 0 && now < c->next;

    if (c->failures == 0)
        c->since = now;
    if (again && after <= 0)
        return;
    c->failures += !again;
    c->next = now + lb_retry_delay(c->failures, random, after);
}

void lb_circuit_worked(struct lb_circuit *c)
{
    *c = (struct lb_circuit){ 0 };
}

size_t lb_circuit_room(const struct lb_circuit *c, int64_t now, size_t on_their_way)
{
    size_t most = c->failures == 0 ? LB_RETRY_AT_ONCE : now >= c->next ? 1 : 0;

    return on_their_way < most ? most - on_their_way : 0;
}
