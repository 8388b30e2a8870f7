/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is typed at a prompt: which of it is a signature, whole or in pieces, and which are words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/pasted.h"
#include "lockboxd/proto/base64.h"
#include "policy/base.h"
#include "policy/deadline.h"

#define MINUTE (60 * LB_USEC_PER_SEC)

static void put_string(FILE *f, const char *s, size_t n)
{
    const uint8_t size[] = { 0, 0, (uint8_t)(n >> 8), (uint8_t)n };

    fwrite(size, 1, sizeof(size), f);
    fwrite(s, 1, n, f);
}

/* The shape of a signature by a key of this type, in base64; `rest`: bytes of the key and of the signature besides. */
static char *make(const char *type, size_t rest)
{
    LB_FREE char *bytes = NULL, *key = NULL, *filler = malloc(rest + 1);
    size_t n, key_size;
    FILE *k = open_memstream(&key, &key_size), *f = open_memstream(&bytes, &n);

    memset(filler, 0xa7, rest + 1);
    put_string(k, type, strlen(type));
    put_string(k, filler, rest);
    fclose(k);
    fwrite("SSHSIG\0\0\0\1", 1, 10, f);
    put_string(f, key, key_size);
    put_string(f, "lockbox-consent", 15);
    put_string(f, "", 0);
    put_string(f, "sha512", 6);
    put_string(f, filler, rest);
    fclose(f);
    return lb_base64_encode(bytes, n);
}

static struct lb_pasted parse(const char *line, bool goes_on)
{
    struct lb_pasted p = { 0 };

    assert_int_equal(lb_pasted_parse(line, goes_on, &p), 0);
    assert_int_equal(p.kind == LB_PASTED_WRONG, p.problem != NULL);
    assert_int_equal(p.kind == LB_PASTED_SIGNATURE, p.signature != NULL);
    return p;
}

static void expect(const char *line, bool goes_on, int kind, const char *name, int64_t duration, bool piece)
{
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = parse(line, goes_on);

    if (p.kind != kind || !lb_streq(p.name, name) || p.duration != duration || p.piece != piece)
        fail_msg("%s: kind %d, name %s, %lld us, piece %d", line, p.kind, p.name, (long long)p.duration, p.piece);
}

static void test_commands(void **state)
{
    static const struct { const char *line; int kind; const char *name; int64_t duration; } cases[] = {
        { "!sign", LB_PASTED_SIGN }, { " !sign ", LB_PASTED_SIGN }, { "!qr", LB_PASTED_QR },
        { "!sign bob", LB_PASTED_SIGN, "bob" }, { "!sign  bob  2h ", LB_PASTED_SIGN, "bob", 120 * MINUTE },
        { "!sign bob 1h 30min", LB_PASTED_SIGN, "bob", 90 * MINUTE },
        { "!sign 1h 30min", LB_PASTED_SIGN, NULL, 90 * MINUTE },
        { "!qr bob 90", LB_PASTED_QR, "bob", 90 * LB_USEC_PER_SEC },
        { "!sign bob soon", LB_PASTED_WRONG, "bob" }, { "!sign bob 0s", LB_PASTED_WRONG, "bob" },
        { "!sign bob -2h", LB_PASTED_WRONG, "bob" }, { "!sign bob 2h carol", LB_PASTED_WRONG, "bob" },
        { "!signal", LB_PASTED_WORDS }, { "!qrs", LB_PASTED_WORDS }, { "sign", LB_PASTED_WORDS },
        { "", LB_PASTED_WORDS },
        { "!withdraw", LB_PASTED_WORDS }, { "!emergency the disk is full", LB_PASTED_WORDS },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        for (int goes_on = 0; goes_on < 2; goes_on++)
            expect(cases[i].line, goes_on, cases[i].kind, cases[i].name, cases[i].duration, false);
}

static void expect_signature(const char *before, const char *base64, int kind, const char *name, int64_t duration)
{
    char line[8192];

    snprintf(line, sizeof(line), "%s%s \r", before, base64);
    expect(line, false, kind, name, duration, false);
}

static void test_signatures(void **state)
{
    static const char *const types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com",
                                         "ssh-rsa" };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(types); i++) {
        LB_FREE char *one = make(types[i], 100 + i); /* each length of the padding */

        expect_signature("", one, LB_PASTED_SIGNATURE, NULL, 0);
        expect_signature(" ", one, LB_PASTED_SIGNATURE, NULL, 0);
        expect_signature("bob ", one, LB_PASTED_SIGNATURE, "bob", 0);
        expect_signature("bob 1h 30min ", one, LB_PASTED_SIGNATURE, "bob", 90 * MINUTE);
        expect_signature("2h ", one, LB_PASTED_SIGNATURE, NULL, 120 * MINUTE);
        expect_signature("bob soon ", one, LB_PASTED_WRONG, "bob", 0);
        expect_signature("here it is: ", one, LB_PASTED_WRONG, "here", 0);
    }
}

static void test_armour(void **state)
{
    LB_FREE char *one = make("ssh-ed25519", 100), *two = NULL, *lines = NULL;
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = parse(one, false), q = { 0 };
    const char *at = strchr(p.signature, '\n');

    (void)state;
    assert_int_equal(strncmp(p.signature, "-----BEGIN SSH SIGNATURE-----\n" LB_PASTED_MAGIC, 38), 0);
    assert_int_equal(strchr(at + 1, '\n') - at, 71);
    assert_string_equal(strstr(p.signature, "-----END"), "-----END SSH SIGNATURE-----\n");
    /* the same with blanks where lines ended */
    lines = strndup(at + 1, (size_t)(strstr(p.signature, "-----END") - at - 2));
    for (char *c = lines; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    assert_true(asprintf(&two, "bob %s", lines) > 0);
    q = parse(two, false);
    assert_string_equal(q.signature, p.signature);
    lb_pasted_clear(&q);
}

/* Wherever it is cut, it is a piece, and no words. */
static void test_pieces(void **state)
{
    LB_FREE char *one = make("ssh-ed25519", 100);
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = parse(one, false);
    LB_FREE char *lines = strdup(p.signature);
    char *save = NULL;

    (void)state;
    for (size_t n = strlen(one) - 1; n >= strlen(LB_PASTED_MAGIC); n--) {
        LB_FREE char *cut = strndup(one, n), *named = NULL;

        expect(cut, false, LB_PASTED_WRONG, NULL, 0, true);
        assert_true(asprintf(&named, "bob 2h %s", cut) > 0);
        expect(named, true, LB_PASTED_WRONG, NULL, 0, true);
    }
    for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        expect(line, strlen(line) < 20, LB_PASTED_WRONG, NULL, 0, true);
    for (size_t n = 1; n < strlen(one) - 20; n++) /* the rest of one that was cut */
        expect(one + n, false, LB_PASTED_WRONG, NULL, 0, true);
    for (size_t more = 0; more < 3; more++) { /* one of these needs no padding: what stands behind it is none of it */
        LB_FREE char *next = make("ssh-ed25519", 100 + more), *longer = NULL;

        assert_true(asprintf(&longer, "%sAAAA", next) > 0);
        expect(longer, false, LB_PASTED_WRONG, NULL, 0, true);
    }
    expect("n0Qj==", true, LB_PASTED_WRONG, NULL, 0, true);
    expect("AAAA", true, LB_PASTED_WRONG, NULL, 0, true);
}

static void test_long_kinds(void **state)
{
    static const char *const types[] = { "ssh-rsa", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
                                        "ssh-ed25519-cert-v01@openssh.com" };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(types); i++) {
        LB_FREE char *one = make(types[i], 400), *cut = strndup(one, 500);
        LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = parse(cut, false);

        assert_true(p.piece && strstr(p.problem, "too long for a prompt"));
        expect(one + 500, true, LB_PASTED_WRONG, NULL, 0, true);
    }
}

static void test_words(void **state)
{
    static const char *const lines[] = {
        "the disk is full", "yes", "Donaudampfschifffahrtsgesellschaft", "CASE-1234", "is it signed?", "OK then",
        "/var/lib/postgresql is full", "sorry", "Sorry", "yes, 0123456789abcdef0123456789abcdef is its hash",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(lines); i++)
        for (int goes_on = 0; goes_on < 2; goes_on++)
            expect(lines[i], goes_on, LB_PASTED_WORDS, NULL, 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands), cmocka_unit_test(test_signatures), cmocka_unit_test(test_armour),
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_long_kinds), cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
