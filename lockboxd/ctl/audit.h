/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of the log in a journal, wherever that is. */
#pragma once

#include <stdio.h>

#include "lockboxd/ctl/ctl.h"

struct lb_copy {
    FILE *in; /* in the format of journalctl -o export */
    int pid;  /* of the journalctl that writes it; 0: none */
};

/* NULL is this host's journal, "-" standard input; else a file of that format, a journal file, or a directory of those.
 * enum lb_exit. */
int lb_copy_open(const struct lb_ctl *ctl, const char *path, struct lb_copy *ret);

/* Once all is read. A journalctl that failed is a mistake. enum lb_exit. */
int lb_copy_close(const struct lb_ctl *ctl, struct lb_copy *copy);

/* Calls page with the events of request `id`, one at a time, as lb_ctl_pages does, from the journal files in `directory`:
 * those that lockboxd's own unit wrote, each number once. Whether they are whole is lb_entries_verify's business. enum
 * lb_exit. */
int lb_copy_events(const struct lb_ctl *ctl, const char *directory, const char *id, lb_ctl_page *page, void *userdata);
