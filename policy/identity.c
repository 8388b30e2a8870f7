/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats: RFC 4253 section 6.6, RFC 5656, and OpenSSH's PROTOCOL.certkeys and PROTOCOL.u2f. */
#include "policy/identity.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/text.h"

#define BLOB_MAX (64 * 1024)
#define USER_CERTIFICATE 1
#define FINGERPRINT_MAX 64

/* A stretch of bytes that is read from the front. */
struct bytes {
    const uint8_t *at;
    size_t left;
};

/* What follows the type in a key, and the nonce in a certificate: so many strings (an mpint is one too). */
static const struct key_type {
    const char *plain, *certificate;
    unsigned strings;
    unsigned proof;
} key_types[] = {
    { "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", 1, 0 },
    { "ssh-rsa", "ssh-rsa-cert-v01@openssh.com", 2, 0 },
    { "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com", 2, 0 },
    { "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com", 2, 0 },
    { "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com", 2, 0 },
    { "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", 2, LB_PROOF_HARDWARE },
    { "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", 3, LB_PROOF_HARDWARE },
};

/* --- reading bytes ----------------------------------------------------------------------------------------------- */

static bool take(struct bytes *b, size_t n, struct bytes *ret)
{
    if (b->left < n)
        return false;
    *ret = (struct bytes){ b->at, n };
    b->at += n;
    b->left -= n;
    return true;
}

static bool take_u32(struct bytes *b, uint32_t *ret)
{
    struct bytes four;

    if (!take(b, 4, &four))
        return false;
    *ret = (uint32_t)four.at[0] << 24 | (uint32_t)four.at[1] << 16 | (uint32_t)four.at[2] << 8 | four.at[3];
    return true;
}

static bool take_string(struct bytes *b, struct bytes *ret)
{
    uint32_t n;

    return take_u32(b, &n) && take(b, n, ret);
}

static bool skip_strings(struct bytes *b, unsigned n)
{
    struct bytes ignored;

    while (n > 0 && take_string(b, &ignored))
        n--;
    return n == 0;
}

static bool bytes_are(struct bytes b, const char *text)
{
    return b.left == strlen(text) && memcmp(b.at, text, b.left) == 0;
}

/* --- fingerprints ------------------------------------------------------------------------------------------------ */

/* "SHA256:" and unpadded base64 of the two stretches together. */
static int fingerprint(struct bytes head, struct bytes tail, char ret[FINGERPRINT_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE], base64[EVP_MAX_MD_SIZE * 2];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned n = 0;
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, head.at, head.left) &&
              EVP_DigestUpdate(ctx, tail.at, tail.left) && EVP_DigestFinal_ex(ctx, digest, &n);

    EVP_MD_CTX_free(ctx);
    if (!ok)
        return -ENOMEM;
    EVP_EncodeBlock(base64, digest, (int)n);
    snprintf(ret, FINGERPRINT_MAX, "SHA256:%.*s", (int)strcspn((char *)base64, "="), (char *)base64);
    return 0;
}

/* Of the plain key inside a certificate, as ssh-keygen -l shows it: its type, then the parts. */
static int key_fingerprint(const struct key_type *type, struct bytes parts, char ret[FINGERPRINT_MAX])
{
    uint8_t head[4 + 64] = {};
    size_t n = strlen(type->plain);

    head[3] = (uint8_t)n;
    memcpy(head + 4, type->plain, n);
    return fingerprint((struct bytes){ head, 4 + n }, parts, ret);
}

/* --- what it says ------------------------------------------------------------------------------------------------ */

static int identity_set(const char *engineer, unsigned proof, const char *of, struct lb_identity *ret)
{
    struct lb_identity id = { .engineer = strdup(engineer), .proof = proof };
    const char *first = proof & LB_PROOF_CERTIFICATE ? "certificate " : "";
    const char *second = proof & LB_PROOF_HARDWARE ? "hardware " : proof & LB_PROOF_PLAIN ? "plain " : "";

    if (asprintf(&id.key, "%s%s%s%s", first, second, proof & LB_PROOF_CERTIFICATE ? "CA " : "", of) < 0)
        id.key = NULL;
    if (!id.engineer || !id.key) {
        lb_identity_clear(&id);
        return -ENOMEM;
    }
    *ret = id;
    return 0;
}

static int read_plain(const struct key_type *type, struct bytes rest, struct lb_identity *ret)
{
    char print[FINGERPRINT_MAX];
    struct bytes parts = rest;

    if (!skip_strings(&rest, type->strings) || rest.left > 0)
        return -EINVAL;
    if (key_fingerprint(type, parts, print) < 0)
        return -ENOMEM;
    return identity_set(print, type->proof ? type->proof : LB_PROOF_PLAIN, print, ret);
}

/* The Key ID made safe to show; "" if there is none. Too long to be shown whole is refused: cut, it would be somebody
 * else's. */
static int clean_key_id(struct bytes key_id, char **ret)
{
    LB_FREE char *text = NULL;
    LB_FREE char *clean = NULL;

    if (key_id.left > LB_NAME_MAX || memchr(key_id.at, '\0', key_id.left))
        return -EINVAL;
    text = strndup((const char *)key_id.at, key_id.left);
    clean = text ? lb_text_clean(text, SIZE_MAX / 4) : NULL;
    if (!clean)
        return -ENOMEM;
    if (strlen(clean) > LB_NAME_MAX)
        return -EINVAL;
    *ret = LB_TAKE(clean);
    return 0;
}

/* What a certificate has behind its key's parts. */
static bool read_certified(struct bytes *rest, uint32_t *ret_type, struct bytes *ret_key_id, struct bytes *ret_ca)
{
    struct bytes ignored;

    return take(rest, 8, &ignored) &&     /* serial */
           take_u32(rest, ret_type) &&
           take_string(rest, ret_key_id) &&
           take_string(rest, &ignored) && /* principals */
           take(rest, 16, &ignored) &&    /* valid after, before */
           skip_strings(rest, 3) &&       /* critical options, extensions, reserved */
           take_string(rest, ret_ca) &&
           take_string(rest, &ignored) && /* signature */
           rest->left == 0 && ret_ca->left > 0;
}

static int read_certificate(const struct key_type *type, struct bytes rest, struct lb_identity *ret)
{
    char print[FINGERPRINT_MAX], ca_print[FINGERPRINT_MAX];
    struct bytes key_id = {}, ca = {}, parts;
    LB_FREE char *engineer = NULL;
    uint32_t kind = 0;
    int r;

    if (!skip_strings(&rest, 1)) /* nonce */
        return -EINVAL;
    parts = rest;
    if (!skip_strings(&rest, type->strings))
        return -EINVAL;
    parts.left -= rest.left;
    if (!read_certified(&rest, &kind, &key_id, &ca) || kind != USER_CERTIFICATE)
        return -EINVAL;
    r = clean_key_id(key_id, &engineer);
    if (r < 0)
        return r;
    if (key_fingerprint(type, parts, print) < 0 || fingerprint(ca, (struct bytes){}, ca_print) < 0)
        return -ENOMEM;
    return identity_set(*engineer ? engineer : print, LB_PROOF_CERTIFICATE | type->proof, ca_print, ret);
}

/* The type is said twice, before the blob and in it; they must agree. */
static int read_blob(const char *name, size_t name_len, struct bytes blob, struct lb_identity *ret)
{
    struct bytes inner;

    if (!take_string(&blob, &inner) || inner.left != name_len || memcmp(inner.at, name, name_len) != 0)
        return -EINVAL;
    for (size_t i = 0; i < LB_ELEMENTS(key_types); i++) {
        if (bytes_are(inner, key_types[i].plain))
            return read_plain(&key_types[i], blob, ret);
        if (bytes_are(inner, key_types[i].certificate))
            return read_certificate(&key_types[i], blob, ret);
    }
    return -EINVAL;
}

/* Strictly: whole groups, padding only at the end. EVP_DecodeBlock itself takes blanks and counts padding as bytes. */
static int decode_base64(const char *text, size_t n, uint8_t **ret, size_t *ret_n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    LB_FREE uint8_t *bytes = NULL;
    size_t digits = strspn(text, alphabet);
    int decoded;

    if (n == 0 || n % 4 != 0 || n > BLOB_MAX || digits + 2 < n || digits > n ||
        digits + strspn(text + digits, "=") < n)
        return -EINVAL;
    bytes = malloc(n / 4 * 3);
    if (!bytes)
        return -ENOMEM;
    decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
    if (decoded < 0)
        return -EINVAL;
    *ret_n = (size_t)decoded - (n - digits);
    *ret = LB_TAKE(bytes);
    return 0;
}

/* "publickey TYPE BASE64" and nothing else. */
static int read_line(const char *line, size_t n, struct lb_identity *ret)
{
    const char *type = line + strlen("publickey "), *end = line + n;
    const char *space = type < end ? memchr(type, ' ', (size_t)(end - type)) : NULL;
    LB_FREE uint8_t *blob = NULL;
    size_t size;
    int r;

    if (!space)
        return -EINVAL;
    r = decode_base64(space + 1, (size_t)(end - space - 1), &blob, &size);
    if (r < 0)
        return r;
    return read_blob(type, (size_t)(space - type), (struct bytes){ blob, size }, ret);
}

int lb_identity_parse(const char *auth_info, struct lb_identity *ret)
{
    for (const char *line = auth_info ? auth_info : ""; *line;) {
        size_t n = strcspn(line, "\n"), method = strcspn(line, " \n");

        if (method == strlen("publickey") && memcmp(line, "publickey", method) == 0)
            return read_line(line, n, ret);
        line += n + (line[n] == '\n');
    }
    return identity_set(LB_ENGINEER_UNPROVEN, 0, "", ret);
}

void lb_identity_clear(struct lb_identity *id)
{
    free(id->engineer);
    free(id->key);
    *id = (struct lb_identity){};
}
