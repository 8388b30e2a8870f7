/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reaper on a cgroup tree of our own, whose cgroup.kill is a file that kills nobody: what is stuck, stays. */
#include "lockboxd/reaper.h"

#include "tests/unit/fake_cgroups.h"

#define ID "AAAA-AAA1"
#define SCOPE SLICE "/session-3.scope"
#define MANAGER SLICE "/user@54321.service"

static pid_t pid;

static struct lb_reaper *reaper(const struct lb_session *sessions, size_t n, bool slice)
{
    struct lb_reap_target t = {
        .uid = UID, .sessions = sessions, .n = n, .slice = slice, .late = 7 * 1000, .cgroups = top
    };
    struct lb_reaper *r = lb_reaper_new(top, ID, &t);

    assert_non_null(r);
    return r;
}

static int setup(void **state)
{
    int r = fake_setup(state);

    pid = fake_process();
    return r;
}

static int teardown(void **state)
{
    fake_end(pid);
    return fake_teardown(state);
}

static void fake_unit(const char *cgroup)
{
    fake_cgroup(cgroup, pid);
    fake_write(cgroup, "cgroup.events", "populated 1\nfrozen 1\n");
    fake_write(cgroup, "cgroup.kill", "");
}

static bool holds_one(const char *cgroup, const char *file)
{
    FILE *f = fopen(fake_path(cgroup, file), "r");
    int c = f ? fgetc(f) : EOF;

    if (f)
        fclose(f);
    return c == '1';
}

static void empty(const char *cgroup)
{
    fake_write(cgroup, "cgroup.procs", "");
    fake_write(cgroup, "cgroup.events", "populated 0\nfrozen 0\n");
}

static void test_done_is_when_two_looks_find_nothing(void **state)
{
    struct lb_reaper *r = reaper(NULL, 0, true);

    (void)state;
    fake_unit(SCOPE);
    assert_false(lb_reaper_round(r));
    assert_false(lb_reaper_round(r)); /* stuck */
    assert_true(holds_one(SCOPE, "cgroup.kill"));
    assert_false(holds_one(SCOPE, "cgroup.freeze"));
    assert_true(access(fake_path("frozen", ID), F_OK) < 0);
    assert_int_equal(lb_reaper_result(r).left, 1);
    empty(SCOPE);
    assert_false(lb_reaper_round(r));
    assert_true(lb_reaper_round(r));
    assert_int_equal(lb_reaper_result(r).left, 0);
    lb_reaper_free(r);
}

static void test_each_is_counted_once_and_by_kind(void **state)
{
    struct lb_reaper *r = reaper(NULL, 0, true);
    struct lb_reap_result result;

    (void)state;
    fake_unit(MANAGER);
    lb_reaper_round(r);
    lb_reaper_round(r);
    result = lb_reaper_result(r);
    assert_int_equal(result.killed, 1);
    assert_int_equal(result.kinds.service, 1);
    assert_true(result.ms >= 7); /* from the end of the access, not from when we began */
    lb_reaper_free(r);
}

static void test_nothing_takes_no_time(void **state)
{
    struct lb_reaper *r = reaper(NULL, 0, true);

    (void)state;
    assert_false(lb_reaper_round(r));
    assert_true(lb_reaper_round(r));
    assert_int_equal(lb_reaper_result(r).ms, 0);
    lb_reaper_free(r);
}

/* Somebody logs in while the one before is stuck: he is not drawn into its end. */
static void test_a_newcomer_is_left_alone(void **state)
{
    struct lb_reaper *r = reaper(NULL, 0, true);

    (void)state;
    fake_unit(SCOPE);
    lb_reaper_round(r);
    assert_int_equal(lb_reaper_result(r).left, 1);
    lb_reaper_share(r);
    fake_write(SCOPE, "cgroup.kill", "");
    lb_reaper_round(r);
    assert_false(holds_one(SCOPE, "cgroup.kill"));
    assert_int_equal(lb_reaper_result(r).left, 0);
    lb_reaper_free(r);
}

static void test_a_leader_elsewhere_is_killed_alone(void **state)
{
    struct lb_session session = fake_session(pid);
    struct lb_reaper *r = reaper(&session, 1, false);
    int status;

    (void)state;
    fake_unit(MANAGER);
    fake_write(MANAGER, "cgroup.procs", "1\n");
    lb_reaper_round(r);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(holds_one(MANAGER, "cgroup.kill"));
    assert_int_equal(lb_reaper_result(r).kinds.other, 1);
    assert_int_equal(lb_reaper_result(r).shared, 1);
    lb_reaper_free(r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_done_is_when_two_looks_find_nothing),
        TEST(test_each_is_counted_once_and_by_kind),
        TEST(test_nothing_takes_no_time),
        TEST(test_a_newcomer_is_left_alone),
        TEST(test_a_leader_elsewhere_is_killed_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
