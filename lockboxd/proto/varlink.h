/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One Varlink connection as an object without I/O: bytes in, messages out; messages in, bytes out. Who owns the socket
 * moves the bytes. https://varlink.org: JSON objects, each ended by NUL.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define LB_VARLINK_MESSAGE_MAX (64 * 1024)       /* bytes a server accepts in one call */
#define LB_VARLINK_REPLY_MAX (4 * 1024 * 1024)   /* bytes a client accepts in one reply */

/* Incoming: collects bytes, gives whole messages. Zero-initialise with .max set. Holds no memory between messages. */
struct lb_varlink_reader {
    size_t max;
    char *buffer;
    size_t start;   /* where the next message begins */
    size_t partial; /* where the last one, not whole yet, begins */
    size_t used, size;
};

/* Takes bytes. -EMSGSIZE when a message is longer than max, -ENOMEM; after either the connection cannot go on. */
int lb_varlink_feed(struct lb_varlink_reader *reader, const void *bytes, size_t n);

/* The next whole message, strictly read (lb_json_load). 1 and *ret (new reference), 0 if more bytes are needed,
 * -EBADMSG for what is not a JSON object (that message is gone then). */
int lb_varlink_next(struct lb_varlink_reader *reader, json_t **ret);
void lb_varlink_reader_clear(struct lb_varlink_reader *reader);

/* A call, checked: method, parameters object (never NULL; may be empty), flags. */
struct lb_varlink_call {
    char *method;
    json_t *parameters;
    bool more, oneway;
};
/* -EBADMSG if `message` is not a call (unknown members, wrong types, upgrade asked for, more and oneway at once);
 * -ENOMEM. */
int lb_varlink_call_parse(const json_t *message, struct lb_varlink_call *ret);
void lb_varlink_call_clear(struct lb_varlink_call *call);

/* A reply, checked. error NULL: success. */
struct lb_varlink_reply {
    char *error;
    json_t *parameters;
    bool continues;
};
/* -EBADMSG if `message` is not a reply (also: an error that continues); -ENOMEM. */
int lb_varlink_reply_parse(const json_t *message, struct lb_varlink_reply *ret);
void lb_varlink_reply_clear(struct lb_varlink_reply *reply);

/* Bytes to send, NUL included; owned, NULL when out of memory. `parameters` is borrowed and may be NULL. */
char *lb_varlink_format_call(const char *method, const json_t *parameters, bool more, size_t *ret_size);
char *lb_varlink_format_reply(const json_t *parameters, bool continues, size_t *ret_size);
char *lb_varlink_format_error(const char *error, const json_t *parameters, size_t *ret_size);
