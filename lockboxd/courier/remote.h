/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decisions by the customer's own approval service. Whatever lockboxd would let [Remote] Approver= sign is asked there,
 * from the moment that it may be signed until it may not: lockboxd is asked for the text at each event of a request, so
 * that nothing has to be known here of stages, quorum or rights, and nothing remembered.
 */
#pragma once

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/part.h"
#include "lockboxd/courier/query.h"
#include "lockboxd/courier/transfer.h"

struct lb_remote;

/* Everything is borrowed until the free. The configuration has a URL. -ENOMEM. */
int lb_remote_new(sd_event *event, struct lb_queries *queries, struct lb_transfers *transfers,
                  const struct lb_courier_config *config, struct lb_remote **ret);
struct lb_remote *lb_remote_free(struct lb_remote *remote); /* NULL is fine; returns NULL */

/* Something has happened to this request (ID as printed); `waits`: it may be that it waits for a decision. */
void lb_remote_touch(struct lb_remote *remote, const char *request, bool waits);

/* What waits is found out: at the start, and after lockboxd was away. */
void lb_remote_sync(struct lb_remote *remote);

/* What failed is tried at once. */
void lb_remote_hurry(struct lb_remote *remote);

struct lb_remote_status {
    const char *problem; /* NULL: none; borrowed until the next turn of the loop */
    int64_t since;       /* of the problem, µs since 1970 */
    int64_t spoke_at;    /* when the service last answered as it should; 0: never yet */
    size_t questions;    /* that are put to it now */
};
void lb_remote_status(const struct lb_remote *remote, struct lb_remote_status *ret);

/* Tells the service that a request is open no more, and sends it a test. */
extern const struct lb_channel lb_channel_remote;

extern const struct lb_part lb_part_remote;
