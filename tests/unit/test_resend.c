/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After a machine went down hard, the journal is sent again what journald may not have had on the disk, and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lockboxd/resend.h"
#include "tests/unit/directory.h"
#include "tests/unit/old_requests.h"

#define SECOND LB_USEC_PER_SEC
#define NOW_BOOT 99 /* the boot in which the daemon starts */

static char directory[64];
static struct lb_store *store;

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/lockbox-resend-XXXXXX");
    return mkdtemp(directory) && lb_store_open(directory, false, 0, &store) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store = lb_store_close(store);
    directory_remove(directory);
    return 0;
}

/* An event so many seconds after the start of that boot. The wall clock says nothing of use. */
static void happens(int kind, int64_t boot_id, int64_t seconds)
{
    struct lb_event e = { .kind = kind, .host = "box", .note = "x",
                          .time = { .wall = 1, .boot = seconds * SECOND, .boot_id = boot_id } };

    assert_int_equal(lb_store_append(store, &e, 1), 0);
}

static void expect_position(int64_t expected)
{
    int64_t last = lb_store_last(store, NULL);

    assert_int_equal(lb_resend_position(store, last, NOW_BOOT), expected);
    if (expected > 0) /* what was never sent is not held to have been */
        assert_int_equal(lb_resend_position(store, expected - 1, NOW_BOOT), expected - 1);
}

static void test_an_empty_log(void **state)
{
    (void)state;
    expect_position(0);
}

static void test_the_last_minutes_before_a_crash(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, 1, 10);
    happens(LB_EVENT_POLICY_LOADED, 1, 639);
    happens(LB_EVENT_POLICY_LOADED, 1, 640);
    happens(LB_EVENT_POLICY_LOADED, 1, 1000);
    expect_position(2);
}

static void test_the_same_boot(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, NOW_BOOT, 10);
    happens(LB_EVENT_POLICY_LOADED, NOW_BOOT, 11);
    expect_position(2);
}

static void test_a_boot_that_is_not_known(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, 0, 10);
    expect_position(1);
    happens(LB_EVENT_STARTED, 5, 10);
    assert_int_equal(lb_resend_position(store, 2, 0), 2);
}

static void test_stopped_in_order(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, 1, 10);
    happens(LB_EVENT_STOPPING, 1, 20);
    expect_position(2);
}

/* A restart of the daemon is no end of the boot. */
static void test_stopped_and_started_again(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, 1, 10);
    happens(LB_EVENT_STOPPING, 1, 20);
    happens(LB_EVENT_STARTED, 1, 21);
    expect_position(0);
}

/* What a short boot was sent again went down with it. */
static void test_a_crash_soon_after_another(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, 1, 10);
    happens(LB_EVENT_POLICY_LOADED, 1, 1000);
    happens(LB_EVENT_POLICY_LOADED, 1, 1001);
    happens(LB_EVENT_STARTED, 2, 10);
    happens(LB_EVENT_POLICY_LOADED, 2, 60);
    expect_position(1);
}

static void test_a_long_boot_after_a_crash(void **state)
{
    (void)state;
    happens(LB_EVENT_POLICY_LOADED, 1, 1000);
    happens(LB_EVENT_STARTED, 2, 10);
    happens(LB_EVENT_POLICY_LOADED, 2, 1000);
    expect_position(2);
}

static void test_a_short_boot_after_an_end_in_order(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, 1, 10);
    happens(LB_EVENT_STOPPING, 1, 20);
    happens(LB_EVENT_STARTED, 2, 10);
    expect_position(2);
}

/* … by somebody else: the events that take the place of those that are gone are sent, and seen to be others. */
static void test_a_log_that_was_cut_off(void **state)
{
    (void)state;
    happens(LB_EVENT_STARTED, NOW_BOOT, 10);
    happens(LB_EVENT_STOPPING, NOW_BOOT, 20);
    assert_int_equal(lb_resend_position(store, 7, NOW_BOOT), 2);
}

/* One that cannot be read is not sent, and keeps none before it from being sent again. */
static void test_a_damaged_event(void **state)
{
    char path[96];
    sqlite3 *db = NULL;

    (void)state;
    happens(LB_EVENT_STARTED, 1, 10);
    happens(LB_EVENT_POLICY_LOADED, 1, 20);
    happens(LB_EVENT_POLICY_LOADED, 1, 30);
    snprintf(path, sizeof(path), "%s/lockbox.db", directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(old_requests_run(db, "UPDATE events SET json = '{' || json WHERE seq = 2"), 0);
    sqlite3_close(db);
    expect_position(0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_log),
        TEST(test_the_last_minutes_before_a_crash),
        TEST(test_the_same_boot),
        TEST(test_a_boot_that_is_not_known),
        TEST(test_stopped_in_order),
        TEST(test_stopped_and_started_again),
        TEST(test_a_crash_soon_after_another),
        TEST(test_a_long_boot_after_a_crash),
        TEST(test_a_short_boot_after_an_end_in_order),
        TEST(test_a_log_that_was_cut_off),
        TEST(test_a_damaged_event),
    };

    return cmocka_run_group_tests_name("resend", tests, NULL, NULL);
}
