/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxd's log into batches: whatever has been added since the last one, page by page. */
#pragma once

#include "lockboxd/courier/query.h"
#include "lockboxd/courier/spool.h"

struct lb_collect;

/* All of the log is in batches, or it does not go on: `problem` (borrowed). Comes from the event loop. */
typedef void lb_collect_done(void *userdata, const char *problem);

/* `packs`: an evidence pack is wanted for each access that has ended. Both rooms are borrowed. -ENOMEM. */
int lb_collect_new(struct lb_queries *queries, struct lb_spool *spool, bool packs, lb_collect_done *done,
                   void *userdata, struct lb_collect **ret);
struct lb_collect *lb_collect_free(struct lb_collect *c); /* NULL is fine; returns NULL */

/* Begins, unless it is at it: then it goes on to what there is now. */
void lb_collect_run(struct lb_collect *c);

/* Whether an event of this kind is the receipt of an access. */
bool lb_collect_is_end(int kind);
