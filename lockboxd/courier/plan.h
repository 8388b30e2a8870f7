/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom an event is told, by which channel, when and until when: decided from what is passed in, and nothing else. */
#pragma once

#include "lockboxd/courier/config.h"
#include "policy/approvers.h"
#include "policy/request.h"

/* All of it is borrowed. */
struct lb_occasion {
    const struct lb_event *event;
    const struct lb_request *request; /* as it is after the event; NULL: none, or it is not known */
    const struct lb_courier_config *config;
    const struct lb_approvers *approvers;
    int64_t now; /* µs since 1970 */
};

/* A letter that is to be made. */
struct lb_planned {
    const char *channel; /* a channel's own name for itself */
    char *target, *person; /* as in struct lb_letter and lb_matter */
    int notice;
    int64_t due, until;
};

struct lb_plan {
    struct lb_list letters; /* struct lb_planned */
    bool settles;           /* what asks people for a decision on the request, and waits yet, is withdrawn before … */
    const char *voter;      /* … from this person alone, who has said his yes: the event's; NULL: from everybody */
};

/* -ENOMEM. Clear with lb_plan_clear. */
int lb_plan_make(const struct lb_occasion *o, struct lb_plan *ret);
void lb_plan_clear(struct lb_plan *p);

/* What it is to a person: enum lb_notice. */
int lb_plan_notice(const struct lb_event *e);

/* For channels' own plans. One for a target that has one of this notice already is left out. -ENOMEM. */
int lb_plan_add(struct lb_plan *p, const char *channel, const char *target, const char *person, int notice, int64_t due,
                int64_t until);
