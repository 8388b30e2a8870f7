/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Framing as bytes in and messages out: whole, split at every byte, and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lockboxd/proto/json.h"
#include "lockboxd/proto/varlink.h"
#include "policy/base.h"

static void assert_next(struct lb_varlink_reader *reader, const char *expected)
{
    json_t *message = NULL;
    char *text;

    assert_int_equal(lb_varlink_next(reader, &message), 1);
    text = lb_json_canonical(message);
    assert_string_equal(text, expected);
    free(text);
    json_decref(message);
}

static void assert_no_next(struct lb_varlink_reader *reader)
{
    json_t *untouched = (json_t *)reader;

    assert_int_equal(lb_varlink_next(reader, &untouched), 0);
    assert_ptr_equal(untouched, reader);
}

static const char stream[] = "{\"method\":\"a.B\"}\0{\"parameters\":{\"x\":\"\xc3\xa4\"}}\0{}";

static void assert_stream(struct lb_varlink_reader *reader)
{
    assert_next(reader, "{\"method\":\"a.B\"}");
    assert_next(reader, "{\"parameters\":{\"x\":\"\xc3\xa4\"}}");
    assert_next(reader, "{}");
    assert_no_next(reader);
    assert_null(reader->buffer); /* nothing is held between messages */
}

static void test_split_at_every_byte(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= sizeof(stream); cut++) {
        struct lb_varlink_reader reader = { .max = 64 };

        assert_int_equal(lb_varlink_feed(&reader, stream, cut), 0);
        assert_int_equal(lb_varlink_feed(&reader, stream + cut, sizeof(stream) - cut), 0);
        assert_stream(&reader);
        lb_varlink_reader_clear(&reader);
    }
}

static void test_taken_as_they_come(void **state)
{
    static const char *const expected[] = { "{\"method\":\"a.B\"}", "{\"parameters\":{\"x\":\"\xc3\xa4\"}}", "{}" };
    struct lb_varlink_reader reader = { .max = 64 };
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(stream); i++) {
        assert_int_equal(lb_varlink_feed(&reader, stream + i, 1), 0);
        if (stream[i] == '\0')
            assert_next(&reader, expected[n++]);
        assert_no_next(&reader);
    }
    assert_int_equal(n, 3);
    assert_null(reader.buffer);
}

static void test_limit_is_exact(void **state)
{
    static const char seven[] = "{\"a\":1}";
    struct lb_varlink_reader reader = { .max = 7 };

    (void)state;
    assert_int_equal(lb_varlink_feed(&reader, seven, sizeof(seven)), 0);
    assert_next(&reader, seven);

    reader.max = 6;
    assert_int_equal(lb_varlink_feed(&reader, seven, 6), 0); /* may still end here */
    assert_int_equal(lb_varlink_feed(&reader, seven + 6, 2), -EMSGSIZE);
    lb_varlink_reader_clear(&reader);
    assert_int_equal(lb_varlink_feed(&reader, seven, 7), -EMSGSIZE);
    lb_varlink_reader_clear(&reader);

    /* a long one behind a short one in the same piece */
    assert_int_equal(lb_varlink_feed(&reader, "{}\0{\"a\":1}\0{}", 14), -EMSGSIZE);
    lb_varlink_reader_clear(&reader);
}

static void test_endless_message(void **state)
{
    struct lb_varlink_reader reader = { .max = LB_VARLINK_MESSAGE_MAX };
    char chunk[4096];
    size_t fed = 0;
    int r = 0;

    (void)state;
    memset(chunk, ' ', sizeof(chunk));
    while (r == 0 && fed < 1024 * 1024 * 1024) {
        r = lb_varlink_feed(&reader, chunk, sizeof(chunk));
        fed += sizeof(chunk);
    }
    assert_int_equal(r, -EMSGSIZE);
    assert_int_equal(fed, LB_VARLINK_MESSAGE_MAX + sizeof(chunk));
    assert_true(reader.size <= 2 * (LB_VARLINK_MESSAGE_MAX + sizeof(chunk)));
    lb_varlink_reader_clear(&reader);
}

static void test_memory_follows_the_partial_message(void **state)
{
    struct lb_varlink_reader reader = { .max = LB_VARLINK_MESSAGE_MAX };

    (void)state;
    for (int i = 0; i < 100000; i++) {
        json_t *message;

        /* always one and a half messages in flight: what was taken has to make room */
        assert_int_equal(lb_varlink_feed(&reader, i ? "\":1}\0{\"a" : "{\"a", i ? 8 : 3), 0);
        if (i > 0) {
            assert_int_equal(lb_varlink_next(&reader, &message), 1);
            json_decref(message);
        }
    }
    assert_true(reader.size <= 1024);
    lb_varlink_reader_clear(&reader);
}

static void test_nonsense_is_one_message(void **state)
{
    static const char bytes[] = "\0{\0[]\0{\"a\":1,\"a\":2}\0{\"a\":\"\\u0000\"}\0{\"a\":\"\xc3\0{\"good\":1}";
    struct lb_varlink_reader reader = { .max = 64 };
    json_t *untouched = NULL;

    (void)state;
    assert_int_equal(lb_varlink_feed(&reader, bytes, sizeof(bytes)), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(lb_varlink_next(&reader, &untouched), -EBADMSG);
    assert_null(untouched);
    assert_next(&reader, "{\"good\":1}");
    assert_no_next(&reader);
}

/* --- calls and replies --- */

static int parse_call(const char *text, struct lb_varlink_call *ret)
{
    json_t *message = lb_json_load(text, strlen(text));
    int r;

    assert_non_null(message);
    r = lb_varlink_call_parse(message, ret);
    json_decref(message);
    return r;
}

static int parse_reply(const char *text, struct lb_varlink_reply *ret)
{
    json_t *message = lb_json_load(text, strlen(text));
    int r;

    assert_non_null(message);
    r = lb_varlink_reply_parse(message, ret);
    json_decref(message);
    return r;
}

static void test_calls(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"method\":\"\"}",
        "{\"method\":7}",
        "{\"method\":null}",
        "{\"method\":\"a.B\",\"parameters\":[]}",
        "{\"method\":\"a.B\",\"parameters\":\"\"}",
        "{\"method\":\"a.B\",\"more\":1}",
        "{\"method\":\"a.B\",\"more\":null}",
        "{\"method\":\"a.B\",\"oneway\":\"true\"}",
        "{\"method\":\"a.B\",\"more\":true,\"oneway\":true}",
        "{\"method\":\"a.B\",\"upgrade\":true}",
        "{\"method\":\"a.B\",\"continues\":true}",
        "{\"method\":\"a.B\",\"error\":\"x\"}",
        "{\"method\":\"a.B\",\"extra\":1}",
    };
    struct lb_varlink_call call = { .more = true };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        assert_int_equal(parse_call(bad[i], &call), -EBADMSG);
        assert_true(call.more && !call.method); /* untouched */
    }
    assert_int_equal(parse_call("{\"method\":\"a.B\",\"upgrade\":false}", &call), 0);
    assert_string_equal(call.method, "a.B");
    assert_int_equal(json_object_size(call.parameters), 0);
    assert_false(call.more || call.oneway);
    lb_varlink_call_clear(&call);

    assert_int_equal(parse_call("{\"method\":\"a.B\",\"more\":true,\"parameters\":{\"x\":1}}", &call), 0);
    assert_true(call.more);
    assert_int_equal(json_integer_value(json_object_get(call.parameters, "x")), 1);
    lb_varlink_call_clear(&call);
    assert_null(call.parameters);

    assert_int_equal(parse_call("{\"method\":\"a.B\",\"oneway\":true,\"parameters\":null}", &call), 0);
    assert_true(call.oneway);
    assert_non_null(call.parameters);
    lb_varlink_call_clear(&call);
}

static void test_replies(void **state)
{
    static const char *const bad[] = {
        "{\"error\":7}",     "{\"error\":\"\"}",     "{\"error\":\"a.E\",\"continues\":true}", "{\"parameters\":[]}",
        "{\"continues\":1}", "{\"method\":\"a.B\"}", "{\"parameters\":{},\"extra\":1}",
    };
    struct lb_varlink_reply reply = { .continues = true };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        assert_int_equal(parse_reply(bad[i], &reply), -EBADMSG);
        assert_true(reply.continues && !reply.parameters);
    }
    assert_int_equal(parse_reply("{\"parameters\":{\"x\":1},\"continues\":true}", &reply), 0);
    assert_null(reply.error);
    assert_true(reply.continues);
    lb_varlink_reply_clear(&reply);

    assert_int_equal(parse_reply("{\"error\":\"a.E\",\"parameters\":{\"reason\":\"r\"}}", &reply), 0);
    assert_string_equal(reply.error, "a.E");
    assert_false(reply.continues);
    lb_varlink_reply_clear(&reply);

    assert_int_equal(parse_reply("{}", &reply), 0);
    assert_non_null(reply.parameters);
    lb_varlink_reply_clear(&reply);
}

static void assert_bytes(char *bytes, const size_t *size, const char *expected)
{
    assert_non_null(bytes);
    assert_string_equal(bytes, expected);
    assert_int_equal(*size, strlen(expected) + 1); /* NUL included */
    free(bytes);
}

static void test_format(void **state)
{
    json_t *parameters = json_pack("{s:s}", "a", "\xc3\xa4\n");
    size_t n = 0;

    (void)state;
    assert_bytes(lb_varlink_format_call("a.B", parameters, false, &n), &n,
                 "{\"method\":\"a.B\",\"parameters\":{\"a\":\"\xc3\xa4\\n\"}}");
    assert_bytes(lb_varlink_format_call("a.B", NULL, true, &n), &n,
                 "{\"method\":\"a.B\",\"more\":true,\"parameters\":{}}");
    assert_bytes(lb_varlink_format_reply(NULL, false, &n), &n, "{\"parameters\":{}}");
    assert_bytes(lb_varlink_format_reply(parameters, true, &n), &n,
                 "{\"continues\":true,\"parameters\":{\"a\":\"\xc3\xa4\\n\"}}");
    assert_bytes(lb_varlink_format_error("a.E", NULL, &n), &n, "{\"error\":\"a.E\",\"parameters\":{}}");
    assert_int_equal(parameters->refcount, 1);
    json_decref(parameters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_taken_as_they_come),
        cmocka_unit_test(test_limit_is_exact),
        cmocka_unit_test(test_endless_message),
        cmocka_unit_test(test_memory_follows_the_partial_message),
        cmocka_unit_test(test_nonsense_is_one_message),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
