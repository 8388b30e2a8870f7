/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody who is connected to a socket of ours, beside the loop: bytes become calls, one at a time, and answers become
 * bytes, now or later. Who may connect, what a call does and how long somebody may be idle is the owner's.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "lockboxd/proto/varlink.h"

struct lb_caller;

/* Whose it is: the struct around it knows the rest. */
struct lb_caller_owner {
    void (*call)(struct lb_caller *c, const struct lb_varlink_call *call); /* a whole call; busy until the answer */
    void (*sent)(struct lb_caller *c); /* the socket has taken everything and takes more; may be NULL */
    void (*lost)(struct lb_caller *c); /* it is dead: nothing of it reaches anybody; may be NULL */
    void (*free)(struct lb_caller *c); /* from the loop, once it is dead or was idle too long */
};

struct lb_caller {
    const struct lb_caller_owner *owner;
    int fd;
    bool more;  /* the call asked for more replies */
    bool busy;  /* a call is not answered yet: nothing more is read */
    bool again; /* calls may stand in the reader already */
    bool dead;
    sd_event_source *io, *idle;
    struct lb_varlink_reader reader;
    char *out;
    size_t out_size, out_sent;
};

/* Makes DIRECTORY/NAME anew and listens there. A descriptor, or -errno. */
int lb_caller_listen(const char *directory, const char *name, mode_t mode);

/* Begins, and takes the connected socket in any case: clear it also after an error. `idle`: µs until it is freed, which
 * the owner may set anew, or switch off, in its `idle` source. */
int lb_caller_start(struct lb_caller *c, sd_event *event, int fd, int64_t idle, const struct lb_caller_owner *owner);
void lb_caller_clear(struct lb_caller *c);

/* Both take the reference to the parameters (NULL: {}). `continues`: more replies follow. */
void lb_caller_reply(struct lb_caller *c, json_t *parameters, bool continues);
void lb_caller_error(struct lb_caller *c, const char *error, json_t *parameters);

/* Nothing waits to be sent: more may follow. */
bool lb_caller_takes(const struct lb_caller *c);

/* He is given up. It is freed by the loop, and not under the feet of who is using it. */
void lb_caller_kill(struct lb_caller *c);
