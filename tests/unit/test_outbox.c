/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits to be told, on disk: it survives the end of the process at any moment, and nothing is in it twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>

#include "lockboxd/courier/outbox.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "tests/unit/directory.h"

static char directory[64], copy[64];
static struct lb_outbox *outbox;

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/lockbox-outbox-XXXXXX");
    strcpy(copy, "/tmp/lockbox-outcopy-XXXXXX");
    return mkdtemp(directory) && mkdtemp(copy) ? lb_outbox_open(directory, &outbox) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    outbox = lb_outbox_close(outbox);
    directory_remove(directory);
    directory_remove(copy);
    return 0;
}

static struct lb_step letter(const char *id, const char *target, const char *request, int notice)
{
    return (struct lb_step){ .letter = { .id = (char *)id, .channel = "mail", .target = (char *)target,
                                         .request = (char *)request, .seq = 1, .notice = notice, .until = LB_NEVER,
                                         .body = (char *)id } };
}

static void take(int64_t position, struct lb_step *steps, size_t n)
{
    int64_t dropped = -1;

    assert_int_equal(lb_outbox_take(outbox, position, "hash", steps, n, &dropped), 0);
    assert_int_equal(dropped, 0);
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

struct text {
    struct lb_outbox *outbox;
    char text[512];
    int64_t rows[16];
    size_t n;
};

static int on_due(void *userdata, int64_t row, const char *request)
{
    struct text *t = userdata;
    struct lb_letter l;

    (void)request;
    assert_int_equal(lb_outbox_load(t->outbox, row, &l), 0);
    assert_string_equal(l.body, l.id);
    strcat(strcat(t->text, l.id), " ");
    t->rows[t->n++] = row;
    lb_letter_clear(&l);
    return 0;
}

static struct text due(struct lb_outbox *o, const char *target, int64_t now)
{
    struct text t = { .outbox = o };

    assert_int_equal(lb_outbox_due(o, "mail", target, now, on_due, &t), 0);
    return t;
}

static void assert_due(const char *target, int64_t now, const char *wanted)
{
    struct text t = due(outbox, target, now);

    assert_string_equal(t.text, wanted);
}

static void copy_file(const char *name)
{
    LB_FREE char *from = NULL, *into = NULL;
    char bytes[65536];
    size_t n;
    FILE *in, *out;

    assert_true(asprintf(&from, "%s/%s", directory, name) > 0 && asprintf(&into, "%s/%s", copy, name) > 0);
    in = fopen(from, "re");
    out = fopen(into, "we");
    assert_non_null(out);
    while (in && (n = fread(bytes, 1, sizeof(bytes), in)) > 0)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    if (in)
        fclose(in);
    fclose(out);
}

/* As another process finds it if this one dies now. */
static struct lb_outbox *after_a_crash(void)
{
    struct lb_outbox *o = NULL;

    copy_file("outbox.db");
    copy_file("outbox.db-wal");
    assert_int_equal(lb_outbox_open(copy, &o), 0);
    return o;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void test_position_and_letters_are_one(void **state)
{
    struct lb_step steps[] = { letter("a", "bob", "R-1", 1), letter("b", "bob", "R-2", 1) };
    const char *hash;
    struct lb_outbox *o;
    struct text t;

    (void)state;
    assert_int_equal(lb_outbox_position(outbox, NULL), -1);
    take(7, steps, 2);
    o = after_a_crash();
    assert_int_equal(lb_outbox_position(o, &hash), 7);
    assert_string_equal(hash, "hash");
    t = due(o, "bob", 0);
    assert_string_equal(t.text, "a b ");
    lb_outbox_close(o);
}

/* A page that comes again, after the commit but before anybody knew, adds nothing. */
static void test_a_page_twice(void **state)
{
    struct lb_step steps[] = { letter("a", "bob", "R-1", 1) };
    struct text t;

    (void)state;
    take(7, steps, 1);
    take(7, steps, 1);
    t = due(outbox, "bob", 0);
    assert_int_equal(t.n, 1);
}

/* A webhook may be called "remote", as the approval service's target is: two letters of one event with one id. */
static void test_the_same_id_by_two_channels(void **state)
{
    struct lb_step steps[] = { letter("R-1.7.remote@host", "remote", "R-1", 4),
                               letter("R-1.7.remote@host", "remote", "R-1", 4) };

    (void)state;
    steps[0].letter.channel = (char *)"webhook";
    take(7, steps, 2);
    assert_due("remote", 0, "R-1.7.remote@host ");
}

static void test_sent_is_gone(void **state)
{
    struct lb_step steps[] = { letter("a", "bob", "R-1", 1), letter("b", "bob", "R-1", 3) };
    struct lb_mark mark = { .kind = LB_MARK_SENT };
    struct lb_outbox *o;
    struct text t;

    (void)state;
    take(7, steps, 2);
    t = due(outbox, "bob", 0);
    mark.row = t.rows[0];
    assert_int_equal(lb_outbox_mark(outbox, &mark, 1), 0);
    o = after_a_crash();
    t = due(o, "bob", 0);
    assert_string_equal(t.text, "b ");
    lb_outbox_close(o);
}

/* Behind one that failed nothing about the same request goes; what is about another does. */
static void test_order_within_a_request(void **state)
{
    struct lb_step steps[] = { letter("a1", "bob", "R-1", 1), letter("b1", "bob", "R-2", 1),
                               letter("a2", "bob", "R-1", 4), letter("h1", "bob", NULL, 6),
                               letter("h2", "bob", NULL, 6),  letter("c", "carol", "R-1", 4) };
    struct lb_mark marks[2] = { { .kind = LB_MARK_FAILED, .due = 100, .error = "no" },
                                { .kind = LB_MARK_FAILED, .due = 100, .error = "no" } };
    struct text t;

    (void)state;
    take(7, steps, 6);
    t = due(outbox, "bob", 0);
    assert_string_equal(t.text, "a1 b1 a2 h1 h2 ");
    marks[0].row = t.rows[0];
    marks[1].row = t.rows[3];
    assert_int_equal(lb_outbox_mark(outbox, marks, 2), 0);
    assert_due("bob", 99, "b1 h2 ");
    assert_due("carol", 99, "c ");
    assert_int_equal(lb_outbox_next_due(outbox, "mail", "bob", 99), 100);
    assert_due("bob", 100, "b1 h2 a1 h1 "); /* a2 follows when a1 has gone */
}

/* A failure that was not the letter's (due 0) leaves it first, and holds what is behind it. */
static void test_a_failure_of_the_target(void **state)
{
    struct lb_step steps[] = { letter("a1", "bob", "R-1", 1), letter("a2", "bob", "R-1", 4) };
    struct lb_mark mark = { .kind = LB_MARK_FAILED, .error = "no route" };
    struct lb_letter l;
    struct text t;

    (void)state;
    take(7, steps, 2);
    t = due(outbox, "bob", 0);
    mark.row = t.rows[0];
    assert_int_equal(lb_outbox_mark(outbox, &mark, 1), 0);
    assert_due("bob", 0, "a1 ");
    assert_int_equal(lb_outbox_load(outbox, t.rows[0], &l), 0);
    assert_int_equal(l.attempts, 1);
    assert_string_equal(l.error, "no route");
    lb_letter_clear(&l);
}

/* Question and reminder go when it is decided, within one page also; what else was said about it stays. */
static void test_withdrawal(void **state)
{
    struct lb_step first[] = { letter("ask", "bob", "R-1", LB_NOTICE_ACTION),
                               letter("later", "bob", "R-1", LB_NOTICE_REMINDER),
                               letter("said", "bob", "R-1", LB_NOTICE_MESSAGE),
                               letter("other", "bob", "R-2", LB_NOTICE_ACTION) };
    struct lb_step second[] = { letter("ask2", "bob", "R-1", LB_NOTICE_ACTION), letter(NULL, NULL, "R-1", 0),
                                letter("out", "bob", "R-1", LB_NOTICE_OUTCOME) };

    (void)state;
    first[1].letter.due = 500;
    second[1].withdraw = true;
    take(7, first, 4);
    assert_int_equal(lb_outbox_next_due(outbox, "mail", "bob", 0), 500);
    take(8, second, 3);
    assert_due("bob", 1000, "said other out ");
    assert_int_equal(lb_outbox_next_due(outbox, "mail", "bob", 0), LB_NEVER);
}

/* Who has voted is not asked any more; the others are. */
static void test_withdrawal_from_one(void **state)
{
    struct lb_step first[] = { letter("ask", "bob", "R-1", LB_NOTICE_ACTION),
                               letter("other", "bob", "R-2", LB_NOTICE_ACTION),
                               letter("ask-carol", "carol", "R-1", LB_NOTICE_ACTION) };
    struct lb_step vote = letter(NULL, "bob", "R-1", 0);

    (void)state;
    vote.withdraw = true;
    take(7, first, 3);
    take(8, &vote, 1);
    assert_due("bob", 0, "other ");
    assert_due("carol", 0, "ask-carol ");
}

static int on_untold(void *userdata, const struct lb_outbox_untold *u)
{
    struct text *t = userdata;

    snprintf(t->text, sizeof(t->text), "%s %s %s %s %d", u->channel, u->target, u->request, u->error, (int)u->count);
    t->rows[0] = u->last;
    t->n++;
    return 0;
}

static int on_dead(void *userdata, const struct lb_letter *l)
{
    strcat(strcat(userdata, l->id), " ");
    return 0;
}

/* Given up: kept, told once, and sent after all if somebody says so. */
static void test_given_up(void **state)
{
    struct lb_step steps[] = { letter("a", "bob", "R-1", 1), letter("b", "bob", "R-2", 1),
                               letter("c", "bob", "R-3", 1) };
    struct lb_mark mark = { .kind = LB_MARK_DEAD, .error = "550" };
    struct text t;
    char dead[64] = "";

    (void)state;
    steps[1].letter.until = 50;
    take(7, steps, 3);
    t = due(outbox, "bob", 0);
    mark.row = t.rows[0];
    assert_int_equal(lb_outbox_mark(outbox, &mark, 1), 0);
    assert_int_equal(lb_outbox_expire(outbox, 49), 0);
    assert_int_equal(lb_outbox_expire(outbox, 50), 1);
    assert_due("bob", 100, "c ");
    assert_int_equal(lb_outbox_untold(outbox, on_untold, &t), 0);
    assert_string_equal(t.text, "mail bob R-1 550 2");
    assert_int_equal(lb_outbox_told(outbox, "mail", "bob", t.rows[0]), 0);
    t.n = 0;
    assert_int_equal(lb_outbox_untold(outbox, on_untold, &t), 0);
    assert_int_equal(t.n, 0);
    assert_int_equal(lb_outbox_dead(outbox, 10, on_dead, dead), 0);
    assert_string_equal(dead, "b a ");
    assert_int_equal(lb_outbox_revive(outbox, "nobody", 900), 0);
    assert_int_equal(lb_outbox_revive(outbox, NULL, 900), 2);
    assert_due("bob", 100, "a b c ");
    assert_int_equal(lb_outbox_expire(outbox, 899), 0);
    assert_int_equal(lb_outbox_expire(outbox, 900), 1); /* a's time was without an end */
}

/* However they are given up, only the newest of them are kept: not also those of a webhook that is refused for good. */
static void test_not_kept_for_ever(void **state)
{
    char dead[32 * 1024] = "", id[16];
    struct lb_step step = letter(id, "bob", NULL, 1);
    struct lb_mark mark = { .kind = LB_MARK_DEAD, .error = "400" };

    (void)state;
    for (int i = 1; i <= 1010; i++) {
        snprintf(id, sizeof(id), "%d", i);
        take(i, &step, 1);
        mark.row = i;
        assert_int_equal(lb_outbox_mark(outbox, &mark, 1), 0);
    }
    assert_int_equal(lb_outbox_expire(outbox, 1), 0);
    assert_int_equal(lb_outbox_told(outbox, "mail", "bob", 1010), 0);
    assert_int_equal(lb_outbox_expire(outbox, 1), 0);
    assert_int_equal(lb_outbox_dead(outbox, INT64_MAX, on_dead, dead), 0);
    assert_int_equal(strncmp(dead, "1010 1009 ", 10), 0);
    assert_non_null(strstr(dead, " 12 11 "));
    assert_null(strstr(dead, " 10 "));
}

/* A clock that was set back does not hold what was to be tried again in a minute. */
static void test_a_clock_set_back(void **state)
{
    const int64_t year = 365 * 24 * 3600 * LB_USEC_PER_SEC;
    struct lb_step steps[] = { letter("a", "bob", "R-1", 1), letter("later", "bob", "R-2", 2) };
    struct lb_mark mark = { .kind = LB_MARK_FAILED, .due = year, .error = "503" };
    struct text t;

    (void)state;
    steps[1].letter.due = year;
    take(7, steps, 2);
    t = due(outbox, "bob", 0);
    mark.row = t.rows[0];
    assert_int_equal(lb_outbox_mark(outbox, &mark, 1), 0);
    assert_int_equal(lb_outbox_expire(outbox, year - LB_USEC_PER_SEC), 0);
    assert_due("bob", year - LB_USEC_PER_SEC, "");
    assert_int_equal(lb_outbox_expire(outbox, 0), 0);
    assert_due("bob", 0, "a ");
}

static void run(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    snprintf(path, sizeof(path), "%s/outbox.db", directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* What a later courier has left is not ours to write to; what one of before versions has left is. */
static void test_versions(void **state)
{
    struct lb_step ask = letter("ask", "bob", "R-1", LB_NOTICE_ACTION);

    (void)state;
    take(7, &ask, 1);
    outbox = lb_outbox_close(outbox);
    run("PRAGMA user_version = 0");
    assert_int_equal(lb_outbox_open(directory, &outbox), 0);
    assert_due("bob", 0, "ask ");
    outbox = lb_outbox_close(outbox);
    run("DROP TABLE meta; PRAGMA user_version = 2");
    assert_int_equal(lb_outbox_open(directory, &outbox), -EPROTONOSUPPORT);
    assert_null(outbox);
    run("CREATE TABLE meta (other)"); /* it was not made again */
}

/* A file that is no database is said to be one that is damaged, and nothing is made of it. */
static void test_damage(void **state)
{
    LB_FREE char *path = NULL;
    struct lb_outbox *o = NULL;
    FILE *f;

    (void)state;
    assert_true(asprintf(&path, "%s/outbox.db", copy) > 0);
    f = fopen(path, "we");
    for (int i = 0; i < 4096; i++)
        fputc('x', f);
    fclose(f);
    assert_int_equal(lb_outbox_open(copy, &o), -EUCLEAN);
    assert_null(o);
}

/* Also where it is damaged somewhere in the midst, among what waits. */
static void test_damage_within(void **state)
{
    LB_FREE char *path = NULL;
    char id[16], body[2048];
    struct lb_step step = letter(id, "bob", NULL, 1);
    struct stat st;
    FILE *f;

    (void)state;
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    step.letter.body = body;
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "%d", i);
        take(i, &step, 1);
    }
    outbox = lb_outbox_close(outbox);
    assert_true(asprintf(&path, "%s/outbox.db", directory) > 0);
    assert_int_equal(stat(path, &st), 0);
    f = fopen(path, "r+e");
    assert_int_equal(fseek(f, st.st_size / 2 / 4096 * 4096, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++)
        fputc(0xff, f);
    fclose(f);
    assert_int_equal(lb_outbox_open(directory, &outbox), -EUCLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_position_and_letters_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_page_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_id_by_two_channels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sent_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order_within_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_of_the_target, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_withdrawal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_withdrawal_from_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_kept_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_clock_set_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_versions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_within, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
