/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reviewed script: a permit rule names it by its digest, and so it runs without a request. It is an access like any
 * other, with a unit of systemd's in place of sessions: bounded, revocable, with a receipt.
 */
#pragma once

#include "lockboxd/decide.h"
#include "lockboxd/output.h"

struct lb_launch;

/* What the caller sent. */
struct lb_launch_call {
    const char *name;  /* of the file */
    const char *bytes;
    size_t n;
    char **arguments;  /* NULL: none */
};

/* Asks the rules, and starts it once that is on disk. *ret_output is what to watch, the access's own. What is refused
 * is an event, too, and changes nothing else. */
void lb_launch_begin(struct lb_gate *gate, const struct lb_person *person, const struct lb_launch_call *call,
                     struct lb_outcome *ret, struct lb_output **ret_output);

/* --- for the gate's own files --- */

/* Whether PID 1 has not told its end yet. */
bool lb_launch_is_up(const struct lb_live *live);

/* What is left of it has been killed: PID 1 is told so. Its answer brings lb_effects_lock. */
void lb_launch_stop(struct lb_live *live);

/* Records the end, if that is still to be done. Nothing for an access of logins. */
void lb_launch_settle(struct lb_live *live);

/* The daemon that started it was killed: what runs without anybody who records its output is ended. */
void lb_launch_lost(struct lb_live *live);

struct lb_launch *lb_launch_free(struct lb_launch *launch); /* NULL is fine; returns NULL */
