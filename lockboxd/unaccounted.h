/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate watches itself: every two seconds it looks for processes of gated accounts (members of lockbox-gated) that
 * no access covers, raises an alarm event for each session of them, once, and kills them where it is told to.
 *
 * What has been there for three looks counts; before that a login may be on its way to its access. While the log cannot
 * be read nobody knows what is covered, and nothing is looked for.
 */
#pragma once

#include <stdbool.h>

#include "lockboxd/gate.h"

struct lb_unaccounted;

/* Somebody is let in to the account: what of it is being killed still goes on without the rest of the account. */
void lb_unaccounted_share(struct lb_unaccounted *unaccounted, int64_t uid);

/* `gate` is borrowed; so is `kill`, which may change at any time. -errno. */
int lb_unaccounted_new(struct lb_gate *gate, const bool *kill, struct lb_unaccounted **ret);
struct lb_unaccounted *lb_unaccounted_free(struct lb_unaccounted *unaccounted); /* NULL is fine; returns NULL */
