/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A checkpoint of the event log: a text that says how many events there are and which hash the last of them has, and so
 * stands for all of them. Signed and kept elsewhere, it shows later that nothing was cut off or written anew.
 */
#pragma once

#include <stdint.h>

#include "policy/lines.h"

/* What a signature of it is for; no other of ours is one. */
#define LB_CHECKPOINT_NAMESPACE "lockbox-checkpoint"
#define LB_CHECKPOINT_MAX LB_LINES_MAX /* bytes */
#define LB_CHECKPOINT_HASH 64          /* lower-case hex digits */

struct lb_checkpoint {
    char *host;
    int64_t events; /* from 1 */
    char *hash;     /* of event number `events` */
    int64_t time;   /* µs since 1970, whole seconds */
    char *access;   /* ID of the one whose end it was made at; NULL: none */
};

/* As whom the host signs, in a file of allowed signers: its name, with _ for all that would mean something there. */
#define LB_CHECKPOINT_PRINCIPAL_MAX 256
const char *lb_checkpoint_principal(const char *host, char buf[static LB_CHECKPOINT_PRINCIPAL_MAX]);

/* The text (owned), ended by a newline. -EINVAL: a value would not be one line, or is none; -ENOMEM. */
int lb_checkpoint_make(const struct lb_checkpoint *c, char **ret);

/* What a text says. -EINVAL for anything but the very bytes that lb_checkpoint_make would make of it; -ENOMEM. Clear
 * with lb_checkpoint_clear. */
int lb_checkpoint_parse(const char *text, struct lb_checkpoint *ret);
void lb_checkpoint_clear(struct lb_checkpoint *c);
