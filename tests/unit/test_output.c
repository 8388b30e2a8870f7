/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A script's output: kept as it comes, hashed, bounded, and shown to who watches at his own pace. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/chain.h"
#include "lockboxd/output.h"
#include "policy/base.h"
#include "tests/unit/directory.h"

struct fixture {
    char directory[64];
    sd_event *event;
    int ends[LB_STREAM_MAX_];
    struct lb_output *output;
    struct lb_watcher watcher;
};

static size_t told;

static void on_more(struct lb_watcher *w)
{
    assert_non_null(w->output);
    told++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "/tmp/lockbox-output-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(lb_output_new(f->event, f->directory, "AAAA-0001", f->ends, &f->output), 0);
    f->watcher.more = on_more;
    told = 0;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < LB_STREAM_MAX_; i++)
        if (f->ends[i] >= 0)
            close(f->ends[i]);
    lb_output_leave(&f->watcher);
    lb_output_free(f->output);
    sd_event_unref(f->event);
    directory_remove(f->directory);
    free(f);
    return 0;
}

/* Written, and taken by the loop. */
static void say(struct fixture *f, int stream, const char *bytes, size_t n)
{
    assert_int_equal(write(f->ends[stream], bytes, n), n);
    assert_true(sd_event_run(f->event, 0) > 0);
}

static void expect(struct fixture *f, int stream, const char *text)
{
    char buf[1024];
    int from = -1;
    ssize_t n = lb_output_read(f->output, buf, sizeof(buf), &from);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
    assert_int_equal(from, stream);
}

static void expect_nothing(struct fixture *f)
{
    char buf[8];
    int from;

    assert_int_equal(lb_output_read(f->output, buf, sizeof(buf), &from), 0);
}

/* Everything in one file, as it came; by stream to who watches. */
static void test_both_streams(void **state)
{
    struct fixture *f = *state;
    char digest[LB_OUTPUT_DIGEST_MAX], again[LB_OUTPUT_DIGEST_MAX], wanted[LB_HASH_MAX];
    const char *text = NULL;
    int64_t status = 0, size = 0;

    lb_output_watch(f->output, &f->watcher);
    say(f, LB_STREAM_OUT, "one ", 4);
    say(f, LB_STREAM_OUT, "two ", 4);
    say(f, LB_STREAM_ERR, "oops ", 5);
    assert_int_equal(told, 3);
    expect(f, LB_STREAM_OUT, "one two ");
    say(f, LB_STREAM_OUT, "three", 5);
    expect(f, LB_STREAM_ERR, "oops ");
    assert_int_equal(write(f->ends[LB_STREAM_OUT], "!", 1), 1); /* nobody has seen it when the end comes */
    lb_output_end(f->output);
    assert_int_equal(lb_output_size(f->output), 19);
    assert_null(lb_output_problem(f->output));
    lb_output_digest(f->output, digest);
    assert_int_equal(lb_chain_hash("one two oops three!", 19, wanted), 0);
    assert_string_equal(digest, wanted);
    assert_int_equal(lb_output_measure(f->directory, "AAAA-0001", &size, again), 0);
    assert_int_equal(size, 19);
    assert_string_equal(again, wanted);
    lb_output_tell(f->output, 3, "as it is");
    assert_false(lb_output_is_over(f->output, &status, &text)); /* not before all has been read */
    expect(f, LB_STREAM_OUT, "three!");
    expect_nothing(f);
    assert_true(lb_output_is_over(f->output, &status, &text));
    assert_int_equal(status, 3);
    assert_string_equal(text, "as it is");
    assert_false(lb_output_is_behind(f->output));
}

/* Without anybody there it is kept all the same, and costs nothing. */
static void test_nobody_watches(void **state)
{
    struct fixture *f = *state;

    say(f, LB_STREAM_OUT, "alone", 5);
    assert_int_equal(told, 0);
    expect_nothing(f);
    assert_int_equal(lb_output_size(f->output), 5);
}

/* Who leaves takes nothing away; what its owner has given up lives until the last one has left. */
static void test_who_goes_last(void **state)
{
    struct fixture *f = *state;

    lb_output_watch(f->output, &f->watcher);
    say(f, LB_STREAM_OUT, "x", 1);
    lb_output_leave(&f->watcher);
    lb_output_leave(&f->watcher);
    say(f, LB_STREAM_OUT, "y", 1);
    assert_int_equal(told, 1);
    lb_output_watch(f->output, &f->watcher);
    say(f, LB_STREAM_OUT, "z", 1);
    lb_output_end(f->output);
    lb_output_tell(f->output, 0, NULL);
    assert_null(lb_output_free(f->output));
    f->output = f->watcher.output;
    lb_output_leave(&f->watcher);
    f->output = NULL;
}

/* A pipe that somebody holds open does not keep the end from coming. */
static void test_end_with_an_open_pipe(void **state)
{
    struct fixture *f = *state;

    lb_output_end(f->output);
    assert_int_equal(lb_output_size(f->output), 0);
    assert_int_equal(sd_event_run(f->event, 0), 0);
}

/* Past the bound the script goes on, and what is missing is said. */
static void test_the_bound(void **state)
{
    static char chunk[64 * 1024];
    struct fixture *f = *state;
    struct stat st;
    char path[128];

    memset(chunk, 'x', sizeof(chunk));
    for (int64_t i = 0; i < LB_OUTPUT_MAX / (int64_t)sizeof(chunk); i++)
        say(f, LB_STREAM_OUT, chunk, sizeof(chunk));
    assert_null(lb_output_problem(f->output)); /* exactly full */
    say(f, LB_STREAM_ERR, "y", 1);
    assert_non_null(lb_output_problem(f->output));
    say(f, LB_STREAM_OUT, chunk, sizeof(chunk));
    assert_int_equal(lb_output_size(f->output), LB_OUTPUT_MAX);
    snprintf(path, sizeof(path), "%s/recordings/AAAA-0001.out", f->directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, LB_OUTPUT_MAX);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* Who never reads while the streams alternate is left behind; none of it is told under the wrong name. */
static void test_left_behind(void **state)
{
    struct fixture *f = *state;
    size_t n = 0;
    char buf[64];
    int stream = -1, last = LB_STREAM_ERR;

    lb_output_watch(f->output, &f->watcher);
    for (int i = 0; i < 5000; i++)
        say(f, i % 2 ? LB_STREAM_ERR : LB_STREAM_OUT, i % 2 ? "e" : "o", 1);
    assert_true(lb_output_is_behind(f->output));
    while (lb_output_read(f->output, buf, sizeof(buf), &stream) > 0) {
        assert_int_not_equal(stream, last);
        assert_int_equal(*buf, stream == LB_STREAM_ERR ? 'e' : 'o');
        last = stream;
        n++;
    }
    assert_int_equal(n, 4096);
    assert_int_equal(lb_output_size(f->output), 5000);
}

/* One file for each ID: what is recorded is not written over. */
static void test_once(void **state)
{
    struct fixture *f = *state;
    struct lb_output *again = NULL;
    int ends[LB_STREAM_MAX_] = { -7, -7 };

    assert_int_equal(lb_output_new(f->event, f->directory, "AAAA-0001", ends, &again), -EEXIST);
    assert_int_equal(ends[0], -7);
    assert_null(again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_streams), TEST(test_nobody_watches), TEST(test_who_goes_last), TEST(test_end_with_an_open_pipe),
        TEST(test_the_bound), TEST(test_left_behind), TEST(test_once),
    };

    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
