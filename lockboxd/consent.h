/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Consent that is a signature: the text to sign is made for an approver, and what comes back counts if it is that text
 * still, byte for byte, signed with his key. Who hands it in does not matter.
 */
#pragma once

#include "lockboxd/decide.h"

struct lb_consent;

/* What an approver means to say. */
struct lb_consent_wish {
    const char *approver, *note;
    bool approve;
    int64_t duration; /* µs, shortens; 0: as asked */
    int64_t from;     /* as in lb_decision */
};

/* The text that he has to sign: *ret_text (owned). Refused where his decision would be; the outcome's reason may say
 * what was made less. */
void lb_consent_make(struct lb_live *live, const struct lb_consent_wish *wish, struct lb_outcome *ret, char **ret_text);

/* What has come of it; `state` is the request's before. Comes once, from the event loop; it may free the consent. */
typedef void lb_consent_done(void *userdata, struct lb_outcome *outcome, const char *state);

/* Takes a signed text from anybody: *ret is being verified, and done tells the rest. Or it is refused at once: *ret
 * stays as it is, and *ret_outcome says why; LB_REFUSAL_NO_REQUEST where there is no open one of that ID. */
void lb_consent_submit(struct lb_gate *gate, const struct lb_peer *peer, const char *text, const char *signature,
                       lb_consent_done *done, void *userdata, struct lb_outcome *ret_outcome, struct lb_consent **ret);

/* Gives up: nothing is decided. NULL is fine; returns NULL. */
struct lb_consent *lb_consent_free(struct lb_consent *c);
