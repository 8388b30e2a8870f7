/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/sql.h"
#include "policy/base.h"
#include "policy/lifecycle.h"

#define NAME "lockbox.db"

/* Raised when the meaning of the `requests` table changes: it is then made again from the log. */
#define PROJECTION_VERSION 2

/* Bytes of a log that is read whole at each start, in two tenths of a second or so. */
#define CHECKED_MAX (64 * 1024 * 1024)

struct lb_store {
    sqlite3 *db;
    sqlite3_stmt *insert_event, *insert_request, *move_request, *update_request, *set_meta;
    int64_t seq;
    struct lb_time time;
    char hash[LB_HASH_MAX];
    int64_t journal, journal_saved;
    char *reserve_path;
    int64_t reserve;
    bool reserved;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, request TEXT, hash TEXT NOT NULL, json TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS events_of_request ON events (request, seq) WHERE request IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, open INTEGER NOT NULL, state TEXT NOT NULL,"
    " account TEXT, engineer TEXT, ticket TEXT, requested_at INTEGER NOT NULL, closed_at INTEGER,"
    " unseen INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;" /* unseen: an emergency that nobody has acknowledged */
    "CREATE INDEX IF NOT EXISTS requests_open ON requests (requested_at) WHERE open;"
    "CREATE INDEX IF NOT EXISTS requests_by_end ON requests (closed_at) WHERE closed_at IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS requests_by_time ON requests (requested_at);"
    "CREATE INDEX IF NOT EXISTS requests_unseen ON requests (account) WHERE unseen;"
    "CREATE INDEX IF NOT EXISTS requests_by_engineer ON requests (account, engineer, requested_at);";

static int64_t get_meta(struct lb_store *s, const char *key)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;

    if (lb_sql_prepare(s->db, "SELECT value FROM meta WHERE key = ?", &st) < 0)
        return 0;
    lb_sql_bind(st, 1, key);
    return sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
}

static int set_meta(struct lb_store *s, const char *key, int64_t value)
{
    lb_sql_bind(s->set_meta, 1, key);
    sqlite3_bind_int64(s->set_meta, 2, value);
    return lb_sql_run(s->set_meta);
}

/* --- the projection ----------------------------------------------------------------------------------------------- */

static int insert_request(struct lb_store *s, const struct lb_event *e)
{
    sqlite3_stmt *st = s->insert_request;

    lb_sql_bind(st, 1, e->request);
    lb_sql_bind(st, 2, lb_state_names[e->state]);
    lb_sql_bind(st, 3, e->account);
    lb_sql_bind(st, 4, e->engineer);
    lb_sql_bind(st, 5, e->ticket);
    sqlite3_bind_int64(st, 6, e->time.wall);
    return lb_sql_run(st);
}

/* Most events leave it open: no index has the state, so but one page is written. */
static int move_request(struct lb_store *s, const struct lb_event *e)
{
    lb_sql_bind(s->move_request, 1, e->request);
    lb_sql_bind(s->move_request, 2, lb_state_names[e->state]);
    return lb_sql_run(s->move_request);
}

static int update_request(struct lb_store *s, const struct lb_event *e)
{
    sqlite3_stmt *st = s->update_request;

    lb_sql_bind(st, 1, e->request);
    sqlite3_bind_int(st, 2, lb_state_is_open(e->state));
    lb_sql_bind(st, 3, lb_state_names[e->state]);
    if (!lb_state_is_open(e->state))
        sqlite3_bind_int64(st, 4, e->time.wall);
    if (e->kind == LB_EVENT_EMERGENCY || e->kind == LB_EVENT_ACKNOWLEDGED)
        sqlite3_bind_int(st, 5, e->kind == LB_EVENT_EMERGENCY);
    return lb_sql_run(st);
}

/* What an event changes in the table of requests. */
static int project(struct lb_store *s, const struct lb_event *e)
{
    if (!e->request || e->kind >= LB_EVENT_REQUEST_MAX_)
        return 0;
    if (lb_lifecycle_step(LB_STATE_NONE, e->kind).next)
        return insert_request(s, e);
    if (!lb_state_is_open(e->state) || e->kind == LB_EVENT_EMERGENCY || e->kind == LB_EVENT_ACKNOWLEDGED)
        return update_request(s, e);
    return move_request(s, e);
}

static int project_row(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    int r = lb_chain_decode(json, &e, NULL);

    (void)seq;
    (void)hash;
    return r < 0 ? (r == -ENOMEM ? r : -EUCLEAN) : project(userdata, &e);
}

static int each_id(sqlite3_stmt *st, lb_store_id *row, void *userdata)
{
    int r;

    while ((r = lb_sql_step(st)) > 0) {
        r = row(userdata, lb_sql_text(st, 0));
        if (r != 0)
            return r;
    }
    return r;
}

static int rebuild_projection(struct lb_store *s)
{
    int r = lb_sql_execute(s->db, "BEGIN IMMEDIATE; DELETE FROM requests;");

    if (r == 0)
        r = lb_store_events(s, 1, NULL, 0, project_row, s);
    if (r == 0)
        r = set_meta(s, "projection", PROJECTION_VERSION);
    if (r == 0)
        r = set_meta(s, "projected", s->seq);
    return lb_sql_finish(s->db, r);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static int read_last(void *userdata, int64_t seq, const char *hash, const char *json)
{
    struct lb_store *s = userdata;
    struct lb_event e;
    char actual[LB_HASH_MAX];
    int r = lb_chain_hash(json, strlen(json), actual);

    if (r < 0)
        return r;
    r = lb_chain_decode(json, &e, NULL);
    if (r < 0 || e.seq != seq || strcmp(hash, actual) != 0) {
        if (r == 0)
            lb_event_clear(&e);
        return r == -ENOMEM ? r : -EUCLEAN;
    }
    s->seq = seq;
    s->time = e.time;
    memcpy(s->hash, hash, LB_HASH_MAX);
    lb_event_clear(&e);
    return 0;
}

static int find_last(struct lb_store *s)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(s->db, "SELECT seq, hash, json FROM events ORDER BY seq DESC LIMIT 1", &st);

    if (r == 0)
        r = lb_sql_step(st);
    return r > 0 ? read_last(s, sqlite3_column_int64(st, 0), lb_sql_text(st, 1), lb_sql_text(st, 2)) : r;
}

/* With the indexes: who is missing in that of the open ones would not be ended. 1: all is well; 0: *ret (owned) says
 * what is not. */
static int check_integrity(struct lb_store *s, char **ret)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(s->db, "PRAGMA integrity_check(1)", &st);

    if (r == 0)
        r = lb_sql_step(st);
    if (r <= 0)
        return r < 0 ? r : -EUCLEAN;
    *ret = strdup(lb_sql_text(st, 0));
    return *ret ? strcmp(*ret, "ok") == 0 : -ENOMEM;
}

/* A log of years is not read as a whole while every gated login waits: there damage is found where it is met. */
static int check_at_start(struct lb_store *s)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *pages = NULL;
    LB_FREE char *problem = NULL;
    int r = lb_sql_prepare(s->db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &pages);

    if (r == 0)
        r = lb_sql_step(pages);
    if (r <= 0)
        return r;
    if (sqlite3_column_int64(pages, 0) > CHECKED_MAX)
        return 0;
    r = check_integrity(s, &problem);
    return r == 0 ? -EUCLEAN : r < 0 ? r : 0;
}

static int prepare_writing(struct lb_store *s)
{
    int r = lb_sql_execute(s->db, "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)"
                                  " WITHOUT ROWID;");

    if (r == 0 && get_meta(s, "projection") != PROJECTION_VERSION)
        r = lb_sql_execute(s->db, "DROP TABLE IF EXISTS requests;"); /* made again from the log */
    if (r == 0)
        r = lb_sql_execute(s->db, schema);
    if (r == 0)
        r = lb_sql_prepare(s->db, "INSERT INTO events (seq, request, hash, json) VALUES (?, ?, ?, ?)",
                           &s->insert_event);
    if (r == 0)
        r = lb_sql_prepare(s->db, "INSERT INTO requests (id, open, state, account, engineer, ticket, requested_at)"
                                  " VALUES (?, 1, ?, ?, ?, ?, ?)", &s->insert_request);
    if (r == 0)
        r = lb_sql_prepare(s->db, "UPDATE requests SET state = ?2 WHERE id = ?1", &s->move_request);
    if (r == 0)
        r = lb_sql_prepare(s->db, "UPDATE requests SET open = ?2, state = ?3, closed_at = coalesce(closed_at, ?4),"
                                  " unseen = coalesce(?5, unseen) WHERE id = ?1", &s->update_request);
    if (r == 0)
        r = lb_sql_prepare(s->db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", &s->set_meta);
    return r;
}

static void set_reserve_aside(struct lb_store *s)
{
    LB_CLOSE int fd = -1;

    if (s->reserve <= 0 || s->reserved)
        return;
    fd = open(s->reserve_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    s->reserved = posix_fallocate(fd, 0, s->reserve) == 0;
    if (!s->reserved)
        unlink(s->reserve_path);
}

void lb_store_release_reserve(struct lb_store *s)
{
    if (s->reserve_path)
        unlink(s->reserve_path);
    s->reserved = false;
}

static int open_writable(struct lb_store *s)
{
    int r = lb_sql_execute(s->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");

    if (r == 0)
        r = prepare_writing(s);
    if (r == 0)
        r = check_at_start(s);
    if (r == 0)
        r = find_last(s);
    if (r < 0)
        return r;
    s->journal = s->journal_saved = get_meta(s, "journal");
    if (get_meta(s, "projection") != PROJECTION_VERSION || get_meta(s, "projected") != s->seq)
        r = rebuild_projection(s);
    set_reserve_aside(s);
    return r;
}

int lb_store_open(const char *directory, bool read_only, int64_t reserve, struct lb_store **ret)
{
    struct lb_store *s = calloc(1, sizeof(*s));
    mode_t mask;
    int r;

    if (!s || asprintf(&s->reserve_path, "%s/reserve", directory) < 0) {
        free(s);
        return -ENOMEM;
    }
    memcpy(s->hash, LB_CHAIN_GENESIS, LB_HASH_MAX);
    s->reserve = reserve;
    mask = read_only ? 0 : umask(0077); /* of the whole process: not for a reader in a thread */
    r = lb_sql_open(directory, NAME, read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                    &s->db);
    if (r == 0)
        r = read_only ? find_last(s) : open_writable(s);
    if (!read_only)
        umask(mask);
    if (r < 0) {
        lb_store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct lb_store *lb_store_close(struct lb_store *s)
{
    if (!s)
        return NULL;
    sqlite3_finalize(s->insert_event);
    sqlite3_finalize(s->insert_request);
    sqlite3_finalize(s->move_request);
    sqlite3_finalize(s->update_request);
    sqlite3_finalize(s->set_meta);
    sqlite3_close(s->db);
    free(s->reserve_path);
    free(s);
    return NULL;
}

int64_t lb_store_last(const struct lb_store *s, struct lb_time *ret_time)
{
    if (ret_time)
        *ret_time = s->time;
    return s->seq;
}

const char *lb_store_last_hash(const struct lb_store *s)
{
    return s->hash;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int append_one(struct lb_store *s, struct lb_event *e, int64_t seq, char hash[static LB_HASH_MAX])
{
    LB_FREE char *json = NULL;
    char next[LB_HASH_MAX];
    int r;

    e->seq = seq;
    r = lb_chain_encode(e, hash, &json, next);
    if (r < 0)
        return r;
    sqlite3_bind_int64(s->insert_event, 1, seq);
    lb_sql_bind(s->insert_event, 2, e->request);
    lb_sql_bind(s->insert_event, 3, next);
    lb_sql_bind(s->insert_event, 4, json);
    r = lb_sql_run(s->insert_event);
    memcpy(hash, next, LB_HASH_MAX);
    return r == 0 ? project(s, e) : r;
}

static int append_all(struct lb_store *s, struct lb_event *events, size_t n, char hash[static LB_HASH_MAX])
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = append_one(s, &events[i], s->seq + 1 + (int64_t)i, hash);
    if (r == 0)
        r = set_meta(s, "projected", s->seq + (int64_t)n);
    if (r == 0 && s->journal != s->journal_saved)
        r = set_meta(s, "journal", s->journal);
    return r;
}

/* A file that was removed or replaced under us takes everything and keeps nothing. */
static int check_place(struct lb_store *s)
{
    int moved = 0;

    sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved ? -ESTALE : 0;
}

int lb_store_append(struct lb_store *s, struct lb_event *events, size_t n)
{
    char hash[LB_HASH_MAX];
    int64_t journal = s->journal;
    int r = check_place(s);

    if (r == 0)
        r = lb_sql_execute(s->db, "BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    memcpy(hash, s->hash, LB_HASH_MAX);
    r = lb_sql_finish(s->db, append_all(s, events, n, hash));
    if (r < 0)
        return r;
    s->journal_saved = journal;
    s->seq += (int64_t)n;
    s->time = events[n - 1].time;
    memcpy(s->hash, hash, LB_HASH_MAX);
    set_reserve_aside(s);
    return 0;
}

int64_t lb_store_journal_position(const struct lb_store *s)
{
    return s->journal;
}

void lb_store_set_journal_position(struct lb_store *s, int64_t seq)
{
    s->journal = seq;
}

int lb_store_flush(struct lb_store *s)
{
    int r = check_place(s);

    if (r == 0)
        r = set_meta(s, "journal", s->journal);
    if (r == 0)
        s->journal_saved = s->journal;
    return r;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int apply_row(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    int r = lb_chain_decode(json, &e, NULL);

    (void)seq;
    (void)hash;
    if (r == 0 && e.kind < LB_EVENT_REQUEST_MAX_)
        r = lb_lifecycle_apply(userdata, &e);
    return r < 0 && r != -ENOMEM ? -EUCLEAN : r;
}

int lb_store_load(struct lb_store *s, const char *id, struct lb_request **ret)
{
    struct lb_request *request = NULL;
    int r = lb_store_events(s, 1, id, 0, apply_row, &request);

    if (r == 0 && !request)
        return -ENOENT;
    if (r != 0) {
        lb_request_free(request);
        return r;
    }
    *ret = request;
    return 0;
}

int lb_store_events(struct lb_store *s, int64_t since, const char *request, int64_t limit, lb_store_event *row,
                    void *userdata)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(s->db,
                           request ? "SELECT seq, hash, json FROM events WHERE seq >= ?1 AND request = ?3"
                                     " ORDER BY seq LIMIT ?2"
                                   : "SELECT seq, hash, json FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
                           &st);

    if (r < 0)
        return r;
    sqlite3_bind_int64(st, 1, since);
    sqlite3_bind_int64(st, 2, limit > 0 ? limit : -1);
    if (request)
        lb_sql_bind(st, 3, request);
    while ((r = lb_sql_step(st)) > 0) {
        r = row(userdata, sqlite3_column_int64(st, 0), lb_sql_text(st, 1), lb_sql_text(st, 2));
        if (r != 0)
            return r;
    }
    return r;
}

/* In canonical bytes no text of anybody's can have these quotes. */
int lb_store_newest(struct lb_store *s, const char *kind, int64_t since, lb_store_event *row, void *userdata)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    LB_FREE char *member = NULL;
    int r = lb_sql_prepare(s->db, "SELECT seq, hash, json FROM events WHERE seq >= ? AND instr(json, ?)"
                                  " ORDER BY seq DESC LIMIT 1", &st);

    if (r == 0 && asprintf(&member, "\"event\":\"%s\"", kind) < 0) {
        member = NULL;
        r = -ENOMEM;
    }
    if (r < 0)
        return r;
    sqlite3_bind_int64(st, 1, since);
    lb_sql_bind(st, 2, member);
    r = lb_sql_step(st);
    return r > 0 ? row(userdata, sqlite3_column_int64(st, 0), lb_sql_text(st, 1), lb_sql_text(st, 2)) : r;
}

int lb_store_unseen(struct lb_store *s, const char *account, char **ret)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(s->db, "SELECT id FROM requests INDEXED BY requests_unseen WHERE unseen AND account = ?",
                           &st);

    if (r < 0)
        return r;
    lb_sql_bind(st, 1, account);
    r = lb_sql_step(st);
    if (r <= 0)
        return r;
    *ret = strdup(lb_sql_text(st, 0));
    return *ret ? 1 : -ENOMEM;
}

int64_t lb_store_from_end(struct lb_store *s, const char *request, int64_t n)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;

    if (!request)
        return n < s->seq ? s->seq - n + 1 : 1;
    if (lb_sql_prepare(s->db, "SELECT seq FROM events WHERE request = ? ORDER BY seq DESC LIMIT 1 OFFSET ?", &st) < 0)
        return 1;
    lb_sql_bind(st, 1, request);
    sqlite3_bind_int64(st, 2, n - 1);
    return sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 1;
}

/* One WHERE for all filters: a text that is NULL asks nothing. Which index serves it is said, for SQLite knows nothing
 * of how few are open beside how many: those, what each login looks up, an engineer's on an account, and a time. */
#define LIST_WHERE \
    " AND requested_at >= ?1 AND requested_at < ?2" \
    " AND (?3 IS NULL OR open OR closed_at >= ?3) AND (?4 IS NULL OR account = ?4)" \
    " AND (?5 IS NULL OR engineer = ?5) AND (?6 IS NULL OR ticket = ?6) AND (?7 IS NULL OR state = ?7)" \
    " ORDER BY requested_at DESC, id LIMIT ?8"

int lb_store_list(struct lb_store *s, const struct lb_store_filter *f, lb_store_id *row, void *userdata)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    const char *texts[] = { f->account, f->engineer, f->ticket, f->state };
    bool one = f->account && f->engineer;
    const char *sql = f->open_only ? "SELECT id FROM requests INDEXED BY requests_open WHERE open" LIST_WHERE
                      : one ? "SELECT id FROM requests INDEXED BY requests_by_engineer"
                              " WHERE account = ?4 AND engineer = ?5" LIST_WHERE
                      : f->recent ? "SELECT id FROM requests WHERE id IN (SELECT id FROM requests WHERE open UNION ALL"
                                    " SELECT id FROM requests WHERE closed_at >= ?3)" LIST_WHERE
                                  : "SELECT id FROM requests INDEXED BY requests_by_time WHERE 1" LIST_WHERE;
    int r = lb_sql_prepare(s->db, sql, &st);

    if (r < 0)
        return r;
    sqlite3_bind_int64(st, 1, f->since ? f->since : INT64_MIN);
    sqlite3_bind_int64(st, 2, f->until ? f->until : INT64_MAX);
    if (f->recent)
        sqlite3_bind_int64(st, 3, f->recent);
    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        if (texts[i])
            lb_sql_bind(st, 4 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 8, f->limit > 0 ? f->limit : -1);
    return each_id(st, row, userdata);
}

/* --- as it stands ------------------------------------------------------------------------------------------------- */

static struct lb_slice column_slice(sqlite3_stmt *st, int column)
{
    const char *text = lb_sql_text(st, column);

    return (struct lb_slice){ text, text ? (size_t)sqlite3_column_bytes(st, column) : 0 };
}

static int give_event(sqlite3_stmt *st, const struct lb_store_reader *reader)
{
    const struct lb_store_row row = {
        .seq = sqlite3_column_int64(st, 0), .request = column_slice(st, 1), .hash = column_slice(st, 2),
        .json = column_slice(st, 3),
    };

    return reader->event(reader->userdata, &row);
}

static int give_request(sqlite3_stmt *st, const struct lb_store_reader *reader)
{
    const struct lb_fold_row row = {
        .id = column_slice(st, 0), .open = sqlite3_column_int64(st, 1) != 0, .state = column_slice(st, 2),
        .account = column_slice(st, 3), .engineer = column_slice(st, 4), .ticket = column_slice(st, 5),
        .requested_at = sqlite3_column_int64(st, 6), .closed_at = sqlite3_column_int64(st, 7),
        .unseen = sqlite3_column_int64(st, 8) != 0,
    };

    return reader->request(reader->userdata, &row);
}

static int each_row(struct lb_store *s, const char *sql, int (*give)(sqlite3_stmt *, const struct lb_store_reader *),
                    const struct lb_store_reader *reader)
{
    LB_CLEANUP(lb_sql_finalizep) sqlite3_stmt *st = NULL;
    int r = lb_sql_prepare(s->db, sql, &st);

    if (r < 0)
        return r;
    while ((r = lb_sql_step(st)) > 0) {
        r = give(st, reader);
        if (r != 0)
            return r;
    }
    return r;
}

static int open_reader(struct lb_store *s, const char *directory)
{
    return lb_sql_open(directory, NAME, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, &s->db);
}

int lb_store_read(const char *directory, const struct lb_store_reader *reader)
{
    struct lb_store s = { 0 };
    int r = open_reader(&s, directory);

    if (r == 0)
        r = lb_sql_execute(s.db, "BEGIN"); /* so that both tables are of one moment */
    if (r == 0)
        r = each_row(&s, "SELECT seq, request, hash, json FROM events ORDER BY seq", give_event, reader);
    if (r == 0)
        r = each_row(&s, "SELECT id, open, state, account, engineer, ticket, requested_at, closed_at, unseen"
                         " FROM requests", give_request, reader);
    sqlite3_close(s.db);
    return r;
}

int lb_store_check(const char *directory, char **ret_problem)
{
    struct lb_store s = { 0 };
    LB_FREE char *said = NULL;
    int r = open_reader(&s, directory);

    if (r == 0)
        r = check_integrity(&s, &said);
    if (r == 0)
        *ret_problem = LB_TAKE(said);
    sqlite3_close(s.db);
    return r;
}
