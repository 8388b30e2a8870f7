/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as the canonical bytes that are logged, sent and hashed, each naming the SHA-256 of the one before. */
#pragma once

#include "policy/event.h"

#define LB_HASH_MAX 65 /* 64 hex digits and NUL */

/* What the first event names as the one before. */
#define LB_CHAIN_GENESIS "0000000000000000000000000000000000000000000000000000000000000000"

/* Canonical JSON of the event, with "prev", and its hash. *ret_json is owned. -ENOMEM, -EINVAL (not UTF-8). */
int lb_chain_encode(const struct lb_event *e, const char *prev, char **ret_json, char ret_hash[static LB_HASH_MAX]);

/* The event again; ret_prev may be NULL. Clear with lb_event_clear. -EBADMSG for anything we did not write. */
int lb_chain_decode(const char *json, struct lb_event *ret, char ret_prev[LB_HASH_MAX]);

/* SHA-256 of the bytes, in hex. -ENOMEM. */
int lb_chain_hash(const char *bytes, size_t n, char ret[static LB_HASH_MAX]);

/* The same over and over, at the speed of the hash alone. NULL: out of memory. */
#define LB_DIGEST_SIZE 32
struct lb_hasher;
struct lb_hasher *lb_hasher_new(void);
struct lb_hasher *lb_hasher_free(struct lb_hasher *hasher); /* NULL is fine; returns NULL */
/* -ENOMEM. */
int lb_hasher_digest(struct lb_hasher *hasher, const void *bytes, size_t n, unsigned char ret[static LB_DIGEST_SIZE]);

/* A digest in hex. */
void lb_chain_hex(const unsigned char digest[static LB_DIGEST_SIZE], char ret[static LB_HASH_MAX]);
