/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of methods: which door, which parameters, which function. */
#pragma once

#include "lockboxd/server.h"

struct lb_person;

struct lb_verb {
    const char *method;
    int doors;                     /* enum lb_door bits */
    const struct lb_field *fields; /* of its parameters; NULL: none */
    size_t size;                   /* of their struct */
    void (*run)(struct lb_conn *conn, void *parameters);
};

/* Ended by a NULL method. */
extern const struct lb_verb lb_verbs_login[], lb_verbs_read[], lb_verbs_decide[], lb_verbs_request[],
    lb_verbs_run[], lb_verbs_audit[], lb_verbs_checkpoint[], lb_verbs_undelivered[], lb_verbs_service[];

/* Checks a call and runs its verb. */
void lb_verbs_dispatch(struct lb_conn *conn, const struct lb_varlink_call *call);

/* Sends a follower what it has not seen, as far as its socket takes it. */
void lb_audit_pump(struct lb_conn *conn);

/* The same for who watches a script. */
void lb_run_pump(struct lb_conn *conn);

/* Who calls, for org.lockbox.Access. False when that is not known; then the call is answered. */
bool lb_verbs_person(struct lb_conn *conn, struct lb_person *ret);

/* An ID as typed → as printed, owned; NULL if it is none. */
char *lb_verbs_id(const char *typed);

/* A wait comes to an end with the connection. */
void lb_login_hang_up(struct lb_conn *conn);
