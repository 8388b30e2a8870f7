/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a script writes: read from its two pipes, kept in a file, hashed as it comes. Who watches reads from the file at
 * his own pace: a slow one holds up neither the script nor the daemon, and costs no memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define LB_OUTPUT_MAX (64 * 1024 * 1024) /* bytes that are kept of one script; the rest is left out */
#define LB_OUTPUT_DIGEST_MAX 65          /* 64 hex digits and NUL */

struct lb_output;

/* One who watches. `more` is told that there may be something to read, or that it is over; the watcher may leave from
 * inside it. */
struct lb_watcher {
    struct lb_output *output; /* NULL: watches nothing */
    void (*more)(struct lb_watcher *watcher);
};

enum lb_stream { LB_STREAM_OUT, LB_STREAM_ERR, LB_STREAM_MAX_ };
extern const char *const lb_stream_names[]; /* "stdout", "stderr" */

/* DIRECTORY/recordings/ID.out; owned. NULL: out of memory. */
char *lb_output_path(const char *directory, const char *id);

/* Makes the file and the pipes; the other ends are ret_ends, by enum lb_stream, and the caller closes them. -errno. */
int lb_output_new(sd_event *event, const char *directory, const char *id, int ret_ends[static LB_STREAM_MAX_],
                  struct lb_output **ret);

/* Removes the file of what never ran. */
void lb_output_remove(const char *directory, const char *id);

/* The end: reads what is in the pipes still, closes them, and has the file on disk. */
void lb_output_end(struct lb_output *output);

/* How it ended, for who watches: once, after lb_output_end. `text` is copied; NULL: nothing to say. */
void lb_output_tell(struct lb_output *output, int64_t status, const char *text);

/* Of the file. `problem`: why something is missing in it, NULL if it is whole (borrowed). */
int64_t lb_output_size(const struct lb_output *output);
const char *lb_output_problem(const struct lb_output *output);
void lb_output_digest(struct lb_output *output, char ret[static LB_OUTPUT_DIGEST_MAX]); /* after the end; "": unknown */

/* The owner's. Whoever still watches keeps it. NULL is fine; returns NULL. */
struct lb_output *lb_output_free(struct lb_output *output);

/* There is one watcher at the most. */
void lb_output_watch(struct lb_output *output, struct lb_watcher *watcher);
void lb_output_leave(struct lb_watcher *watcher); /* who does not watch is fine */

/* The next bytes of one stream: how many, 0 if there are none yet, or none any more. -errno. */
ssize_t lb_output_read(struct lb_output *output, void *buf, size_t n, int *ret_stream);

/* Whether all has been told; then how it ended. */
bool lb_output_is_over(const struct lb_output *output, int64_t *ret_status, const char **ret_text);

/* Whether the watcher was so slow that he has not been shown the last part. */
bool lb_output_is_behind(const struct lb_output *output);

/* Size and digest of a file whose owner was killed. -errno. */
int lb_output_measure(const char *directory, const char *id, int64_t *ret_size, char ret[static LB_OUTPUT_DIGEST_MAX]);
