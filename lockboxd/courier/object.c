/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/object.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "lockboxd/chain.h"
#include "lockboxd/courier/service.h"
#include "lockboxd/courier/standard.h"
#include "policy/base.h"

#define S3 "s3://"
#define CODE "<Code>"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool is_s3(const struct lb_export_config *export)
{
    return strncmp(export->url, S3, strlen(S3)) == 0;
}

/* --- where -------------------------------------------------------------------------------------------------------- */

/* Path style: the bucket is the first part of the path, so that the certificate is for one host. */
static char *base_of(const struct lb_export_config *export)
{
    const char *endpoint = export->endpoint;
    char *base;
    int n;

    if (!is_s3(export))
        return strdup(export->url);
    if (endpoint)
        n = asprintf(&base, "%s%s%s", endpoint, endpoint[strlen(endpoint) - 1] == '/' ? "" : "/",
                     export->url + strlen(S3));
    else
        n = asprintf(&base, "https://s3.%s.amazonaws.com/%s", export->region, export->url + strlen(S3));
    return n < 0 ? NULL : base;
}

char *lb_object_url(const struct lb_export_config *export, const char *kind, const char *host, const char *name)
{
    LB_FREE char *base = base_of(export);
    char *host_part = curl_easy_escape(NULL, host, 0), *name_part = curl_easy_escape(NULL, name, 0), *url = NULL;
    size_t n = base ? strlen(base) : 0;

    while (n > 0 && base[n - 1] == '/')
        n--;
    if (!base || !host_part || !name_part ||
        asprintf(&url, "%.*s/%s/%s/%s", (int)n, base, kind, host_part, name_part) < 0)
        url = NULL;
    curl_free(host_part);
    curl_free(name_part);
    return url;
}

/* --- how ---------------------------------------------------------------------------------------------------------- */

static int hash(const struct lb_object_bytes *b, char ret[static LB_HASH_MAX])
{
    void *mapped;
    int r;

    if (!b->file || b->size == 0)
        return lb_chain_hash(b->file ? "" : b->text, (size_t)b->size, ret);
    mapped = mmap(NULL, (size_t)b->size, PROT_READ, MAP_PRIVATE, fileno(b->file), 0);
    if (mapped == MAP_FAILED)
        return -EIO;
    r = lb_chain_hash(mapped, (size_t)b->size, ret);
    munmap(mapped, (size_t)b->size);
    return r;
}

/* libcurl signs the digest that this header names; by itself it would sign that of nothing for what it sends from
 * a file (7.88). */
static int sign_s3(CURL *easy, const struct lb_export_config *export, const struct lb_object_bytes *bytes,
                   struct curl_slist **headers, char **ret_error)
{
    LB_CLEANUP(lb_service_wipe) char *secret = NULL;
    LB_FREE char *what = NULL;
    char digest[LB_HASH_MAX];
    int r = hash(bytes, digest);

    if (r == 0)
        r = lb_standard_header(headers, "x-amz-content-sha256", digest);
    if (r == 0)
        r = lb_secret_read(export->secret_key, &secret, ret_error);
    if (r == 0 && asprintf(&what, "aws:amz:%s:s3", export->region) < 0) {
        what = NULL;
        r = -ENOMEM;
    }
    if (r == 0 && (curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, what) != CURLE_OK ||
                   curl_easy_setopt(easy, CURLOPT_USERNAME, export->access_key) != CURLE_OK ||
                   curl_easy_setopt(easy, CURLOPT_PASSWORD, secret) != CURLE_OK))
        r = -ENOMEM;
    return r;
}

static int seek_file(void *userdata, curl_off_t offset, int origin)
{
    return fseeko(userdata, offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

static int read_from(CURL *easy, const struct lb_object_bytes *b)
{
    CURLcode r = CURLE_OK;

#define SET(option, value) (r = r == CURLE_OK ? curl_easy_setopt(easy, option, value) : r)
    if (b->file) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READDATA, b->file);
        SET(CURLOPT_SEEKFUNCTION, seek_file);
        SET(CURLOPT_SEEKDATA, b->file);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)b->size);
    } else {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)b->size);
        SET(CURLOPT_POSTFIELDS, b->text);
        SET(CURLOPT_CUSTOMREQUEST, "PUT");
    }
#undef SET
    return r == CURLE_OK ? 0 : -ENOMEM;
}

int lb_object_open(const struct lb_courier_config *config, const char *url, const char *type,
                   const struct lb_object_bytes *bytes, CURL **ret, struct curl_slist **ret_headers, char **ret_error)
{
    const struct lb_export_config *export = &config->export;
    struct curl_slist *headers = NULL;
    CURL *easy = NULL;
    int r = lb_handle_new(config->proxy, url, "https", &export->tls, &easy, ret_error);

    if (r == 0)
        r = read_from(easy, bytes);
    if (r == 0)
        r = lb_standard_header(&headers, "Content-Type", type);
    if (r == 0 && is_s3(export))
        r = sign_s3(easy, export, bytes, &headers, ret_error);
    else if (r == 0 && export->token)
        r = lb_service_bear(export->token, &headers, ret_error);
    if (r < 0) {
        curl_slist_free_all(headers);
        curl_easy_cleanup(easy);
        return r == -ENOENT ? -EACCES : r;
    }
    *ret = easy;
    *ret_headers = headers;
    return 0;
}

char *lb_object_reason(const char *body)
{
    const char *code = strstr(body, CODE);
    size_t n = code ? strspn(code + strlen(CODE), LETTERS) : 0;

    return n > 0 && n < 64 ? strndup(code + strlen(CODE), n) : NULL;
}
