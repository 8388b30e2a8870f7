/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event log as a journal has it, in the format of `journalctl -o export`. Only what lockboxd's own unit wrote as
 * root counts; what anybody else wrote in the same shape is told apart.
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
 * Reads to the end and hands every event to `verify`; the fields of its entry have to agree with its bytes, too.
 * -EBADMSG: not that format; -EXDEV: events of more than one machine; -EIO; -ENOMEM.
 */
int lb_entries_verify(FILE *in, struct lb_verify *verify, struct lb_entries *entries);
