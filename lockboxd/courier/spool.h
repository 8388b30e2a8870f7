/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is on its way to the store: a directory of finished files, each with the name and the bytes with which it is
 * sent until the store has it. A batch of events is a file from the moment that its range is fixed; where the next
 * one begins is written behind it. So a crash at any step sends nothing twice under one name with other bytes, and
 * leaves out nothing.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "lockboxd/chain.h"

#define LB_BATCH_MAX (4 * 1024 * 1024) /* bytes of events after which the next one begins another file */

struct lb_spool;

/* Makes the directory where it is missing, and clears away what a crash has left half made. -errno; -EBADMSG: the file
 * that says how far it is cannot be one of ours. */
int lb_spool_open(const char *directory, struct lb_spool **ret);
struct lb_spool *lb_spool_close(struct lb_spool *spool); /* NULL is fine; returns NULL */

/* The last event that is in a finished batch; 0: none. */
int64_t lb_spool_position(const struct lb_spool *spool);

/*
 * Adds an event (as org.lockbox.Audit has it) to the batch that is being made. The first one after an open or a
 * commit is the last of the batch before, to see that the log still has it as it was sent; it is not written again.
 * 1: the batch is full, to be committed; 0. -ESTALE: the log is not the one that was sent; -EACCES: events are
 * missing in between, so not all may be read; -EBADMSG: no event; -errno of the disk. After any failure the batch is
 * gone.
 */
int lb_spool_add(struct lb_spool *spool, const json_t *event);

/* Whether the batch has events; the last one that was added, to it or to the one before; and no batch at all, to
 * be begun anew. */
bool lb_spool_has_batch(const struct lb_spool *spool);
int64_t lb_spool_last(const struct lb_spool *spool);
void lb_spool_drop(struct lb_spool *spool);

/* The batch is finished, and to be sent. -errno; then it is gone, to be made again. */
int lb_spool_commit(struct lb_spool *spool);

/* An evidence pack is due for this request, because of the event that was added last; it counts with its batch. */
int lb_spool_want_pack(struct lb_spool *spool, const char *request);

/* The next pack to be made, each in its turn: 1, its request (owned), and where to write it (owned; the name of a new
 * file); 0: none. */
int lb_spool_next_pack(struct lb_spool *spool, char **ret_request, char **ret_path);
/* That one has been written there, and is to be sent. */
int lb_spool_take_pack(struct lb_spool *spool);

/* The next file to be sent, batches first, then packs in turn: 1 and its name (owned); 0: none. */
int lb_spool_next(struct lb_spool *spool, char **ret_name);
/* Opened for reading, with its size; NULL: errno. */
FILE *lb_spool_read(struct lb_spool *spool, const char *name, int64_t *ret_size);
/* The store has it. */
int lb_spool_done(struct lb_spool *spool, const char *name);
/* Files that wait to be sent, and packs to be made. */
size_t lb_spool_count(struct lb_spool *spool);
