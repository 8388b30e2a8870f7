/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/standard.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "lockboxd/proto/base64.h"
#include "policy/base.h"

#define PREFIX "whsec_"
#define KEY_MIN 16 /* bytes; the specification asks for 24 to 64 */

/* *ret is owned also where it is no key. */
static int key_of(const char *secret, void **ret, size_t *ret_size)
{
    int r = strncmp(secret, PREFIX, strlen(PREFIX)) == 0
                ? lb_base64_decode(secret + strlen(PREFIX), ret, ret_size) : -EINVAL;

    return r == 0 && *ret_size < KEY_MIN ? -EINVAL : r;
}

int lb_standard_sign(const char *secret, const char *id, int64_t timestamp, const char *body, char **ret)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_size = 0;
    LB_FREE char *content = NULL, *encoded = NULL;
    void *key = NULL;
    size_t key_size = 0;
    int n = asprintf(&content, "%s.%" PRId64 ".%s", id, timestamp, body), r = n < 0 ? -ENOMEM : 0;

    if (n < 0)
        content = NULL;
    if (r == 0)
        r = key_of(secret, &key, &key_size);
    if (r == 0 && !HMAC(EVP_sha256(), key, (int)key_size, (unsigned char *)content, (size_t)n, mac, &mac_size))
        r = -ENOMEM;
    if (key)
        explicit_bzero(key, key_size);
    free(key);
    encoded = r == 0 ? lb_base64_encode(mac, mac_size) : NULL;
    if (r == 0 && (!encoded || asprintf(ret, "v1,%s", encoded) < 0))
        r = -ENOMEM;
    return r;
}

int lb_standard_header(struct curl_slist **headers, const char *name, const char *value)
{
    LB_FREE char *line = NULL;
    struct curl_slist *more;

    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return -ENOMEM;
    }
    more = curl_slist_append(*headers, line);
    explicit_bzero(line, strlen(line));
    if (!more)
        return -ENOMEM;
    *headers = more;
    return 0;
}

int lb_standard_headers(struct curl_slist **headers, const char *secret, const char *id, int64_t timestamp,
                        const char *body)
{
    LB_FREE char *signature = NULL;
    char seconds[24];
    int r = secret ? lb_standard_sign(secret, id, timestamp, body, &signature) : 0;

    snprintf(seconds, sizeof(seconds), "%" PRId64, timestamp);
    if (r == 0)
        r = lb_standard_header(headers, "webhook-id", id);
    if (r == 0)
        r = lb_standard_header(headers, "webhook-timestamp", seconds);
    if (r == 0 && signature)
        r = lb_standard_header(headers, "webhook-signature", signature);
    return r;
}
