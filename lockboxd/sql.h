/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the store and the outbox speak with SQLite. Errors: -ENOSPC disk full, -EUCLEAN damaged, -ENOMEM, and
 * -EROFS/-EACCES/-EBUSY/-EIO for the rest of what disks do.
 */
#pragma once

#include <sqlite3.h>

/* Opens DIRECTORY/NAME; who finds it locked waits two seconds. Close *ret in any case. */
int lb_sql_open(const char *directory, const char *name, int flags, sqlite3 **ret);

int lb_sql_execute(sqlite3 *db, const char *sql);
int lb_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);

/* 1: there is a row; 0: there is none any more. */
int lb_sql_step(sqlite3_stmt *st);

/* Runs a statement that gives no rows and makes it ready for the next time. */
int lb_sql_run(sqlite3_stmt *st);

/* Ends what was begun: commits it where r is 0, takes it back where r is negative. r, or why it cannot be committed. */
int lb_sql_finish(sqlite3 *db, int r);

void lb_sql_bind(sqlite3_stmt *st, int column, const char *text); /* borrowed until it is reset; NULL is fine */
const char *lb_sql_text(sqlite3_stmt *st, int column);            /* borrowed until the next step; NULL for none */

/* For LB_CLEANUP: a statement that lives in a scope only. */
void lb_sql_finalizep(sqlite3_stmt **st);
