/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Consent without a network: the prompt of a login that waits shows the text that an approver signs wherever he is, and
 * takes the signature. Nothing is kept in between: the words before a signature say which text it is about, and the
 * text is made again.
 */
#pragma once

#include "lockboxd/answer.h"
#include "lockboxd/decide.h"
#include "lockboxd/pasted.h"

struct lb_paste;

/* Whether it is worth a word to who waits: it can be signed, and somebody has a key, or nothing else is a yes. */
bool lb_paste_is_offered(const struct lb_live *live);

/* What !sign and !qr show, as the message of *ret, which is the answer to a look at the request. `columns` of a
 * terminal that is known to show UTF-8; 0: not known. */
void lb_paste_show(struct lb_live *live, const struct lb_pasted *pasted, int64_t columns, struct lb_answer *ret);

/* What has come of a signature: a refusal with its reason, or that the approval of `approver` is taken. Comes once,
 * from the event loop; it may free the paste. The texts are borrowed, and so is `request`, the ID. */
typedef void lb_paste_done(void *userdata, const char *request, const char *approver, struct lb_outcome *outcome);

/* Takes a signature: *ret is being looked at, and done tells the rest. Or it is refused at once: *ret stays as it is,
 * and *ret_outcome says why. It can approve this request, and nothing else. */
void lb_paste_take(struct lb_live *live, const struct lb_peer *peer, const struct lb_pasted *pasted,
                   lb_paste_done *done, void *userdata, struct lb_outcome *ret_outcome, struct lb_paste **ret);

/* Gives up: nothing is decided. NULL is fine; returns NULL. */
struct lb_paste *lb_paste_free(struct lb_paste *p);
