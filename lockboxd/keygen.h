/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ssh-keygen, which makes keys, signs and verifies for us, in a process of its own beside the loop. It is given an
 * environment with nothing in it, no descriptor but those that are named, and a few seconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define LB_KEYGEN_PROGRAM "/usr/bin/ssh-keygen"
#define LB_KEYGEN_OUTPUT_MAX 4096 /* bytes of what it says, with a NUL */

struct lb_keygen;

struct lb_keygen_call {
    const char *const *words; /* its arguments, NULL-terminated */
    int in;                   /* its standard input; negative: nothing */
    const int *kept;          /* descriptors that it inherits under their own numbers; negative ones are none */
    size_t n_kept;
    int64_t patience;         /* µs that it has; 0: ten seconds */
};

/* What it wrote to standard output; or NULL, and `problem` is its first word of complaint ("" where it has none). Comes
 * once, from the event loop; it may free the run. Both are borrowed. */
typedef void lb_keygen_done(void *userdata, const char *output, const char *problem);

/* Begins. The descriptors are the caller's, who may close them. -errno where it cannot be run. */
int lb_keygen_new(sd_event *event, const struct lb_keygen_call *call, lb_keygen_done *done, void *userdata,
                  struct lb_keygen **ret);

/* Gives up, and ends what still runs. NULL is fine; returns NULL. */
struct lb_keygen *lb_keygen_free(struct lb_keygen *k);

/* A file in memory with these bytes, to read from its begin. A descriptor, or -errno. */
int lb_keygen_file(const char *bytes, size_t n);
