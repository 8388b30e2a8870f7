/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that does one thing for us, in a process of its own beside the loop. It is given an environment with next
 * to nothing in it, no descriptor but those that are named, and a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define LB_CHILD_OUTPUT_MAX 4096 /* bytes of what it says, with a NUL */

struct lb_child;

struct lb_child_call {
    const char *program;      /* its path */
    const char *const *argv;  /* NULL-terminated, its name first */
    const char *locale;       /* "LC_ALL=…"; beside it there is a PATH */
    int in;                   /* its standard input; negative: nothing */
    const int *kept;          /* descriptors that it inherits under their own numbers; negative ones are none */
    size_t n_kept;
    int64_t patience;         /* µs that it has */
    int signal;               /* what ends it then; 0: SIGKILL */
    const char *late;         /* what the problem is where it is not done by then */
    const char *(*problem)(char *complaint); /* … where it fails: made of what it wrote to standard error, in place */
};

/* What it wrote to standard output; or NULL, and what the problem is. Comes once, from the event loop; it may free the
 * child. Both are borrowed. */
typedef void lb_child_done(void *userdata, const char *output, const char *problem);

/* Begins. The descriptors are the caller's, who may close them; `late` stays. -errno where it cannot be run. */
int lb_child_new(sd_event *event, const struct lb_child_call *call, lb_child_done *done, void *userdata,
                 struct lb_child **ret);

/* Gives up, and ends what still runs. NULL is fine; returns NULL. */
struct lb_child *lb_child_free(struct lb_child *c);

/* A file in memory with these bytes, to read from its begin. A descriptor, or -errno. */
int lb_child_file(const char *bytes, size_t n);
