/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The freezer on a cgroup tree of our own: whatever happens in the middle of it, somebody can thaw. */
#include "lockboxd/freezer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "lockboxd/store.h"
#include "lockboxd/thaw.h"
#include "policy/base.h"
#include "tests/unit/fake_cgroups.h"
#include "tests/unit/samples.h"

#define ID "AAAA-AAA1"
#define SCOPE SLICE "/session-3.scope"
#define SECOND SLICE "/session-4.scope"
#define KILLED 9

/* Every write to a cgroup passes here. */
static struct {
    void (*before)(const char *path, char value);
    int lives; /* the process dies instead of its write number … (1: the first); 0: it does not */
} hook;

static int writes;

ssize_t write(int fd, const void *data, size_t n)
{
    char link[64], path[4096];
    ssize_t length;

    if (hook.lives && ++writes == hook.lives)
        _exit(KILLED);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    if (hook.before && strstr(path, "/cgroup.freeze"))
        hook.before(path, *(const char *)data);
    return syscall(SYS_write, fd, data, n);
}

static struct lb_reap_target target(void)
{
    return (struct lb_reap_target){ .uid = UID, .slice = true, .cgroups = top };
}

static int freeze(void)
{
    struct lb_reap_target t = target();

    return lb_freezer_freeze(top, ID, &t);
}

static char *read_file(const char *path)
{
    static char buf[4096];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;

    buf[n] = '\0';
    if (f)
        fclose(f);
    return buf;
}

static char *list(void)
{
    return read_file(fake_path("frozen", ID));
}

static bool is_frozen(const char *cgroup)
{
    return *read_file(fake_path(cgroup, "cgroup.freeze")) == '1';
}

static int setup(void **state)
{
    int r = fake_setup(state);

    hook.before = NULL;
    hook.lives = 0;
    fake_cgroup(SCOPE, 0);
    fake_write(SCOPE, "cgroup.events", "populated 1\nfrozen 1\n");
    return r;
}

static void test_there_and_back(void **state)
{
    (void)state;
    assert_int_equal(freeze(), 0);
    assert_true(is_frozen(SCOPE));
    assert_true(lb_freezer_is_frozen(top, ID));
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
    assert_false(is_frozen(SCOPE));
    assert_false(lb_freezer_is_frozen(top, ID));
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
}

/* Two accesses share the session: what one lets go on stays frozen for the other. */
static void test_shared(void **state)
{
    struct lb_reap_target t = target();

    (void)state;
    assert_int_equal(freeze(), 0);
    assert_int_equal(lb_freezer_freeze(top, "AAAA-AAA9", &t), 0);
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
    assert_false(lb_freezer_is_frozen(top, ID));
    assert_true(is_frozen(SCOPE));
    assert_int_equal(lb_freezer_thaw(top, "AAAA-AAA9"), 0);
    assert_false(is_frozen(SCOPE));
}

static void must_be_listed(const char *path, char value)
{
    char cgroup[4096];

    snprintf(cgroup, sizeof(cgroup), "%.*s\n", (int)(strlen(path) - strlen("/cgroup.freeze")), path);
    if (value == '1')
        assert_non_null(strstr(list(), cgroup));
}

static void test_listed_before_it_is_frozen(void **state)
{
    (void)state;
    hook.before = must_be_listed;
    assert_int_equal(freeze(), 0);
    assert_true(is_frozen(SCOPE));
}

/* Row 46: at whatever write it died. */
static void test_killed_at_each_step(void **state)
{
    int status = KILLED << 8, steps = 0;

    (void)state;
    fake_cgroup(SECOND, 0);
    fake_write(SECOND, "cgroup.events", "populated 1\nfrozen 1\n");
    for (; status == KILLED << 8; steps++) {
        pid_t pid = fork();

        if (pid == 0) {
            hook.lives = steps + 1;
            _exit(freeze() == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(lb_freezer_thaw_all(top, NULL, NULL), 0);
        assert_false(is_frozen(SCOPE));
        assert_false(is_frozen(SECOND));
    }
    assert_int_equal(status, 0);
    assert_true(steps >= 5); /* two lists and two freezes, and once through */
}

static void make_second(const char *path, char value)
{
    (void)path;
    (void)value;
    hook.before = NULL;
    fake_cgroup(SECOND, 0);
    fake_write(SECOND, "cgroup.events", "populated 1\nfrozen 1\n");
}

static void test_what_comes_up_meanwhile(void **state)
{
    (void)state;
    hook.before = make_second;
    assert_int_equal(freeze(), 0);
    assert_true(is_frozen(SECOND));
}

static void test_who_does_not_obey(void **state)
{
    (void)state;
    fake_write(SCOPE, "cgroup.events", "populated 1\nfrozen 0\n");
    assert_int_equal(freeze(), -EINPROGRESS);
    assert_true(is_frozen(SCOPE));
    fake_write(SCOPE, "cgroup.events", "populated 1\nfrozen 1\n");
    assert_int_equal(freeze(), 0);
}

static void take_list(const char *path, char value)
{
    (void)path;
    (void)value;
    unlink(fake_path("frozen", ID));
}

/* The other one had read the list before we wrote. */
static void test_thawed_while_freezing(void **state)
{
    (void)state;
    hook.before = take_list;
    assert_int_equal(freeze(), -ECANCELED);
    assert_false(is_frozen(SCOPE));
}

static void freeze_second(const char *path, char value)
{
    FILE *f = fopen(fake_path("frozen", ID), "a");

    (void)path;
    assert_int_equal(value, '0');
    hook.before = NULL;
    fake_cgroup(SECOND, 0);
    fprintf(f, "%s\n", fake_path(SECOND, ""));
    fclose(f);
    fake_write(SECOND, "cgroup.freeze", "1");
}

static void test_frozen_while_thawing(void **state)
{
    (void)state;
    assert_int_equal(freeze(), 0);
    hook.before = freeze_second;
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
    assert_false(is_frozen(SECOND));
}

static void test_what_is_gone_needs_no_thaw(void **state)
{
    (void)state;
    assert_int_equal(freeze(), 0);
    directory_remove(fake_path(SCOPE, ""));
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
    assert_false(lb_freezer_is_frozen(top, ID));
}

static void test_without_a_list_nothing_is_frozen(void **state)
{
    struct lb_reap_target t = target();

    (void)state;
    assert_int_equal(lb_freezer_freeze("/nowhere/at/all", ID, &t), -ENOENT);
    assert_false(is_frozen(SCOPE));
}

/* In none of the cgroups: stopped, and let go on. */
static void test_a_process_elsewhere(void **state)
{
    pid_t pid = fake_process();
    struct lb_session session = fake_session(pid);
    struct lb_reap_target t = { .uid = UID, .sessions = &session, .n = 1, .cgroups = top };
    int status;

    (void)state;
    assert_int_equal(lb_freezer_freeze_cgroups(top, ID, &t), 0);
    assert_false(lb_freezer_is_frozen(top, ID));
    assert_int_equal(lb_freezer_freeze(top, ID, &t), 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
    assert_int_equal(waitpid(pid, &status, WCONTINUED), pid);
    assert_true(WIFCONTINUED(status));
    fake_end(pid);
}

/* He had stopped it himself: so it stays. */
static void test_a_process_that_was_stopped_before(void **state)
{
    pid_t pid = fake_process();
    struct lb_session session = fake_session(pid);
    struct lb_reap_target t = { .uid = UID, .sessions = &session, .n = 1, .cgroups = top };
    int status;

    (void)state;
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_int_equal(lb_freezer_freeze(top, ID, &t), 0);
    assert_int_equal(lb_freezer_thaw(top, ID), 0);
    assert_int_equal(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
    fake_end(pid);
}

static bool keep(void *userdata, const char *id)
{
    return strcmp(id, userdata) == 0;
}

static void test_some_are_kept(void **state)
{
    struct lb_reap_target t = target();

    (void)state;
    assert_int_equal(lb_freezer_thaw_all(top, NULL, NULL), 0); /* nothing there at all */
    assert_int_equal(freeze(), 0);
    fake_cgroup(SECOND, 0);
    fake_write(SECOND, "cgroup.events", "populated 1\nfrozen 1\n");
    assert_int_equal(lb_freezer_freeze(top, "AAAA-AAA2", &t), 0);
    assert_int_equal(lb_freezer_thaw_all(top, keep, (char[]){ ID }), 0);
    assert_true(lb_freezer_is_frozen(top, ID));
    assert_false(lb_freezer_is_frozen(top, "AAAA-AAA2"));
    assert_false(is_frozen(SECOND));
}

/* A request in this state, in the log. */
static void record(struct lb_store *store, char *id, int state)
{
    for (size_t i = 0; sample_ways[state][i]; i++) {
        struct lb_event e = sample_event(sample_ways[state][i], (int64_t)i * LB_USEC_PER_SEC);

        e.request = id;
        e.state = state;
        assert_int_equal(lb_store_append(store, &e, 1), 0);
    }
}

static void test_what_stands_still_for_a_reason(void **state)
{
    static const struct { char *id; int state; bool stays; } rows[] = {
        { "AAAA-AAA1", LB_STATE_ACTIVE, false },
        { "AAAA-AAA2", LB_STATE_PAUSED, true },
        { "AAAA-AAA3", LB_STATE_ENDING, true },
        { "AAAA-AAA4", LB_STATE_ENDED, false },
        { "AAAA-AAA5", LB_STATE_NONE, false }, /* nobody knows it */
    };
    struct lb_reap_target t = target();
    struct lb_store *store = NULL;
    char log[128];

    (void)state;
    snprintf(log, sizeof(log), "%s/log", top);
    mkdir(log, 0700);
    assert_int_equal(lb_store_open(log, false, 0, &store), 0);
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        record(store, rows[i].id, rows[i].state);
        assert_int_equal(lb_freezer_freeze(top, rows[i].id, &t), 0);
    }
    lb_store_close(store);
    assert_int_equal(lb_thaw_main(log, top), EXIT_SUCCESS);
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        assert_int_equal(lb_freezer_is_frozen(top, rows[i].id), rows[i].stays);
    assert_int_equal(lb_freezer_freeze(top, "unaccounted-1001-7", &t), 0);
    assert_int_equal(lb_thaw_main("/nowhere/at/all", top), EXIT_SUCCESS); /* without a log: what has a clock stays */
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        assert_int_equal(lb_freezer_is_frozen(top, rows[i].id), rows[i].stays);
    assert_false(lb_freezer_is_frozen(top, "unaccounted-1001-7"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_shared),
        TEST(test_listed_before_it_is_frozen),
        TEST(test_killed_at_each_step),
        TEST(test_what_comes_up_meanwhile),
        TEST(test_who_does_not_obey),
        TEST(test_thawed_while_freezing),
        TEST(test_frozen_while_thawing),
        TEST(test_what_is_gone_needs_no_thaw),
        TEST(test_without_a_list_nothing_is_frozen),
        TEST(test_a_process_elsewhere),
        TEST(test_a_process_that_was_stopped_before),
        TEST(test_some_are_kept),
        TEST(test_what_stands_still_for_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
