/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of the log in a journal, wherever that is. */
#pragma once

#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/reader.h"
#include "lockboxd/entries.h"

/* One of the two. */
struct lb_copy {
    FILE *in; /* in the format of journalctl -o export */
    struct lb_reader *journal;
};

/* NULL is this host's journal, "-" standard input; else a file of that format, a journal file, or a directory of those.
 * enum lb_exit. To be closed in any case. */
int lb_copy_open(const struct lb_ctl *ctl, const char *path, struct lb_copy *ret);
void lb_copy_close(struct lb_copy *copy);

/* As lb_entries_verify. */
int lb_copy_verify(struct lb_copy *copy, struct lb_verify *verify, struct lb_entries *entries);

/* Calls page with the events of request `id`, one at a time, as lb_ctl_pages does, from the journal files in
 * `directory`: those that lockboxd's own unit wrote, each number once. Whether they are whole is lb_copy_verify's
 * business. enum lb_exit. */
int lb_copy_events(const struct lb_ctl *ctl, const char *directory, const char *id, lb_ctl_page *page, void *userdata);
