/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What belongs to an access and what does not, in a cgroup tree of our own. */
#include "tests/unit/fake_cgroups.h"

#include "policy/base.h"

struct fixture {
    struct lb_footprint f;
    struct lb_session session;
    struct lb_reap_target target;
    pid_t pids[8];
    size_t n;
};

static pid_t process(struct fixture *x)
{
    return x->pids[x->n++] = fake_process();
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));

    *state = x;
    x->target = (struct lb_reap_target){ .uid = UID, .slice = true, .cgroups = top };
    return fake_setup(state);
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    while (x->n > 0)
        fake_end(x->pids[--x->n]);
    lb_footprint_clear(&x->f);
    free(x);
    return fake_teardown(state);
}

static const struct lb_process *find(const struct fixture *x, pid_t pid)
{
    const struct lb_process *p = x->f.processes.items;

    for (size_t i = 0; i < x->f.processes.n; i++)
        if (p[i].pid == pid)
            return &p[i];
    return NULL;
}

static bool has_cgroup(const struct fixture *x, const char *cgroup)
{
    char (*cgroups)[LB_CGROUP_MAX] = x->f.cgroups.items;

    for (size_t i = 0; i < x->f.cgroups.n; i++)
        if (strcmp(cgroups[i], fake_path(cgroup, "")) == 0)
            return true;
    return false;
}

static bool is_empty(const struct lb_footprint *f)
{
    return f->processes.n == 0 && f->hidden == 0;
}

static void test_all_of_a_slice(void **state)
{
    static const struct { const char *cgroup; int kind; } rows[] = {
        { SLICE "/session-3.scope", LB_PROCESS_SESSION },
        { SLICE "/session-3.scope/of-his-own.scope", LB_PROCESS_SESSION },
        { SLICE "/user@54321.service/init.scope", LB_PROCESS_SERVICE },
        { SLICE "/user@54321.service/app.slice/run-1.service", LB_PROCESS_SERVICE },
        { SLICE "/user@54321.service/app.slice/run-2.scope", LB_PROCESS_SCOPE },
        { SLICE "/user@54321.service/app.slice/run-2.scope/below", LB_PROCESS_SCOPE },
        { SLICE "/else.service", LB_PROCESS_OTHER },
    };
    struct fixture *x = *state;

    fake_cgroup(SLICE "/user@54321.service/app.slice", 0);
    fake_cgroup(SLICE "/user@54321.service", 0);
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        fake_cgroup(rows[i].cgroup, process(x));
    assert_int_equal(lb_footprint_look(&x->f, &x->target), 0);
    assert_int_equal(x->f.processes.n, LB_ELEMENTS(rows));
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        assert_non_null(find(x, x->pids[i]));
        assert_int_equal(find(x, x->pids[i])->kind, rows[i].kind);
        assert_false(find(x, x->pids[i])->alone);
    }
    assert_int_equal(x->f.cgroups.n, 3);
    assert_true(has_cgroup(x, SLICE "/session-3.scope"));
    assert_true(has_cgroup(x, SLICE "/user@54321.service"));
    assert_true(has_cgroup(x, SLICE "/else.service"));
    assert_int_equal(x->f.shared, 0);
}

/* PID 1's helper, the slice itself, and the neighbour whose number begins as ours does. */
static void test_what_is_spared(void **state)
{
    struct fixture *x = *state;

    fake_cgroup(SLICE, process(x));
    fake_cgroup(SLICE "/user-runtime-dir@54321.service", process(x));
    fake_cgroup("user.slice/user-543210.slice/session-4.scope", process(x));
    fake_cgroup(SLICE "/session-5.scope", process(x));
    fake_write(SLICE "/session-5.scope", "cgroup.events", "populated 0\n");
    assert_int_equal(lb_footprint_look(&x->f, &x->target), 0);
    assert_true(is_empty(&x->f));
    assert_int_equal(x->f.cgroups.n, 0);
}

/* Somebody else has access to the account as well. */
static void test_not_alone(void **state)
{
    struct fixture *x = *state;
    pid_t leader = process(x);

    fake_cgroup(SLICE "/session-3.scope", process(x));
    fake_cgroup(SLICE "/user@54321.service", process(x));
    fake_cgroup(SLICE "/user-runtime-dir@54321.service", process(x));
    x->session = fake_session(leader);
    x->target = (struct lb_reap_target){ .uid = UID, .sessions = &x->session, .n = 1, .cgroups = top };
    assert_int_equal(lb_footprint_look(&x->f, &x->target), 0);
    assert_int_equal(x->f.processes.n, 1);
    assert_true(find(x, leader)->alone);
    assert_int_equal(find(x, leader)->kind, LB_PROCESS_OTHER);
    assert_int_equal(x->f.cgroups.n, 0);
    assert_int_equal(x->f.shared, 1); /* what the user manager runs */
}

/* Without a session nothing can be its own. */
static void test_never_used(void **state)
{
    struct fixture *x = *state;

    fake_cgroup(SLICE "/user@54321.service", process(x));
    x->target.slice = false;
    assert_int_equal(lb_footprint_look(&x->f, &x->target), 0);
    assert_true(is_empty(&x->f));
    assert_int_equal(x->f.shared, 0);
}

static void test_whose_is_it(void **state)
{
    struct fixture *x = *state;
    pid_t leader = process(x), other = process(x);

    x->session = fake_session(leader);
    x->target = (struct lb_reap_target){ .uid = UID, .sessions = &x->session, .n = 1, .cgroups = top };
    assert_true(lb_footprint_owns(&x->target, leader));
    assert_false(lb_footprint_owns(&x->target, other)); /* an unset audit session is nobody's */
    x->session.pid_started++;
    assert_false(lb_footprint_owns(&x->target, leader)); /* another process got its number */
}

static void test_the_dead_are_not_found(void **state)
{
    struct fixture *x = *state;
    pid_t leader = process(x);
    siginfo_t info;

    x->session = fake_session(leader);
    x->target = (struct lb_reap_target){ .uid = UID, .sessions = &x->session, .n = 1, .cgroups = top };
    kill(leader, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)leader, &info, WEXITED | WNOWAIT), 0);
    assert_true(lb_footprint_owns(&x->target, leader));
    assert_int_equal(lb_footprint_look(&x->f, &x->target), 0);
    assert_true(is_empty(&x->f));
}

/* Nested deeper than anybody needs: not nothing, though its processes are not seen. */
static void test_hidden_in_the_depth(void **state)
{
    struct fixture *x = *state;
    char path[512] = SLICE "/session-3.scope";

    fake_cgroup(path, 0);
    for (int i = 0; i < 70; i++) {
        strcat(path, "/d");
        fake_cgroup(path, 0);
    }
    fake_cgroup(path, process(x));
    assert_int_equal(lb_footprint_look(&x->f, &x->target), 0);
    assert_int_equal(x->f.processes.n, 0);
    assert_int_equal(x->f.hidden, 1);
    assert_false(is_empty(&x->f));
    assert_true(has_cgroup(x, SLICE "/session-3.scope"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_of_a_slice),
        TEST(test_what_is_spared),
        TEST(test_not_alone),
        TEST(test_never_used),
        TEST(test_whose_is_it),
        TEST(test_the_dead_are_not_found),
        TEST(test_hidden_in_the_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
