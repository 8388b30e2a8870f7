/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection to lockboxd on the event loop: calls out, replies in, and nobody but root at the other end. */
#pragma once

#include <systemd/sd-event.h>

#include "lockboxd/proto/varlink.h"

struct lb_link;

/* Of the first either may come any number of times; after the second nothing does, and the link is to be freed. Either
 * may free it. */
struct lb_link_calls {
    void (*reply)(void *userdata, const struct lb_varlink_reply *reply);
    void (*lost)(void *userdata, int error); /* -ECONNRESET, -EBADMSG … */
};

/* Connects, and checks that root, or the caller's own uid, listens. -ENOENT, -ECONNREFUSED, -EAGAIN (its queue is
 * full): not reachable now; -EPERM: an impostor; -ENOMEM. */
int lb_link_open(sd_event *event, const char *path, const struct lb_link_calls *calls, void *userdata,
                 struct lb_link **ret);
struct lb_link *lb_link_free(struct lb_link *link); /* NULL is fine; returns NULL */

/* One call. -ENOMEM. What goes wrong with the connection is `lost` later. */
int lb_link_send(struct lb_link *link, const char *method, const json_t *parameters, bool more);

/* While it is paused nothing is read, and no reply comes. */
void lb_link_pause(struct lb_link *link, bool pause);
