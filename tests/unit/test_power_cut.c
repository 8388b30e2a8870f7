/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The power goes at every write and sync of the log's life. Whatever the disk makes of what was not synced: the log
 * opens, it is whole, what was acknowledged is there, and of a commit that was under way all or nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lockboxd/store.h"
#include "lockboxd/verify.h"
#include "tests/unit/sample_log.h"
#include "tests/unit/sim_disk.h"

#define DIRECTORY "/sim"

/* Random outcomes of each cut; LOCKBOX_LONG (make check-long) takes many. */
static int64_t randoms;

/* How many events each commit of the run has. */
static const int commits[] = { 1, 1, 2, 1, 3, 1, 1, 4, 1, 2, 1, 1, 1, 2, 1, 1 };
#define COMMITS LB_ELEMENTS(commits)

struct run {
    struct sim_log log;
    struct { size_t began, done; int64_t seq; } commits[COMMITS]; /* operations before and with it */
    struct { char hash[LB_HASH_MAX]; } events[LOG_LENGTH + 1];    /* by seq */
};

/* --- the connections of the store --------------------------------------------------------------------------------- */

static const char *synchronous; /* instead of what the store says; NULL: as it says */

static int authorize(void *userdata, int action, const char *name, const char *value, const char *db, const char *by)
{
    (void)userdata, (void)db, (void)by;
    return action == SQLITE_PRAGMA && value && strcmp(name, "synchronous") == 0 ? SQLITE_IGNORE : SQLITE_OK;
}

/* So few pages that a short run has many a checkpoint, and the WAL begins anew. */
static int on_open(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
    char sql[64];

    (void)error, (void)api;
    sqlite3_wal_autocheckpoint(db, 20);
    if (!synchronous)
        return SQLITE_OK;
    snprintf(sql, sizeof(sql), "PRAGMA synchronous = %s", synchronous);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_set_authorizer(db, authorize, NULL);
    return SQLITE_OK;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static struct log_copy names; /* the requests' IDs */

static struct lb_store *open_store(void)
{
    struct lb_store *s = NULL;

    assert_int_equal(lb_store_open(DIRECTORY, false, 0, &s), 0);
    return s;
}

static int note_hash(void *userdata, int64_t seq, const char *hash, const char *json)
{
    struct run *run = userdata;

    (void)json;
    memcpy(run->events[seq].hash, hash, LB_HASH_MAX);
    return 0;
}

/* A few requests' lives, with a clean stop and a start in their midst. */
static void record(struct run *run)
{
    struct lb_store *s;

    memset(run, 0, sizeof(*run));
    sim_forget_memory();
    sim_disk_clear(&sim.disk);
    sim_log_begin(&run->log);
    s = open_store();
    for (size_t i = 0; i < COMMITS; i++) {
        struct lb_event events[4];
        int64_t last = lb_store_last(s, NULL);

        for (int k = 0; k < commits[i]; k++)
            events[k] = log_event(&names, last + 1 + k);
        run->commits[i].began = run->log.n;
        assert_int_equal(lb_store_append(s, events, (size_t)commits[i]), 0);
        run->commits[i].done = run->log.n;
        run->commits[i].seq = lb_store_last(s, NULL);
        lb_store_set_journal_position(s, run->commits[i].seq);
        if (i == COMMITS / 2) {
            lb_store_close(s);
            s = open_store();
        }
    }
    assert_int_equal(lb_store_events(s, 1, NULL, 0, note_hash, run), 0);
    assert_int_equal(lb_store_last(s, NULL), LOG_LENGTH);
    lb_store_close(s);
    sim.log = NULL;
}

/* --- what is left of it ------------------------------------------------------------------------------------------- */

struct look {
    const struct run *run;
    struct lb_verify *verify;
    struct lb_fold *fold;
    const char *problem;
};

static int look_event(void *userdata, const struct lb_store_row *row)
{
    struct look *look = userdata;
    struct lb_slice members[LB_MEMBER_MAX_];
    const char *hash = row->seq > 0 && row->seq <= LOG_LENGTH ? look->run->events[row->seq].hash : "";

    if (!lb_slice_says(row->hash, (struct lb_slice){ hash, strlen(hash) }))
        look->problem = "an event that was never appended";
    if (lb_verify_event(look->verify, row->seq, row->hash, row->json, members) == 1)
        lb_fold_event(look->fold, members);
    return 0;
}

static int look_request(void *userdata, const struct lb_fold_row *row)
{
    struct look *look = userdata;

    if (lb_fold_agrees(look->fold, row) != 1)
        look->problem = "a row of the table that the log does not know";
    return 0;
}

static const char *look_at_log(const struct run *run, int64_t last)
{
    struct look look = { .run = run, .verify = lb_verify_new(), .fold = lb_fold_new() };
    LB_FREE char *damage = NULL;
    struct lb_verdict verdict;

    if (lb_store_read(DIRECTORY, &(struct lb_store_reader){ look_event, look_request, &look }) < 0 ||
        lb_store_check(DIRECTORY, &damage) != 1)
        look.problem = "it cannot be read";
    verdict = lb_verify_end(look.verify);
    if (!look.problem && (verdict.flaw != (last > 0 ? LB_FLAW_NONE : LB_FLAW_EMPTY) || verdict.last != last))
        look.problem = "the chain is not whole";
    if (!look.problem && lb_fold_lacking(look.fold))
        look.problem = "a request of the log is not in the table";
    lb_fold_free(look.fold);
    lb_verify_free(look.verify);
    return look.problem;
}

/* Whether the log may end there after so many operations: with what was acknowledged, or a whole commit behind it. */
static bool may_end(const struct run *run, size_t at, int64_t last)
{
    int64_t acknowledged = 0;
    bool may = false;

    for (size_t i = 0; i < COMMITS && run->commits[i].began <= at; i++) {
        may = last == acknowledged || last == run->commits[i].seq;
        if (run->commits[i].done <= at)
            acknowledged = run->commits[i].seq;
    }
    return last == acknowledged || (may && last > acknowledged);
}

/* What is the matter with the disk as it is after a cut; NULL: nothing. */
static const char *find_problem(const struct run *run, size_t at)
{
    struct lb_event more = { .kind = LB_EVENT_STARTED, .time = sample_time(HOUR), .host = "appliance" };
    struct lb_store *s = NULL;
    const char *problem;
    int64_t last;

    if (lb_store_open(DIRECTORY, false, 0, &s) < 0)
        return "it does not open";
    last = lb_store_last(s, NULL);
    problem = !may_end(run, at, last)                    ? "what was acknowledged is lost"
              : lb_store_journal_position(s) > last ? "the journal is said to have more than the log"
                                                    : look_at_log(run, last);
    if (!problem && (lb_store_append(s, &more, 1) < 0 || more.seq != last + 1))
        problem = "it takes no more";
    lb_store_close(s);
    return problem;
}

/* Of all cuts of the run, how many leave a problem. `told` is the first of them. */
static size_t cut_everywhere(const struct run *run, size_t every, char told[static 128])
{
    struct sim_replay replay;
    uint64_t seed = 38;
    size_t bad = 0;

    sim_replay_begin(&replay, &run->log);
    for (; replay.at <= run->log.n; sim_replay_step(&replay, &run->log)) {
        for (int64_t i = 0; replay.at % every == 0 && i < SIM_ANY + randoms; i++) {
            const char *problem;

            sim_cut(&replay, &run->log, i < SIM_ANY ? (enum sim_fate)i : SIM_ANY, &seed);
            problem = find_problem(run, replay.at);
            if (problem && bad++ == 0)
                snprintf(told, 128, "%s (cut after %zu of %zu operations, outcome %" PRId64 ")", problem, replay.at,
                         run->log.n, i);
        }
        if (replay.at == run->log.n)
            break;
    }
    sim_disk_clear(&replay.durable);
    return bad;
}

static struct run run;

static void test_cut_everywhere(void **state)
{
    char told[128] = "";

    (void)state;
    record(&run);
    assert_true(run.log.n > 200);
    if (cut_everywhere(&run, 1, told) > 0)
        fail_msg("%s", told);
}

/* The power goes once more while the log is opened after a cut, and goes on. */
static void test_cut_in_recovery(void **state)
{
    static struct run again;
    struct sim_replay replay;
    uint64_t seed = 39;
    char told[128] = "";

    (void)state;
    record(&run);
    sim_replay_begin(&replay, &run.log);
    for (; replay.at < run.log.n; sim_replay_step(&replay, &run.log)) {
        struct lb_store *s;
        int64_t last;

        if (replay.at % (randoms > 3 ? 3 : 29) != 0)
            continue;
        sim_cut(&replay, &run.log, SIM_ANY, &seed);
        again = run;
        sim_log_begin(&again.log);
        s = open_store();
        last = lb_store_last(s, NULL);
        lb_store_close(s);
        sim.log = NULL;
        for (size_t i = 0; i < COMMITS; i++) /* what is there now has to stay */
            again.commits[i].began = again.commits[i].done = again.commits[i].seq > last ? SIZE_MAX : 0;
        if (cut_everywhere(&again, 1, told) > 0)
            fail_msg("cut after %zu operations, and again: %s", replay.at, told);
        sim_log_clear(&again.log);
    }
    sim_disk_clear(&replay.durable);
}

/* It would be found: with less than synchronous=FULL, or a disk that does not sync, much is lost or damaged. */
static void test_without_syncs(void **state)
{
    static const char *const less[] = { "NORMAL", "OFF" };
    char told[128];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(less); i++) {
        synchronous = less[i];
        record(&run);
        synchronous = NULL;
        assert_true(cut_everywhere(&run, 5, told) > 20);
        sim_log_clear(&run.log);
    }
    record(&run);
    for (size_t i = 0; i < run.log.n; i++)
        if (run.log.ops[i].kind == SIM_SYNC)
            run.log.ops[i].kind = SIM_SYNC_DIRECTORY;
    assert_true(cut_everywhere(&run, 5, told) > 20);
}

static int set_up(void **state)
{
    (void)state;
    log_make(&names);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sim.log = NULL;
    sim_log_clear(&run.log);
    log_clear(&names);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cut_everywhere),
        TEST(test_cut_in_recovery),
        TEST(test_without_syncs),
    };

    randoms = getenv("LOCKBOX_LONG") ? 20 : 3;
    sim_install();
    sqlite3_auto_extension((void (*)(void))on_open);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
