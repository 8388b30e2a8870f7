/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which files of the policy directories count, in which order, and which mistakes refuse the whole set. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "lockboxd/policy_files.h"
#include "policy/base.h"
#include "tests/unit/directory.h"

#define RULE "[Rule]\nAction=permit\nDescription="

static char root[] = "/tmp/lockbox-policy-XXXXXX"; /* made anew for each test */
static char usr[64], run[64], etc[64], missing[64];
static const char *const directories[] = { usr, run, etc, NULL };

static int set_up(void **state)
{
    (void)state;
    strcpy(root + strlen(root) - 6, "XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(usr, sizeof(usr), "%s/usr", root);
    snprintf(run, sizeof(run), "%s/run", root);
    snprintf(etc, sizeof(etc), "%s/etc", root);
    snprintf(missing, sizeof(missing), "%s/missing", root);
    return mkdir(usr, 0700) || mkdir(run, 0700) || mkdir(etc, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(root);
    return 0;
}

static const char *path_of(const char *directory, const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

/* The descriptions of the rules that were read, in order. */
static void expect(const char *descriptions)
{
    struct lb_ruleset *set = NULL;
    char *error = NULL, all[256] = "";
    int r = lb_policy_files_load(directories, &set, &error);

    assert_null(error);
    assert_int_equal(r, 0);
    for (size_t i = 0; i < set->n; i++) {
        strcat(all, i ? " " : "");
        strcat(all, set->rules[i].description);
    }
    assert_string_equal(all, descriptions);
    lb_ruleset_free(set);
}

static void expect_refusal(const char *part)
{
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    assert_int_equal(lb_policy_files_load(directories, &set, &error), -EINVAL);
    assert_null(set);
    assert_non_null(error);
    assert_non_null(strstr(error, part));
}

static void test_name_order_across_directories(void **state)
{
    (void)state;
    directory_write(etc, "20-b.policy", RULE "b");
    directory_write(usr, "30-c.policy", RULE "c");
    directory_write(run, "10-a.policy", RULE "a");
    directory_write(etc, "9-d.policy", RULE "d"); /* bytes, not numbers */
    expect("a b c d");
}

static void test_later_directory_replaces(void **state)
{
    (void)state;
    directory_write(usr, "10.policy", RULE "usr");
    directory_write(usr, "20.policy", RULE "kept");
    directory_write(run, "10.policy", RULE "run");
    expect("run kept");
    directory_write(etc, "10.policy", RULE "etc");
    expect("etc kept");
}

static void test_masks(void **state)
{
    (void)state;
    directory_write(usr, "10.policy", RULE "ten");
    directory_write(usr, "20.policy", RULE "twenty");
    directory_write(usr, "30.policy", RULE "thirty");
    assert_int_equal(symlink("/dev/null", path_of(etc, "10.policy")), 0);
    directory_write(etc, "20.policy", "");
    expect("thirty");
    /* A mask in the middle does not reach beyond the directory after it. */
    directory_write(run, "30.policy", "");
    directory_write(etc, "30.policy", RULE "again");
    expect("again");
}

static void test_other_names_are_not_read(void **state)
{
    (void)state;
    directory_write(etc, "10.policy.bak", "nonsense");
    directory_write(etc, ".10.policy", "nonsense");
    directory_write(etc, ".policy", "nonsense");
    directory_write(etc, "policy", "nonsense");
    directory_write(etc, "10.policy~", "nonsense");
    expect("");
}

static void test_missing_directory_is_empty(void **state)
{
    const char *const only_missing[] = { missing, NULL };
    struct lb_ruleset *set = NULL;
    char *error = NULL;

    (void)state;
    assert_int_equal(lb_policy_files_load(only_missing, &set, &error), 0);
    assert_int_equal(set->n, 0);
    lb_ruleset_free(set);
}

static void test_mistake_refuses_the_set(void **state)
{
    (void)state;
    directory_write(etc, "10.policy", RULE "good");
    directory_write(etc, "20.policy", "[Rule]\nAction=permitt\n");
    expect_refusal("etc/20.policy:2: ");
    /* A mistake in a file that is replaced is none. */
    directory_write(usr, "30.policy", "nonsense");
    directory_write(etc, "20.policy", RULE "also");
    directory_write(etc, "30.policy", RULE "good");
    expect("good also good");
}

static void test_nul_in_the_middle_is_seen(void **state)
{
    FILE *file = NULL;

    (void)state;
    directory_write(etc, "10.policy", RULE "good\n");
    file = fopen(path_of(etc, "10.policy"), "a");
    assert_non_null(file);
    assert_int_equal(fwrite("\0[Match]\nAccount=x\n", 1, 19, file), 19);
    assert_int_equal(fclose(file), 0);
    expect_refusal("10.policy:");
}

static void test_what_cannot_be_read_refuses_the_set(void **state)
{
    (void)state;
    directory_write(etc, "20.policy", RULE "good");
    assert_int_equal(symlink("nowhere", path_of(etc, "10.policy")), 0);
    expect_refusal("etc/10.policy: cannot be read: No such file or directory");
    assert_int_equal(unlink(path_of(etc, "10.policy")), 0);
    assert_int_equal(mkdir(path_of(etc, "10.policy"), 0700), 0);
    expect_refusal("etc/10.policy: is not a regular file");
    assert_int_equal(rmdir(path_of(etc, "10.policy")), 0);
    assert_int_equal(mkfifo(path_of(etc, "10.policy"), 0600), 0); /* and nobody waits for its other end */
    expect_refusal("etc/10.policy: is not a regular file");
    assert_int_equal(unlink(path_of(etc, "10.policy")), 0);
    assert_int_equal(symlink("/dev/zero", path_of(etc, "10.policy")), 0);
    expect_refusal("etc/10.policy: is not a regular file");
    assert_int_equal(unlink(path_of(etc, "10.policy")), 0);
    directory_write(etc, "10.policy", "x");
    assert_int_equal(truncate(path_of(etc, "10.policy"), 2 * 1024 * 1024), 0);
    expect_refusal("etc/10.policy: is larger than 1 MiB");
    assert_int_equal(unlink(path_of(etc, "10.policy")), 0);
    expect("good");
}

static void test_unreadable_directory_refuses_the_set(void **state)
{
    (void)state;
    directory_write(root, "run.policy", RULE "x");
    assert_int_equal(rmdir(run), 0);
    directory_write(root, "run", "not a directory");
    expect_refusal("run: cannot be read: Not a directory");
}

static void test_named_files(void **state)
{
    char first[256], second[256];
    const char *const paths[] = { first, second, NULL };
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    (void)state;
    directory_write(etc, "20.policy", RULE "twenty");
    directory_write(etc, "any name", RULE "any");
    strcpy(first, path_of(etc, "20.policy"));
    strcpy(second, path_of(etc, "any name"));
    assert_int_equal(lb_policy_files_load_named(paths, &set, &error), 0);
    assert_int_equal(set->n, 2);
    assert_string_equal(set->rules[0].description, "twenty");
    assert_string_equal(set->rules[1].description, "any");
    set = lb_ruleset_free(set);
    assert_int_equal(unlink(first), 0);
    assert_int_equal(lb_policy_files_load_named(paths, &set, &error), -EINVAL);
    assert_null(set);
    assert_non_null(strstr(error, "20.policy: cannot be read"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_name_order_across_directories),
        TEST(test_later_directory_replaces),
        TEST(test_masks),
        TEST(test_other_names_are_not_read),
        TEST(test_missing_directory_is_empty),
        TEST(test_mistake_refuses_the_set),
        TEST(test_nul_in_the_middle_is_seen),
        TEST(test_what_cannot_be_read_refuses_the_set),
        TEST(test_unreadable_directory_refuses_the_set),
        TEST(test_named_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
