/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose turn it is: takes letters out of the outbox when they are due and their target (target.h) can take them, and
 * sends them on their way (flight.h).
 */
#pragma once

#include "lockboxd/courier/config.h"
#include "lockboxd/courier/outbox.h"
#include "lockboxd/courier/transfer.h"

struct lb_post;

struct lb_post_calls {
    /* A target has not been reachable for LB_TARGET_PATIENCE; the request of the letter at hand may be NULL. Once,
     * until it works again. All borrowed. */
    void (*failing)(void *userdata, const char *channel, const char *target, const char *request, const char *problem);
    void (*given_up)(void *userdata); /* there are letters that the trail does not know of yet */
};

int lb_post_new(sd_event *event, struct lb_outbox *outbox, const struct lb_post_calls *calls, void *userdata,
                struct lb_post **ret);
struct lb_post *lb_post_free(struct lb_post *p); /* NULL is fine; returns NULL */

/* Settings and curl, both borrowed until they are set again. What is on its way is broken off, and tried again. NULL:
 * nothing is sent. */
void lb_post_configure(struct lb_post *p, const struct lb_courier_config *config, struct lb_transfers *transfers);

/* There are new letters to this target. */
void lb_post_expect(struct lb_post *p, const char *channel, const char *target);

/* Every target is tried at once, whatever was to be waited for. */
void lb_post_hurry(struct lb_post *p);

/* org.lockbox.Courier.Target of each; a new array, NULL when out of memory. */
json_t *lb_post_status(struct lb_post *p);
