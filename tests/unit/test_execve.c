/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's spelling of a program's arguments, read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lockboxd/ctl/execve.h"
#include "policy/base.h"

static void test_records(void **state)
{
    static const struct { const char *record, *text; } records[] = {
        { "EXECVE argc=1 a0=\"ls\"", "ls" },
        { "argc=3 a0=\"rm\" a1=\"-rf\" a2=2F6D7920646F6373", "rm -rf /my docs" },
        { "EXECVE argc=3 a0=\"sh\" a1=\"-c\" a2=6563686F20226122", "sh -c echo \"a\"" },
        { "EXECVE argc=2 a0=\"a\" a1=\"\"", "a " },
        { "EXECVE argc=2 a0=\"a\" a1=0A1b", "a \n\033" }, /* who shows it makes it safe */
        { "EXECVE argc=2 a0=\"a\" a1=610062", "a a b" },
        { "EXECVE argc=12 a0=\"x\" a10=\"ten\" a11=\"eleven\"", "x ten eleven" },
        /* one that is too long for a record comes in parts */
        { "EXECVE argc=2 a0=\"x\" a1_len=4 a1[0]=6162 a1[1]=6364", "x abcd" },
        { "EXECVE argc=3 a0=\"x\" a1_len=6 a1[0]=6162 EXECVE a1[1]=6364 EXECVE a1[2]=6566 a2=\"y\" ", "x abcdef y" },
        { "EXECVE argc=2 a0=\"argc=1\" a1=\"a0=x\"", "argc=1 a0=x" },
        { "EXECVE argc=2 a0=\"a\" a1=61zz62", "a a" },
        { "EXECVE argc=2 a0=\"a\" a1=616", "a a" },
        { "EXECVE argc=2 a0=\"a\" a1=\"", "a " },
        { "SYSCALL arch=c000003e a0=1 a1=2", NULL },
        { "EXECVE argc=1", NULL },
        { "argc=", NULL },
        { "argc=1 a=\"x\" a0 ax=\"y\"", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(records); i++) {
        LB_FREE char *text = lb_execve_text(records[i].record);

        if (records[i].text)
            assert_string_equal(text ? text : records[i].record, records[i].text);
        else
            assert_null(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_records) };

    return cmocka_run_group_tests_name("execve", tests, NULL, NULL);
}
