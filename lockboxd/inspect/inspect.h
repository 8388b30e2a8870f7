/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lockbox-inspect: what has to read everything on the host. The daemon may not; so this runs in short-lived units of
 * their own, writes one file, and is gone. What it reads may have been written by somebody hostile.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- sub-commands: argv[0] is the sub-command; the program's exit status is returned --- */

int lb_inspect_snapshot(int argc, char **argv);
int lb_inspect_compare(int argc, char **argv);

/* --- a picture: what there is of each kind --- */

/* Nothing secret gets in: what should not be readable is there as a digest only. */
struct lb_picture {
    int root;      /* directory that all paths are relative to; nothing leads out of it */
    json_t *kinds; /* kind → name → [text for a person, digest] */
    json_t *unknown; /* kind → why it could not be looked at */
    int error;     /* -ENOMEM once something could not be kept */
};

/* Opens the root directory. -errno. */
int lb_picture_open(struct lb_picture *p, const char *root);
void lb_picture_clear(struct lb_picture *p);

/* Something that there is. Untrusted text; a name is made safe to show and stays distinct by that. Of two with the same
 * name both texts and digests count. */
void lb_picture_add(struct lb_picture *p, const char *kind, const char *name, const char *detail, const char *digest);
void lb_picture_unknown(struct lb_picture *p, const char *kind, const char *why);

/* A descriptor of something below root, for reading, links followed; never blocks. `flags`: more of open(2)'s.
 * -errno. */
int lb_picture_open_at(const struct lb_picture *p, const char *path, int flags);
/* The same of a regular file; -EINVAL for what is none. */
int lb_picture_open_file(const struct lb_picture *p, const char *path);

/* The whole of a text file, NUL-terminated, owned. -ENOENT; anything else is noted as unknown of that kind (NULL:
 * is not noted). */
int lb_picture_read(struct lb_picture *p, const char *kind, const char *path, char **ret);

#define LB_DIGEST_MAX 33

/* The digest of some bytes. */
const char *lb_picture_digest(const char *bytes, size_t size, char ret[static LB_DIGEST_MAX]);

/* The digest of a file's contents (a very long one's: of its beginning, size and time) and whatever `more` is; closes
 * the descriptor. A negative descriptor is digested as the error that it is. */
const char *lb_picture_digest_file(int fd, const char *more, char ret[static LB_DIGEST_MAX]);

/* Calls row for each line that is neither empty nor a comment, white space around it taken off. Writes into text. */
void lb_picture_lines(char *text, void (*row)(void *userdata, char *line), void *userdata);

/* --- the kinds, in the order in which they are reported; each reader adds what there is --- */

struct lb_kind {
    const char *name;
    void (*read)(struct lb_picture *p); /* NULL: read together with one before */
};
extern const struct lb_kind lb_inspect_kinds[]; /* ended by a NULL name */

void lb_read_accounts(struct lb_picture *p);
void lb_read_groups(struct lb_picture *p);
void lb_read_shadow(struct lb_picture *p);
void lb_read_trees(struct lb_picture *p); /* all that are files in known places */
void lb_read_keys(struct lb_picture *p);  /* after the trees: they hold sshd's configuration */
void lb_read_privileged(struct lb_picture *p);
void lb_read_listeners(struct lb_picture *p);
void lb_read_modules(struct lb_picture *p);

/* Each home directory once, without its first slash: those that passwd names and those below /home. */
typedef void lb_home_row(struct lb_picture *p, void *userdata, const char *home, const char *user);
void lb_each_home(struct lb_picture *p, lb_home_row *row, void *userdata);

/* Looks at everything. */
void lb_picture_take(struct lb_picture *p);

/* The picture as JSON (a new reference), or NULL: out of memory. */
json_t *lb_picture_json(const struct lb_picture *p);

/* --- comparing --- */

/* Two pictures → { "count": n, "changes": [ { kind, name, change, detail } … ] }, see struct lb_change of
 * policy/event.h. Of each kind only the first are listed. NULL: out of memory, or one is no picture. */
json_t *lb_inspect_changes(const json_t *before, const json_t *after);

/* --- files --- */

/* Replaces the file in one step (NULL: standard output). -errno. */
int lb_inspect_write(const char *path, const json_t *value);
/* -errno, -EBADMSG for what is no JSON object. */
int lb_inspect_load(const char *path, json_t **ret);
