/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The canonical bytes of an event and their hash: anyone with sha256sum must get the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/chain.h"
#include "tests/unit/samples.h"

/* Written by hand, hashed with sha256sum(1). */
#define GOLDEN                                                                                                         \
    "{\"account\":\"root\",\"boot_id\":77,\"boot_time\":5000000000,\"by\":\"Zoë \\\"Z\\\"\",\"engineer\":\"eng\","     \
    "\"event\":\"ended\",\"host\":\"appliance\",\"killed\":0,\"left\":0,\"ms\":12,\"prev\":\"" LB_CHAIN_GENESIS "\","  \
    "\"request\":\"7F3K-9QXM\",\"seq\":1,\"state\":\"ended\",\"time\":1790000000000000}"
#define GOLDEN_HASH "4e6d2627c9c961b070233a215380b99c79b0fe1ddfdd2333404376cbd9ac0095"

static struct lb_event golden_event(void)
{
    return (struct lb_event){ .kind = LB_EVENT_ENDED, .seq = 1, .time = sample_time(0), .host = "appliance",
                              .request = "7F3K-9QXM", .state = LB_STATE_ENDED, .account = "root", .engineer = "eng",
                              .by = "Zoë \"Z\"", .ms = 12 };
}

static void test_golden(void **state)
{
    const struct lb_event e = golden_event();
    char hash[LB_HASH_MAX];
    LB_FREE char *json = NULL;

    (void)state;
    assert_int_equal(lb_chain_encode(&e, LB_CHAIN_GENESIS, &json, hash), 0);
    assert_string_equal(json, GOLDEN);
    assert_string_equal(hash, GOLDEN_HASH);
    assert_int_equal(lb_chain_hash("abc", 3, hash), 0); /* FIPS 180-2 */
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_golden_is_read_back(void **state)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    char prev[LB_HASH_MAX];

    (void)state;
    assert_int_equal(lb_chain_decode(GOLDEN, &e, prev), 0);
    assert_string_equal(prev, LB_CHAIN_GENESIS);
    assert_int_equal(e.kind, LB_EVENT_ENDED);
    assert_int_equal(e.seq, 1);
    assert_int_equal(e.time.wall, SAMPLE_WALL);
    assert_int_equal(e.time.boot, SAMPLE_BOOT);
    assert_int_equal(e.time.boot_id, 77);
    assert_int_equal(e.state, LB_STATE_ENDED);
    assert_string_equal(e.by, "Zoë \"Z\"");
    assert_int_equal(e.ms, 12);
}

/* --- every field -------------------------------------------------------------------------------------------------- */

/* Puts something of its own into every member that the table describes. Strings are owned. */
static void fill(const struct lb_field *table, void *base, int64_t *n)
{
    for (const struct lb_field *f = table; f->name; f++) {
        void *member = (char *)base + f->offset;
        char text[64];

        ++*n;
        snprintf(text, sizeof(text), "%s-%lld é\t\"", f->name, (long long)*n);
        switch (f->type) {
        case LB_FIELD_STRING:
            *(char **)member = strdup(text);
            break;
        case LB_FIELD_INT:
            *(int64_t *)member = INT64_MAX - *n;
            break;
        case LB_FIELD_BOOL:
            *(bool *)member = true;
            break;
        case LB_FIELD_ENUM:
            *(int *)member = 1;
            break;
        case LB_FIELD_STRINGS:
            assert_int_equal(lb_strings_append(member, text), 0);
            assert_int_equal(lb_strings_append(member, "second"), 0);
            break;
        case LB_FIELD_OBJECT:
            fill(f->fields, member, n);
            break;
        case LB_FIELD_LIST:
            fill(f->fields, lb_list_append(member, f->size), n);
            fill(f->fields, lb_list_append(member, f->size), n);
            break;
        default:
            fail();
        }
    }
}

static void assert_same_strings(char *const *a, char *const *b)
{
    for (; *a && *b; a++, b++)
        assert_string_equal(*a, *b);
    assert_ptr_equal(*a, *b);
}

static void assert_same(const struct lb_field *table, const void *a, const void *b);

static void assert_same_lists(const struct lb_field *f, const struct lb_list *a, const struct lb_list *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_same(f->fields, (const char *)a->items + i * f->size, (const char *)b->items + i * f->size);
}

static void assert_same(const struct lb_field *table, const void *a, const void *b)
{
    for (const struct lb_field *f = table; f->name; f++) {
        const void *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;

        if (f->type == LB_FIELD_STRING)
            assert_string_equal(*(char *const *)x, *(char *const *)y);
        else if (f->type == LB_FIELD_OBJECT)
            assert_same(f->fields, x, y);
        else if (f->type == LB_FIELD_LIST)
            assert_same_lists(f, x, y);
        else if (f->type == LB_FIELD_INT)
            assert_int_equal(*(const int64_t *)x, *(const int64_t *)y);
        else if (f->type == LB_FIELD_BOOL)
            assert_int_equal(*(const bool *)x, *(const bool *)y);
        else if (f->type == LB_FIELD_ENUM)
            assert_int_equal(*(const int *)x, *(const int *)y);
        else
            assert_same_strings(*(char *const *const *)x, *(char *const *const *)y);
    }
}

static void test_every_field_comes_back(void **state)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 }, back = { 0 };
    LB_FREE char *json = NULL, *again = NULL;
    char hash[LB_HASH_MAX], hash_again[LB_HASH_MAX], prev[LB_HASH_MAX];
    int64_t n = 0;

    (void)state;
    fill(lb_event_fields, &e, &n);
    assert_true(n > 70); /* the terms' own, too */
    assert_int_equal(lb_chain_encode(&e, GOLDEN_HASH, &json, hash), 0);
    assert_int_equal(lb_chain_decode(json, &back, prev), 0);
    assert_string_equal(prev, GOLDEN_HASH);
    assert_same(lb_event_fields, &e, &back);
    assert_int_equal(lb_chain_encode(&back, prev, &again, hash_again), 0);
    assert_string_equal(json, again);
    assert_string_equal(hash, hash_again);
}

/* Texts of any length that we wrote are read again. */
static void test_long_text(void **state)
{
    LB_CLEANUP(lb_event_clear) struct lb_event back = { 0 };
    struct lb_event e = golden_event();
    LB_FREE char *json = NULL, *note = malloc(100001);
    char hash[LB_HASH_MAX];

    (void)state;
    memset(note, 'x', 100000);
    note[100000] = '\0';
    e.note = note;
    assert_int_equal(lb_chain_encode(&e, LB_CHAIN_GENESIS, &json, hash), 0);
    assert_int_equal(lb_chain_decode(json, &back, NULL), 0);
    assert_string_equal(back.note, note);
}

/* --- canonical ---------------------------------------------------------------------------------------------------- */

/* Keys sorted at every level, no blank outside of strings, nothing but integers as numbers. */
static void assert_canonical(const char *json)
{
    char last[16][64] = { "" };
    int depth = 0;
    bool quoted = false;

    for (const char *p = json; *p; p++) {
        if (quoted && *p == '\\')
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted) {
            assert_null(strchr(" \n\t.", *p));
            depth += (*p == '{') - (*p == '}');
            if (*p == '{')
                last[depth][0] = '\0';
        }
        if (*p == '"' && quoted && (p[-1] == '{' || p[-1] == ',')) {
            char key[64];
            int n = 0;

            if (sscanf(p, "\"%63[a-z_0-9]\":%n", key, &n) != 1 || n == 0)
                continue; /* in a list */
            assert_true(strcmp(last[depth], key) < 0);
            strcpy(last[depth], key);
        }
    }
    assert_int_equal(depth, 0);
}

static void test_canonical(void **state)
{
    (void)state;
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
        struct lb_event e = sample_event(kind, kind);
        LB_FREE char *json = NULL;
        char hash[LB_HASH_MAX];

        assert_int_equal(lb_chain_encode(&e, LB_CHAIN_GENESIS, &json, hash), 0);
        assert_canonical(json);
    }
}

/* Only a receipt says its zeroes; elsewhere what is nothing is not written. */
static void test_zeroes(void **state)
{
    struct lb_event e = golden_event();
    LB_FREE char *json = NULL;
    char hash[LB_HASH_MAX];

    (void)state;
    e.kind = LB_EVENT_TIME_OVER;
    e.ms = 0;
    e.by = "";
    assert_int_equal(lb_chain_encode(&e, LB_CHAIN_GENESIS, &json, hash), 0);
    assert_null(strstr(json, "\"killed\""));
    assert_null(strstr(json, "\"left\""));
    assert_null(strstr(json, "\"by\""));
}

static void test_not_utf8(void **state)
{
    struct lb_event e = golden_event();
    char hash[LB_HASH_MAX] = "untouched", *json = (char *)"untouched";

    (void)state;
    e.by = "Zo\xeb";
    assert_true(lb_chain_encode(&e, LB_CHAIN_GENESIS, &json, hash) < 0);
    assert_string_equal(json, "untouched");
    assert_string_equal(hash, "untouched");
}

/* --- what is not ours --------------------------------------------------------------------------------------------- */

/* Whatever one byte is changed to, either the text cannot be read or its hash is another. */
static void test_one_byte(void **state)
{
    static const char changes[] = { 0x01, 0x20, (char)0x80 };
    char hash[LB_HASH_MAX], text[sizeof(GOLDEN)];

    (void)state;
    for (size_t i = 0; i < sizeof(GOLDEN) - 1; i++)
        for (size_t k = 0; k < sizeof(changes); k++) {
            memcpy(text, GOLDEN, sizeof(text));
            text[i] ^= changes[k];
            assert_int_equal(lb_chain_hash(text, sizeof(text) - 1, hash), 0);
            assert_string_not_equal(hash, GOLDEN_HASH);
        }
}

/* A changed event breaks the link to the next one, however well its own hash was made again. */
static void test_changed_event_breaks_the_next_link(void **state)
{
    struct lb_event first = golden_event(), second = golden_event();
    LB_FREE char *a = NULL, *b = NULL, *forged = NULL;
    char hash[LB_HASH_MAX], next[LB_HASH_MAX], prev[LB_HASH_MAX], forged_hash[LB_HASH_MAX];
    LB_CLEANUP(lb_event_clear) struct lb_event back = { 0 };

    (void)state;
    second.seq = 2;
    assert_int_equal(lb_chain_encode(&first, LB_CHAIN_GENESIS, &a, hash), 0);
    assert_int_equal(lb_chain_encode(&second, hash, &b, next), 0);
    first.by = "somebody else";
    assert_int_equal(lb_chain_encode(&first, LB_CHAIN_GENESIS, &forged, forged_hash), 0);
    assert_int_equal(lb_chain_decode(b, &back, prev), 0);
    assert_string_equal(prev, hash);
    assert_string_not_equal(prev, forged_hash);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {
        "", "{", "[]", "null", "{}",
        "{\"event\":\"ended\",\"seq\":1,\"time\":1,\"boot_time\":1,\"boot_id\":1}",                    /* no prev */
        "{\"event\":\"ended\",\"seq\":1,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\"0000\"}",  /* a short one */
        "{\"event\":\"ended\",\"seq\":1,\"time\":1,\"boot_time\":1,\"prev\":\"" LB_CHAIN_GENESIS "\"}", /* no boot */
        "{\"event\":\"melted\",\"seq\":1,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\"" LB_CHAIN_GENESIS "\"}",
        "{\"event\":\"\",\"seq\":1,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\"" LB_CHAIN_GENESIS "\"}",
        "{\"event\":\"ended\",\"seq\":1.5,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\"" LB_CHAIN_GENESIS "\"}",
        "{\"event\":\"ended\",\"seq\":-1,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\"" LB_CHAIN_GENESIS "\"}",
        "{\"event\":\"ended\",\"seq\":1,\"seq\":2,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\"" LB_CHAIN_GENESIS
        "\"}",
        "{\"colour\":1,\"event\":\"ended\",\"seq\":1,\"time\":1,\"boot_time\":1,\"boot_id\":1,\"prev\":\""
        LB_CHAIN_GENESIS
        "\"}",
        GOLDEN "x",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        struct lb_event e = { .seq = 4711 };

        assert_int_equal(lb_chain_decode(wrong[i], &e, NULL), -EBADMSG);
        assert_int_equal(e.seq, 4711);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_is_read_back),
        cmocka_unit_test(test_every_field_comes_back),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_zeroes),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_one_byte),
        cmocka_unit_test(test_changed_event_breaks_the_next_link),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
