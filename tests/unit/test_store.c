/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log on a disk: what was acknowledged is there again, whatever happens to the process, the disk or the file. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lockboxd/store.h"
#include "tests/unit/bad_disk.h"
#include "tests/unit/directory.h"
#include "tests/unit/samples.h"

static char directory[64]; /* a new one for each test */

static int set_up(void **state)
{
    (void)state;
    memset(&bad_disk, 0, sizeof(bad_disk));
    strcpy(directory, "/tmp/lockbox-store-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    memset(&bad_disk, 0, sizeof(bad_disk));
    directory_remove(directory);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static struct lb_store *open_store(void)
{
    struct lb_store *s = NULL;

    assert_int_equal(lb_store_open(directory, false, 0, &s), 0);
    return s;
}

/* Runs SQL as somebody else would who has the file. */
static void tamper(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path_of("lockbox.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Applies an event to *r and appends it as the gate would. */
static int step(struct lb_store *s, struct lb_request **r, struct lb_event e)
{
    unsigned effects;
    int error = lb_lifecycle_check(*r, *r ? (*r)->state : LB_STATE_NONE, &e, &e.state, &effects);

    if (error == 0)
        error = lb_store_append(s, &e, 1);
    if (error == 0)
        assert_int_equal(lb_lifecycle_apply(r, &e), 0);
    return error;
}

static void note(struct lb_store *s, int64_t after)
{
    struct lb_event e = { .kind = LB_EVENT_STARTED, .time = sample_time(after), .host = "appliance" };

    assert_int_equal(lb_store_append(s, &e, 1), 0);
}

/* --- the chain as an auditor walks it ----------------------------------------------------------------------------- */

struct walk {
    int64_t seq;
    char hash[LB_HASH_MAX];
};

static int walk_event(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct walk *w = userdata;
    char prev[LB_HASH_MAX], actual[LB_HASH_MAX];

    assert_int_equal(seq, w->seq + 1);
    assert_int_equal(lb_chain_decode(json, &e, prev), 0);
    assert_int_equal(e.seq, seq);
    assert_string_equal(prev, w->hash);
    assert_int_equal(lb_chain_hash(json, strlen(json), actual), 0);
    assert_string_equal(hash, actual);
    w->seq = seq;
    memcpy(w->hash, hash, LB_HASH_MAX);
    return 0;
}

/* The seq of the last one. */
static int64_t assert_chain(struct lb_store *s)
{
    struct walk w = { 0, LB_CHAIN_GENESIS };

    assert_int_equal(lb_store_events(s, 1, NULL, 0, walk_event, &w), 0);
    assert_int_equal(w.seq, lb_store_last(s, NULL));
    return w.seq;
}

static int append_id(void *userdata, const char *id)
{
    char *list = userdata;

    assert_true(strlen(list) < 2000);
    strcat(strcat(list, id), " ");
    return 0;
}

static void assert_list(struct lb_store *s, const struct lb_store_filter *filter, const char *wanted)
{
    char ids[2100] = "";

    assert_int_equal(lb_store_list(s, filter, append_id, ids), 0);
    assert_string_equal(ids, wanted);
}

/* --- in peace ----------------------------------------------------------------------------------------------------- */

static void test_empty(void **state)
{
    struct lb_store *s = open_store();
    struct lb_time t = sample_time(0);
    struct lb_request *r = NULL;
    struct stat st;

    (void)state;
    assert_int_equal(lb_store_last(s, &t), 0);
    assert_int_equal(t.wall, 0);
    assert_int_equal(lb_store_load(s, "7F3K-9QXM", &r), -ENOENT);
    assert_null(r);
    assert_list(s, &(struct lb_store_filter){ 0 }, "");
    assert_int_equal(lb_store_journal_position(s), 0);
    assert_int_equal(stat(path_of("lockbox.db"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    lb_store_close(s);
    assert_null(lb_store_close(NULL));
}

static void test_append_and_load(void **state)
{
    struct lb_store *s = open_store();
    struct lb_request *r = NULL, *loaded = NULL;
    struct lb_time t;

    (void)state;
    note(s, 0);
    for (size_t i = 0; sample_ways[LB_STATE_ENDED][i]; i++)
        assert_int_equal(step(s, &r, sample_event(sample_ways[LB_STATE_ENDED][i], (int64_t)i)), 0);
    lb_store_close(s);
    s = open_store();
    assert_int_equal(lb_store_last(s, &t), 4);
    assert_int_equal(t.wall, SAMPLE_WALL + 2);
    assert_int_equal(t.boot, SAMPLE_BOOT + 2);
    assert_int_equal(t.boot_id, 77);
    assert_int_equal(assert_chain(s), 4);
    assert_int_equal(lb_store_load(s, r->id, &loaded), 0);
    LB_FREE char *a = sample_text(r), *b = sample_text(loaded);
    assert_string_equal(a, b);
    lb_request_free(r);
    lb_request_free(loaded);
    lb_store_close(s);
}

/* Several in one commit get consecutive numbers, and all or none. */
static void test_all_or_nothing(void **state)
{
    struct lb_store *s = open_store();
    struct lb_event both[2] = { sample_event(LB_EVENT_REQUESTED, 0), sample_event(LB_EVENT_APPROVED, 1) };

    (void)state;
    both[0].state = LB_STATE_PENDING;
    both[1].state = LB_STATE_APPROVED;
    both[1].note = "not UTF-8: \xff";
    assert_true(lb_store_append(s, both, 2) < 0);
    assert_int_equal(lb_store_last(s, NULL), 0);
    assert_list(s, &(struct lb_store_filter){ 0 }, "");
    both[1].note = NULL;
    assert_int_equal(lb_store_append(s, both, 2), 0);
    assert_int_equal(both[0].seq, 1);
    assert_int_equal(both[1].seq, 2);
    assert_int_equal(assert_chain(s), 2);
    assert_list(s, &(struct lb_store_filter){ .state = "approved" }, "7F3K-9QXM ");
    lb_store_close(s);
}

/* Whatever came to a request, reading its events again makes the same one. */
static void test_replay_equals_memory(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    struct lb_store *s = open_store();
    for (int i = 0; i < 40; i++) {
        struct lb_request *r = NULL, *loaded = NULL;
        char id[16];

        snprintf(id, sizeof(id), "AAAA-00%02d", i);
        for (int64_t at = 0; at < 150; at++) {
            struct lb_event e = sample_event(1 + (int)sample_below(&seed, LB_EVENT_REQUEST_MAX_ - 1), at * MINUTE);

            e.request = id;
            e.pid = sample_below(&seed, 4);
            e.duration = sample_below(&seed, 3) * HOUR;
            e.foreign = sample_below(&seed, 2);
            e.note = sample_below(&seed, 2) ? "Grüße \"\\ \n" : NULL;
            e.left_usec = sample_below(&seed, 9) * HOUR;
            e.not_before = sample_below(&seed, 2) ? e.time.wall + sample_below(&seed, 5) * HOUR : 0;
            e.terms.emergency = sample_below(&seed, 2);
            e.terms.emergency_duration = HOUR;
            step(s, &r, e); /* most are not allowed */
        }
        assert_non_null(r);
        assert_int_equal(lb_store_load(s, id, &loaded), 0);
        LB_FREE char *a = sample_text(r), *b = sample_text(loaded);
        assert_string_equal(a, b);
        strcat(id, " ");
        assert_list(s, &(struct lb_store_filter){ .open_only = true }, lb_state_is_open(r->state) ? id : "");
        lb_request_free(loaded);
        lb_request_free(r);
        tamper("UPDATE requests SET open = 0"); /* only the newest is of interest to the next round */
    }
    assert_true(assert_chain(s) > 120);
    lb_store_close(s);
}

/* What is told of a request, but is no event of its life, does not change it. */
static void test_refusals_are_no_life(void **state)
{
    struct lb_store *s = open_store();
    struct lb_request *r = NULL, *loaded = NULL;
    struct lb_event e = sample_event(LB_EVENT_ILLEGAL, 1);

    (void)state;
    assert_int_equal(step(s, &r, sample_event(LB_EVENT_REQUESTED, 0)), 0);
    e.state = LB_STATE_PENDING;
    assert_int_equal(lb_store_append(s, &e, 1), 0);
    e = sample_event(LB_EVENT_REFUSED, 2);
    e.request = "ZZZZ-ZZZZ"; /* of none that exists */
    assert_int_equal(lb_store_append(s, &e, 1), 0);
    assert_int_equal(lb_store_load(s, r->id, &loaded), 0);
    assert_int_equal(loaded->state, LB_STATE_PENDING);
    lb_request_free(loaded);
    assert_int_equal(lb_store_load(s, "ZZZZ-ZZZZ", &loaded), -ENOENT);
    assert_list(s, &(struct lb_store_filter){ 0 }, "7F3K-9QXM ");
    lb_request_free(r);
    lb_store_close(s);
}

static void make_request(struct lb_store *s, const char *id, const char *account, const char *ticket, int64_t at,
                         int then)
{
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, at);
    struct lb_request *r = NULL;

    e.request = (char *)id;
    e.account = (char *)account;
    e.ticket = (char *)ticket;
    assert_int_equal(step(s, &r, e), 0);
    e.kind = then;
    e.time = sample_time(at + MINUTE);
    if (then)
        assert_int_equal(step(s, &r, e), 0);
    lb_request_free(r);
}

static void test_filters(void **state)
{
    struct lb_store *s = open_store();

    (void)state;
    make_request(s, "AAAA-AAA1", "root", "CASE-1", 1 * HOUR, LB_EVENT_DENIED);
    make_request(s, "AAAA-AAA2", "support", "CASE-2", 2 * HOUR, 0);
    make_request(s, "AAAA-AAA3", "root", "CASE-3", 3 * HOUR, LB_EVENT_APPROVED);
    make_request(s, "AAAA-AAA4", "support", NULL, 4 * HOUR, LB_EVENT_WITHDRAWN);
    assert_list(s, &(struct lb_store_filter){ 0 }, "AAAA-AAA4 AAAA-AAA3 AAAA-AAA2 AAAA-AAA1 ");
    assert_list(s, &(struct lb_store_filter){ .limit = 2 }, "AAAA-AAA4 AAAA-AAA3 ");
    assert_list(s, &(struct lb_store_filter){ .open_only = true }, "AAAA-AAA3 AAAA-AAA2 ");
    assert_list(s, &(struct lb_store_filter){ .account = "root" }, "AAAA-AAA3 AAAA-AAA1 ");
    assert_list(s, &(struct lb_store_filter){ .account = "root", .open_only = true }, "AAAA-AAA3 ");
    assert_list(s, &(struct lb_store_filter){ .account = "root", .engineer = "eng@vendor.example" },
                "AAAA-AAA3 AAAA-AAA1 ");
    assert_list(s, &(struct lb_store_filter){ .account = "root", .engineer = "eng@vendor.example", .open_only = true },
                "AAAA-AAA3 ");
    assert_list(s, &(struct lb_store_filter){ .account = "support", .engineer = "nobody" }, "");
    assert_list(s, &(struct lb_store_filter){ .ticket = "CASE-2" }, "AAAA-AAA2 ");
    assert_list(s, &(struct lb_store_filter){ .state = "withdrawn" }, "AAAA-AAA4 ");
    assert_list(s, &(struct lb_store_filter){ .engineer = "nobody" }, "");
    assert_list(s, &(struct lb_store_filter){ .engineer = "eng@vendor.example", .limit = 1 }, "AAAA-AAA4 ");
    assert_list(s, &(struct lb_store_filter){ .since = SAMPLE_WALL + 2 * HOUR, .until = SAMPLE_WALL + 4 * HOUR },
                "AAAA-AAA3 AAAA-AAA2 ");
    assert_list(s, &(struct lb_store_filter){ .recent = SAMPLE_WALL + 4 * HOUR }, "AAAA-AAA4 AAAA-AAA3 AAAA-AAA2 ");
    assert_list(s, &(struct lb_store_filter){ .account = "root' OR 1=1 --" }, "");
    lb_store_close(s);
}

static int count(void *userdata, int64_t seq, const char *hash, const char *json)
{
    (void)hash, (void)json;
    *(int64_t *)userdata = *(int64_t *)userdata * 100 + seq;
    return seq == 7 ? 99 : 0;
}

static void test_events(void **state)
{
    struct lb_store *s = open_store();
    int64_t seen = 0;

    (void)state;
    make_request(s, "AAAA-AAA1", "root", "CASE-1", 0, LB_EVENT_APPROVED);
    make_request(s, "AAAA-AAA2", "root", "CASE-2", 0, LB_EVENT_APPROVED);
    make_request(s, "AAAA-AAA3", "root", "CASE-3", 0, LB_EVENT_APPROVED);
    assert_int_equal(lb_store_events(s, 3, NULL, 2, count, &seen), 0);
    assert_int_equal(seen, 304);
    seen = 0;
    assert_int_equal(lb_store_events(s, 1, "AAAA-AAA2", 0, count, &seen), 0);
    assert_int_equal(seen, 304);
    note(s, 1);
    note(s, 2);
    seen = 0;
    assert_int_equal(lb_store_events(s, 6, NULL, 0, count, &seen), 99); /* handed on, and no further */
    assert_int_equal(seen, 607);
    lb_store_close(s);
}

static void test_journal_position(void **state)
{
    struct lb_store *s = open_store();

    (void)state;
    note(s, 0);
    lb_store_set_journal_position(s, 1);
    lb_store_close(s);
    s = open_store();
    assert_int_equal(lb_store_journal_position(s), 0); /* nothing was written with it */
    lb_store_set_journal_position(s, 1);
    assert_int_equal(lb_store_flush(s), 0);
    lb_store_close(s);
    s = open_store();
    assert_int_equal(lb_store_journal_position(s), 1);
    lb_store_set_journal_position(s, 2);
    note(s, 1); /* with the next append */
    lb_store_close(s);
    s = open_store();
    assert_int_equal(lb_store_journal_position(s), 2);
    lb_store_close(s);
}

static void test_reader_beside_the_writer(void **state)
{
    struct lb_store *s = open_store(), *reader = NULL;
    struct lb_request *r = NULL;

    (void)state;
    note(s, 0);
    assert_int_equal(lb_store_open(directory, true, 0, &reader), 0);
    assert_int_equal(assert_chain(reader), 1);
    make_request(s, "AAAA-AAA1", "root", "CASE-1", HOUR, LB_EVENT_APPROVED);
    assert_int_equal(lb_store_load(reader, "AAAA-AAA1", &r), 0); /* sees what comes after */
    assert_int_equal(r->state, LB_STATE_APPROVED);
    lb_request_free(r);
    lb_store_close(reader);
    lb_store_close(s);
}

/* --- the projection ----------------------------------------------------------------------------------------------- */

static void test_projection_is_made_again(void **state)
{
    static const char *const harm[] = {
        "DELETE FROM requests; UPDATE meta SET value = 0 WHERE key = 'projected'",
        "UPDATE requests SET open = 1, state = 'approved'; UPDATE meta SET value = 0 WHERE key = 'projection'",
        "DROP TABLE requests; DELETE FROM meta WHERE key = 'projected'",
        "DELETE FROM requests; DELETE FROM meta",
    };

    (void)state;
    struct lb_store *s = open_store();
    make_request(s, "AAAA-AAA1", "root", "CASE-1", 1 * HOUR, LB_EVENT_DENIED);
    make_request(s, "AAAA-AAA2", "support", "CASE-2", 2 * HOUR, 0);
    lb_store_close(s);
    for (size_t i = 0; i < LB_ELEMENTS(harm); i++) {
        tamper(harm[i]);
        s = open_store();
        assert_list(s, &(struct lb_store_filter){ .open_only = true }, "AAAA-AAA2 ");
        assert_list(s, &(struct lb_store_filter){ .state = "denied" }, "AAAA-AAA1 ");
        assert_list(s, &(struct lb_store_filter){ .recent = SAMPLE_WALL + HOUR + MINUTE }, "AAAA-AAA2 AAAA-AAA1 ");
        lb_store_close(s);
    }
}

static void assert_unseen(struct lb_store *s, const char *account, const char *wanted)
{
    LB_FREE char *id = NULL;

    assert_int_equal(lb_store_unseen(s, account, &id), wanted != NULL);
    assert_int_equal(wanted == NULL, id == NULL);
    if (wanted)
        assert_string_equal(id, wanted);
}

/* An emergency on an account of its own, led as far as the events go; 0 ends them. */
static void make_emergency(struct lb_store *s, const char *id, const char *account, const int *events)
{
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);
    struct lb_request *r = NULL;

    e.terms.emergency = true;
    e.terms.emergency_duration = HOUR;
    for (size_t i = 0; i == 0 || events[i - 1]; i++) {
        e.request = (char *)id;
        e.account = (char *)account;
        assert_int_equal(step(s, &r, e), 0);
        e = sample_event(events[i], (int64_t)i * MINUTE);
    }
    lb_request_free(r);
}

/* The state of what an emergency leaves behind, told from the table and told again from the log alone. */
static void test_unseen_emergencies(void **state)
{
    struct lb_store *s = open_store();

    (void)state;
    make_request(s, "AAAA-AAA1", "calm", "CASE-1", 0, LB_EVENT_APPROVED);
    make_emergency(s, "AAAA-AAA2", "running", (const int[]){ LB_EVENT_EMERGENCY, 0 });
    make_emergency(s, "AAAA-AAA3", "over", (const int[]){ LB_EVENT_EMERGENCY, LB_EVENT_TIME_OVER, LB_EVENT_ENDED, 0 });
    make_emergency(s, "AAAA-AAA4", "seen", (const int[]){ LB_EVENT_EMERGENCY, LB_EVENT_ACKNOWLEDGED, LB_EVENT_TIME_OVER,
                                                           LB_EVENT_ENDED, 0 });
    make_emergency(s, "AAAA-AAA5", "late", (const int[]){ LB_EVENT_EMERGENCY, LB_EVENT_TIME_OVER, LB_EVENT_ENDED,
                                                           LB_EVENT_ACKNOWLEDGED, 0 });
    for (int round = 0; round < 2; round++) {
        assert_unseen(s, "nobody", NULL);
        assert_unseen(s, "calm", NULL);
        assert_unseen(s, "running", "AAAA-AAA2");
        assert_unseen(s, "over", "AAAA-AAA3");
        assert_unseen(s, "seen", NULL);
        assert_unseen(s, "late", NULL);
        assert_list(s, &(struct lb_store_filter){ .state = "ended" }, "AAAA-AAA3 AAAA-AAA4 AAAA-AAA5 ");
        assert_list(s, &(struct lb_store_filter){ .recent = SAMPLE_WALL + 3 * MINUTE, .account = "late" }, "");
        lb_store_close(s);
        tamper("DELETE FROM requests; UPDATE meta SET value = 1 WHERE key = 'projection'");
        s = open_store();
    }
    lb_store_close(s);
}

/* The log of an earlier version, whose table knew nothing of emergencies. */
static void test_table_of_an_earlier_version(void **state)
{
    struct lb_store *s = open_store();

    (void)state;
    make_emergency(s, "AAAA-AAA1", "root", (const int[]){ LB_EVENT_EMERGENCY, 0 });
    lb_store_close(s);
    tamper("DROP TABLE requests; CREATE TABLE requests (id TEXT PRIMARY KEY, open INTEGER NOT NULL,"
           " state TEXT NOT NULL, account TEXT, engineer TEXT, ticket TEXT, requested_at INTEGER NOT NULL, closed_at "
           "INTEGER) WITHOUT ROWID;"
           " UPDATE meta SET value = 1 WHERE key = 'projection'");
    s = open_store();
    assert_unseen(s, "root", "AAAA-AAA1");
    assert_list(s, &(struct lb_store_filter){ .open_only = true }, "AAAA-AAA1 ");
    lb_store_close(s);
}

/* --- damage ------------------------------------------------------------------------------------------------------- */

static void assert_open_fails(int error)
{
    struct lb_store *s = (void *)1;

    assert_int_equal(lb_store_open(directory, false, 0, &s), error);
    assert_ptr_equal(s, (void *)1);
}

static void make_log(void)
{
    struct lb_store *s = open_store();

    for (int i = 0; i < 50; i++)
        note(s, i);
    lb_store_close(s);
}

static void test_damaged_file(void **state)
{
    char byte;

    (void)state;
    make_log();
    for (off_t page = 0; page < 3; page++) {
        int fd = open(path_of("lockbox.db"), O_RDWR | O_CLOEXEC);
        off_t at = page * 4096 + (page ? 0 : 20);

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x55;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_open_fails(-EUCLEAN);
        byte ^= 0x55;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        lb_store_close(open_store());
    }
}

static void test_not_a_database(void **state)
{
    FILE *f = fopen(path_of("lockbox.db"), "we");

    (void)state;
    for (int i = 0; i < 1000; i++)
        fputs("this is a letter ", f);
    fclose(f);
    assert_open_fails(-EUCLEAN);
}

static void test_truncated_file(void **state)
{
    (void)state;
    make_log();
    assert_int_equal(truncate(path_of("lockbox.db"), 8192), 0);
    assert_open_fails(-EUCLEAN);
}

/* An open request that the index of open ones lacks: it would be found by nobody, and not ended. */
static void test_index_that_lacks_a_row(void **state)
{
    static const char change[] = "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, '%s', '%s')"
                                 " WHERE name = 'requests_open'";
    struct lb_store *s = open_store();
    char sql[256];

    (void)state;
    make_request(s, "AAAA-AAA1", "root", "CASE-1", 0, LB_EVENT_APPROVED);
    lb_store_close(s);
    snprintf(sql, sizeof(sql), change, "WHERE open", "WHERE NOT open");
    tamper(sql);
    tamper("REINDEX requests_open");
    snprintf(sql, sizeof(sql), change, "WHERE NOT open", "WHERE open");
    tamper(sql);
    assert_open_fails(-EUCLEAN);
    tamper("REINDEX requests_open");
    lb_store_close(open_store());
}

static void test_forged_last_event(void **state)
{
    static const char *const forgeries[] = {
        "UPDATE events SET json = replace(json, 'appliance', 'somewhere') WHERE seq = 50",
        "UPDATE events SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 50",
        "UPDATE events SET json = 'x' WHERE seq = 50",
        "UPDATE events SET seq = 51 WHERE seq = 50",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(forgeries); i++) {
        make_log();
        tamper(forgeries[i]);
        assert_open_fails(-EUCLEAN);
        unlink(path_of("lockbox.db"));
    }
}

static void test_unreadable_event_of_a_request(void **state)
{
    struct lb_store *s = open_store();
    struct lb_request *r = NULL;

    (void)state;
    make_request(s, "AAAA-AAA1", "root", "CASE-1", 0, LB_EVENT_APPROVED);
    note(s, HOUR);
    tamper("UPDATE events SET json = replace(json, 'approved', 'begun') WHERE seq = 2"); /* contradicts its state */
    assert_int_equal(lb_store_load(s, "AAAA-AAA1", &r), -EUCLEAN);
    assert_null(r);
    lb_store_close(s);
}

static void test_no_directory(void **state)
{
    struct lb_store *s = NULL;

    (void)state;
    assert_int_equal(lb_store_open(path_of("missing"), false, 0, &s), -EACCES);
    assert_int_equal(lb_store_open(directory, true, 0, &s), -EACCES); /* a reader makes nothing */
    assert_int_equal(access(path_of("lockbox.db"), F_OK), -1);
    assert_null(s);
}

/* In a process of its own, since root may write anywhere. */
static void test_directory_that_is_not_ours(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    make_log();
    chmod(path_of("lockbox.db"), 0444);
    chmod(directory, 0555);
    pid = fork();
    if (pid == 0) {
        struct lb_event e = { .kind = LB_EVENT_STARTED, .time = sample_time(0) };
        struct lb_store *s = NULL;
        int r = geteuid() == 0 && setresuid(65534, 65534, 65534) < 0 ? 0 : lb_store_open(directory, false, 0, &s);

        if (r == 0 && s)
            r = lb_store_append(s, &e, 1);
        _exit(r == -EACCES || r == -EROFS ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    chmod(directory, 0700);
}

/* --- a disk that fails -------------------------------------------------------------------------------------------- */

static void assert_append_fails(struct lb_store *s, int error)
{
    struct lb_event e = { .kind = LB_EVENT_STARTED, .time = sample_time(HOUR) };
    int64_t last = lb_store_last(s, NULL);
    int r = lb_store_append(s, &e, 1);

    if (error)
        assert_int_equal(r, error);
    assert_true(r < 0);
    assert_int_equal(lb_store_last(s, NULL), last);
}

static void test_failing_writes(void **state)
{
    static const int errors[] = { ENOSPC, EIO, EDQUOT, EFBIG };
    struct lb_store *s = open_store();

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(errors); i++) {
        note(s, (int64_t)i);
        bad_disk.error = errors[i];
        assert_append_fails(s, errors[i] == ENOSPC ? -ENOSPC : 0);
        assert_append_fails(s, 0);
        bad_disk.error = 0;
    }
    note(s, 100);
    assert_int_equal(assert_chain(s), LB_ELEMENTS(errors) + 1);
    lb_store_close(s);
    s = open_store();
    assert_int_equal(assert_chain(s), LB_ELEMENTS(errors) + 1);
    lb_store_close(s);
}

static void test_file_size_limit(void **state)
{
    struct lb_store *s = open_store();
    struct rlimit before, none;

    (void)state;
    note(s, 0);
    getrlimit(RLIMIT_FSIZE, &before);
    none = (struct rlimit){ 1024, before.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    assert_append_fails(s, 0);
    setrlimit(RLIMIT_FSIZE, &before);
    note(s, 1);
    assert_int_equal(assert_chain(s), 2);
    lb_store_close(s);
}

static int64_t size_of(const char *name)
{
    struct stat st;

    return stat(path_of(name), &st) < 0 ? -1 : (int64_t)st.st_blocks * 512;
}

static void test_reserve(void **state)
{
    struct lb_store *s = NULL;

    (void)state;
    assert_int_equal(lb_store_open(directory, false, 1024 * 1024, &s), 0);
    assert_true(size_of("reserve") >= 1024 * 1024);
    lb_store_release_reserve(s);
    assert_int_equal(size_of("reserve"), -1);
    note(s, 0);
    assert_true(size_of("reserve") >= 1024 * 1024);
    lb_store_close(s);
}

/* --- a process that is killed ------------------------------------------------------------------------------------- */

/* Appends events for ever (or `n`) and says the number of each on the pipe as soon as it is acknowledged. */
static void append_and_tell(int fd, int n)
{
    struct lb_store *s = NULL;

    if (lb_store_open(directory, false, 0, &s) < 0)
        _exit(1);
    for (int i = 0; i < n; i++) {
        struct lb_event e = sample_event(i ? LB_EVENT_MESSAGE : LB_EVENT_REQUESTED, i);
        char id[16];

        snprintf(id, sizeof(id), "%04d-%04d", (int)getpid() % 10000, i / 50);
        e.request = id;
        e.kind = i % 50 ? LB_EVENT_MESSAGE : LB_EVENT_REQUESTED;
        e.note = "a message that takes a little room in a page of the log, so that pages fill and split";
        e.state = LB_STATE_PENDING;
        if (lb_store_append(s, &e, 1) < 0)
            _exit(1);
        if (write(fd, &e.seq, sizeof(e.seq)) != sizeof(e.seq))
            _exit(1);
    }
    lb_store_close(s);
    _exit(0);
}

/* Everything that was acknowledged is there, nothing is torn, and it goes on. */
static void assert_survived(int64_t acknowledged)
{
    struct lb_store *s = open_store();
    struct lb_request *r = NULL;
    char ids[2100] = "", first[16] = "";

    assert_true(lb_store_last(s, NULL) >= acknowledged);
    assert_int_equal(assert_chain(s), lb_store_last(s, NULL));
    assert_int_equal(lb_store_list(s, &(struct lb_store_filter){ .open_only = true, .limit = 1 }, append_id, ids), 0);
    if (sscanf(ids, "%15s", first) == 1) {
        assert_int_equal(lb_store_load(s, first, &r), 0);
        lb_request_free(r);
    }
    note(s, 0);
    assert_int_equal(assert_chain(s), lb_store_last(s, NULL));
    lb_store_close(s);
}

/* SIGKILL while it appends, after as many acknowledgements as chance says. */
static void test_killed_while_appending(void **state)
{
    uint64_t seed = (uint64_t)getpid();

    (void)state;
    for (int round = 0; round < 25; round++) {
        int64_t last = 0, seq, wanted = sample_below(&seed, 40);
        int fds[2], status;
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        if (pid == 0)
            append_and_tell(fds[1], INT32_MAX);
        close(fds[1]);
        for (int64_t i = 0; i <= wanted && read(fds[0], &seq, sizeof(seq)) == sizeof(seq); i++)
            last = seq;
        for (volatile int64_t spin = sample_below(&seed, 200000); spin > 0; spin--)
            ;
        kill(pid, SIGKILL);
        while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq))
            last = seq; /* said before it died */
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_survived(last);
    }
}

/* Killed in the middle of the first change of the disk, of the second … until it comes through without. */
static void test_killed_at_every_write_and_sync(void **state)
{
    long lives;
    int status = -1;

    (void)state;
    for (lives = 1; status != 0; lives++) {
        int64_t last = 0, seq;
        int fds[2];
        pid_t pid;

        directory_remove(directory);
        assert_int_equal(mkdir(directory, 0700), 0);
        assert_int_equal(pipe(fds), 0);
        pid = fork();
        if (pid == 0) {
            bad_disk.lives = lives;
            append_and_tell(fds[1], 4);
        }
        close(fds[1]);
        while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq))
            last = seq;
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
        assert_survived(last);
    }
    assert_true(lives > 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_empty),
        TEST(test_append_and_load),
        TEST(test_all_or_nothing),
        TEST(test_replay_equals_memory),
        TEST(test_refusals_are_no_life),
        TEST(test_filters),
        TEST(test_events),
        TEST(test_journal_position),
        TEST(test_reader_beside_the_writer),
        TEST(test_projection_is_made_again),
        TEST(test_unseen_emergencies),
        TEST(test_table_of_an_earlier_version),
        TEST(test_damaged_file),
        TEST(test_not_a_database),
        TEST(test_truncated_file),
        TEST(test_index_that_lacks_a_row),
        TEST(test_forged_last_event),
        TEST(test_unreadable_event_of_a_request),
        TEST(test_no_directory),
        TEST(test_directory_that_is_not_ours),
        TEST(test_failing_writes),
        TEST(test_file_size_limit),
        TEST(test_reserve),
        TEST(test_killed_while_appending),
        TEST(test_killed_at_every_write_and_sync),
    };

    bad_disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
