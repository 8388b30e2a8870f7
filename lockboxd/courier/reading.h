/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the log into the outbox: each page of events becomes letters, which are on disk together with the position
 * behind it before the next page is read. */
#pragma once

#include "lockboxd/courier/courier.h"

/* Begins to read. The courier's outbox, queries, post and settings are there. */
int lb_reading_new(struct lb_courier *courier, struct lb_reading **ret);
struct lb_reading *lb_reading_free(struct lb_reading *r); /* NULL is fine; returns NULL */

/* Why it does not get on with what it has read; NULL: it does. Borrowed. */
const char *lb_reading_problem(const struct lb_reading *r);
