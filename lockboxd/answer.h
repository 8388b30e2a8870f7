/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an engineer at a prompt is told: the verdict, and the words for it. */
#pragma once

#include "policy/request.h"

enum lb_answer_verdict { LB_ANSWER_DENIED, LB_ANSWER_ASK, LB_ANSWER_WAITING, LB_ANSWER_ALLOWED };
extern const char *const lb_answer_verdict_names[];

struct lb_ask {
    int ticket, reason; /* enum lb_need */
    char *duration;     /* "8h"; NULL: not asked */
};

/* Zeroes are the closed door. */
struct lb_answer {
    int verdict;
    char *request;      /* ID as printed */
    char *message;      /* to show now */
    char *later;        /* WAITING: to show if the login has to end before the decision */
    struct lb_ask ask;  /* ASK */
    int64_t remaining;  /* ALLOWED: µs until it is over at the latest, extended or frozen; LB_NEVER if that is open */
    int64_t seen;       /* seq of the last event that the answer knows of */
    bool signable;      /* a signature that is pasted at the prompt can approve it */
    int64_t clamped;    /* µs: all that the rule left of the time that was asked for; 0: all of it */
};

extern const struct lb_field lb_answer_fields[];
void lb_answer_clear(struct lb_answer *a);

/* Sets verdict and message (a printf format); out of memory leaves the message out. */
void lb_answer_say(struct lb_answer *a, int verdict, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One more line of the message; out of memory leaves it out. */
void lb_answer_add(struct lb_answer *a, const char *line);

/* Says besides that the rule leaves so much, in µs, of the time that was asked for. */
void lb_answer_clamp(struct lb_answer *a, int64_t duration);

/* Of the message what the request does not say by itself, for a reader who is shown the request, in his words and his
 * zone. Owned; NULL: nothing. */
char *lb_answer_remark(const struct lb_answer *a, const struct lb_request *r, const struct lb_time *now);

/* Why nobody logs in to an access that is frozen: a sentence or two. */
void lb_answer_paused(struct lb_answer *a, int verdict, const struct lb_request *r, const struct lb_time *now,
                      const char *hint);

/* What a request means for a login now. `blocker` is another engineer's access in the way, or NULL. */
void lb_answer_request(struct lb_answer *a, const struct lb_request *r, const struct lb_request *blocker,
                       const struct lb_time *now);
