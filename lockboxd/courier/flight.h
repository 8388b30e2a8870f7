/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Letters that are on their way: each is given to its channel, and what comes of it is known to its target (target.h)
 * at once, and written into the outbox within milliseconds, many at a time. Until that is written it counts as on its
 * way, so that nothing of it is sent again.
 */
#pragma once

#include "lockboxd/courier/outbox.h"
#include "lockboxd/courier/target.h"
#include "lockboxd/courier/transfer.h"

struct lb_flights;

/* All from the event loop, or from lb_flights_begin or the free; they must not free it. */
struct lb_flights_calls {
    /* lb_target_fails said so; the request of the letter at hand may be NULL. Borrowed. */
    void (*failing)(void *userdata, const struct lb_target *t, const char *request, const char *problem);
    void (*given_up)(void *userdata); /* it is written down that a letter will never be taken */
    void (*over)(void *userdata);     /* something landed, or is written down: others may go */
};

/* The outbox is borrowed. Where it turns out to be damaged the loop is ended with -EUCLEAN. -ENOMEM. */
int lb_flights_new(sd_event *event, struct lb_outbox *outbox, const struct lb_flights_calls *calls, void *userdata,
                   struct lb_flights **ret);

/* Breaks off what is on its way, and writes down what came of the others, as far as that is possible. The targets are
 * freed behind it. NULL is fine; returns NULL. */
struct lb_flights *lb_flights_free(struct lb_flights *all);

/* Whether the letter in this row, which is about `request` (NULL: none), has to wait for one that is not over: itself,
 * or one of the same request to the same target. */
bool lb_flights_hold(const struct lb_flights *all, const struct lb_target *t, int64_t row, const char *request);

/* Sends the letter in this row. Settings and curl are borrowed until it is over or broken off. What goes wrong is what
 * came of it; where there is no memory, or the letter was withdrawn, nothing happens. */
void lb_flights_begin(struct lb_flights *all, struct lb_target *t, int64_t row, const struct lb_courier_config *config,
                      struct lb_transfers *transfers);

/* Ends what is on its way. It is not marked: it waits, and goes again. */
void lb_flights_break_off(struct lb_flights *all);
