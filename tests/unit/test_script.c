/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may be run at all, and the file that it is kept in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/scripts.h"
#include "policy/base.h"
#include "policy/script.h"
#include "tests/unit/directory.h"

static void test_first_line(void **state)
{
    static const char *const good[] = { "#!/bin/sh\n", "#! /bin/sh -eu\necho\n", "#!\t/usr/bin/env python3\n" };
    static const char *const wrong[] = { "", "#!", "#!\n", "#!/bin/sh", "#!bin/sh\n", " #!/bin/sh\n", "\x7f" "ELF",
                                         "echo\n", "#! \n/bin/sh\n" };
    static char large[LB_SCRIPT_MAX + 1] = "#!/bin/sh\n";

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(good); i++)
        assert_null(lb_script_problem(good[i], strlen(good[i])));
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++)
        if (!lb_script_problem(wrong[i], strlen(wrong[i])))
            fail_msg("%s", wrong[i]);
    assert_null(lb_script_problem(large, LB_SCRIPT_MAX));
    assert_non_null(lb_script_problem(large, LB_SCRIPT_MAX + 1));
}

static void test_arguments(void **state)
{
    static const char *const wrong[] = { "a\nb", "a\tb", "\x1b[2J", "\xE2\x80\xAE", "\xff" };
    static char long_one[LB_SCRIPT_ARGUMENT_BYTES + 1];
    char *many[LB_SCRIPT_ARGUMENTS_MAX + 2] = { 0 };

    (void)state;
    assert_null(lb_script_arguments_problem(NULL));
    assert_null(lb_script_arguments_problem((char *[]){ "--unit", "", "a b", "\xC3\xA4", "$HOME", NULL }));
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++)
        assert_non_null(lb_script_arguments_problem((char *[]){ "x", (char *)wrong[i], NULL }));
    memset(long_one, 'x', LB_SCRIPT_ARGUMENT_BYTES);
    assert_null(lb_script_arguments_problem((char *[]){ long_one, NULL }));
    assert_non_null(lb_script_arguments_problem((char *[]){ long_one, "y", NULL }));
    for (size_t i = 0; i < LB_SCRIPT_ARGUMENTS_MAX; i++)
        many[i] = "x";
    assert_null(lb_script_arguments_problem(many));
    many[LB_SCRIPT_ARGUMENTS_MAX] = "x";
    assert_non_null(lb_script_arguments_problem(many));
}

/* It becomes the name of a file: no folder, no option, nothing hidden. */
static void test_names(void **state)
{
    static const struct { const char *path, *name; } names[] = {
        { "check.sh", "check.sh" }, { "/srv/a b/check.sh", "check.sh" }, { "two words", "two_words" },
        { "a:b%c\\d", "a_b_c_d" },  { "..", "script" },                  { "/x/", "script" },
        { "-rf", "script" },        { ".hidden", "script" },             { "a\x1b[1m", "a\xEF\xBF\xBD_1m" },
        { "\xC3\xA4.sh", "\xC3\xA4.sh" },
    };
    char longer[200];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        LB_FREE char *name = lb_script_name(names[i].path);

        assert_string_equal(name, names[i].name);
    }
    memset(longer, 'x', sizeof(longer));
    longer[199] = '\0';
    LB_FREE char *cut = lb_script_name(longer);
    assert_int_equal(strlen(cut), LB_SCRIPT_NAME_MAX);
}

static bool is_kept(void *userdata, const char *id)
{
    return strcmp(id, userdata) == 0;
}

static void test_files(void **state)
{
    char directory[] = "/tmp/lockbox-scripts-XXXXXX", buf[8] = "";
    LB_FREE char *one = NULL, *two = NULL;
    struct stat st;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(directory));
    lb_scripts_sweep(directory, is_kept, "nothing"); /* there is no folder yet */
    assert_int_equal(lb_scripts_put(directory, "AAAA-0001", "a\0b", 3), 0);
    assert_int_equal(lb_scripts_put(directory, "AAAA-0001", "x", 1), -EEXIST); /* what runs is not written over */
    assert_int_equal(lb_scripts_put(directory, "AAAA-0002", "x", 1), 0);
    one = lb_scripts_path(directory, "AAAA-0001");
    two = lb_scripts_path(directory, "AAAA-0002");
    assert_int_equal(stat(one, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0555); /* its user reads it, in a name space of its own … */
    f = fopen(one, "re");
    assert_int_equal(fread(buf, 1, sizeof(buf), f), 3);
    fclose(f);
    assert_memory_equal(buf, "a\0b", 3);
    lb_scripts_sweep(directory, is_kept, "AAAA-0002");
    assert_int_equal(stat(one, &st), -1);
    assert_int_equal(stat(two, &st), 0);
    lb_scripts_remove(directory, "AAAA-0002");
    assert_int_equal(stat(two, &st), -1);
    *strrchr(one, '/') = '\0';
    assert_int_equal(stat(one, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700); /* … and nobody here */
    directory_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_line),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
