/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One question put to the customer's approval service, until lockboxd has taken the answer: posted, asked for again by
 * long polls where the service needs time, and the signed statement handed in. It goes on until it is freed: a service
 * that is away, or answers what lockboxd refuses, is asked again, ever more seldom, with the same question.
 */
#pragma once

#include "lockboxd/courier/config.h"
#include "lockboxd/courier/query.h"
#include "lockboxd/courier/transfer.h"
#include "lockboxd/pace.h"

/* What all questions share. All of it is borrowed. */
struct lb_dialogue_means {
    sd_event *event;
    struct lb_queries *queries;
    struct lb_transfers *transfers;
    const struct lb_courier_config *config; /* remote.url and remote.approver are set */
    struct lb_pace submissions;             /* lockboxd takes so many a minute */
    size_t running;                         /* transfers */
    int64_t spoke_at;                       /* the service last answered as it should, µs since 1970; 0: never */
};

struct lb_dialogue;

/* Begins at once. Texts are copied. -ENOMEM. */
int lb_dialogue_new(struct lb_dialogue_means *means, const char *request, const char *id, const char *body,
                    struct lb_dialogue **ret);
/* Whatever comes now is not heard any more. NULL is fine; returns NULL. */
struct lb_dialogue *lb_dialogue_free(struct lb_dialogue *d);

/* If something has failed it is tried at once. */
void lb_dialogue_hurry(struct lb_dialogue *d);

/* The id of its question. */
const char *lb_dialogue_id(const struct lb_dialogue *d);

/* Why it does not go on, safe to show, and since when (µs since 1970); NULL: it does. */
const char *lb_dialogue_problem(const struct lb_dialogue *d, int64_t *ret_since);
