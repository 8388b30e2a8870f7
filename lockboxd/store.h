/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk: an append-only event log in SQLite, and beside it a table of requests that is nothing but its projection.
 * All SQL is here. Times are microseconds since 1970.
 *
 * Errors: -ENOSPC disk full, -EUCLEAN damaged, -ESTALE removed or replaced, -EROFS/-EACCES/-EIO the rest of what disks
 * do, -ENOMEM.
 */
#pragma once

#include "lockboxd/chain.h"
#include "lockboxd/fold.h"
#include "policy/request.h"

struct lb_store;

/* Opens or makes DIRECTORY/lockbox.db, checks it, and rebuilds the projection if it lags behind the log. With
 * read_only nothing is made or changed. `reserve` bytes are set aside for closing accesses on a full disk (0: none). */
int lb_store_open(const char *directory, bool read_only, int64_t reserve, struct lb_store **ret);
struct lb_store *lb_store_close(struct lb_store *store); /* NULL is fine; returns NULL */

/* The last event's seq (0: none) and time; its hash, borrowed until the next is appended. */
int64_t lb_store_last(const struct lb_store *store, struct lb_time *ret_time);
const char *lb_store_last_hash(const struct lb_store *store);

/* Appends all or nothing, in one durable commit; sets each event's seq on success. */
int lb_store_append(struct lb_store *store, struct lb_event *events, size_t n);

/* Gives the reserve back to the disk, for an append that must succeed; it is set aside again by the next one that
 * finds room. */
void lb_store_release_reserve(struct lb_store *store);

/* The request as its events make it. -ENOENT. */
int lb_store_load(struct lb_store *store, const char *id, struct lb_request **ret);

/* Calls row for each ID that fits, newest first, until it returns non-zero (handed on). */
struct lb_store_filter {
    bool open_only;
    int64_t since, until;        /* of requested_at; 0: any */
    int64_t recent;              /* open, or closed at or after; 0: any */
    const char *account, *engineer, *ticket, *state; /* NULL: any */
    int64_t limit;               /* 0: none */
};
typedef int lb_store_id(void *userdata, const char *id);
int lb_store_list(struct lb_store *store, const struct lb_store_filter *filter, lb_store_id *row, void *userdata);

/* Calls row for each event from seq `since` on, of one request (NULL: all), at most `limit`, until it returns non-zero
 * (handed on). */
typedef int lb_store_event(void *userdata, int64_t seq, const char *hash, const char *json);
int lb_store_events(struct lb_store *store, int64_t since, const char *request, int64_t limit, lb_store_event *row,
                    void *userdata);

/* Calls row for the newest event of this kind ("checkpoint"), if there is one from seq `since` on; what row returns is
 * handed on. It reads all there are from the end on up to there. */
int lb_store_newest(struct lb_store *store, const char *kind, int64_t since, lb_store_event *row, void *userdata);

/* 1 and *ret, the ID of an emergency on the account that no approver has acknowledged yet; 0 if there is none. */
int lb_store_unseen(struct lb_store *store, const char *account, char **ret);

/* The seq of the n-th event from the end, of one request (NULL: all); 1 if there are fewer. */
int64_t lb_store_from_end(struct lb_store *store, const char *request, int64_t n);

/* The seq up to which the journal has the events; written with the next append, or now by flush, which so tells
 * whether the disk takes anything. */
int64_t lb_store_journal_position(const struct lb_store *store);
void lb_store_set_journal_position(struct lb_store *store, int64_t seq);
int lb_store_flush(struct lb_store *store);

/*
 * For a verifier, beside a daemon that may run: reads DIRECTORY/lockbox.db as it stands at one moment, and judges
 * nothing. Calls event for each row of the log in order of seq (`request` is what the row is found by), then request
 * for each row of the projection, until one returns non-zero (handed on). Texts are valid during the call.
 */
struct lb_store_row {
    int64_t seq;
    struct lb_slice request, hash, json; /* whatever bytes there are */
};
struct lb_store_reader {
    int (*event)(void *userdata, const struct lb_store_row *row);
    int (*request)(void *userdata, const struct lb_fold_row *row);
    void *userdata;
};
int lb_store_read(const char *directory, const struct lb_store_reader *reader);

/* What cannot be seen so, such as an index from which a row is missing: 1: all is well; 0: *ret_problem (owned) says in
 * SQLite's words what is not. */
int lb_store_check(const char *directory, char **ret_problem);
