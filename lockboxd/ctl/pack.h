/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The evidence of one access, for who has none of lockbox: files in a folder, which becomes a tar. */
#pragma once

#include <signal.h>

#include "lockboxd/ctl/ctl.h"

struct lb_pack {
    const struct lb_ctl *ctl;
    json_t *request;         /* as the daemon shows it */
    int64_t first, last;     /* seq of its first and its last event */
    int64_t checkpoint;      /* … and of the first checkpoint that covers the last one */
    int64_t time;            /* that one's, µs since 1970 */
    char **approvers;        /* who have signed a decision about it */
    char *directory, *folder; /* a temporary one, and the name inside of it; "" */
    char **files;            /* names in the folder, in the order in which they go into the tar */
    int64_t next, told;      /* event that comes next; when something was said last */
    char *unfinished;        /* the tar until it is whole; NULL: there is none, or it is */
    int out;                 /* … to write it; negative: not open */
    sigset_t signals;        /* as they were when it began */
};

/* What VERIFY.txt says: how a third party checks all of it, with stock tools alone. */
extern const char lb_pack_verify[];

/* A new file of the pack, that is to be closed by lb_pack_close. NULL: told. */
FILE *lb_pack_open(struct lb_pack *pack, const char *name);
/* enum lb_exit; where `good` is false, what was written is not what it should be. */
int lb_pack_close(const struct lb_pack *pack, FILE *f, bool good);
/* A file of the pack that is no more than this text. enum lb_exit. */
int lb_pack_put(struct lb_pack *pack, const char *name, const char *text);

/* --- its steps: each is an enum lb_exit, and has told what is wrong --- */

/* Which events are in it: first, last, checkpoint and its time. Has a checkpoint made if none covers the last yet. */
int lb_pack_find_events(struct lb_pack *pack);
/* Those events, and what of them is a file of its own; who has signed one is in approvers. */
int lb_pack_put_events(struct lb_pack *pack);

/* Makes the unfinished file beside the one that is wanted, unless that is "-". */
int lb_pack_open_tar(struct lb_pack *pack);
/* The digests of the files so far, as the last file. */
int lb_pack_put_sums(struct lb_pack *pack);
/* Writes the tar of all files and gives it its name: whole, or not at all. */
int lb_pack_write_tar(struct lb_pack *pack);
