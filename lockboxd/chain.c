/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/chain.h"

#include <errno.h>
#include <openssl/evp.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"

void lb_chain_hex(const unsigned char digest[static LB_DIGEST_SIZE], char ret[static LB_HASH_MAX])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < LB_DIGEST_SIZE; i++) {
        ret[2 * i] = hex[digest[i] >> 4];
        ret[2 * i + 1] = hex[digest[i] & 15];
    }
    ret[2 * LB_DIGEST_SIZE] = '\0';
}

int lb_chain_hash(const char *bytes, size_t n, char ret[static LB_HASH_MAX])
{
    unsigned char digest[LB_DIGEST_SIZE];

    if (EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    lb_chain_hex(digest, ret);
    return 0;
}

struct lb_hasher {
    EVP_MD *sha256; /* looked up once: that costs more than to hash an event */
    EVP_MD_CTX *context;
};

struct lb_hasher *lb_hasher_new(void)
{
    struct lb_hasher *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->context = EVP_MD_CTX_new();
    return h->sha256 && h->context ? h : lb_hasher_free(h);
}

struct lb_hasher *lb_hasher_free(struct lb_hasher *h)
{
    if (!h)
        return NULL;
    EVP_MD_free(h->sha256);
    EVP_MD_CTX_free(h->context);
    free(h);
    return NULL;
}

int lb_hasher_digest(struct lb_hasher *h, const void *bytes, size_t n, unsigned char ret[static LB_DIGEST_SIZE])
{
    bool done = EVP_DigestInit_ex2(h->context, h->sha256, NULL) == 1 && EVP_DigestUpdate(h->context, bytes, n) == 1 &&
                EVP_DigestFinal_ex(h->context, ret, NULL) == 1;

    return done ? 0 : -ENOMEM;
}

/* A receipt says its zeroes, and so do the end of a script and the report. */
static int set_receipt(json_t *object, const struct lb_event *e)
{
    if (e->kind == LB_EVENT_SCRIPT_ENDED)
        return json_object_set_new(object, "exit_status", json_integer(e->exit_status)) |
               json_object_set_new(object, "bytes", json_integer(e->bytes));
    if (e->kind == LB_EVENT_LEFT_BEHIND)
        return json_object_set_new(object, "count", json_integer(e->count));
    if (e->kind != LB_EVENT_COMPLETED && e->kind != LB_EVENT_ENDED && e->kind != LB_EVENT_REVOKED)
        return 0;
    return json_object_set_new(object, "killed", json_integer(e->killed)) |
           json_object_set_new(object, "left", json_integer(e->left)) |
           json_object_set_new(object, "ms", json_integer(e->ms));
}

int lb_chain_encode(const struct lb_event *e, const char *prev, char **ret_json, char ret_hash[static LB_HASH_MAX])
{
    json_auto_t *object = lb_json_pack(lb_event_fields, e, 0);
    LB_FREE char *json = NULL;
    int r;

    if (!object || json_object_set_new(object, "prev", json_string(prev)) < 0 || set_receipt(object, e) != 0)
        return -ENOMEM;
    json = lb_json_canonical(object);
    if (!json)
        return -EINVAL;
    r = lb_chain_hash(json, strlen(json), ret_hash);
    if (r < 0)
        return r;
    *ret_json = LB_TAKE(json);
    return 0;
}

int lb_chain_decode(const char *json, struct lb_event *ret, char ret_prev[LB_HASH_MAX])
{
    json_auto_t *object = lb_json_load(json, strlen(json));
    struct lb_event e = { 0 };
    const char *prev = json_string_value(json_object_get(object, "prev"));
    int r;

    if (!prev || strlen(prev) != LB_HASH_MAX - 1)
        return -EBADMSG;
    if (ret_prev)
        memcpy(ret_prev, prev, LB_HASH_MAX);
    json_object_del(object, "prev");
    r = lb_json_unpack(lb_event_fields, object, &e, LB_JSON_OURS, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    *ret = e;
    return 0;
}
