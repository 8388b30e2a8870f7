/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trail, off the host ([Export]): the log in batches, every so often and at each end of an access, and an
 * evidence pack of each. What is on its way lies in a directory (spool.h) until the store has it: there it is tried
 * for ever.
 */
#pragma once

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/part.h"
#include "lockboxd/courier/query.h"
#include "lockboxd/courier/transfer.h"

struct lb_export;

struct lb_export_means {
    sd_event *event;
    struct lb_queries *queries;
    struct lb_transfers *transfers;
    const struct lb_courier_config *config;
    const char *directory; /* the files are in export/ below it */
    const char *packer;    /* lockboxctl */
};

/* Everything that it names is borrowed until the free. Without a URL in the configuration it does nothing. -ENOMEM. */
int lb_export_new(const struct lb_export_means *means, struct lb_export **ret);
struct lb_export *lb_export_free(struct lb_export *export); /* NULL is fine; returns NULL */

/* Now, not only when it is due: an access has ended. */
void lb_export_run(struct lb_export *export);

/* What failed is tried at once. */
void lb_export_hurry(struct lb_export *export);

struct lb_export_status {
    const char *problem; /* NULL: none; borrowed until the next turn of the loop */
    int64_t since;       /* of the problem, µs since 1970 */
    int64_t sent_at;     /* when the store last took something; 0: never yet */
    int64_t position;    /* the last event that is in a batch */
    size_t waiting;      /* files that are not there yet, and packs to be made */
};
void lb_export_status(const struct lb_export *export, struct lb_export_status *ret);

/* Sends a test. */
extern const struct lb_channel lb_channel_export;

extern const struct lb_part lb_part_export;
