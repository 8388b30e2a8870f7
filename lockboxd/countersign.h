/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A checkpoint of this log that somebody else has signed, too: it is recorded who keeps it, so that both sides know
 * what was seen. It opens and closes nothing. Who hands it in does not matter.
 */
#pragma once

#include "lockboxd/gate.h"

struct lb_countersign;

enum lb_countersigned {
    LB_COUNTERSIGNED_NONE,      /* not taken */
    LB_COUNTERSIGNED_DONE,
    LB_COUNTERSIGNED_INVALID,   /* it is no checkpoint of this log */
    LB_COUNTERSIGNED_NOT_HIS,   /* it is no signature of his */
    LB_COUNTERSIGNED_UNAVAILABLE,
};

/* Comes once, and may free it: with DONE `seq` is the event and `text` the key ("ED25519 SHA256:…"), else why not. */
typedef void lb_countersign_done(void *userdata, int outcome, int64_t seq, const char *text);

/* Takes the text and the signature by `name` of it. *ret is set before the answer comes, from the event loop; or it
 * stays as it is, and the answer has come. */
void lb_countersign_new(struct lb_gate *gate, const char *text, const char *signature, const char *name,
                        lb_countersign_done *done, void *userdata, struct lb_countersign **ret);

/* Gives up. NULL is fine; returns NULL. */
struct lb_countersign *lb_countersign_free(struct lb_countersign *c);
