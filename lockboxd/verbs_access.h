/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of org.lockbox.Access have in common: a request that is named, and the refusals about it. */
#pragma once

#include "lockboxd/decide.h"
#include "lockboxd/verbs.h"

/* Parameters of a verb that names a request. */
struct lb_access_target {
    char *id; /* as typed */
    struct lb_decision decision;
    char *note;
};
extern const struct lb_field lb_access_target_fields[];

/* A request from memory or disk, as far as the person may read it: 0, or -ENOENT for either reason. The one on disk
 * is *ret_owned, the caller's. */
int lb_access_read(struct lb_gate *gate, const struct lb_person *person, const char *id, const struct lb_request **ret,
                   struct lb_request **ret_owned);

/* There is none with this ID, as typed, or none for this person. */
void lb_access_no_such(struct lb_conn *conn, const char *id);

/* Why the host cannot at present; `r` is a -errno, for where the gate has no problem of its own. */
void lb_access_unavailable(struct lb_conn *conn, int r);
