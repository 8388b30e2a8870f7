/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests as their events make them, for as long as something happens to them: a few hundred are kept in mind, and any
 * other can be told again from its events. */
#pragma once

#include "policy/lifecycle.h"

struct lb_stories;

struct lb_stories *lb_stories_new(size_t max); /* NULL: out of memory */
struct lb_stories *lb_stories_free(struct lb_stories *s); /* NULL is fine; returns NULL */
void lb_stories_forget(struct lb_stories *s); /* all of them */

/*
 * The next event of the log. *ret is the request as it is after it, borrowed until the next call, NULL for the host's
 * own and for what does not fit together. -ENOENT: the request is not known here, nothing has happened: hand it in as
 * it was before this event (lb_stories_put), and call again. -ENOMEM.
 */
int lb_stories_event(struct lb_stories *s, const struct lb_event *e, const struct lb_request **ret);

/* Takes the request (NULL: there is none, and events about it are told without it), also on failure. -ENOMEM. */
int lb_stories_put(struct lb_stories *s, const char *id, struct lb_request *request);
