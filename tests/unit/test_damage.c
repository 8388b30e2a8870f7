/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever becomes of the bytes of the database, lockboxctl audit verify finds it, unless every row is what it was and
 * is found as it was: then it may say that the trail is whole. (test_audit.c changes rows and asks for exact words.)
 */
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lockboxd/store.h"
#include "tests/unit/directory.h"
#include "tests/unit/run_ctl.h"
#include "tests/unit/sample_log.h"

#define LIVES 12
#define PAGE 4096

static char directory[] = "/tmp/lockbox-damage-XXXXXX";
static char path[64], known[LB_HASH_MAX + 24];
static char *golden, *bytes;     /* of the file, before and after a damage */
static size_t golden_n, n, room; /* room: of both */

/* --- what the file says, by other means than those of the program ------------------------------------------------- */

/* Every row, and every way by which rows are found. */
static const char *const questions[] = {
    "SELECT quote(seq) || quote(request) || quote(hash) || quote(json) FROM events ORDER BY seq",
    "SELECT quote(id) || open || quote(state) || quote(account) || quote(engineer) || quote(ticket)"
    " || quote(requested_at) || quote(closed_at) || unseen FROM requests ORDER BY id",
    "SELECT quote(request) || seq FROM events INDEXED BY events_of_request WHERE request IS NOT NULL"
    " ORDER BY request, seq",
    "SELECT quote(id) || requested_at FROM requests INDEXED BY requests_open WHERE open ORDER BY requested_at",
    "SELECT quote(id) || closed_at FROM requests INDEXED BY requests_by_end WHERE closed_at IS NOT NULL"
    " ORDER BY closed_at",
    "SELECT quote(id) || requested_at FROM requests INDEXED BY requests_by_time ORDER BY requested_at",
    "SELECT quote(id) || quote(account) FROM requests INDEXED BY requests_unseen WHERE unseen ORDER BY account",
    "SELECT quote(id) || quote(account) || quote(engineer) FROM requests INDEXED BY requests_by_engineer"
    " ORDER BY account, engineer, requested_at",
};

/* All answers, or up to the error, as one text. Owned. */
static char *dump(void)
{
    sqlite3 *db = NULL;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);

    for (size_t i = 0; r == SQLITE_OK && i < LB_ELEMENTS(questions); i++) {
        sqlite3_stmt *st = NULL;

        r = sqlite3_prepare_v2(db, questions[i], -1, &st, NULL);
        while (r == SQLITE_OK && (r = sqlite3_step(st)) == SQLITE_ROW) {
            const char *answer = (const char *)sqlite3_column_text(st, 0);

            fprintf(out, "%s\n", answer ? answer : "NULL");
            r = SQLITE_OK;
        }
        r = r == SQLITE_DONE ? SQLITE_OK : r;
        sqlite3_finalize(st);
    }
    if (r != SQLITE_OK)
        fprintf(out, "error %d\n", r);
    sqlite3_close(db);
    fclose(out);
    return text;
}

/* --- what the program says ---------------------------------------------------------------------------------------- */

static bool is_whole(void)
{
    const char *argv[] = { "lockboxctl", "audit", "verify", "--known", known, directory, NULL };
    LB_FREE char *out = NULL, *err = NULL;
    int r = run_ctl(argv, path, &out, &err);

    assert_true(r == LB_EXIT_DONE || (r == LB_EXIT_FAILED && *err));
    return r == LB_EXIT_DONE;
}

/* --- damages ------------------------------------------------------------------------------------------------------ */

static size_t anywhere(uint64_t *seed, size_t limit)
{
    return (size_t)sample_below(seed, (int64_t)limit);
}

static size_t page(uint64_t *seed)
{
    return anywhere(seed, golden_n / PAGE) * PAGE;
}

static void flip(uint64_t *seed)
{
    bytes[anywhere(seed, n)] ^= (char)(1 << sample_below(seed, 8));
}

static void change(uint64_t *seed)
{
    bytes[anywhere(seed, n)] = (char)sample_random(seed);
}

/* In the head of a page, where a bit does most. */
static void change_head(uint64_t *seed)
{
    bytes[page(seed) + anywhere(seed, 100)] ^= (char)(1 << sample_below(seed, 8));
}

static void remove_some(uint64_t *seed)
{
    size_t at = anywhere(seed, n - 64), some = 1 + anywhere(seed, 64);

    memmove(bytes + at, bytes + at + some, n - at - some);
    n -= some;
}

static void insert_some(uint64_t *seed)
{
    size_t at = anywhere(seed, n), some = 1 + anywhere(seed, 64);

    memmove(bytes + at + some, bytes + at, n - at);
    for (size_t i = 0; i < some; i++)
        bytes[at + i] = (char)sample_random(seed);
    n += some;
}

static void cut(uint64_t *seed)
{
    n = anywhere(seed, n);
}

static void cut_pages(uint64_t *seed)
{
    n = page(seed);
}

static void wipe(uint64_t *seed)
{
    memset(bytes + anywhere(seed, n / 512) * 512, sample_below(seed, 2) ? 0 : 0xff, 512);
}

static void copy_page(uint64_t *seed)
{
    memmove(bytes + page(seed), golden + page(seed), PAGE);
}

static void swap_pages(uint64_t *seed)
{
    size_t a = page(seed), b = page(seed);

    memcpy(bytes + a, golden + b, PAGE);
    memcpy(bytes + b, golden + a, PAGE);
}

/* A few bytes from somewhere else: what misdirected writes and hands that know what they do look like. */
static void copy_some(uint64_t *seed)
{
    memcpy(bytes + anywhere(seed, n - 64), golden + anywhere(seed, n - 64), 1 + anywhere(seed, 64));
}

static void write_file(void)
{
    LB_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, bytes, n), n);
}

static void test_damages(void **state)
{
    static void (*const kinds[])(uint64_t *seed) = {
        flip, flip, flip, flip, change, change_head, change_head, remove_some, insert_some, cut, cut_pages, wipe,
        copy_page, swap_pages, copy_some, copy_some,
    };
    LB_FREE char *before = dump();
    int damages = getenv("LOCKBOX_LONG") ? 10000 : 2000, harmless = 0;
    uint64_t seed = 4711;

    (void)state;
    assert_true(is_whole());
    for (int i = 0; i < damages; i++) {
        LB_FREE char *after = NULL;

        memcpy(bytes, golden, golden_n);
        n = golden_n;
        kinds[i % (int)LB_ELEMENTS(kinds)](&seed);
        write_file();
        after = dump();
        if (strcmp(before, after) == 0)
            harmless++;
        else if (is_whole())
            fail_msg("damage %d of kind %d is not found", i, i % (int)LB_ELEMENTS(kinds));
    }
    assert_true(harmless < damages / 2);
}

/* --- set-up ------------------------------------------------------------------------------------------------------- */

/* Many lives, so that pages are full; no WAL, all is in one file. */
static void make_log(void)
{
    struct lb_store *store = NULL;
    struct log_copy log;

    log_make(&log);
    assert_int_equal(lb_store_open(directory, false, 0, &store), 0);
    for (int64_t i = 0; i < LIVES; i++) {
        for (size_t k = 0; k < LOG_REQUESTS; k++)
            lb_id_make((uint64_t)(i * LOG_REQUESTS + (int64_t)k) * UINT64_C(123456789), log.ids[k]);
        for (int64_t seq = 1; seq <= LOG_LENGTH; seq++) {
            struct lb_event e = log_event(&log, seq);

            e.time = sample_time((i * LOG_LENGTH + seq) * MINUTE);
            if (i % 4 == 3 && seq > LOG_LENGTH / 2) /* some are still open */
                break;
            assert_int_equal(lb_store_append(store, &e, 1), 0);
        }
    }
    lb_store_close(store);
    log_clear(&log);
}

static int take_known(void *userdata, int64_t seq, const char *hash, const char *json)
{
    (void)userdata, (void)json;
    snprintf(known, sizeof(known), "%" PRId64 ":%s", seq, hash);
    return 0;
}

static int set_up(void **state)
{
    struct lb_store *store = NULL;
    sqlite3 *db;
    struct stat st;
    int fd;

    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/lockbox.db", directory);
    make_log();
    assert_int_equal(lb_store_open(directory, true, 0, &store), 0);
    assert_int_equal(lb_store_events(store, 1, NULL, 0, take_known, NULL), 0);
    lb_store_close(store);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = DELETE; VACUUM", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    golden_n = (size_t)st.st_size;
    room = golden_n + PAGE;
    golden = calloc(1, room);
    bytes = calloc(1, room);
    assert_int_equal(read(fd, golden, golden_n), golden_n);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(golden);
    free(bytes);
    directory_remove(directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_damages, set_up, tear_down) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
