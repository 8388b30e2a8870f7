/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One way to reach somebody. A channel makes a letter's body and sends it; what to tell whom is the planner's (plan.h),
 * when and how often the outbox's and the courier's.
 */
#pragma once

#include "lockboxd/courier/config.h"
#include "lockboxd/courier/letter.h"

struct lb_channel {
    const char *name;
    bool one_server; /* all its targets are behind one */

    /* The letter's body, owned: what `open` sends, whatever that is to the channel. 0; -EINVAL: this target is told
     * nothing of it; -ENOMEM. */
    int (*compose)(const struct lb_courier_config *config, const char *target, const struct lb_matter *matter,
                   char **ret);

    /*
     * The handle that sends the letter, ready for lb_transfer_start, with its headers or recipients in the lists (NULL
     * before). What the handle refers to is the letter's or the configuration's, and both stay until the end. 0;
     * -ENOENT: the target is no longer configured, *ret_error says so; -EINVAL: it cannot be sent as it is (final);
     * -EACCES: a secret cannot be read (another day perhaps); -ENOMEM. *ret_error is owned.
     */
    int (*open)(const struct lb_courier_config *config, const struct lb_letter *letter, CURL **ret,
                struct curl_slist **ret_headers, struct curl_slist **ret_recipients, char **ret_error);
};

/* Ended by NULL. */
extern const struct lb_channel *const lb_channels[];
const struct lb_channel *lb_channel_find(const char *name); /* or NULL */

extern const struct lb_channel lb_channel_mail, lb_channel_webhook;
