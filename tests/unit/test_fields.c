/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Structs described as data: copies share nothing, clearing frees all of it (the sanitizer build sees what is left). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/base.h"
#include "policy/fields.h"

struct part {
    char *name;
    int64_t weight;
    char **tags;
    int hidden; /* no row describes it */
};

struct whole {
    char *title;
    int64_t count;
    bool ready;
    int colour;
    char **words;
    struct part inner;
    struct lb_list parts;
};

static const struct lb_field part_fields[] = {
    { .name = "name", .type = LB_FIELD_STRING, .offset = offsetof(struct part, name) },
    { .name = "weight", .type = LB_FIELD_INT, .offset = offsetof(struct part, weight) },
    { .name = "tags", .type = LB_FIELD_STRINGS, .offset = offsetof(struct part, tags) },
    {},
};

static const struct lb_field whole_fields[] = {
    { .name = "title", .type = LB_FIELD_STRING, .offset = offsetof(struct whole, title) },
    { .name = "count", .type = LB_FIELD_INT, .offset = offsetof(struct whole, count) },
    { .name = "ready", .type = LB_FIELD_BOOL, .offset = offsetof(struct whole, ready) },
    { .name = "colour", .type = LB_FIELD_ENUM, .offset = offsetof(struct whole, colour) },
    { .name = "words", .type = LB_FIELD_STRINGS, .offset = offsetof(struct whole, words) },
    { .name = "inner", .type = LB_FIELD_OBJECT, .offset = offsetof(struct whole, inner), .fields = part_fields },
    { .name = "parts",
      .type = LB_FIELD_LIST,
      .offset = offsetof(struct whole, parts),
      .fields = part_fields,
      .size = sizeof(struct part) },
    {},
};

static void fill(struct whole *w)
{
    struct part *part;

    *w = (struct whole){ .title = strdup("t"), .count = -7, .ready = true, .colour = 2, .inner.weight = 5 };
    assert_int_equal(lb_strings_append(&w->words, "one"), 0);
    assert_int_equal(lb_strings_append(&w->words, "two"), 0);
    w->inner.name = strdup("inner");
    for (int i = 0; i < 3; i++) {
        part = lb_list_append(&w->parts, sizeof(*part));
        assert_non_null(part);
        assert_null(part->name);
        assert_int_equal(part->weight, 0);
        part->name = strdup("part");
        part->weight = i;
        part->hidden = 10 + i;
        assert_int_equal(lb_strings_append(&part->tags, "tag"), 0);
    }
}

static void test_copy_is_deep(void **state)
{
    struct whole a, b;
    struct part *part;

    (void)state;
    fill(&a);
    memset(&b, 0xa5, sizeof(b)); /* what stood there is overwritten, not freed */
    assert_int_equal(lb_fields_copy(whole_fields, &b, &a), 0);
    assert_ptr_not_equal(a.title, b.title);
    assert_ptr_not_equal(a.words[0], b.words[0]);
    assert_ptr_not_equal(a.parts.items, b.parts.items);
    lb_fields_clear(whole_fields, &a);

    assert_string_equal(b.title, "t");
    assert_int_equal(b.count, -7);
    assert_true(b.ready);
    assert_int_equal(b.colour, 2);
    assert_string_equal(b.words[1], "two");
    assert_null(b.words[2]);
    assert_string_equal(b.inner.name, "inner");
    assert_null(b.inner.tags);
    assert_int_equal(b.parts.n, 3);
    part = (struct part *)b.parts.items + 2;
    assert_string_equal(part->name, "part");
    assert_int_equal(part->weight, 2);
    assert_int_equal(part->hidden, 12);
    assert_string_equal(part->tags[0], "tag");
    lb_fields_clear(whole_fields, &b);
}

static void test_copy_of_nothing(void **state)
{
    struct whole a = {}, b;

    (void)state;
    memset(&b, 0xa5, sizeof(b));
    assert_int_equal(lb_fields_copy(whole_fields, &b, &a), 0);
    assert_null(b.title);
    assert_null(b.words);
    assert_null(b.parts.items);
    assert_int_equal(b.parts.n, 0);
    assert_false(b.ready);
    lb_fields_clear(whole_fields, &b);
}

static void test_clear_zeroes_what_is_owned(void **state)
{
    struct whole a;

    (void)state;
    fill(&a);
    lb_fields_clear(whole_fields, &a);
    assert_null(a.title);
    assert_null(a.words);
    assert_null(a.inner.name);
    assert_null(a.parts.items);
    assert_int_equal(a.parts.n, 0);
    assert_int_equal(a.count, -7);
    lb_fields_clear(whole_fields, &a); /* twice is harmless */
}

static void test_find(void **state)
{
    (void)state;
    assert_ptr_equal(lb_fields_find(whole_fields, "count"), &whole_fields[1]);
    assert_null(lb_fields_find(whole_fields, "coun"));
    assert_null(lb_fields_find(whole_fields, ""));
}

static void test_strings(void **state)
{
    char **list = NULL, **copy;

    (void)state;
    assert_false(lb_strings_contain(NULL, "x"));
    assert_null(lb_strings_free(NULL));
    copy = lb_strings_copy(NULL);
    assert_non_null(copy);
    assert_null(copy[0]);
    lb_strings_free(copy);

    assert_int_equal(lb_strings_append(&list, "x"), 0);
    assert_int_equal(lb_strings_append(&list, ""), 0);
    assert_true(lb_strings_contain(list, "x"));
    assert_true(lb_strings_contain(list, ""));
    assert_false(lb_strings_contain(list, "y"));
    copy = lb_strings_copy(list);
    lb_strings_free(list);
    assert_string_equal(copy[0], "x");
    assert_string_equal(copy[1], "");
    assert_null(copy[2]);
    lb_strings_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_is_deep),
        cmocka_unit_test(test_copy_of_nothing),
        cmocka_unit_test(test_clear_zeroes_what_is_owned),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
