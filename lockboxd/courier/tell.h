/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What could not be delivered, into the trail: org.lockbox.Audit.Undelivered, once for each, and again until it is
 * there. */
#pragma once

#include "lockboxd/courier/outbox.h"
#include "lockboxd/courier/query.h"

struct lb_tell;

int lb_tell_new(sd_event *event, struct lb_outbox *outbox, struct lb_queries *queries, struct lb_tell **ret);
struct lb_tell *lb_tell_free(struct lb_tell *t); /* NULL is fine; returns NULL */

/* There are letters given up, of which the trail does not know. */
void lb_tell_given_up(struct lb_tell *t);

/* A target cannot be reached. `request` may be NULL. */
void lb_tell_failing(struct lb_tell *t, const char *channel, const char *target, const char *request,
                     const char *problem);
