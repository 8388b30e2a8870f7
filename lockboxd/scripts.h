/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of reviewed scripts: the very bytes that were hashed, kept while they run. What the caller has on his disk
 * meanwhile is of no importance.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* DIRECTORY/scripts/ID; owned. NULL: out of memory. */
char *lb_scripts_path(const char *directory, const char *id);

/* Writes it there, on disk when it returns. -errno. */
int lb_scripts_put(const char *directory, const char *id, const char *bytes, size_t n);
void lb_scripts_remove(const char *directory, const char *id);

/* Removes what a daemon that was killed has left: every file whose ID `wanted` says no to. */
void lb_scripts_sweep(const char *directory, bool (*wanted)(void *userdata, const char *id), void *userdata);
