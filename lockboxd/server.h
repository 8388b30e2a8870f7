/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two sockets: accepts, knows the peer, keeps the limits, and hands each checked call to its verb. A verb never
 * sees bytes; it answers with one of the lb_call_* functions, now or later.
 */
#pragma once

#include <jansson.h>

#include "lockboxd/caller.h"
#include "lockboxd/gate.h"
#include "lockboxd/notary.h"
#include "lockboxd/pace.h"
#include "lockboxd/output.h"

enum lb_door { LB_DOOR_LOGIN = 1 << 0, LB_DOOR_CONTROL = 1 << 1 };

struct lb_consent;
struct lb_paste;
struct lb_countersign;

#define LB_SUBMISSIONS 30 /* signatures a minute for one uid: each is a process of ssh-keygen's or two */

struct lb_limits {
    int64_t connections; /* in all; as many again are kept for root */
    int64_t per_user;    /* connections of one uid other than root's */
    int64_t waiters;     /* logins that may wait at a time; more are told "pending" at once */
};

struct lb_server {
    sd_event *event;
    struct lb_gate *gate;
    struct lb_limits limits;
    struct lb_conn *logins, *controls; /* by door: thousands may wait at one, followers and others are at the other */
    size_t n_conns, n_others, n_waiting; /* n_others: not root's */
    struct lb_pace submissions; /* signed statements handed in, and signatures pasted */
    struct lb_pace checkpoints; /* asked for */
    struct lb_pace undelivered; /* what the courier could not deliver */
    struct { sd_event_source *source; int door; } listeners[4];
    size_t n_listeners;
};

/* One connection, and the call on it that is not answered yet. */
struct lb_conn {
    struct lb_conn *next, **self;
    struct lb_server *server;
    struct lb_peer peer;
    struct lb_caller caller;
    int door; /* enum lb_door */
    /* Login.Wait */
    bool waiting;  /* counted in n_waiting: from "waiting" on until it hangs up */
    bool pasting;  /* the last line was a piece of a signature */
    char *words;   /* to say besides, with an answer that comes later */
    struct lb_waiter waiter;
    json_t *held;  /* the answer to Login.Open, until the host has been looked at */
    struct lb_paste *paste; /* a signature that is being looked at */
    int64_t seen;  /* … of the call with which it came */
    /* Access.Submit */
    struct lb_consent *consent;
    /* Audit.Checkpoint, Audit.Countersign */
    struct lb_notary_wait checkpoint;
    struct lb_countersign *countersign;
    /* Access.Run */
    struct lb_watcher watcher;
    /* Audit.Events with more */
    bool following;
    int64_t follow_next;
    char *follow_request;
};

struct lb_server *lb_server_new(sd_event *event, struct lb_gate *gate, const struct lb_limits *limits);
struct lb_server *lb_server_free(struct lb_server *server); /* NULL is fine; returns NULL */

/* Takes a listening socket. */
int lb_server_listen(struct lb_server *server, int fd, int door);

/* Events up to `seq` are committed: who follows gets them. */
void lb_server_committed(struct lb_server *server, int64_t seq);

/* --- for verbs --- */

/* Each takes the reference to its parameters (NULL: {}). */
void lb_call_reply(struct lb_conn *conn, json_t *parameters);
void lb_call_continue(struct lb_conn *conn, json_t *parameters); /* more replies follow */
void lb_call_error(struct lb_conn *conn, const char *error, json_t *parameters);
void lb_call_refuse(struct lb_conn *conn, const char *error, const char *reason); /* a reason, and no more */
