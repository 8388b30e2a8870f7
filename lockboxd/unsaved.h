/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of closed doors that the disk has not taken yet, kept in RUNTIME/unsaved as well as in memory: so a daemon
 * that is killed before there is room does not open again what was closed.
 */
#pragma once

#include "policy/event.h"

/* Keeps the event under a number; later ones have higher ones. -errno: it is in memory only. */
int lb_unsaved_keep(const char *runtime_directory, int64_t number, const struct lb_event *e);
void lb_unsaved_forget(const char *runtime_directory, int64_t number);

/* Calls row for each event that was kept, in order, until it returns non-zero (handed on). The row owns the event. */
typedef int lb_unsaved_row(void *userdata, int64_t number, struct lb_event *e);
int lb_unsaved_each(const char *runtime_directory, lb_unsaved_row *row, void *userdata);
