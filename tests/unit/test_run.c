/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments that a named script may have. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/base.h"
#include "policy/run.h"

static void test_arguments(void **state)
{
    static const struct {
        int arguments;
        const char *pattern, *given[4];
        bool taken;
    } cases[] = {
        { LB_ARGUMENTS_NONE, NULL, { NULL }, true },
        { LB_ARGUMENTS_NONE, NULL, { "x" }, false },
        { LB_ARGUMENTS_NONE, NULL, { "" }, false },
        { LB_ARGUMENTS_ANY, NULL, { NULL }, true },
        { LB_ARGUMENTS_ANY, NULL, { "x; y", "" }, true },
        { LB_ARGUMENTS_PATTERN, "--db [a-z]+", { "--db", "sales" }, true },
        { LB_ARGUMENTS_PATTERN, "--db [a-z]+", { "--db", "sales", "more" }, false },
        { LB_ARGUMENTS_PATTERN, "--db [a-z]+", { "--db" }, false },
        { LB_ARGUMENTS_PATTERN, "--db [a-z]+", { NULL }, false },
        { LB_ARGUMENTS_PATTERN, "--db [a-z]+", { "x", "--db", "sales" }, false },
        /* what only looks like two */
        { LB_ARGUMENTS_PATTERN, "--db [a-z]+", { "--db sales" }, false },
        { LB_ARGUMENTS_PATTERN, ".*", { "a\nb" }, false },
        { LB_ARGUMENTS_PATTERN, ".*", { "a", "" }, false },
        { LB_ARGUMENTS_PATTERN, ".*", { NULL }, true },
        { LB_ARGUMENTS_PATTERN, "a|ab", { "ab" }, true },
        { LB_ARGUMENTS_PATTERN, "(-v )*x", { "-v", "-v", "x" }, true },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_run run = { .arguments = cases[i].arguments, .pattern = (char *)cases[i].pattern };

        if (lb_run_takes(&run, cases[i].given) != cases[i].taken)
            fail_msg("%zu", i);
    }
    assert_true(lb_run_takes(&(struct lb_run){ 0 }, NULL));
    assert_false(lb_run_takes(&(struct lb_run){ 0 }, (const char *const[]){ "x", NULL }));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_arguments) };

    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
