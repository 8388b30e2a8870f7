/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxctl audit as it is typed: whatever is done to a database is found and named; an export runs nothing. */
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "lockboxd/store.h"
#include "policy/checkpoint.h"
#include "tests/unit/directory.h"
#include "tests/unit/keygen.h"
#include "tests/unit/run_ctl.h"
#include "tests/unit/sample_log.h"

static char directory[] = "/tmp/lockbox-audit-XXXXXX";
static sqlite3 *db;
static struct log_copy golden, other;

static void run_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run_sql(const char *format, ...)
{
    char *sql, *error = NULL;
    va_list args;

    va_start(args, format);
    sql = sqlite3_vmprintf(format, args);
    va_end(args);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_free(sql);
}

/* --- the command -------------------------------------------------------------------------------------------------- */

static int run(const char **argv, char **ret_out, char **ret_err)
{
    char socket_path[64];

    snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
    return run_ctl(argv, socket_path, ret_out, ret_err);
}

#define ARGV(...) (const char *[]){ "lockboxctl", __VA_ARGS__, NULL }

/* What verify says of the database, for programs. */
static json_t *verify(const char *known, int *ret_status)
{
    LB_FREE char *out = NULL, *err = NULL;
    json_t *said;

    *ret_status = known ? run(ARGV("audit", "verify", "--json", "--known", known, directory), &out, &err)
                        : run(ARGV("audit", "verify", "--json", directory), &out, &err);
    assert_string_equal(err, "");
    said = json_loads(out, 0, NULL);
    assert_non_null(said);
    return said;
}

static const char *known_last(void)
{
    static char known[LB_HASH_MAX + 24];

    snprintf(known, sizeof(known), "%d:%s", LOG_LENGTH, golden.rows[LOG_LENGTH - 1].hash);
    return known;
}

static void expect_flaw(const char *known, const char *flaw, int64_t seq)
{
    int status;
    LB_JSON json_t *said = verify(known, &status);
    const json_t *first = json_object_get(said, "first");

    assert_int_equal(status, LB_EXIT_FAILED);
    assert_true(json_is_false(json_object_get(said, "whole")));
    assert_string_equal(lb_ctl_string(first, "flaw"), flaw);
    assert_int_equal(lb_ctl_int(first, "seq"), seq);
    assert_int_equal(lb_ctl_int(said, "events"), seq - 1);
}

static void expect_request(const char *id)
{
    int status;
    LB_JSON json_t *said = verify(NULL, &status);

    assert_int_equal(status, LB_EXIT_FAILED);
    assert_null(json_object_get(said, "first"));
    assert_string_equal(lb_ctl_string(said, "request"), id);
}

static void expect_whole(void)
{
    int status;
    LB_JSON json_t *said = verify(known_last(), &status);

    assert_int_equal(status, LB_EXIT_DONE);
    assert_true(json_is_true(json_object_get(said, "whole")));
    assert_int_equal(lb_ctl_int(said, "events"), LOG_LENGTH);
    assert_string_equal(lb_ctl_string(json_object_get(said, "last"), "hash"), golden.rows[LOG_LENGTH - 1].hash);
}

/* --- damages ------------------------------------------------------------------------------------------------------ */

static void put_row(const struct log_row *row)
{
    run_sql("UPDATE events SET hash = '%s', json = '%s' WHERE seq = %" PRId64, row->hash, row->json, row->seq);
}

/* A bit of a text of the row, whatever becomes of it. */
static void flip_column(uint64_t *seed, const char *column, const char *value, int64_t seq)
{
    size_t n = strlen(value);
    LB_FREE char *bytes = strdup(value);
    sqlite3_stmt *st;
    char sql[80];

    bytes[sample_below(seed, (int64_t)n)] ^= (char)(1 << sample_below(seed, 8));
    snprintf(sql, sizeof(sql), "UPDATE events SET %s = ? WHERE seq = ?", column);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_text(st, 1, bytes, (int)n, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, seq);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    sqlite3_finalize(st);
    expect_flaw(NULL, "changed", seq);
}

static void flip(uint64_t *seed)
{
    const struct log_row *row = &golden.rows[sample_below(seed, LOG_LENGTH)];

    flip_column(seed, "json", row->json, row->seq);
}

static void flip_hash(uint64_t *seed)
{
    const struct log_row *row = &golden.rows[sample_below(seed, LOG_LENGTH)];

    flip_column(seed, "hash", row->hash, row->seq);
}

/* The row would be missing in the story of its request. */
static void flip_request(uint64_t *seed)
{
    const struct log_row *row = &golden.rows[sample_below(seed, LOG_LENGTH)];

    flip_column(seed, "request", golden.ids[(row->seq - 1) % LOG_REQUESTS], row->seq);
}

static void lengthen(uint64_t *seed)
{
    int64_t seq = 1 + sample_below(seed, LOG_LENGTH);

    run_sql("UPDATE events SET json = CAST(CAST(json AS BLOB) || x'00%02x' AS TEXT) WHERE seq = %" PRId64,
            (unsigned)sample_below(seed, 256), seq);
    expect_flaw(NULL, "changed", seq);
}

static void drop(uint64_t *seed)
{
    int64_t seq = 1 + sample_below(seed, LOG_LENGTH - 1);

    run_sql("DELETE FROM events WHERE seq = %" PRId64, seq);
    expect_flaw(NULL, "missing", seq);
}

static void renumber(uint64_t *seed)
{
    int64_t seq = 1 + sample_below(seed, LOG_LENGTH);

    run_sql("UPDATE events SET seq = %d WHERE seq = %" PRId64, LOG_LENGTH + 5, seq);
    expect_flaw(NULL, "misplaced", seq);
}

static void swap(uint64_t *seed)
{
    int64_t a = 1 + sample_below(seed, LOG_LENGTH - 1), b = a + 1 + sample_below(seed, LOG_LENGTH - a);

    run_sql("UPDATE events SET seq = -1 WHERE seq = %" PRId64 "; UPDATE events SET seq = %" PRId64
            " WHERE seq = %" PRId64 "; UPDATE events SET seq = %" PRId64 " WHERE seq = -1", a, a, b, b);
    expect_flaw(NULL, "misplaced", a);
}

static void cut(uint64_t *seed)
{
    int64_t seq = 1 + sample_below(seed, LOG_LENGTH);

    run_sql("DELETE FROM events WHERE seq >= %" PRId64, seq);
    expect_flaw(known_last(), "missing", seq);
}

static void forge(uint64_t *seed)
{
    int64_t seq = 1 + sample_below(seed, LOG_LENGTH - 1);

    log_forge(&other, seq);
    put_row(&other.rows[seq - 1]);
    log_chain(&other, seq, NULL);
    expect_flaw(NULL, "changed", seq);
}

/* Written anew with every hash: nothing but the hash that is known tells. */
static void rewrite(uint64_t *seed)
{
    int64_t seq = 1 + sample_below(seed, LOG_LENGTH), n = LOG_LENGTH;
    int status;

    log_chain(&other, seq, "something else");
    for (int64_t i = seq; i <= n; i++)
        put_row(&other.rows[i - 1]);
    log_chain(&other, seq, NULL);
    json_decref(verify(NULL, &status));
    assert_int_equal(status, LB_EXIT_DONE);
    expect_flaw(known_last(), "rewritten", LOG_LENGTH);
}

/* The table beside the log, from which lists and logins are answered. */
static void project(uint64_t *seed)
{
    static const char *const changes[] = {
        "open = 1 - open", "state = 'denied'", "state = state || x'000000'", "account = 'other'",
        "account = account || x'00'", "engineer = NULL",
        "ticket = 'CASE-1'", "requested_at = requested_at + 1", "closed_at = NULL", "unseen = 1 - unseen",
    };
    const char *id = golden.ids[sample_below(seed, LOG_REQUESTS)];

    run_sql("UPDATE requests SET %s WHERE id = '%s'", changes[sample_below(seed, LB_ELEMENTS(changes))], id);
    expect_request(id);
}

static void hide(uint64_t *seed)
{
    const char *id = golden.ids[sample_below(seed, LOG_REQUESTS)];

    run_sql("DELETE FROM requests WHERE id = '%s'", id);
    expect_request(id);
}

static void invent(uint64_t *seed)
{
    (void)seed;
    run_sql("INSERT INTO requests SELECT 'ZZZZ-ZZZZ', open, state, account, engineer, ticket, requested_at, closed_at,"
            " unseen FROM requests LIMIT 1");
    expect_request("ZZZZ-ZZZZ");
}

static void test_damages(void **state)
{
    static void (*const kinds[])(uint64_t *seed) = {
        flip, flip, flip, flip, flip, flip_hash, flip_hash, flip_request, flip_request, lengthen, drop, drop, renumber,
        swap, swap, cut, cut, project, project, hide, invent, forge, rewrite,
    };
    int damages = getenv("LOCKBOX_LONG") ? 10000 : 3000;
    uint64_t seed = 41;

    (void)state;
    for (int i = 0; i < damages; i++) {
        run_sql("BEGIN; DELETE FROM events; INSERT INTO events SELECT * FROM kept_events;"
                "DELETE FROM requests; INSERT INTO requests SELECT * FROM kept_requests; COMMIT");
        kinds[i % (int)LB_ELEMENTS(kinds)](&seed);
    }
}

static void test_whole(void **state)
{
    (void)state;
    expect_whole();
}

static void expect_told(const char **argv, int status, const char *out, const char *err)
{
    LB_FREE char *said = NULL, *told = NULL;

    assert_int_equal(run(argv, &said, &told), status);
    assert_non_null(strstr(said, out));
    assert_non_null(strstr(told, err));
}

static void test_told(void **state)
{
    (void)state;
    expect_told(ARGV("audit", "verify", directory), LB_EXIT_DONE, known_last(), "");
    run_sql("DELETE FROM events WHERE seq IN (3, 4)");
    expect_told(ARGV("audit", "verify", directory), LB_EXIT_FAILED, "Good up to there: events 1 to 2.",
                "events 3 to 4 are missing");
    expect_told(ARGV("audit"), LB_EXIT_USAGE, "", "audit what?");
    expect_told(ARGV("audit", "verify", "--known", "12", directory), LB_EXIT_USAGE, "", "as an earlier");
    expect_told(ARGV("audit", "verify", "/nowhere"), LB_EXIT_FAILED, "", "/nowhere/lockbox.db: No such file");
    expect_told(ARGV("audit", "verify", "--journal", "/nowhere"), LB_EXIT_FAILED, "", "/nowhere: No such file");
    expect_told(ARGV("audit", "export", "--format", "xls"), LB_EXIT_USAGE, "", "it is jsonl or csv");
}

/* A checkpoint of the whole log as somebody keeps it, signed with a key of this name. */
static void keep(const char *path, const char *key)
{
    struct lb_checkpoint c = { (char *)"appliance", LOG_LENGTH, golden.rows[LOG_LENGTH - 1].hash,
                               INT64_C(1790000000000000), NULL };
    LB_FREE char *text = NULL, *public = NULL, *signature = NULL;

    assert_int_equal(lb_checkpoint_make(&c, &text), 0);
    write_text(path, text);
    public = make_key(key, "ed25519");
    signature = sign_file(key, LB_CHECKPOINT_NAMESPACE, path);
}

/* Of what was kept the signature is verified, too. */
static void test_kept(void **state)
{
    char kept[64], beside[72], host[64], other_key[64], public[72];

    (void)state;
    snprintf(kept, sizeof(kept), "%s/kept", directory);
    snprintf(beside, sizeof(beside), "%s.sig", kept);
    snprintf(host, sizeof(host), "%s/host", directory);
    snprintf(other_key, sizeof(other_key), "%s/other", directory);
    snprintf(public, sizeof(public), "%s.pub", host);
    keep(kept, host);
    expect_told(ARGV("audit", "verify", "--known", kept, "--key", public, directory), LB_EXIT_DONE, "signature good.",
                "");
    expect_told(ARGV("audit", "verify", "--known", kept, directory), LB_EXIT_DONE, "signature not checked (it is", "");
    expect_told(ARGV("audit", "verify", "--json", "--known", kept, "--key", public, directory), LB_EXIT_DONE,
                "\"signature\":\"good\"", "");
    keep(kept, other_key);
    expect_told(ARGV("audit", "verify", "--known", kept, "--key", public, directory), LB_EXIT_FAILED, "signature bad.",
                "/kept was not signed by the host's key: ");
    expect_told(ARGV("audit", "verify", "--json", "--known", kept, "--key", public, directory), LB_EXIT_FAILED,
                "\"whole\":false", "");
    assert_int_equal(unlink(beside), 0);
    expect_told(ARGV("audit", "verify", "--known", kept, "--key", public, directory), LB_EXIT_DONE,
                "without a signature.", "");
}

/* --- export ------------------------------------------------------------------------------------------------------- */

#define EVENT(seq, ticket, message)                                                                                  \
    "{\"seq\":" seq ",\"time\":\"2024-05-03T16:00:00Z\",\"event\":\"requested\",\"request\":\"7F3K-9QXM\","          \
    "\"message\":\"" message "\",\"hash\":\"ab\",\"json\":\"{\\\"account\\\":\\\"eng\\\",\\\"ticket\\\":\\\"" ticket \
    "\\\"}\"}"

/* Answers as the daemon would, two pages. */
static void *serve(void *userdata)
{
    static const char *const pages[] = {
        "{\"parameters\":{\"events\":[" EVENT("1", "=1+1", "say \\\"hi\\\", you") "],\"next\":2}}",
        "{\"parameters\":{\"events\":[" EVENT("2", " @SUM(A1)", "two\\nlines") "," EVENT("3", "\uFF1D1+1", "-2") "]}}",
    };
    int listener = *(int *)userdata;
    char bytes[4096];

    for (size_t i = 0; i < LB_ELEMENTS(pages); i++) {
        LB_CLOSE int fd = accept(listener, NULL, NULL);

        if (fd < 0 || read(fd, bytes, sizeof(bytes)) <= 0 ||
            send(fd, pages[i], strlen(pages[i]) + 1, MSG_NOSIGNAL) < 0)
            break;
    }
    return NULL;
}

static char *export(const char *format)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    LB_FREE char *err = NULL;
    char *out = NULL;
    pthread_t thread;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &listener), 0);
    assert_int_equal(run(ARGV("audit", "export", "--format", format), &out, &err), LB_EXIT_DONE);
    pthread_join(thread, NULL);
    close(listener);
    unlink(address.sun_path);
    return out;
}

static void test_csv(void **state)
{
    LB_FREE char *csv = export("csv");

    (void)state;
    assert_string_equal(csv,
        "\"seq\",\"time\",\"event\",\"request\",\"state\",\"account\",\"engineer\",\"ticket\",\"reason\",\"approver\","
        "\"by\",\"note\",\"message\",\"hash\"\r\n"
        "\"1\",\"2024-05-03T16:00:00Z\",\"requested\",\"7F3K-9QXM\",\"\",\"eng\",\"\",\"'=1+1\",\"\",\"\",\"\",\"\","
        "\"say \"\"hi\"\", you\",\"ab\"\r\n"
        "\"2\",\"2024-05-03T16:00:00Z\",\"requested\",\"7F3K-9QXM\",\"\",\"eng\",\"\",\"' @SUM(A1)\",\"\","
        "\"\",\"\",\"\","
        "\"two\nlines\",\"ab\"\r\n"
        "\"3\",\"2024-05-03T16:00:00Z\",\"requested\",\"7F3K-9QXM\",\"\",\"eng\",\"\",\"'\uFF1D1+1\",\"\","
        "\"\",\"\",\"\","
        "\"'-2\",\"ab\"\r\n");
}

static void test_jsonl(void **state)
{
    LB_FREE char *lines = export("jsonl");
    char *rest = lines;
    int64_t seq = 0;

    (void)state;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        LB_JSON json_t *event = json_loads(line, 0, NULL);

        assert_int_equal(lb_ctl_int(event, "seq"), ++seq);
    }
    assert_int_equal(seq, 3);
}

/* --- set-up ------------------------------------------------------------------------------------------------------- */

/* The store writes it, as the daemon does. */
static int set_up(void **state)
{
    struct lb_store *store = NULL;
    LB_FREE char *path = NULL;

    (void)state;
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    if (!mkdtemp(directory) || asprintf(&path, "%s/lockbox.db", directory) < 0)
        return -1;
    log_make(&golden);
    log_make(&other);
    assert_int_equal(lb_store_open(directory, false, 0, &store), 0);
    for (int64_t seq = 1; seq <= LOG_LENGTH; seq++) {
        struct lb_event e = log_event(&golden, seq);

        assert_int_equal(lb_store_append(store, &e, 1), 0);
    }
    lb_store_close(store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    run_sql("PRAGMA synchronous = OFF; CREATE TEMP TABLE kept_events AS SELECT * FROM events;"
            "CREATE TEMP TABLE kept_requests AS SELECT * FROM requests");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sqlite3_close(db);
    log_clear(&golden);
    log_clear(&other);
    directory_remove(directory);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole), TEST(test_told), TEST(test_kept), TEST(test_damages), TEST(test_csv), TEST(test_jsonl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
