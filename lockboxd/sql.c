/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/sql.h"

#include <errno.h>
#include <stdio.h>

#include "policy/base.h"

#define BUSY_MS 2000

static int error_of(sqlite3 *db, int r)
{
    switch (r & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
        return -EUCLEAN;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_BUSY:
        return -EBUSY;
    default:
        return db && sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -EIO;
    }
}

int lb_sql_open(const char *directory, const char *name, int flags, sqlite3 **ret)
{
    LB_FREE char *path = NULL;
    int r;

    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = sqlite3_open_v2(path, ret, flags, NULL);
    if (r == SQLITE_OK)
        sqlite3_busy_timeout(*ret, BUSY_MS);
    return error_of(*ret, r);
}

int lb_sql_execute(sqlite3 *db, const char *sql)
{
    return error_of(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int lb_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    return error_of(db, sqlite3_prepare_v2(db, sql, -1, ret, NULL));
}

int lb_sql_step(sqlite3_stmt *st)
{
    int r = sqlite3_step(st);

    return r == SQLITE_ROW ? 1 : error_of(sqlite3_db_handle(st), r);
}

int lb_sql_run(sqlite3_stmt *st)
{
    int r = lb_sql_step(st);

    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r < 0 ? r : 0;
}

int lb_sql_finish(sqlite3 *db, int r)
{
    if (r == 0)
        r = lb_sql_execute(db, "COMMIT");
    if (r < 0)
        lb_sql_execute(db, "ROLLBACK");
    return r;
}

void lb_sql_bind(sqlite3_stmt *st, int column, const char *text)
{
    sqlite3_bind_text(st, column, text, -1, SQLITE_STATIC);
}

const char *lb_sql_text(sqlite3_stmt *st, int column)
{
    return (const char *)sqlite3_column_text(st, column);
}

void lb_sql_finalizep(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}
