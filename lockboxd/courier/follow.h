/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event log, page by page as it grows, from where its reader left off; a lockboxd that is restarted is waited
 * for. */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct lb_follow;

struct lb_follow_calls {
    /* The last event that was read; -1: none ever was. The hash is borrowed. */
    int64_t (*position)(void *userdata, const char **ret_hash);
    /* Reading begins behind this event instead: the end of the log for who never read any, or 0 for a log that is not
     * the one that was read before. -errno: not now, try later. */
    int (*moved)(void *userdata, int64_t seq, const char *hash);
    /* New events, as org.lockbox.Audit.Event, at least one; no more come until lb_follow_go_on. */
    void (*page)(void *userdata, const json_t *events);
};

int lb_follow_new(sd_event *event, const char *socket, const struct lb_follow_calls *calls, void *userdata,
                  struct lb_follow **ret);
struct lb_follow *lb_follow_free(struct lb_follow *f); /* NULL is fine; returns NULL */

void lb_follow_go_on(struct lb_follow *f);

/* Why nothing can be read now; NULL: it can. Borrowed. */
const char *lb_follow_problem(const struct lb_follow *f);

/* The last event that the log is known to have. */
int64_t lb_follow_last(const struct lb_follow *f);
