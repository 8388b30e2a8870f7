/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The courier's own socket: how it is, and whether something arrives (org.lockbox.Courier). */
#pragma once

#include "lockboxd/caller.h"
#include "lockboxd/courier/courier.h"

extern const char lb_courier_interface[]; /* the text of its interface file */

/* Listens on RUNTIME-DIRECTORY/control.socket. */
int lb_control_new(struct lb_courier *courier, struct lb_control **ret);
struct lb_control *lb_control_free(struct lb_control *c); /* NULL is fine; returns NULL */

/* The settings are read anew: tests that run end. */
void lb_control_break_off(struct lb_control *c);

/* --- between the socket (control.c) and its methods (control_verbs.c) --- */

#define LB_COURIER_ERROR(name) "org.lockbox.Courier." name
#define LB_CONTROL_TEST_USEC (30 * LB_USEC_PER_SEC)

/* Somebody who is connected, and the call that he waits for. */
struct lb_conversation {
    struct lb_conversation *next;
    struct lb_control *control;
    struct lb_courier *courier;
    struct lb_caller caller;
    uid_t uid; /* who he is */
    bool may_read, root;
    struct lb_letter letter; /* the test that is on its way */
    struct lb_transfer *transfer;
};

/* Of all methods together; those that a method does not have are NULL. */
struct lb_control_parameters {
    char *channel, *target, *id, *interface;
};

enum lb_control_who { LB_CONTROL_ROOT, LB_CONTROL_READERS, LB_CONTROL_ANYBODY };

struct lb_control_verb {
    const char *method;
    enum lb_control_who who;
    const struct lb_field *fields;
    void (*run)(struct lb_conversation *c, const struct lb_control_parameters *p);
};
extern const struct lb_control_verb lb_control_verbs[]; /* ended by a NULL method */

/* Answers; both take the parameters. A reply without any is what memory did not reach for: he is given up. */
void lb_control_reply(struct lb_conversation *c, json_t *parameters, bool continues);
void lb_control_refuse(struct lb_conversation *c, const char *error, json_t *parameters);

/* Its test ends, and it is told so. */
void lb_control_stop_test(struct lb_conversation *c);
