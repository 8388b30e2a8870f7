/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A struct described as data: name, type and place of each member. One description serves the canonical JSON of the
 * event log, the wire protocol, a request's JSON, sentences with {placeholders}, and freeing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lb_field_type {
    LB_FIELD_STRING = 1, /* char *, owned */
    LB_FIELD_INT,        /* int64_t */
    LB_FIELD_BOOL,       /* bool */
    LB_FIELD_ENUM,       /* int; spelled by names[] */
    LB_FIELD_STRINGS,    /* char **, NULL-terminated, owned with its strings */
    LB_FIELD_OBJECT,     /* a struct in place, described by fields */
    LB_FIELD_LIST,       /* struct lb_list of structs described by fields */
};

enum lb_field_flags {
    LB_FIELD_REQUIRED = 1 << 0, /* must be there when read */
    LB_FIELD_ALWAYS = 1 << 1,   /* written also when zero or empty */
    LB_FIELD_TIME = 1 << 2,     /* microseconds since 1970; RFC 3339 where people and programs read */
    LB_FIELD_SPAN = 1 << 3,     /* a duration in microseconds; seconds where people and programs read */
    LB_FIELD_SIGNED = 1 << 4,   /* an INT that may be negative */
};

struct lb_field {
    const char *name; /* NULL ends a table */
    enum lb_field_type type;
    size_t offset;
    unsigned flags;
    size_t max;                    /* STRING: most bytes when read (0: 4096); INT: largest value (0: INT64_MAX) */
    const char *const *names;      /* ENUM: NULL-terminated spellings by value; a NULL or "" is skipped */
    const struct lb_field *fields; /* OBJECT, LIST */
    size_t size;                   /* LIST: bytes of one element */
};

/* A growing array of structs, described by LB_FIELD_LIST. */
struct lb_list {
    void *items;
    size_t n;
};

/* Frees what the struct at `base` owns and zeroes those members. */
void lb_fields_clear(const struct lb_field *table, void *base);

/* Makes the described members of `to` a copy of those of `from`, duplicating what is owned. What stood in them is
 * overwritten, not freed (so that `*to = *from` may go before, for members that no row describes). -ENOMEM (then `to`
 * is cleared). */
int lb_fields_copy(const struct lb_field *table, void *to, const void *from);

/* The row called `name`, or NULL. */
const struct lb_field *lb_fields_find(const struct lb_field *table, const char *name);

/* A new zeroed element at the end of the list, or NULL when out of memory. */
void *lb_list_append(struct lb_list *list, size_t size);

/* NULL-terminated string lists, where NULL is an empty one: free (returns NULL), copy (never NULL but on OOM),
 * membership, append a duplicate of s (-ENOMEM: the list is as it was). */
char **lb_strings_free(char **strings);
char **lb_strings_copy(char *const *strings);
bool lb_strings_contain(char *const *strings, const char *s);
int lb_strings_append(char ***strings, const char *s);
