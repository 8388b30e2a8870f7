/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store that has been in use for years: one closed request, many times, faster than it could be lived through. */
#pragma once

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>

#include "lockboxd/chain.h"
#include "policy/base.h"

static inline int old_requests_run(sqlite3 *db, const char *format, ...)
{
    LB_FREE char *sql = NULL;
    va_list args;
    int n, r;

    va_start(args, format);
    n = vasprintf(&sql, format, args);
    va_end(args);
    r = n < 0 ? SQLITE_NOMEM : sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (r != SQLITE_OK)
        fprintf(stderr, "old requests: %s\n", sqlite3_errmsg(db));
    return r == SQLITE_OK ? 0 : -1;
}

/* Copies the closed request `id` of a store that nobody has open n times, an hour apart and before itself. It had two
 * events, the first of the log. The copies are no chain; behind them comes an event by which the log can be opened and
 * goes on. 0, or -1. */
static inline int old_requests_add(const char *path, const char *id, int64_t n)
{
    struct lb_event last = {
        .kind = LB_EVENT_STARTED, .seq = 100 + 2 * n, .host = (char *)"appliance", .time = { 1, 1, 1 }
    };
    LB_FREE char *json = NULL;
    char hash[LB_HASH_MAX];
    sqlite3 *db = NULL;
    int r = lb_chain_encode(&last, LB_CHAIN_GENESIS, &json, hash);

    if (r == 0)
        r = sqlite3_open(path, &db) == SQLITE_OK ? 0 : -1;
    if (r == 0)
        r = old_requests_run(db,
            "PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TEMP TABLE old AS WITH RECURSIVE k(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < %" PRId64 ")"
            " SELECT i, printf('%%04X-%%04X', i / 65536, i %% 65536) AS id FROM k;"
            "INSERT INTO requests SELECT old.id, open, state, account, engineer, ticket,"
            " requested_at - i * 3600000000, closed_at - i * 3600000000, unseen FROM old, requests"
            " WHERE requests.id = '%s' ORDER BY i;"
            "INSERT INTO events SELECT 96 + 2 * i + seq, old.id, hash, replace(json, '%s', old.id) FROM old, events"
            " WHERE request = '%s' ORDER BY i, seq;", n, id, id, id);
    if (r == 0)
        r = old_requests_run(db, "INSERT INTO events VALUES (%" PRId64 ", NULL, '%s', '%s');"
                                 "UPDATE meta SET value = %" PRId64 " WHERE key = 'projected';"
                                 "INSERT OR REPLACE INTO meta VALUES ('journal', %" PRId64 ");" /* told long ago */
                                 "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);", last.seq, hash, json, last.seq, last.seq);
    sqlite3_close(db);
    return r;
}
