/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What came of asking: a verdict of the daemon's or a failure, and what PAM is told. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "lockboxd/proto/client.h"

enum lb_outcome {
    /* verdicts, as org.lockbox.Login has them */
    LB_OUTCOME_DENIED,
    LB_OUTCOME_ASK,
    LB_OUTCOME_WAITING,
    LB_OUTCOME_ALLOWED,
    /* failures */
    LB_OUTCOME_UNREACHABLE, /* no daemon */
    LB_OUTCOME_IMPOSTOR,    /* somebody else's */
    LB_OUTCOME_TIMEOUT,
    LB_OUTCOME_HANG_UP,
    LB_OUTCOME_LOST, /* it hung up while a request waited */
    LB_OUTCOME_NONSENSE,
    LB_OUTCOME_UNAVAILABLE, /* the daemon itself says that it cannot decide */
    LB_OUTCOME_MEMORY,
    LB_OUTCOME_UNKNOWN, /* whether the account is gated */
    LB_OUTCOME_ARGUMENT,
    /* without the daemon */
    LB_OUTCOME_NOT_OURS, /* nobody is gated, or auth has no proof */
    LB_OUTCOME_PROVEN,   /* auth: sshd has verified a key */
    LB_OUTCOME_CLOSED,   /* a session is over */
    LB_OUTCOME_MAX_,
};

struct lb_outcome_class {
    int code;         /* PAM's */
    int priority;     /* syslog's */
    const char *log;  /* what is logged; NULL: nothing */
    const char *text; /* what a person is told where the daemon has not said it better; NULL: nothing */
};

extern const struct lb_outcome_class lb_outcome_classes[LB_OUTCOME_MAX_];

/* What the person has still to say. */
struct lb_wanted {
    int ticket, reason; /* enum lb_need */
    char *duration;     /* the rule's, as people write it; NULL or "": not asked */
};

/* A reply to Begin, Wait or Open: their members together. */
struct lb_reply {
    int verdict; /* enum lb_outcome up to LB_OUTCOME_ALLOWED */
    char *request, *message, *later;
    struct lb_wanted ask;
    int64_t seen;
    int64_t remaining; /* seconds; negative: without end */
};

void lb_reply_clear(struct lb_reply *reply);

/* Drops control characters but the newline (C0, DEL, and C1 as UTF-8 spells them), in place. NULL is fine. */
void lb_outcome_clean(char *text);

/* The failure that a -errno of the client's means. */
enum lb_outcome lb_outcome_from_error(int error);

/*
 * One call. `parameters` is taken; NULL counts as out of memory. A verdict replaces *reply, but `request` and `later`
 * stay where the new one has none; LB_OUTCOME_UNAVAILABLE sets only its message; no other failure touches it. Its text
 * has been cleaned.
 */
enum lb_outcome lb_outcome_get(struct lb_client *client, const char *method, json_t *parameters, int timeout_ms,
                               struct lb_reply *reply);
