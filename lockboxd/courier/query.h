/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls to lockboxd that are answered once: Access.Get, Statement, Submit, a page of Audit.Events … They wait for one
 * another, on a connection that is made when it is needed.
 */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

struct lb_queries;
struct lb_query;

int lb_queries_new(sd_event *event, const char *socket, struct lb_queries **ret);
/* Those that wait are not answered any more. NULL is fine; returns NULL. */
struct lb_queries *lb_queries_free(struct lb_queries *q);

/* The error where no answer came: lockboxd is not there, or hung up, or took too long. */
#define LB_QUERY_UNREACHABLE "unreachable"

/* Comes once, from the event loop; the query is gone then. error NULL: it was done. Both are borrowed. */
typedef void lb_query_done(void *userdata, const char *error, const json_t *parameters);

/* Takes the parameters, also on failure (and NULL, which is one). NULL: out of memory. */
struct lb_query *lb_query_start(struct lb_queries *q, const char *method, json_t *parameters, lb_query_done *done,
                                void *userdata);

/* Nobody wants the answer any more; what was asked may be done all the same. NULL is fine; returns NULL. */
struct lb_query *lb_query_free(struct lb_query *query);
