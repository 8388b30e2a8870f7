/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/sql.h"
#include "policy/base.h"
#include "policy/deadline.h"

#define VERSION 1 /* of what stands in it: raised when an earlier courier would make nonsense of it */
#define HASH_SIZE 65
#define HURRY_AFTER (25 * 3600 * LB_USEC_PER_SEC) /* a day is the longest that a server may ask for (transfer.c) */

struct lb_outbox {
    sqlite3 *db;
    sqlite3_stmt *insert, *withdraw, *sent, *failed, *dead, *set, *due, *load, *next, *waiting;
    int64_t position, dropped;
    char hash[HASH_SIZE];
};

/* dead: 0 waits, 1 given up, 2 given up and in the trail. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS letters (row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL,"
    " channel TEXT NOT NULL, target TEXT NOT NULL, request TEXT, seq INTEGER NOT NULL, notice INTEGER NOT NULL,"
    " due INTEGER NOT NULL, until INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
    " dead INTEGER NOT NULL DEFAULT 0, error TEXT, body TEXT NOT NULL, UNIQUE (channel, id));"
    "CREATE INDEX IF NOT EXISTS letters_due ON letters (channel, target, due, row) WHERE dead = 0;"
    "CREATE INDEX IF NOT EXISTS letters_failed ON letters (channel, target, request, row) WHERE dead = 0 AND attempts "
    "> 0;"
    "CREATE INDEX IF NOT EXISTS letters_until ON letters (until) WHERE dead = 0;"
    "CREATE INDEX IF NOT EXISTS letters_request ON letters (request) WHERE dead = 0;"
    "CREATE INDEX IF NOT EXISTS letters_dead ON letters (row) WHERE dead > 0;"
    "CREATE INDEX IF NOT EXISTS letters_untold ON letters (channel, target, row) WHERE dead = 1;";

#define COLUMNS "row, id, channel, target, request, seq, notice, due, until, attempts, error"

/* A statement that lives on is ready for the next time, whatever came of it. */
static void resetp(sqlite3_stmt **st)
{
    sqlite3_reset(*st);
    sqlite3_clear_bindings(*st);
}
#define USE LB_CLEANUP(resetp) sqlite3_stmt *

/* --- meta --------------------------------------------------------------------------------------------------------- */

static int set_number(struct lb_outbox *o, const char *key, int64_t value)
{
    lb_sql_bind(o->set, 1, key);
    sqlite3_bind_int64(o->set, 2, value);
    return lb_sql_run(o->set);
}

static int set_text(struct lb_outbox *o, const char *key, const char *value)
{
    lb_sql_bind(o->set, 1, key);
    lb_sql_bind(o->set, 2, value);
    return lb_sql_run(o->set);
}

static int find_position(struct lb_outbox *o)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "SELECT (SELECT value FROM meta WHERE key = 'position'),"
                                  " (SELECT value FROM meta WHERE key = 'hash'),"
                                  " (SELECT value FROM meta WHERE key = 'dropped')", &st);

    if (r == 0)
        r = lb_sql_step(st);
    if (r <= 0)
        return r;
    o->position = sqlite3_column_type(st, 0) == SQLITE_NULL ? -1 : sqlite3_column_int64(st, 0);
    snprintf(o->hash, sizeof(o->hash), "%s", lb_sql_text(st, 1) ? lb_sql_text(st, 1) : "");
    o->dropped = sqlite3_column_int64(st, 2);
    return 0;
}

int64_t lb_outbox_dropped(const struct lb_outbox *o)
{
    return o->dropped;
}

int64_t lb_outbox_position(const struct lb_outbox *o, const char **ret_hash)
{
    if (ret_hash)
        *ret_hash = o->hash;
    return o->position;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int prepare_all(struct lb_outbox *o)
{
    const struct { sqlite3_stmt **st; const char *sql;
    } rows[] = {
        { &o->insert, "INSERT OR IGNORE INTO letters (id, channel, target, request, seq, notice, due, until, body)"
                      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" },
        { &o->withdraw, "DELETE FROM letters WHERE dead = 0 AND request = ?1 AND channel = ?2 AND notice IN (1, 2)"
                        " AND (?3 IS NULL OR target = ?3)" },
        { &o->sent, "DELETE FROM letters WHERE row = ?" },
        { &o->failed, "UPDATE letters SET attempts = attempts + 1, due = max(due, ?2), error = ?3 WHERE row = ?1" },
        { &o->dead, "UPDATE letters SET attempts = attempts + 1, dead = 1, error = ?2 WHERE row = ?1 AND dead = 0" },
        { &o->set, "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)" },
        { &o->due,
          "SELECT row, request FROM letters a WHERE channel = ?1 AND target = ?2 AND due <= ?3 AND dead = 0"
          " AND NOT EXISTS (SELECT 1 FROM letters b WHERE b.channel = ?1 AND b.target = ?2"
          " AND b.request = a.request AND b.row < a.row AND b.attempts > 0 AND b.dead = 0) ORDER BY due, row" },
        { &o->load, "SELECT " COLUMNS ", body FROM letters WHERE row = ? AND dead = 0" },
        { &o->next, "SELECT min(due) FROM letters WHERE channel = ? AND target = ? AND due > ? AND dead = 0" },
        { &o->waiting, "SELECT count(*) FROM"
                       " (SELECT 1 FROM letters WHERE channel = ? AND target = ? AND dead = 0 LIMIT ?)" },
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < LB_ELEMENTS(rows); i++)
        r = lb_sql_prepare(o->db, rows[i].sql, rows[i].st);
    return r;
}

/* Before anything is changed in it. One that has none is new, or of before there were any. */
static int check_version(struct lb_outbox *o)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "PRAGMA user_version", &st);

    if (r == 0)
        r = lb_sql_step(st);
    if (r < 0)
        return r;
    return sqlite3_column_int64(st, 0) > VERSION ? -EPROTONOSUPPORT : 0;
}

static int set_version(struct lb_outbox *o)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", VERSION);
    return lb_sql_execute(o->db, sql);
}

/* All of it: damage that is met later would have it started again and again. */
static int check(struct lb_outbox *o)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "PRAGMA quick_check(1)", &st);

    if (r == 0)
        r = lb_sql_step(st);
    return r < 0 ? r : r > 0 && lb_streq(lb_sql_text(st, 0), "ok") ? 0 : -EUCLEAN;
}

int lb_outbox_open(const char *directory, struct lb_outbox **ret)
{
    _Static_assert(LB_NOTICE_ACTION == 1 && LB_NOTICE_REMINDER == 2, "what asks for a decision, in SQL");
    struct lb_outbox *o = calloc(1, sizeof(*o));
    mode_t mask = umask(0077);
    int r = o ? lb_sql_open(directory, "outbox.db", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &o->db) : -ENOMEM;

    if (r == 0)
        r = check_version(o);
    if (r == 0)
        r = lb_sql_execute(o->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
    if (r == 0)
        r = lb_sql_execute(o->db, schema);
    if (r == 0)
        r = set_version(o);
    umask(mask);
    if (r == 0)
        r = check(o);
    if (r == 0)
        r = prepare_all(o);
    if (r == 0)
        r = find_position(o);
    if (r < 0)
        lb_outbox_close(o);
    else
        *ret = o;
    return r;
}

struct lb_outbox *lb_outbox_close(struct lb_outbox *o)
{
    if (!o)
        return NULL;
    sqlite3_stmt *const all[] = { o->insert, o->withdraw, o->sent, o->failed, o->dead, o->set, o->due, o->load, o->next,
                                  o->waiting };

    for (size_t i = 0; i < LB_ELEMENTS(all); i++)
        sqlite3_finalize(all[i]);
    sqlite3_close(o->db);
    free(o);
    return NULL;
}

/* --- a page ------------------------------------------------------------------------------------------------------- */

static bool is_full(struct lb_outbox *o, const struct lb_letter *l)
{
    USE st = o->waiting;

    lb_sql_bind(st, 1, l->channel);
    lb_sql_bind(st, 2, l->target);
    sqlite3_bind_int64(st, 3, LB_OUTBOX_MAX);
    return sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int64(st, 0) >= LB_OUTBOX_MAX;
}

static int add(struct lb_outbox *o, const struct lb_letter *l)
{
    sqlite3_stmt *st = o->insert;

    lb_sql_bind(st, 1, l->id);
    lb_sql_bind(st, 2, l->channel);
    lb_sql_bind(st, 3, l->target);
    lb_sql_bind(st, 4, l->request);
    sqlite3_bind_int64(st, 5, l->seq);
    sqlite3_bind_int(st, 6, l->notice);
    sqlite3_bind_int64(st, 7, l->due);
    sqlite3_bind_int64(st, 8, l->until);
    lb_sql_bind(st, 9, l->body);
    return lb_sql_run(st);
}

static int withdraw(struct lb_outbox *o, const struct lb_letter *l)
{
    lb_sql_bind(o->withdraw, 1, l->request);
    lb_sql_bind(o->withdraw, 2, l->channel);
    lb_sql_bind(o->withdraw, 3, l->target);
    return lb_sql_run(o->withdraw);
}

/* How full a target is is asked once for a page's letters to it, in a row: a page is small beside the limit. */
static int take_steps(struct lb_outbox *o, const struct lb_step *steps, size_t n, int64_t *ret_dropped)
{
    const struct lb_letter *asked = NULL;
    bool full = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct lb_letter *l = &steps[i].letter;

        if (steps[i].withdraw) {
            r = withdraw(o, l);
            continue;
        }
        if (!asked || !lb_streq(asked->target, l->target) || !lb_streq(asked->channel, l->channel))
            full = is_full(o, l);
        asked = l;
        *ret_dropped += full;
        r = full ? 0 : add(o, l);
    }
    return r;
}

int lb_outbox_take(struct lb_outbox *o, int64_t position, const char *hash, const struct lb_step *steps, size_t n,
                   int64_t *ret_dropped)
{
    int64_t dropped = 0;
    int r = lb_sql_execute(o->db, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    r = take_steps(o, steps, n, &dropped);
    if (r == 0)
        r = set_number(o, "position", position);
    if (r == 0)
        r = set_text(o, "hash", hash);
    if (r == 0 && dropped)
        r = set_number(o, "dropped", o->dropped + dropped);
    r = lb_sql_finish(o->db, r);
    if (r < 0)
        return r;
    o->position = position;
    o->dropped += dropped;
    snprintf(o->hash, sizeof(o->hash), "%s", hash);
    *ret_dropped = dropped;
    return 0;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

int lb_outbox_targets(struct lb_outbox *o, int (*row)(void *userdata, const struct lb_outbox_target *t), void *userdata)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "SELECT channel, target, sum(dead = 0), sum(dead > 0) FROM letters"
                                  " GROUP BY channel, target", &st);

    while (r == 0 && (r = lb_sql_step(st)) > 0) {
        const struct lb_outbox_target t = { lb_sql_text(st, 0), lb_sql_text(st, 1), sqlite3_column_int64(st, 2),
                                            sqlite3_column_int64(st, 3) };

        r = row(userdata, &t);
    }
    return r;
}

int lb_outbox_due(struct lb_outbox *o, const char *channel, const char *target, int64_t now,
                  int (*row)(void *userdata, int64_t number, const char *request), void *userdata)
{
    USE st = o->due;
    int r = 0;

    lb_sql_bind(st, 1, channel);
    lb_sql_bind(st, 2, target);
    sqlite3_bind_int64(st, 3, now);
    while (r == 0 && (r = lb_sql_step(st)) > 0)
        r = row(userdata, sqlite3_column_int64(st, 0), lb_sql_text(st, 1));
    return r;
}

int64_t lb_outbox_next_due(struct lb_outbox *o, const char *channel, const char *target, int64_t now)
{
    USE st = o->next;

    lb_sql_bind(st, 1, channel);
    lb_sql_bind(st, 2, target);
    sqlite3_bind_int64(st, 3, now);
    return sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL ? sqlite3_column_int64(st, 0)
                                                                                        : LB_NEVER;
}

/* Borrows the row's texts. */
static struct lb_letter read_letter(sqlite3_stmt *st)
{
    return (struct lb_letter){
        .row = sqlite3_column_int64(st, 0), .id = (char *)lb_sql_text(st, 1), .channel = (char *)lb_sql_text(st, 2),
        .target = (char *)lb_sql_text(st, 3), .request = (char *)lb_sql_text(st, 4), .seq = sqlite3_column_int64(st, 5),
        .notice = sqlite3_column_int(st, 6), .due = sqlite3_column_int64(st, 7), .until = sqlite3_column_int64(st, 8),
        .attempts = sqlite3_column_int64(st, 9), .error = (char *)lb_sql_text(st, 10),
    };
}

static int copy_texts(struct lb_letter *l)
{
    char **const texts[] = { &l->id, &l->channel, &l->target, &l->request, &l->body, &l->error };
    int r = 0;

    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        if (*texts[i] && !(*texts[i] = strdup(*texts[i])))
            r = -ENOMEM;
    if (r < 0)
        lb_letter_clear(l);
    return r;
}

int lb_outbox_load(struct lb_outbox *o, int64_t row, struct lb_letter *ret)
{
    USE st = o->load;
    struct lb_letter l;
    int r;

    sqlite3_bind_int64(st, 1, row);
    r = lb_sql_step(st);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    l = read_letter(st);
    l.body = (char *)lb_sql_text(st, 11);
    if (l.notice < 0 || l.notice >= LB_NOTICE_MAX_)
        return -EUCLEAN;
    r = copy_texts(&l);
    if (r == 0)
        *ret = l;
    return r;
}

static int mark(struct lb_outbox *o, const struct lb_mark *m)
{
    sqlite3_stmt *st = m->kind == LB_MARK_SENT ? o->sent : m->kind == LB_MARK_DEAD ? o->dead : o->failed;

    sqlite3_bind_int64(st, 1, m->row);
    if (m->kind == LB_MARK_FAILED)
        sqlite3_bind_int64(st, 2, m->due);
    if (m->kind != LB_MARK_SENT)
        lb_sql_bind(st, m->kind == LB_MARK_FAILED ? 3 : 2, m->error);
    return lb_sql_run(st);
}

int lb_outbox_mark(struct lb_outbox *o, const struct lb_mark *marks, size_t n)
{
    int r = lb_sql_execute(o->db, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = mark(o, &marks[i]);
    return lb_sql_finish(o->db, r);
}

/* --- what is given up --------------------------------------------------------------------------------------------- */

static int hurry(struct lb_outbox *o, int64_t after)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "UPDATE letters SET due = 0 WHERE dead = 0 AND attempts > 0 AND due > ?", &st);

    if (r < 0)
        return r;
    sqlite3_bind_int64(st, 1, after);
    return lb_sql_run(st);
}

int64_t lb_outbox_expire(struct lb_outbox *o, int64_t now)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "UPDATE letters SET dead = 1,"
                                  " error = coalesce(error, 'its time was over before it could be sent')"
                                  " WHERE dead = 0 AND until <= ?", &st);
    int64_t n;

    if (r < 0)
        return r;
    sqlite3_bind_int64(st, 1, now);
    r = lb_sql_run(st);
    n = sqlite3_changes64(o->db);
    if (r == 0)
        r = hurry(o, now + HURRY_AFTER);
    if (r == 0)
        r = lb_sql_execute(o->db, "DELETE FROM letters WHERE dead = 2 AND row <="
                                  " (SELECT row FROM letters WHERE dead > 0 ORDER BY row DESC LIMIT 1 OFFSET 1000)");
    return r < 0 ? r : n;
}

int lb_outbox_untold(struct lb_outbox *o, int (*row)(void *userdata, const struct lb_outbox_untold *u), void *userdata)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "SELECT channel, target, request, error, count(*), min(row),"
                                  " (SELECT max(row) FROM letters b WHERE b.channel = a.channel AND b.target = "
                                  "a.target AND b.dead = 1)"
                                  " FROM letters a WHERE dead = 1 GROUP BY channel, target", &st);

    while (r == 0 && (r = lb_sql_step(st)) > 0) {
        const struct lb_outbox_untold u = {
            lb_sql_text(st, 0), lb_sql_text(st, 1), lb_sql_text(st, 2), lb_sql_text(st, 3), sqlite3_column_int64(st, 4),
            sqlite3_column_int64(st, 6),
        };

        r = row(userdata, &u);
    }
    return r;
}

int lb_outbox_told(struct lb_outbox *o, const char *channel, const char *target, int64_t last)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "UPDATE letters SET dead = 2"
                                  " WHERE dead = 1 AND channel = ? AND target = ? AND row <= ?", &st);

    if (r < 0)
        return r;
    lb_sql_bind(st, 1, channel);
    lb_sql_bind(st, 2, target);
    sqlite3_bind_int64(st, 3, last);
    return lb_sql_run(st);
}

int lb_outbox_dead(struct lb_outbox *o, int64_t limit, int (*row)(void *userdata, const struct lb_letter *l),
                   void *userdata)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "SELECT " COLUMNS " FROM letters WHERE dead > 0 ORDER BY row DESC LIMIT ?", &st);

    if (r == 0)
        sqlite3_bind_int64(st, 1, limit);
    while (r == 0 && (r = lb_sql_step(st)) > 0) {
        const struct lb_letter l = read_letter(st);

        r = row(userdata, &l);
    }
    return r;
}

int64_t lb_outbox_revive(struct lb_outbox *o, const char *id, int64_t until)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(o->db, "UPDATE letters SET dead = 0, attempts = 0, due = 0, until = max(until, ?1)"
                                  " WHERE dead > 0 AND (?2 IS NULL OR id = ?2)", &st);
    int64_t n;

    if (r < 0)
        return r;
    sqlite3_bind_int64(st, 1, until);
    lb_sql_bind(st, 2, id);
    r = lb_sql_run(st);
    n = sqlite3_changes64(o->db);
    if (r == 0 && !id)
        r = hurry(o, 0);
    return r < 0 ? r : n;
}
