/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a customer reads every day costs the same beside a hundred thousand old requests as beside none. Counted in
 * steps of SQLite's machine, which are the same on every computer: a search takes some hundred, a walk through the old
 * ones at least one for each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/store.h"
#include "tests/unit/directory.h"
#include "tests/unit/old_requests.h"
#include "tests/unit/samples.h"

#define OLD 100000
#define SEARCH 3000 /* steps */
#define WHO "root", .engineer = "eng@vendor.example"

static char directory[64];
static int64_t steps;

static int on_statement(unsigned what, void *context, void *statement, void *duration)
{
    (void)what, (void)context, (void)duration;
    steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, true);
    return 0;
}

/* SQLite calls this for each connection, so also for the store's own. */
static int watch(sqlite3 *db, char **ret_error, const void *api)
{
    (void)ret_error, (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, on_statement, NULL);
}

static struct lb_store *open_store(void)
{
    struct lb_store *s = NULL;

    assert_int_equal(lb_store_open(directory, false, 0, &s), 0);
    return s;
}

static void append(struct lb_store *s, const char *id, int kind, int state, int64_t at)
{
    struct lb_event e = sample_event(kind, at);

    e.request = (char *)id;
    e.state = state;
    assert_int_equal(lb_store_append(s, &e, 1), 0);
}

/* Old ones, and beside them one that waits and one that has been closed of late. */
static int set_up(void **state)
{
    char path[128];
    struct lb_store *s;

    (void)state;
    strcpy(directory, "/tmp/lockbox-old-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/lockbox.db", directory);
    s = open_store();
    append(s, "7F3K-9QXM", LB_EVENT_REQUESTED, LB_STATE_PENDING, 0);
    append(s, "7F3K-9QXM", LB_EVENT_DENIED, LB_STATE_DENIED, 0);
    lb_store_close(s);
    assert_int_equal(old_requests_add(path, "7F3K-9QXM", OLD), 0);
    s = open_store();
    append(s, "7F3K-9QX1", LB_EVENT_REQUESTED, LB_STATE_PENDING, HOUR);
    append(s, "7F3K-9QX2", LB_EVENT_REQUESTED, LB_STATE_PENDING, HOUR + 1);
    append(s, "7F3K-9QX2", LB_EVENT_DENIED, LB_STATE_DENIED, 2 * HOUR);
    lb_store_close(s);
    return sqlite3_auto_extension((void (*)(void))watch) == SQLITE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sqlite3_reset_auto_extension();
    directory_remove(directory);
    return 0;
}

static int count(void *userdata, const char *id)
{
    (void)id;
    ++*(int *)userdata;
    return 0;
}

/* How many there are, and that it took a search and no walk to find them. */
static int search(struct lb_store *s, const struct lb_store_filter *filter)
{
    int found = 0;

    steps = 0;
    assert_int_equal(lb_store_list(s, filter, count, &found), 0);
    assert_in_range(steps, 1, SEARCH);
    return found;
}

static void test_lists(void **state)
{
    struct lb_store *s = open_store();

    (void)state;
    assert_int_equal(search(s, &(struct lb_store_filter){ .open_only = true }), 1);
    assert_int_equal(
        search(s, &(struct lb_store_filter){ .open_only = true, .account = "root", .ticket = "CASE-1234" }), 1);
    assert_int_equal(search(s, &(struct lb_store_filter){ .recent = SAMPLE_WALL }), 3);
    assert_int_equal(search(s, &(struct lb_store_filter){ .recent = SAMPLE_WALL, .state = "denied" }), 2);
    assert_int_equal(search(s, &(struct lb_store_filter){ .limit = 10 }), 10);
    assert_int_equal(search(s, &(struct lb_store_filter){ .account = WHO, .limit = 10 }), 10);
    assert_int_equal(search(s, &(struct lb_store_filter){ .since = SAMPLE_WALL }), 3);
    lb_store_close(s);
}

static void test_an_old_one(void **state)
{
    struct lb_store *s = open_store();
    struct lb_request *r = NULL;
    char *id = NULL;

    (void)state;
    steps = 0;
    assert_int_equal(lb_store_load(s, "0001-0001", &r), 0);
    assert_int_equal(r->state, LB_STATE_DENIED);
    assert_int_equal(lb_store_unseen(s, "root", &id), 0);
    assert_in_range(steps, 1, SEARCH);
    lb_request_free(r);
    lb_store_close(s);
}

static void test_start(void **state)
{
    (void)state;
    steps = 0;
    lb_store_close(open_store());
    assert_in_range(steps, 1, SEARCH);
}

/* The measure itself: what no index serves is seen as a walk. */
static void test_a_walk_is_noticed(void **state)
{
    struct lb_store *s = open_store();
    int found = 0;

    (void)state;
    steps = 0;
    assert_int_equal(lb_store_list(s, &(struct lb_store_filter){ .ticket = "there is none" }, count, &found), 0);
    assert_true(steps > OLD);
    lb_store_close(s);
}

/* "recent" is what is open, or closed at the edge or later, to the microsecond. */
static void test_edge(void **state)
{
    struct lb_store *s = open_store();
    const int64_t closed = SAMPLE_WALL + 2 * HOUR;

    (void)state;
    assert_int_equal(search(s, &(struct lb_store_filter){ .recent = closed - 1 }), 2);
    assert_int_equal(search(s, &(struct lb_store_filter){ .recent = closed }), 2);
    assert_int_equal(search(s, &(struct lb_store_filter){ .recent = closed + 1 }), 1);
    lb_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_an_old_one),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_a_walk_is_noticed),
        cmocka_unit_test(test_edge),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
