/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The courier: what happens on the host, told to those who are not there. It reads the log like everybody else, speaks
 * to the network where lockboxd must not, and can at worst withhold.
 */
#pragma once

#include "lockboxd/courier/follow.h"
#include "lockboxd/courier/part.h"
#include "lockboxd/courier/post.h"
#include "lockboxd/courier/query.h"
#include "lockboxd/courier/story.h"
#include "lockboxd/courier/tell.h"
#include "policy/approvers.h"

/* All borrowed. */
struct lb_courier_options {
    const char *config_path, *approvers_path;
    const char *socket;            /* lockboxd's */
    const char *state_directory, *runtime_directory;
    const char *packer;            /* makes evidence packs: lockboxctl */
};

struct lb_control;
struct lb_reading;

struct lb_courier {
    const struct lb_courier_options *options;
    sd_event *event;
    struct lb_courier_config config;
    bool configured;              /* there has been a good config: before that nothing is read, to be told later */
    char *config_error;           /* why the files are not in force as they are; NULL: they are */
    struct lb_approvers *approvers;
    struct lb_outbox *outbox;
    struct lb_transfers *transfers;
    struct lb_queries *queries;   /* for calls to lockboxd, anybody's */
    struct lb_follow *follow;
    struct lb_reading *reading;
    struct lb_post *post;
    struct lb_tell *tell;
    struct lb_control *control;
    void *parts[LB_PARTS_MAX];
    unsigned failing[LB_PARTS_MAX]; /* looks at each in a row that found it so */
    sd_event_source *look;
    int64_t started_at;
};

/* Reads approvers.conf again, as lockboxd has just done; with a mistake in it the last good one stays. */
void lb_courier_read_approvers(struct lb_courier *c);

/* Runs until SIGTERM. -errno; -EPROTONOSUPPORT: the outbox is of a later version. */
int lb_courier_run(const struct lb_courier_options *options);

/* Reads the settings, and tells their mistakes on standard error. -EINVAL. */
int lb_courier_check(const struct lb_courier_options *options);
