/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A journal, read with the caller's own rights: that of this host, or one that was copied from another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LB_READER_BOOT_MAX 33 /* 32 hex digits and NUL */

struct lb_reader;

/* All the journal files of this host (path NULL) or of a directory, or one file. -errno. */
int lb_reader_open(const char *path, struct lb_reader **ret);
struct lb_reader *lb_reader_close(struct lb_reader *reader); /* NULL is fine; returns NULL */
#define LB_READER LB_CLEANUP(lb_reader_closep)
static inline void lb_reader_closep(struct lb_reader **reader)
{
    lb_reader_close(*reader);
}

/* Whether the caller may read the journal of this host, and not just what he wrote into it himself. */
bool lb_reader_may(void);

/* From the oldest entry on, of all entries. */
int lb_reader_rewind(struct lb_reader *reader);

/* … but only of those that fit: values of one field are alternatives, different fields have to fit all. */
int lb_reader_match(struct lb_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What is matched from here on is an alternative to all before. */
int lb_reader_or(struct lb_reader *reader);

/* 1: at the next entry, the one whose fields are read now; 0: there is none; -errno. */
int lb_reader_next(struct lb_reader *reader);

/* All of the entry's fields as they are, NAME=VALUE, n bytes each, and as the last __REALTIME_TIMESTAMP, when it came
 * in. What take returns below 0 ends it. -EBADMSG: the file is damaged there. -errno. */
typedef int lb_reader_field(void *userdata, const char *field, size_t n);
int lb_reader_fields(struct lb_reader *reader, lb_reader_field *take, void *userdata);

/* A field's value as it is, up to 16 KiB, with U+0001 in the place of each NUL; owned. NULL: the entry has none, or out
 * of memory. */
char *lb_reader_bytes(struct lb_reader *reader, const char *field);
/* The same made safe to show (lb_text_clean). */
char *lb_reader_text(struct lb_reader *reader, const char *field);
/* -1: none, or no number. */
int64_t lb_reader_number(struct lb_reader *reader, const char *field);

/* When the entry was sent, or where that is not known came in; µs since 1970. */
int64_t lb_reader_time(struct lb_reader *reader);

/* When the oldest entry came in that there is; 0: not known. */
int64_t lb_reader_begins(struct lb_reader *reader);

/* Whether any entry that there is has the field. */
bool lb_reader_knows(struct lb_reader *reader, const char *field);

/* The _BOOT_ID of the boot that our events name by this number. -ENOENT: there is no entry of it. */
int lb_reader_boot(struct lb_reader *reader, int64_t boot_id, char ret[static LB_READER_BOOT_MAX]);
