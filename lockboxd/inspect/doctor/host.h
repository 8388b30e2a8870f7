/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files, accounts and groups of a host: this one, or one whose files are under a directory. There, links lead to places
 * inside of it, and accounts and groups are those of its own files.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "policy/fields.h"

struct lb_account {
    char *name;
    char *home;
    int64_t uid, gid;
};

struct lb_host {
    const char *root;        /* "" for this host, else a directory; borrowed */
    struct lb_list accounts; /* struct lb_account: all that can be listed */
};

/* Reads the accounts. -ENOMEM. */
int lb_host_open(const char *root, struct lb_host *ret);
void lb_host_close(struct lb_host *host);

static inline bool lb_host_is_this(const struct lb_host *host)
{
    return !*host->root;
}

/* The whole of a regular file up to 1 MiB, as text: owned. -ENOENT (also where part of the path is none), -ENOMEM, why
 * it cannot be read. */
int lb_host_read(const struct lb_host *host, const char *path, char **ret);

bool lb_host_has(const struct lb_host *host, const char *path);

/* A link's own text, owned; NULL where the path is none. */
char *lb_host_link(const struct lb_host *host, const char *path);

/* The names in a directory, in order: owned, NULL-terminated; empty (NULL) where there is none. -ENOMEM. */
int lb_host_list(const struct lb_host *host, const char *path, char ***ret);

/* What a pattern with a `*` in its last component stands for, as paths, in order. -ENOMEM. */
int lb_host_glob(const struct lb_host *host, const char *pattern, char ***ret);

/* Brings names into order; NULL is fine. */
void lb_host_sort(char **names);

/* The account of this name; NULL if it is none of those listed. */
const struct lb_account *lb_host_account(const struct lb_host *host, const char *name);

/* The members of a group, those included whose primary group it is: added to *ret, each once. A group that does not
 * exist has none; -errno if that is not known. */
int lb_host_add_members(const struct lb_host *host, const char *group, char ***ret);

/* The next line of a text of lb_host_read, in place, without the newline; NULL at the end. *at is moved on. */
char *lb_host_line(char **at);
