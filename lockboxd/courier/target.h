/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is told, and how it stands with him: whether letters may wait for him, how many are on their way, since when he
 * cannot be reached, and how soon he is tried again. What all targets of a channel have in common, the server that they
 * are behind, is known for all of them at once.
 *
 * Knows no letters, and neither disk nor loop; time and randomness are arguments. Times are µs.
 */
#pragma once

#include <jansson.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/config.h"

/* A target that could not be reached for so long is told of in the trail. */
#define LB_TARGET_PATIENCE (30 * LB_USEC_PER_SEC)

struct lb_targets;
struct lb_target;

struct lb_targets *lb_targets_new(void); /* NULL when out of memory */
struct lb_targets *lb_targets_free(struct lb_targets *all); /* and every target; NULL is fine; returns NULL */

/* The one of this name, which is made where there is none yet, and stays until the free. NULL when out of memory. */
struct lb_target *lb_targets_get(struct lb_targets *all, const char *channel, const char *name);

/* One after the other, newest first; NULL behind the last one. */
struct lb_target *lb_targets_first(const struct lb_targets *all);
struct lb_target *lb_target_next(const struct lb_target *t);

/* Both borrowed. */
const char *lb_target_channel(const struct lb_target *t);
const char *lb_target_name(const struct lb_target *t);

/* Whether it is behind one server with others. */
bool lb_target_is_behind(const struct lb_target *t);

/* --- letters for it --- */

/* There may be some that can go … */
void lb_target_expect(struct lb_target *t);

/* … or there are none before `due` (wall clock; LB_NEVER: none), until more are expected. */
void lb_target_rest(struct lb_target *t, int64_t due);

/* Whether it is to be looked for letters that can go. */
bool lb_target_wants(const struct lb_target *t, int64_t wall);

/* How many more may be begun to it, with `behind` connections to the server where it is behind one. What hangs holds up
 * nobody who is not behind the same server. */
size_t lb_target_room(const struct lb_target *t, int64_t boot, size_t behind);

/* One is on its way, and is not any more; others may go then. Always in pairs. */
void lb_target_took_off(struct lb_target *t);
void lb_target_landed(struct lb_target *t);

/* How long until something may be possible that is not now; `most` at most. What could go and has not been begun waits
 * for one to land, or for the target's next try. */
int64_t lb_target_wait(const struct lb_target *t, const struct lb_time *now, int64_t most);

/* --- what came of them --- */

/* A try that has failed; borrowed. */
struct lb_failure {
    const char *problem;
    int64_t began, now; /* boot clock: of the try, and now */
    int64_t after;      /* the other end wants to be left alone for so long; 0: it did not say */
    uint32_t random;
};

/* It has one more, at this time of the wall clock. */
void lb_target_sent(struct lb_target *t, int64_t wall);

/* It has answered, whatever it thinks of the letter; so its server works, too. */
void lb_target_works(struct lb_target *t);

/* Whether the trail is to be told now: it has failed for LB_TARGET_PATIENCE. Once, until it works again. */
bool lb_target_fails(struct lb_target *t, const struct lb_failure *f);

/* The same of the server alone, while the target is still at fault; nothing where it is behind none. `after` is the
 * target's, and does not count. */
void lb_target_server_works(struct lb_target *t);
void lb_target_server_fails(struct lb_target *t, const struct lb_failure *f);

/* Each may be tried at once, whatever was to be waited for. */
void lb_targets_hurry(struct lb_targets *all);

/* --- how it is --- */

/* org.lockbox.Courier.Target of each, as if no letters waited; a new array, NULL when out of memory. `config` says who
 * is still told; NULL: nobody. */
json_t *lb_targets_show(const struct lb_targets *all, const struct lb_courier_config *config,
                        const struct lb_time *now);
