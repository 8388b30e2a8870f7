/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report that another program wrote: taken as it should be, or not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/report.h"
#include "policy/base.h"
#include "tests/unit/directory.h"

static char directory[64], path[96];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/lockbox-report-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/report", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(directory);
    return 0;
}

static int read_report(const char *text, struct lb_event *ret)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return lb_report_read(path, &ret->count, &ret->changes);
}

#define CHANGE(kind, name) "{\"kind\":\"" kind "\",\"name\":\"" name "\",\"change\":\"added\",\"detail\":\"\"}"

static void test_a_report(void **state)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 }, none = { 0 };
    LB_FREE char *kinds = NULL;

    (void)state;
    assert_int_equal(read_report("{\"count\":9,\"changes\":[" CHANGE("cron", "/etc/a") "," CHANGE("cron", "/etc/b") ","
                               CHANGE("unit", "") "]}\n", &e), 0);
    assert_int_equal(e.count, 9);
    assert_int_equal(e.changes.n, 3);
    assert_string_equal(((struct lb_change *)e.changes.items)[1].name, "/etc/b");
    kinds = lb_report_kinds(&e.changes);
    assert_string_equal(kinds, "cron, unit");
    assert_int_equal(read_report("{\"count\":0,\"changes\":[]}", &none), 0);
    assert_int_equal(none.count, 0);
    assert_null(lb_report_kinds(&none.changes));
}

static void test_what_is_none(void **state)
{
    static const char *const wrong[] = {
        "", "[]", "{}", "{\"count\":0}", "{\"changes\":[]}",
        "{\"count\":0,\"changes\":[],\"more\":1}",
        "{\"count\":0,\"count\":0,\"changes\":[]}",
        "{\"count\":-1,\"changes\":[]}",
        "{\"count\":1,\"changes\":[]}", /* it says that there is something, and not what */
        "{\"count\":0,\"changes\":[" CHANGE("cron", "a") "]}",
        "{\"count\":1,\"changes\":[1]}",
        "{\"count\":1,\"changes\":[" CHANGE("", "a") "]}",
        "{\"count\":1,\"changes\":[" CHANGE("cron", "\\u001b[31m") "]}",
        "{\"count\":1,\"changes\":[" CHANGE("cron", "a\\nb") "]}",
        "{\"count\":1,\"changes\":[" CHANGE("cron", "\\u202e") "]}",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        struct lb_event e = { .count = 77 };

        assert_int_equal(read_report(wrong[i], &e), -EBADMSG);
        assert_int_equal(e.count, 77);
        assert_int_equal(e.changes.n, 0);
    }
}

static void test_too_long(void **state)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    LB_FREE char *text = calloc(1, 200000);

    (void)state;
    strcpy(text, "{\"count\":0,\"changes\":[]}");
    memset(text + strlen(text), ' ', 100000);
    assert_int_equal(read_report(text, &e), -EBADMSG);
}

/* Nothing that hangs, nothing somewhere else. */
static void test_no_file(void **state)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };

    (void)state;
    assert_int_equal(lb_report_read(path, &e.count, &e.changes), -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(lb_report_read(path, &e.count, &e.changes), -EBADMSG);
    remove(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(lb_report_read(path, &e.count, &e.changes), -ELOOP);
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(test_a_report),
        WITH_DIRECTORY(test_what_is_none),
        WITH_DIRECTORY(test_too_long),
        WITH_DIRECTORY(test_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
