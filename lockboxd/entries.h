/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event log as a journal has it. Only what lockboxd's own unit wrote as root counts; what anybody else wrote in the
 * same shape is told apart.
 */
#pragma once

#include <stdio.h>

#include "lockboxd/verify.h"

/* An entry that claims to be an event and was not written by our unit. What is not known is "". */
struct lb_foreign {
    const char *event, *seq, *uid, *unit, *comm, *time; /* untrusted; time: µs since 1970 */
};

struct lb_entries {
    int64_t foreign; /* how many of those there are */
    void (*tell)(void *userdata, const struct lb_foreign *foreign); /* each of them; NULL: none */
    void *userdata;
};

/*
 * Reads the format of `journalctl -o export` to its end and hands every event to `verify`; the fields of its entry have
 * to agree with its bytes, too. -EBADMSG: not that format; -EXDEV: events of more than one machine; -EIO; -ENOMEM.
 */
int lb_entries_verify(FILE *in, struct lb_verify *verify, struct lb_entries *entries);

struct lb_entry;

/* One more field of the entry: NAME=VALUE, n bytes, any of them. -ENOMEM. */
int lb_entry_add(struct lb_entry *entry, const char *field, size_t n);

/* Adds the fields of the next entry: 1; 0: there is none; -errno, which ends it. */
typedef int lb_entries_next(void *source, struct lb_entry *entry);

/* The same of entries that are handed over one by one. */
int lb_entries_verify_each(lb_entries_next *next, void *source, struct lb_verify *verify, struct lb_entries *entries);
