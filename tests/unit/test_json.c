/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables ↔ JSON, and the strict reading of bytes that a stranger sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/deadline.h"

static const char *const colours[] = { "", "red", "green", NULL };

struct part {
    char *name;
};

struct whole {
    char *title;
    int64_t count, at, span;
    bool ready;
    int colour;
    char **words;
    struct part inner;
    struct lb_list parts;
};

static const struct lb_field part_fields[] = {
    { .name = "name", .type = LB_FIELD_STRING, .offset = offsetof(struct part, name), .flags = LB_FIELD_REQUIRED },
    {},
};

#define WHOLE(member, kind, ...)                                                             \
    {                                                                                        \
        .name = #member, .type = kind, .offset = offsetof(struct whole, member), __VA_ARGS__ \
    }

static const struct lb_field whole_fields[] = {
    WHOLE(title, LB_FIELD_STRING, .flags = LB_FIELD_REQUIRED | LB_FIELD_ALWAYS, .max = 5),
    WHOLE(count, LB_FIELD_INT, .max = 1000),
    WHOLE(at, LB_FIELD_INT, .flags = LB_FIELD_TIME),
    WHOLE(span, LB_FIELD_INT, .flags = LB_FIELD_SPAN),
    WHOLE(ready, LB_FIELD_BOOL),
    WHOLE(colour, LB_FIELD_ENUM, .names = colours),
    WHOLE(words, LB_FIELD_STRINGS, .max = 3),
    WHOLE(inner, LB_FIELD_OBJECT, .fields = part_fields),
    WHOLE(parts, LB_FIELD_LIST, .fields = part_fields, .size = sizeof(struct part)),
    {},
};

static void assert_packs(const struct whole *w, unsigned flags, const char *expected)
{
    json_t *object = lb_json_pack(whole_fields, w, flags);
    char *text = lb_json_canonical(object);

    assert_non_null(text);
    assert_string_equal(text, expected);
    json_decref(object);
    free(text);
}

static int unpack(const char *text, unsigned flags, struct whole *ret, const char **ret_name)
{
    static char fault[64];
    json_t *object = json_loads(text, JSON_DECODE_ANY, NULL);
    const char *name = NULL;
    int r;

    assert_non_null(object);
    *ret = (struct whole){};
    r = lb_json_unpack(whole_fields, object, ret, flags, &name);
    snprintf(fault, sizeof(fault), "%s", name ? name : "");
    if (ret_name)
        *ret_name = fault;
    json_decref(object);
    return r;
}

static void test_nothing_is_left_out(void **state)
{
    (void)state;
    assert_packs(&(struct whole){}, 0, "{\"title\":\"\"}");
    assert_packs(&(struct whole){}, LB_JSON_PUBLIC, "{\"title\":\"\"}");
}

static void test_both_ways(void **state)
{
    static const char text[] = "{\"at\":1700000000123456,\"colour\":\"green\",\"count\":7,\"inner\":{\"name\":\"n\"},"
                               "\"parts\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"ready\":true,\"span\":1500000,"
                               "\"title\":\"t\xc3\xa4t\",\"words\":[\"x\",\"y\"]}";
    struct whole w;

    (void)state;
    assert_int_equal(unpack(text, 0, &w, NULL), 0);
    assert_int_equal(w.parts.n, 2);
    assert_string_equal(((struct part *)w.parts.items)[1].name, "b");
    assert_string_equal(w.words[1], "y");
    assert_null(w.words[2]);
    assert_int_equal(w.colour, 2);
    assert_packs(&w, 0, text);
    lb_fields_clear(whole_fields, &w);
}

static void test_public_times(void **state)
{
    static const char text[] = "{\"at\":\"2023-11-14T22:13:20Z\",\"span\":5400,\"title\":\"t\"}";
    struct whole w;

    (void)state;
    assert_int_equal(unpack(text, LB_JSON_PUBLIC, &w, NULL), 0);
    assert_int_equal(w.at, INT64_C(1700000000) * LB_USEC_PER_SEC);
    assert_int_equal(w.span, INT64_C(5400) * LB_USEC_PER_SEC);
    w.at += 999999; /* fractions are not shown */
    assert_packs(&w, LB_JSON_PUBLIC, text);

    w.span = LB_NEVER;
    w.at = LB_NEVER;
    assert_packs(&w, LB_JSON_PUBLIC, "{\"span\":null,\"title\":\"t\"}");
    lb_fields_clear(whole_fields, &w);
    assert_int_equal(unpack("{\"title\":\"t\",\"span\":null,\"at\":null}", LB_JSON_PUBLIC, &w, NULL), 0);
    assert_true(w.span == LB_NEVER);
    assert_true(w.at == 0);
    lb_fields_clear(whole_fields, &w);
}

static void test_times_at_the_edges(void **state)
{
    struct whole w = { .at = LB_NEVER - 1 };
    json_t *object;

    (void)state;
    object = lb_json_pack(whole_fields, &w, LB_JSON_PUBLIC);
    assert_string_equal(json_string_value(json_object_get(object, "at")), "294247-01-10T04:00:54Z");
    json_decref(object);
}

/* What has to be refused, and which member is blamed. */
static void test_refused(void **state)
{
    static const struct {
        const char *text, *name;
        unsigned flags;
    } bad[] = {
        { "[]", "", 0 },
        { "\"title\"", "", 0 },
        { "{}", "title", 0 },
        { "{\"title\":null}", "title", 0 },
        { "{\"title\":7}", "title", 0 },
        { "{\"title\":\"sixsix\"}", "title", 0 },
        { "{\"title\":\"t\",\"extra\":1}", "extra", 0 },
        { "{\"title\":\"t\",\"count\":-1}", "count", 0 },
        { "{\"title\":\"t\",\"count\":1001}", "count", 0 },
        { "{\"title\":\"t\",\"count\":1.0}", "count", 0 },
        { "{\"title\":\"t\",\"count\":\"1\"}", "count", 0 },
        { "{\"title\":\"t\",\"ready\":1}", "ready", 0 },
        { "{\"title\":\"t\",\"colour\":\"blue\"}", "colour", 0 },
        { "{\"title\":\"t\",\"colour\":\"\"}", "colour", 0 },
        { "{\"title\":\"t\",\"colour\":1}", "colour", 0 },
        { "{\"title\":\"t\",\"words\":\"x\"}", "words", 0 },
        { "{\"title\":\"t\",\"words\":[\"x\",1]}", "words", 0 },
        { "{\"title\":\"t\",\"words\":[\"x\",\"four\"]}", "words", 0 },
        { "{\"title\":\"t\",\"inner\":[]}", "inner", 0 },
        { "{\"title\":\"t\",\"inner\":{}}", "name", 0 },
        { "{\"title\":\"t\",\"inner\":{\"name\":\"a\",\"more\":1}}", "more", 0 },
        { "{\"title\":\"t\",\"parts\":{}}", "parts", 0 },
        { "{\"title\":\"t\",\"parts\":[{\"name\":\"a\"},{}]}", "name", 0 },
        { "{\"title\":\"t\",\"parts\":[7]}", "parts", 0 },
        { "{\"title\":\"t\",\"span\":null,\"at\":\"x\"}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"at\":5}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"at\":\"2023-02-31T00:00:00Z\"}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"at\":\"2023-1-1T00:00:00Z\"}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"at\":\"2023-01-01T00:00:00\"}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"at\":\"2023-01-01T00:00:00Z \"}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"at\":\"1969-12-31T23:59:59Z\"}", "at", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"span\":-1}", "span", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"span\":9223372036854775807}", "span", LB_JSON_PUBLIC },
        { "{\"title\":\"t\",\"span\":\"8h\"}", "span", LB_JSON_PUBLIC },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        const char *name;
        struct whole w;

        assert_int_equal(unpack(bad[i].text, bad[i].flags, &w, &name), -EINVAL);
        assert_string_equal(name, bad[i].name);
        assert_null(w.title); /* cleared: the sanitizer build sees what is not */
        assert_null(w.words);
        assert_int_equal(w.parts.n, 0);
    }
}

static void test_nul_inside_a_string(void **state)
{
    json_t *object = json_pack("{s:o}", "title", json_stringn("a\0b", 3));
    const char *name = NULL;
    struct whole w = {};

    (void)state;
    assert_int_equal(lb_json_unpack(whole_fields, object, &w, 0, &name), -EINVAL);
    assert_string_equal(name, "title");
    json_decref(object);
}

static void test_unpackable_values(void **state)
{
    struct whole w = { .title = (char *)"\xff" };

    (void)state;
    assert_null(lb_json_pack(whole_fields, &w, 0));
    w = (struct whole){ .colour = 77 };
    assert_null(lb_json_pack(whole_fields, &w, 0));
}

static void test_canonical(void **state)
{
    static const char text_in[] = "{ \"b\" : [1, true , null], \"a\":{\"z\":\"\\u00e4/\\n\",\"y\":0}, \"B\":\"\"}";
    json_t *value = json_loads(text_in, 0, NULL);
    char *text = lb_json_canonical(value);

    (void)state;
    assert_string_equal(text, "{\"B\":\"\",\"a\":{\"y\":0,\"z\":\"\xc3\xa4/\\n\"},\"b\":[1,true,null]}");
    free(text);
    json_decref(value);
    assert_null(lb_json_canonical(NULL));
}

#define BYTES(s)         \
    {                    \
        s, sizeof(s) - 1 \
    }

static void test_load(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } good[] = {
        BYTES("{}"),
        BYTES(" {\"a\":[{},{\"a\":1}],\"b\":\"]]]}}}\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[\"} \n"),
        BYTES("{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"),
        BYTES("{\"a\":9223372036854775807,\"b\":-9223372036854775808}"),
    }, bad[] = {
        BYTES(""),
        BYTES(" "),
        BYTES("[]"),
        BYTES("7"),
        BYTES("\"x\""),
        BYTES("null"),
        BYTES("{"),
        BYTES("{}x"),
        BYTES("{}{}"),
        BYTES("{}\0"),
        BYTES("{\"a\":\"\0\"}"),
        BYTES("{\"a\":1,\"a\":1}"),
        BYTES("{\"x\":{\"a\":1,\"\\u0061\":2}}"),
        BYTES("{\"a\":\"\\u0000\"}"),
        BYTES("{\"\\u0000\":1}"),
        BYTES("{\"a\":9223372036854775808}"),
        BYTES("{\"a\":1e999}"),
        BYTES("{\"a\":99999999999999999999999999999999999999999999999999999}"),
        BYTES("{\"a\":NaN}"),
        BYTES("{\"a\":01}"),
        BYTES("{\"a\":\"\xc3\"}"),         /* cut off */
        BYTES("{\"a\":\"\xc0\xaf\"}"),     /* overlong */
        BYTES("{\"a\":\"\xed\xa0\x80\"}"), /* surrogate */
        BYTES("{\"a\":\"\\ud800\"}"),
        BYTES("{\"a\":\"\xf4\x90\x80\x80\"}"), /* beyond Unicode */
        BYTES("{\"a\":\"\n\"}"),
        BYTES("{a:1}"),
        BYTES("{\"a\":1,}"),
        BYTES("{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"), /* 17 deep */
        BYTES("]]]]]]]]]]]]]]]]]]]]]]]]{\"a\":1}"),
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(good); i++) {
        json_t *value = lb_json_load(good[i].bytes, good[i].size);

        assert_non_null(value);
        json_decref(value);
    }
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++)
        assert_null(lb_json_load(bad[i].bytes, bad[i].size));
}

static void test_load_a_well_of_brackets(void **state)
{
    size_t size = 4 * 1024 * 1024;
    char *bytes = malloc(size);

    (void)state;
    memset(bytes, '[', size);
    memcpy(bytes, "{\"a\":", 5);
    assert_null(lb_json_load(bytes, size));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_left_out),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_public_times),
        cmocka_unit_test(test_times_at_the_edges),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_inside_a_string),
        cmocka_unit_test(test_unpackable_values),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_load_a_well_of_brackets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
