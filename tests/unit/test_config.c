/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxd.conf: what is taken, and which words a mistake is answered with. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/config.h"
#include "policy/base.h"
#include "tests/unit/directory.h"

static char directory[64], path[96], drop_ins[112];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/lockbox-config-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/lockboxd.conf", directory);
    snprintf(drop_ins, sizeof(drop_ins), "%s.d", path);
    return mkdir(drop_ins, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(directory);
    return 0;
}

static void load(struct lb_config *c)
{
    char *error = NULL;
    int r;

    assert_int_equal(lb_config_defaults(c), 0);
    r = lb_config_load(path, c, &error);
    if (error)
        print_error("%s", error);
    assert_int_equal(r, 0);
    assert_null(error);
}

/* The one mistake in it is told with these words, behind "FILE:". */
static void assert_mistake(const char *text, const char *wanted)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };
    LB_FREE char *error = NULL, *line = NULL;

    directory_write(directory, "lockboxd.conf", text);
    assert_int_equal(lb_config_defaults(&c), 0);
    assert_int_equal(lb_config_load(path, &c, &error), -EINVAL);
    assert_true(asprintf(&line, "%s:%s\n", path, wanted) > 0);
    assert_string_equal(error, line);
}

static void test_defaults(void **state)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };
    char host[256] = "";

    (void)state;
    gethostname(host, sizeof(host) - 1);
    load(&c); /* no file is an empty one */
    assert_string_equal(c.host, host);
    assert_string_equal(c.state_directory, "/var/lib/lockbox");
    assert_int_equal(c.limits.waiters, 8);
    assert_true(c.reserve > 0);
}

static void test_every_key(void **state)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };

    (void)state;
    directory_write(directory, "lockboxd.conf",
                    "# a comment\n[Host]\nName=appliance 7 ; the one in the cellar\n\n"
                    "[State]\nDirectory=/srv/lockbox\nReserve=16M\n[Limits]\nConnections=100\nPerUser=5\nWaiters=3\n");
    load(&c);
    assert_string_equal(c.host, "appliance 7");
    assert_string_equal(c.state_directory, "/srv/lockbox");
    assert_int_equal(c.reserve, 16 * 1024 * 1024);
    assert_int_equal(c.limits.connections, 100);
    assert_int_equal(c.limits.per_user, 5);
    assert_int_equal(c.limits.waiters, 3);
}

static void test_sizes(void **state)
{
    static const struct { const char *text; int64_t bytes; } sizes[] = {
        { "0", 0 }, { "4096", 4096 }, { "4K", 4096 }, { "1M", 1 << 20 }, { "2G", INT64_C(2) << 30 },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(sizes); i++) {
        LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };
        char text[64];

        snprintf(text, sizeof(text), "[State]\nReserve=%s\n", sizes[i].text);
        directory_write(directory, "lockboxd.conf", text);
        load(&c);
        assert_int_equal(c.reserve, sizes[i].bytes);
    }
}

static void test_unaccounted(void **state)
{
    static const struct { const char *text; bool kill; } values[] = {
        { "", false }, { "[Sessions]\nUnaccounted=alarm\n", false }, { "[Sessions]\nUnaccounted=kill\n", true },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(values); i++) {
        LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };

        directory_write(directory, "lockboxd.conf", values[i].text);
        load(&c);
        assert_int_equal(c.kill_unaccounted, values[i].kill);
    }
}

/* In name order, after the file itself, the last one wins; other files and hidden ones do not count. */
static void test_drop_ins(void **state)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };

    (void)state;
    directory_write(directory, "lockboxd.conf", "[Host]\nName=main\n[Limits]\nWaiters=1\n");
    directory_write(directory, "lockboxd.conf.d/20-b.conf", "[Host]\nName=twenty\n");
    directory_write(directory, "lockboxd.conf.d/10-a.conf", "[Host]\nName=ten\n[Limits]\nPerUser=4\n");
    directory_write(directory, "lockboxd.conf.d/30-c.conf.bak", "[Host]\nName=thirty\n");
    directory_write(directory, "lockboxd.conf.d/.40.conf", "[Host]\nName=forty\n");
    load(&c);
    assert_string_equal(c.host, "twenty");
    assert_int_equal(c.limits.per_user, 4);
    assert_int_equal(c.limits.waiters, 1);
}

static void test_wrong_values(void **state)
{
    static const char *const counts[] = { "0",    "-1",  "1000001",
                                          "many", "",    "8 people",
                                          "0x10", "1e3", "99999999999999999999" };
    static const char *const sizes[] = { "-1", "4T", "4MB", "M", "", "1.5M", "1048577G", "99999999999999999999" };
    char text[96], wanted[160];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(counts); i++) {
        snprintf(text, sizeof(text), "\n[Limits]\nWaiters=%s\n", counts[i]);
        snprintf(wanted, sizeof(wanted), "3: Waiters=%s: expected a whole number from 1 to 1000000", counts[i]);
        assert_mistake(text, wanted);
    }
    for (size_t i = 0; i < LB_ELEMENTS(sizes); i++) {
        snprintf(text, sizeof(text), "[State]\nReserve=%s\n", sizes[i]);
        snprintf(wanted, sizeof(wanted), "2: Reserve=%s: expected a size such as 4M, at most 1048576 of a unit",
                 sizes[i]);
        assert_mistake(text, wanted);
    }
    assert_mistake("[State]\nDirectory=var/lib\n", "2: Directory=var/lib: expected an absolute path");
    assert_mistake("[Host]\nName=\n", "2: Name=: expected a name of printable characters");
}

static void test_suggestions(void **state)
{
    (void)state;
    assert_mistake("[Limits]\nWaiter=3\n", "2: unknown key \"Waiter\" (did you mean \"Waiters\"?)");
    assert_mistake("[Limits]\nXyzzy=3\n", "2: unknown key \"Xyzzy\"");
    assert_mistake("[Limit]\n", "1: unknown section \"Limit\" (did you mean \"Limits\"?)");
    assert_mistake("[Hosts]\nName=x\n", "1: unknown section \"Hosts\" (did you mean \"Host\"?)");
    assert_mistake("[Limits]\nName=x\n", "2: unknown key \"Name\"");
    assert_mistake("[Host]\nName=a\nName=b\n", "3: Name= is there twice, first on line 2; put all of it on one line");
}

/* A key of a later version is refused by name, not ignored. */
static void test_later_versions(void **state)
{
    (void)state;
    assert_mistake("[Sessions]\nUnaccounted=ignore\n", "2: Unaccounted=ignore: expected alarm or kill");
    assert_mistake("[Recordings]\nKeep=90d\n", "2: Keep=90d: not supported by this version");
}

static void test_every_mistake_is_told(void **state)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };
    LB_FREE char *error = NULL, *first = NULL, *second = NULL;

    (void)state;
    directory_write(directory, "lockboxd.conf", "[Limits]\nWaiters=none\nPerUser=6\nConnections=0\n");
    directory_write(directory, "lockboxd.conf.d/10-a.conf", "[Limits]\nnonsense\n");
    assert_int_equal(lb_config_defaults(&c), 0);
    assert_int_equal(lb_config_load(path, &c, &error), -EINVAL);
    assert_true(asprintf(&first, "%s:2: ", path) > 0 && asprintf(&second, "%s/10-a.conf:2: ", drop_ins) > 0);
    assert_ptr_equal(strstr(error, first), error);
    assert_non_null(strstr(error, ":4: Connections=0"));
    assert_non_null(strstr(error, second));
    assert_int_equal(c.limits.per_user, 6); /* what is right is taken all the same */
    assert_int_equal(c.limits.waiters, 8);
}

static void test_unreadable(void **state)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };
    LB_FREE char *error = NULL;

    (void)state;
    assert_int_equal(mkdir(path, 0700), 0); /* a directory in its place */
    assert_int_equal(lb_config_defaults(&c), 0);
    assert_int_equal(lb_config_load(path, &c, &error), -EINVAL);
    assert_ptr_equal(strstr(error, path), error);
}

static void test_too_large(void **state)
{
    LB_CLEANUP(lb_config_clear) struct lb_config c = { 0 };
    LB_FREE char *error = NULL;
    FILE *f = fopen(path, "we");

    (void)state;
    for (int i = 0; i < 70000; i++)
        fputs("# just a comment\n", f);
    fclose(f);
    assert_int_equal(lb_config_defaults(&c), 0);
    assert_int_equal(lb_config_load(path, &c, &error), -EINVAL);
    assert_non_null(strstr(error, "larger than 1 MiB"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_every_key),
        TEST(test_sizes),
        TEST(test_unaccounted),
        TEST(test_drop_ins),
        TEST(test_wrong_values),
        TEST(test_suggestions),
        TEST(test_later_versions),
        TEST(test_every_mistake_is_told),
        TEST(test_unreadable),
        TEST(test_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
