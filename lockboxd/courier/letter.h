/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Something that is to be told to one target: a row of the outbox. Its bytes are made when the event is read, in the
 * same commit that moves the position on, so that every try sends the same ones under the same name.
 */
#pragma once

#include <jansson.h>

#include "policy/event.h"
#include "policy/request.h"

/* What it is about. */
enum lb_notice {
    LB_NOTICE_NONE,
    LB_NOTICE_ACTION,   /* a request waits for the recipient's decision */
    LB_NOTICE_REMINDER, /* … still, and expires soon */
    LB_NOTICE_MESSAGE,  /* the engineer has said something */
    LB_NOTICE_OUTCOME,  /* a request was decided, or is open no more: also the receipt of an access */
    LB_NOTICE_URGENT,   /* an emergency access has begun, at once */
    LB_NOTICE_ALARM,    /* something is wrong on the host: an access that does not end, processes without one … */
    LB_NOTICE_TEST,     /* somebody wants to see that it arrives */
    LB_NOTICE_MAX_,
};
extern const char *const lb_notice_names[]; /* by enum lb_notice: "action", "reminder" … */

struct lb_letter {
    int64_t row;      /* of the outbox, in the order in which they were made */
    char *id;         /* what the other end knows it by; the same at each try: "7F3K-9QXM.1234.bob@host" */
    char *channel;    /* "mail", "webhook", "remote", "export" */
    char *target;     /* of the channel's: an address, a webhook's name; letters to one about one request keep order */
    char *request;    /* ID as printed, or NULL */
    int64_t seq;      /* of the event; 0: none */
    int notice;       /* enum lb_notice */
    int64_t due;      /* not before, µs since 1970; 0: at once */
    int64_t until;    /* given up then, µs since 1970; LB_NEVER */
    int64_t attempts; /* that have failed so far */
    char *body;       /* what is sent, whatever that is to the channel; may be long */
    char *error;      /* of the last try; NULL */
};
void lb_letter_clear(struct lb_letter *l);

/* What a letter is made of. All of it is borrowed; `request` is as it was after `event`, NULL for the host's own. */
struct lb_matter {
    int notice;
    const char *host;
    const struct lb_event *event;     /* NULL: a test */
    const json_t *shown;              /* the event as org.lockbox.Audit tells it; NULL: a test */
    const struct lb_request *request;
    const char *person;               /* the approver's name, where it is to one; NULL: to a group or a program */
    int64_t now;                      /* µs since 1970 */
};

/* "Action needed", for a subject or a headline. */
const char *lb_matter_title(const struct lb_matter *m);

/* What has happened, in a sentence; owned, NULL when out of memory. */
char *lb_matter_sentence(const struct lb_matter *m);

/* Who, where, why and until when, as far as it is known: name and value by turns, ended by a NULL; an owned list (see
 * lb_strings_free), NULL when out of memory. What the engineer said is in it as he said it: whoever puts it into a
 * language of any kind has to escape it for that one. */
char **lb_matter_facts(const struct lb_matter *m);
