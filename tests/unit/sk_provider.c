/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A security key in software, as a provider of OpenSSH's (SSH_SK_PROVIDER, API version 10): its key handle is the
 * private key. It confirms each touch by itself, so that tests can sign with ed25519-sk and ecdsa-sk keys. Never for
 * anything else.
 */
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 0x000a0000
#define ECDSA 0
#define ED25519 1
#define FAILED (-1)
#define POINT 65 /* bytes of a public key on P-256, uncompressed */
#define HALF 32  /* of a signature by one */

struct sk_option;
struct sk_resident_key;

struct sk_enroll_response {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct sk_sign_response {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

uint32_t sk_api_version(void);
int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, struct sk_option **options, struct sk_enroll_response **ret);
int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *key_handle,
            size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options,
            struct sk_sign_response **ret);
int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***ret, size_t *ret_n);

uint32_t sk_api_version(void)
{
    return VERSION;
}

static int write_public(EVP_PKEY *key, uint32_t alg, struct sk_enroll_response *r)
{
    r->public_key_len = alg == ED25519 ? 32 : POINT;
    r->public_key = malloc(r->public_key_len);
    if (alg == ED25519)
        return EVP_PKEY_get_raw_public_key(key, r->public_key, &r->public_key_len);
    return EVP_PKEY_get_octet_string_param(key, "pub", r->public_key, POINT, &r->public_key_len);
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, struct sk_option **options, struct sk_enroll_response **ret)
{
    EVP_PKEY *key = alg == ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
    struct sk_enroll_response *r = calloc(1, sizeof(*r));
    unsigned char *der = NULL;
    int size = key ? i2d_PrivateKey(key, &der) : 0;

    (void)challenge;
    (void)challenge_len;
    (void)application;
    (void)pin;
    (void)options;
    if (!r || size <= 0 || write_public(key, alg, r) != 1)
        return FAILED;
    r->flags = flags;
    r->key_handle_len = (size_t)size;
    r->key_handle = malloc(r->key_handle_len);
    memcpy(r->key_handle, der, r->key_handle_len);
    r->signature_len = 1; /* nobody looks at the attestation */
    r->signature = calloc(1, 1);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    *ret = r;
    return 0;
}

static int sign(EVP_PKEY *key, uint32_t alg, const uint8_t *message, size_t n, uint8_t **ret, size_t *ret_n)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int r = EVP_DigestSignInit(context, NULL, alg == ED25519 ? NULL : EVP_sha256(), NULL, key) == 1 &&
            EVP_DigestSign(context, NULL, ret_n, message, n) == 1;

    *ret = malloc(*ret_n);
    r = r && EVP_DigestSign(context, *ret, ret_n, message, n) == 1;
    EVP_MD_CTX_free(context);
    return r ? 0 : FAILED;
}

/* The DER of an ECDSA signature as its two numbers. */
static int split(struct sk_sign_response *r)
{
    const unsigned char *der = r->sig_r;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)r->sig_r_len);

    free(r->sig_r);
    r->sig_r = malloc(HALF);
    r->sig_s = malloc(HALF);
    r->sig_r_len = r->sig_s_len = HALF;
    if (!pair || BN_bn2binpad(ECDSA_SIG_get0_r(pair), r->sig_r, HALF) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), r->sig_s, HALF) < 0)
        return FAILED;
    ECDSA_SIG_free(pair);
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *key_handle,
            size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options,
            struct sk_sign_response **ret)
{
    struct sk_sign_response *r = calloc(1, sizeof(*r));
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &key_handle, (long)key_handle_len);
    uint8_t message[SHA256_DIGEST_LENGTH + 5 + SHA256_DIGEST_LENGTH] = { 0 };

    (void)pin;
    (void)options;
    if (!r || !key)
        return FAILED;
    r->flags = flags;
    r->counter = 7;
    SHA256((const unsigned char *)application, strlen(application), message);
    message[SHA256_DIGEST_LENGTH] = flags;
    message[SHA256_DIGEST_LENGTH + 4] = (uint8_t)r->counter; /* the last of its four bytes */
    SHA256(data, data_len, message + SHA256_DIGEST_LENGTH + 5);
    if (sign(key, alg, message, sizeof(message), &r->sig_r, &r->sig_r_len) < 0 || (alg == ECDSA && split(r) < 0))
        return FAILED;
    EVP_PKEY_free(key);
    *ret = r;
    return 0;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***ret, size_t *ret_n)
{
    (void)pin;
    (void)options;
    (void)ret;
    (void)ret_n;
    return FAILED;
}
