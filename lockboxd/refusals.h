/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Refusals in the log: an account's first ones each, and of a flood only how many more there were. */
#pragma once

#include "lockboxd/gate.h"

/* Records a refusal (and takes its contents), or counts it where the account has had its share of this window. */
void lb_refusals_note(struct lb_gate *gate, struct lb_event *e);

/* Records what has only been counted, and begins anew: at the end of each window by itself, and when the gate stops. */
void lb_refusals_flush(struct lb_gate *gate);
void lb_refusals_clear(struct lb_gate *gate); /* records nothing */
