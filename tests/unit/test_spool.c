/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is on its way to the store: each event in one batch, under one name with the same bytes, whatever dies where. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/courier/object.h"
#include "lockboxd/courier/spool.h"
#include "policy/base.h"
#include "tests/unit/directory.h"

struct fixture {
    char directory[64];
    struct lb_spool *spool;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "/tmp/lockbox-test.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(lb_spool_open(f->directory, &f->spool), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    lb_spool_close(f->spool);
    directory_remove(f->directory);
    free(f);
    return 0;
}

/* As after kill -9: nothing is finished by the one that goes. */
static void again(struct fixture *f)
{
    lb_spool_close(f->spool);
    f->spool = NULL;
    assert_int_equal(lb_spool_open(f->directory, &f->spool), 0);
}

static json_t *event(int64_t seq, char digit)
{
    char hash[LB_HASH_MAX];

    memset(hash, digit, sizeof(hash) - 1);
    hash[sizeof(hash) - 1] = '\0';
    return json_pack("{sI ss ss}", "seq", (json_int_t)seq, "hash", hash, "event", "opened");
}

static int add(struct fixture *f, int64_t seq)
{
    json_auto_t *e = event(seq, 'a');

    return lb_spool_add(f->spool, e);
}

static void add_all(struct fixture *f, int64_t first, int64_t last)
{
    for (int64_t seq = first; seq <= last; seq++)
        assert_int_equal(add(f, seq), 0);
}

static bool exists(const struct fixture *f, const char *name)
{
    LB_FREE char *path = NULL;

    assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
    return access(path, F_OK) == 0;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    LB_FREE char *path = NULL;
    FILE *out;

    assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void assert_next(struct fixture *f, const char *expected)
{
    LB_FREE char *name = NULL;

    assert_int_equal(lb_spool_next(f->spool, &name), expected != NULL);
    if (expected)
        assert_string_equal(name, expected);
}

static void a_batch_has_its_events_a_line_each(void **state)
{
    struct fixture *f = *state;
    char line[256];
    int64_t size;
    FILE *in;

    assert_false(lb_spool_has_batch(f->spool));
    assert_next(f, NULL);
    add_all(f, 1, 3);
    assert_true(lb_spool_has_batch(f->spool));
    assert_next(f, NULL); /* not finished */
    assert_int_equal(lb_spool_commit(f->spool), 0);
    assert_int_equal(lb_spool_position(f->spool), 3);
    assert_next(f, "000000000001-000000000003.jsonl");
    in = lb_spool_read(f->spool, "000000000001-000000000003.jsonl", &size);
    for (int i = 1; i <= 3; i++) {
        char end[32];

        snprintf(end, sizeof(end), "\"seq\":%d}\n", i);
        assert_non_null(fgets(line, sizeof(line), in));
        assert_memory_equal(line, "{\"event\":\"opened\",\"hash\":\"aaaa", 29);
        assert_string_equal(line + strlen(line) - strlen(end), end);
        assert_int_equal(size, 3 * (int64_t)strlen(line));
    }
    fclose(in);
    assert_int_equal(lb_spool_done(f->spool, "000000000001-000000000003.jsonl"), 0);
    assert_next(f, NULL);
    again(f);
    assert_int_equal(lb_spool_position(f->spool), 3);
}

/* The last event of the one before shows that it is the same log still. */
static void the_next_batch_goes_on_where_the_last_one_ended(void **state)
{
    struct fixture *f = *state;

    add_all(f, 1, 2);
    assert_int_equal(lb_spool_commit(f->spool), 0);
    again(f);
    add_all(f, 2, 4); /* 2 is not written again */
    assert_int_equal(lb_spool_commit(f->spool), 0);
    assert_true(exists(f, "000000000003-000000000004.jsonl"));
    assert_int_equal(lb_spool_count(f->spool), 2);
    assert_next(f, "000000000001-000000000002.jsonl");
    assert_int_equal(add(f, 5), -ESTALE); /* not the last one */
    assert_int_equal(add(f, 3), -ESTALE);
}

static void a_log_that_was_written_anew_is_not_sent(void **state)
{
    struct fixture *f = *state;
    json_auto_t *other = event(2, 'b');

    add_all(f, 1, 2);
    assert_int_equal(lb_spool_commit(f->spool), 0);
    assert_int_equal(lb_spool_add(f->spool, other), -ESTALE);
    assert_false(lb_spool_has_batch(f->spool));
}

static void an_event_that_is_missing_ends_the_batch(void **state)
{
    struct fixture *f = *state;
    json_auto_t *nothing = json_object();

    assert_int_equal(add(f, 2), -EACCES);
    add_all(f, 1, 2);
    assert_int_equal(add(f, 4), -EACCES);
    assert_false(lb_spool_has_batch(f->spool));
    assert_int_equal(lb_spool_add(f->spool, nothing), -EBADMSG);
    assert_int_equal(lb_spool_position(f->spool), 0);
}

/* What was finished without the position behind it was never sent: it is made anew, perhaps with more in it. */
static void a_crash_between_file_and_position_leaves_one_batch(void **state)
{
    struct fixture *f = *state;

    add_all(f, 1, 2);
    assert_int_equal(lb_spool_commit(f->spool), 0);
    put(f, "000000000003-000000000009.jsonl", "half");
    put(f, "7F3K-9QXM.000000000005.wanted", "");
    put(f, "7F3K-9QXN.000000000002.wanted", "");
    put(f, "batch.tmp", "half");
    put(f, "pack.tmp.Ab3dEf.tmp", "half"); /* of a lockboxctl that was killed */
    again(f);
    assert_false(exists(f, "000000000003-000000000009.jsonl"));
    assert_false(exists(f, "7F3K-9QXM.000000000005.wanted"));
    assert_true(exists(f, "7F3K-9QXN.000000000002.wanted"));
    assert_false(exists(f, "batch.tmp") || exists(f, "pack.tmp.Ab3dEf.tmp"));
    assert_next(f, "000000000001-000000000002.jsonl");
}

static void a_batch_is_bounded(void **state)
{
    struct fixture *f = *state;
    json_auto_t *e = event(1, 'a');
    LB_FREE char *text = calloc(1, LB_BATCH_MAX + 1);

    memset(text, 'x', LB_BATCH_MAX / 2);
    json_object_set_new(e, "json", json_string(text));
    assert_int_equal(lb_spool_add(f->spool, e), 0);
    json_object_set_new(e, "seq", json_integer(2));
    assert_int_equal(lb_spool_add(f->spool, e), 1);
    assert_int_equal(lb_spool_commit(f->spool), 0);
    assert_int_equal(lb_spool_position(f->spool), 2);
}

static void a_pack_is_made_behind_its_batch_and_sent_behind_it(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *request = NULL, *path = NULL, *again_request = NULL, *again_path = NULL;

    add_all(f, 1, 2);
    assert_int_equal(lb_spool_want_pack(f->spool, "7F3K-9QXM"), 0);
    assert_int_equal(lb_spool_next_pack(f->spool, &request, &path), 0); /* its batch is not finished */
    assert_int_equal(lb_spool_commit(f->spool), 0);
    assert_int_equal(lb_spool_next_pack(f->spool, &request, &path), 1);
    assert_string_equal(request, "7F3K-9QXM");
    put(f, strrchr(path, '/') + 1, "half");
    again(f);
    assert_int_equal(lb_spool_next_pack(f->spool, &again_request, &again_path), 1);
    assert_int_not_equal(access(again_path, F_OK), 0);
    put(f, strrchr(again_path, '/') + 1, "whole");
    assert_int_equal(lb_spool_take_pack(f->spool), 0);
    assert_int_equal(lb_spool_count(f->spool), 2);
    assert_next(f, "000000000001-000000000002.jsonl");
    assert_int_equal(lb_spool_done(f->spool, "000000000001-000000000002.jsonl"), 0);
    assert_next(f, "7F3K-9QXM.tar");
}

/* What cannot be made, or is not taken by the store, does not stand in the way of all others for ever. */
static void packs_take_turns(void **state)
{
    static const char *const names[] = { "2222-2222", "3333-3333", "2222-2222" };
    struct fixture *f = *state;

    add_all(f, 1, 2);
    assert_int_equal(lb_spool_want_pack(f->spool, "3333-3333"), 0);
    assert_int_equal(lb_spool_want_pack(f->spool, "2222-2222"), 0);
    assert_int_equal(lb_spool_commit(f->spool), 0);
    assert_int_equal(lb_spool_done(f->spool, "000000000001-000000000002.jsonl"), 0);
    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        LB_FREE char *request = NULL, *path = NULL;

        assert_int_equal(lb_spool_next_pack(f->spool, &request, &path), 1);
        assert_string_equal(request, names[i]);
    }
    put(f, "2222-2222.tar", "x");
    put(f, "3333-3333.tar", "x");
    assert_next(f, "2222-2222.tar");
    assert_next(f, "3333-3333.tar");
    assert_next(f, "2222-2222.tar");
}

static void a_strange_position_is_not_overlooked(void **state)
{
    static const char *const texts[] = { "", "x", "3\n", "-1 aa\n", "3 aaaa\n", "0 aa\n" };
    struct fixture *f = *state;

    for (size_t i = 0; i < LB_ELEMENTS(texts); i++) {
        f->spool = lb_spool_close(f->spool);
        put(f, "position", texts[i]);
        assert_int_equal(lb_spool_open(f->directory, &f->spool), -EBADMSG);
    }
}

/* --- where an object lies ----------------------------------------------------------------------------------------- */

static void urls_of_objects(void **state)
{
    static const struct {
        struct lb_export_config export;
        const char *host, *url;
    } rows[] = {
        { { .url = (char *)"https://a.example/x/" }, "web1", "https://a.example/x/events/web1/n.jsonl" },
        { { .url = (char *)"https://a.example" }, "a b/../c", "https://a.example/events/a%20b%2F..%2Fc/n.jsonl" },
        { { .url = (char *)"s3://bucket/pre/", .endpoint = (char *)"https://s3.a.example:9000",
            .region = (char *)"eu" }, "web1", "https://s3.a.example:9000/bucket/pre/events/web1/n.jsonl" },
        { { .url = (char *)"s3://bucket", .endpoint = (char *)"https://s3.a.example/", .region = (char *)"eu" },
          "web1", "https://s3.a.example/bucket/events/web1/n.jsonl" },
        { { .url = (char *)"s3://bucket", .region = (char *)"eu-1" },
          "web1", "https://s3.eu-1.amazonaws.com/bucket/events/web1/n.jsonl" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *url = lb_object_url(&rows[i].export, "events", rows[i].host, "n.jsonl");

        assert_string_equal(url, rows[i].url);
    }
}

static void what_a_store_says_in_a_word(void **state)
{
    LB_FREE char *word = lb_object_reason("<?xml?><Error><Code>AccessDenied</Code><Message>…"),
                 *none = lb_object_reason("<html>"), *bad = lb_object_reason("<Code>\033[2J</Code>");

    (void)state;
    assert_string_equal(word, "AccessDenied");
    assert_null(none);
    assert_null(bad);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_batch_has_its_events_a_line_each), T(the_next_batch_goes_on_where_the_last_one_ended),
        T(a_log_that_was_written_anew_is_not_sent), T(an_event_that_is_missing_ends_the_batch),
        T(a_crash_between_file_and_position_leaves_one_batch), T(a_batch_is_bounded),
        T(a_pack_is_made_behind_its_batch_and_sent_behind_it), T(packs_take_turns),
        T(a_strange_position_is_not_overlooked),
        cmocka_unit_test(urls_of_objects), cmocka_unit_test(what_a_store_says_in_a_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
