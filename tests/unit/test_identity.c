/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and certificates as sshd names them: who it is, and everything that must be refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/identity.h"
#include "policy/text.h"

#include "tests/unit/identity_keys.h"

#define ID "anna@vendor.example"
#define PUBLICKEY "publickey "

static void check(const char *auth_info, const char *engineer, const char *key, unsigned proof)
{
    struct lb_identity id = {};

    assert_int_equal(lb_identity_parse(auth_info, &id), 0);
    assert_string_equal(id.engineer, engineer);
    assert_string_equal(id.key, key);
    assert_int_equal(id.proof, proof);
    lb_identity_clear(&id);
    assert_null(id.engineer);
}

/* Refused, and the result untouched. */
static void check_refused(const char *auth_info)
{
    struct lb_identity id = { .proof = 42 };
    int r = lb_identity_parse(auth_info, &id);

    if (r != -EINVAL || id.engineer || id.key || id.proof != 42)
        fail_msg("%d for \"%s\"", r, auth_info);
}

static void test_plain_keys(void **state)
{
    (void)state;
    check(PUBLICKEY ED_PLAIN, ED_PRINT, "plain " ED_PRINT, LB_PROOF_PLAIN);
    check(PUBLICKEY RSA_PLAIN, RSA_PRINT, "plain " RSA_PRINT, LB_PROOF_PLAIN);
    check(PUBLICKEY EC256_PLAIN, EC256_PRINT, "plain " EC256_PRINT, LB_PROOF_PLAIN);
    check(PUBLICKEY EC384_PLAIN, EC384_PRINT, "plain " EC384_PRINT, LB_PROOF_PLAIN);
    check(PUBLICKEY EC521_PLAIN, EC521_PRINT, "plain " EC521_PRINT, LB_PROOF_PLAIN);
}

static void test_certificates(void **state)
{
    static const char *const certificates[] = { ED_CERT, RSA_CERT, EC256_CERT, EC384_CERT, EC521_CERT };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(certificates); i++) {
        char line[2048];

        snprintf(line, sizeof(line), PUBLICKEY "%s\n", certificates[i]);
        check(line, ID, "certificate CA " CA_PRINT, LB_PROOF_CERTIFICATE);
    }
}

static void test_key_ids(void **state)
{
    (void)state;
    check(PUBLICKEY NAMELESS_CERT, ED_PRINT, "certificate CA " CA_PRINT, LB_PROOF_CERTIFICATE);
    check(PUBLICKEY BIDI_CERT, "bob \uFFFDgro", "certificate CA " CA_PRINT, LB_PROOF_CERTIFICATE);
    check_refused(PUBLICKEY LONG_CERT);
    check_refused(PUBLICKEY HOST_CERT);
}

static void test_unproven(void **state)
{
    (void)state;
    check(NULL, "unproven", "", 0);
    check("", "unproven", "", 0);
    check("\n", "unproven", "", 0);
    check("keyboard-interactive/pam\n", "unproven", "", 0);
    check("password\nhostbased " ED_PLAIN "\npublickeys " RSA_PLAIN "\n", "unproven", "", 0);
}

static void test_the_first_publickey_line_decides(void **state)
{
    (void)state;
    check("keyboard-interactive\n" PUBLICKEY ED_PLAIN "\n" PUBLICKEY RSA_PLAIN "\n", ED_PRINT, "plain " ED_PRINT,
          LB_PROOF_PLAIN);
    check_refused(PUBLICKEY "nonsense\n" PUBLICKEY ED_PLAIN "\n");
}

static void test_lines_that_cannot_be_understood(void **state)
{
    static const char *const lines[] = {
        "publickey", "publickey ", "publickey\n", "publickey  ", "publickey ssh-ed25519", "publickey ssh-ed25519 ",
        PUBLICKEY ED_PLAIN " comment", PUBLICKEY ED_PLAIN " ", PUBLICKEY " " ED_PLAIN, PUBLICKEY ED_PLAIN "=",
        PUBLICKEY ED_PLAIN "AAAA", PUBLICKEY ED_PLAIN "\r", PUBLICKEY "ssh-rsa AAAA", PUBLICKEY "ssh-rsa A===",
        PUBLICKEY "ssh-rsa AA=A", PUBLICKEY "ssh-rsa ====", PUBLICKEY "ssh-rsa /////w==", PUBLICKEY "ssh-rsa AAAAB",
        PUBLICKEY "ssh-dss AAAAB3NzaC1kc3MAAAAAAAAAAAAAAAAAAAAA",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(lines); i++)
        check_refused(lines[i]);

    char padded[] = PUBLICKEY EC384_PLAIN; /* ends in == */
    check(padded, EC384_PRINT, "plain " EC384_PRINT, LB_PROOF_PLAIN);
    padded[sizeof(padded) - 2] = 'A';
    check_refused(padded);
}

/* --- blobs made by hand ------------------------------------------------------------------------------------------- */

struct blob {
    unsigned char bytes[2048];
    size_t n;
};

static void put(struct blob *b, const void *bytes, size_t n)
{
    assert_true(b->n + n <= sizeof(b->bytes));
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
}

static void put_number(struct blob *b, uint64_t value, size_t n)
{
    for (size_t i = n; i > 0; i--)
        put(b, &(unsigned char){ (unsigned char)(value >> 8 * (i - 1)) }, 1);
}

static void put_bytes(struct blob *b, const void *bytes, size_t n)
{
    put_number(b, n, 4);
    put(b, bytes, n);
}

static void put_string(struct blob *b, const char *s)
{
    put_bytes(b, s, strlen(s));
}

static struct blob blob_of(const char *base64)
{
    struct blob b = {};
    size_t n = strlen(base64);

    b.n = (size_t)EVP_DecodeBlock(b.bytes, (const unsigned char *)base64, (int)n);
    while (n > 0 && base64[--n] == '=')
        b.n--;
    return b;
}

/* What ssh-keygen -l would say. */
static void print_of(const struct blob *b, char ret[80])
{
    unsigned char digest[32], base64[64];

    assert_int_equal(EVP_Digest(b->bytes, b->n, digest, NULL, EVP_sha256(), NULL), 1);
    EVP_EncodeBlock(base64, digest, sizeof(digest));
    snprintf(ret, 80, "SHA256:%.43s", (char *)base64);
}

static void line_of(const char *type, const struct blob *b, char ret[4096])
{
    unsigned char base64[3072];

    EVP_EncodeBlock(base64, b->bytes, (int)b->n);
    snprintf(ret, 4096, PUBLICKEY "%s %s", type, (char *)base64);
}

static void put_parts(struct blob *b, bool ecdsa)
{
    unsigned char point[65] = { 4, 17 };

    if (ecdsa)
        put_string(b, "nistp256");
    put_bytes(b, point, ecdsa ? 65 : 32);
    put_string(b, "ssh:");
}

/* What stands behind the parts in a certificate. */
static void put_certified(struct blob *b, uint32_t kind, const void *key_id, size_t n, const struct blob *ca)
{
    put_number(b, 7, 8);
    put_number(b, kind, 4);
    put_bytes(b, key_id, n);
    put_string(b, "");
    put_number(b, 0, 8);
    put_number(b, UINT64_MAX, 8);
    put_string(b, "");
    put_string(b, "");
    put_string(b, "");
    put_bytes(b, ca->bytes, ca->n);
    put_string(b, "signature");
}

static struct blob certificate(const char *type, bool ecdsa, uint32_t kind, const void *key_id, size_t n)
{
    struct blob ca = blob_of(strchr(ED_PLAIN, ' ') + 1), b = {};

    put_string(&b, type);
    put_string(&b, "nonce");
    put_parts(&b, ecdsa);
    put_certified(&b, kind, key_id, n, &ca);
    return b;
}

static void test_hardware_keys(void **state)
{
    static const char *const types[][2] = {
        { "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com" },
        { "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(types); i++) {
        char line[4096], print[80], key[128];
        struct blob b = {};

        put_string(&b, types[i][0]);
        put_parts(&b, i == 1);
        print_of(&b, print);
        snprintf(key, sizeof(key), "hardware %s", print);
        line_of(types[i][0], &b, line);
        check(line, print, key, LB_PROOF_HARDWARE);

        b = certificate(types[i][1], i == 1, 1, ID, strlen(ID));
        line_of(types[i][1], &b, line);
        check(line, ID, "certificate hardware CA " ED_PRINT, LB_PROOF_CERTIFICATE | LB_PROOF_HARDWARE);

        b = certificate(types[i][1], i == 1, 1, "", 0);
        line_of(types[i][1], &b, line);
        check(line, print, "certificate hardware CA " ED_PRINT, LB_PROOF_CERTIFICATE | LB_PROOF_HARDWARE);
    }
}

static void test_certificates_that_are_refused(void **state)
{
    static const char type[] = "sk-ssh-ed25519-cert-v01@openssh.com";
    char line[4096], key_id[LB_NAME_MAX + 1];
    struct blob b;

    (void)state;
    for (uint32_t kind = 0; kind < 4; kind++) {
        b = certificate(type, false, kind, ID, strlen(ID));
        line_of(type, &b, line);
        if (kind == 1)
            check(line, ID, "certificate hardware CA " ED_PRINT, LB_PROOF_CERTIFICATE | LB_PROOF_HARDWARE);
        else
            check_refused(line);
    }
    b = certificate(type, false, 1, "anna\0bob", 8); /* NUL in the Key ID */
    line_of(type, &b, line);
    check_refused(line);
    b = certificate(type, false, 1, ID, strlen(ID)); /* said to be something else */
    line_of("ssh-ed25519-cert-v01@openssh.com", &b, line);
    check_refused(line);
    put(&b, "x", 1); /* more behind it */
    line_of(type, &b, line);
    check_refused(line);
    memset(key_id, 0xFF, sizeof(key_id)); /* three bytes each when made safe: too long, and cut it would be another's */
    b = certificate(type, false, 1, key_id, LB_NAME_MAX / 3 + 1);
    line_of(type, &b, line);
    check_refused(line);
    memset(key_id, 'x', sizeof(key_id));
    b = certificate(type, false, 1, key_id, LB_NAME_MAX + 1);
    line_of(type, &b, line);
    check_refused(line);
}

/* A blob that is cut off anywhere is refused. */
static void check_cut_and_damaged(const char *text)
{
    size_t type = strcspn(text, " ");
    struct blob whole = blob_of(text + type + 1);
    char name[64], line[4096];

    snprintf(name, sizeof(name), "%.*s", (int)type, text);
    for (size_t n = 0; n < whole.n; n++) {
        struct blob cut = { .n = n };
        struct blob huge = whole;
        struct lb_identity id = {};
        int r;

        memcpy(cut.bytes, whole.bytes, n);
        line_of(name, &cut, line);
        check_refused(line);
        huge.bytes[n] ^= 0xFF;
        line_of(name, &huge, line);
        r = lb_identity_parse(line, &id); /* whatever it says now, no harm is done */
        assert_true(r == 0 ? id.engineer && id.key && id.proof : r == -EINVAL && !id.engineer);
        lb_identity_clear(&id);
    }
}

static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    check_cut_and_damaged(ED_PLAIN);
    check_cut_and_damaged(RSA_PLAIN);
    check_cut_and_damaged(EC384_PLAIN);
    check_cut_and_damaged(ED_CERT);
    check_cut_and_damaged(RSA_CERT);
    check_cut_and_damaged(EC256_CERT);
}

/* The text of the line cut off anywhere. */
static void test_every_prefix_of_the_line_is_refused(void **state)
{
    static const char line[] = PUBLICKEY ED_CERT;

    (void)state;
    for (size_t n = strlen("publickey"); n < strlen(line); n++) {
        LB_FREE char *cut = strndup(line, n);

        check_refused(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_keys),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_key_ids),
        cmocka_unit_test(test_unproven),
        cmocka_unit_test(test_the_first_publickey_line_decides),
        cmocka_unit_test(test_lines_that_cannot_be_understood),
        cmocka_unit_test(test_hardware_keys),
        cmocka_unit_test(test_certificates_that_are_refused),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_every_prefix_of_the_line_is_refused),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
