/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Structs described by policy/fields.h ↔ JSON. */
#pragma once

#include <jansson.h>

#include "policy/fields.h"

enum lb_json_flags {
    /* For people's programs: LB_FIELD_TIME as RFC 3339 UTC strings, LB_FIELD_SPAN in whole seconds (null for never).
     * Without it all are integers in microseconds, as the event log has them. */
    LB_JSON_PUBLIC = 1 << 0,
    /* What we wrote ourselves: strings of any length. */
    LB_JSON_OURS = 1 << 1,
};

/* A new object with the members that are not zero or empty (all LB_FIELD_ALWAYS ones too). NULL: out of memory, or a
 * string that is not UTF-8, or an enum value without a spelling. */
json_t *lb_json_pack(const struct lb_field *table, const void *base, unsigned flags);

/*
 * Reads an object into the zeroed struct at `base`. Unknown members, wrong types, missing LB_FIELD_REQUIRED ones,
 * strings longer than max or with NUL inside, numbers out of range (negative or over max), unknown enum spellings:
 * -EINVAL and *ret_name (if not NULL) is the member at fault (borrowed from table or object). A member that is absent,
 * or null, leaves a number as it stood. -ENOMEM. On failure the struct is cleared.
 */
int lb_json_unpack(const struct lb_field *table, const json_t *object, void *base, unsigned flags,
                   const char **ret_name);

/* Canonical bytes: sorted keys, compact, UTF-8. Owned; NULL: out of memory or not encodable. */
char *lb_json_canonical(const json_t *value);

/* Strict reading of untrusted bytes: at most `size` as given, depth at most 16, no duplicate keys, no NUL escapes, no
 * trailing garbage, must be an object. NULL if not. */
json_t *lb_json_load(const char *bytes, size_t size);
