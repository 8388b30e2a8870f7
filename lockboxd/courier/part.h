/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the courier does besides sending letters: something of its own on the same loop, such as asking for remote
 * decisions, or shipping the log. It is made anew whenever the settings are read.
 */
#pragma once

#include <jansson.h>

#include "lockboxd/courier/letter.h"

struct lb_courier;

struct lb_part {
    const char *name; /* as in org.lockbox.Courier.Status */

    /* Begins. *ret NULL: it is not configured, and nothing else of it is called. */
    int (*start)(struct lb_courier *courier, void **ret);

    /* An event, before what it is told to whom is on disk: so after a crash it may come again. May be NULL. */
    void (*happened)(void *self, const struct lb_matter *matter);

    /* How it is, beside its state ("connected", "failing", "idle") since when and why; a new object. May be NULL. */
    json_t *(*status)(const void *self);

    /* What failed is tried at once, and not when its time has come. */
    void (*hurry)(void *self);

    void (*stop)(void *self);
};

/* Ended by NULL. */
extern const struct lb_part *const lb_parts[];
#define LB_PARTS_MAX 8
