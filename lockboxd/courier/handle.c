/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/handle.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/config.h"
#include "policy/base.h"

#define CONNECT_S 15L
#define STILL_ALIVE_S 60L /* an idle connection is not used again after that */

/* A handle's private pointer, until that is taken. */
struct lb_upload {
    size_t size, at;
    char bytes[];
};

static CURLcode set_tls(CURL *e, const struct lb_tls *tls)
{
    const struct { CURLoption option; const char *value; } rows[] = {
        { CURLOPT_CAINFO, tls->ca }, { CURLOPT_PINNEDPUBLICKEY, tls->pin }, { CURLOPT_SSLCERT, tls->certificate },
    };
    CURLcode r = CURLE_OK;

    for (size_t i = 0; r == CURLE_OK && i < LB_ELEMENTS(rows); i++)
        if (rows[i].value)
            r = curl_easy_setopt(e, rows[i].option, rows[i].value);
    if (r == CURLE_OK && tls->ca) /* instead of the system's, not besides */
        r = curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    return r;
}

/* Read by us, as every secret is: curl would take a file that others can read. */
static int set_key(CURL *e, const struct lb_tls *tls, char **ret_error)
{
    struct curl_blob blob = { .flags = CURL_BLOB_COPY };
    char *key = NULL;
    int r = tls->key ? lb_secret_read(tls->key, &key, ret_error) : 0;

    if (r < 0)
        return r == -ENOMEM ? r : -EACCES;
    if (!key)
        return 0;
    blob.data = key;
    blob.len = strlen(key);
    r = curl_easy_setopt(e, CURLOPT_SSLKEY_BLOB, &blob) == CURLE_OK ? 0 : -ENOMEM;
    explicit_bzero(key, blob.len);
    free(key);
    return r;
}

int lb_handle_new(const char *proxy, const char *url, const char *protocols, const struct lb_tls *tls, CURL **ret,
                  char **ret_error)
{
    CURL *e = curl_easy_init();
    CURLcode r = CURLE_OK;
    int error;

    if (!e)
        return -ENOMEM;
    /* a setting that curl does not take must not be one that we then go without */
#define SET(option, value) (r = r == CURLE_OK ? curl_easy_setopt(e, option, value) : r)
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, protocols);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* of 2 it tells every header that it sends, secrets too */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, proxy && strcmp(protocols, "https") == 0 ? proxy : "");
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that does not answer is not waited for once the transfer is over */
    SET(CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    SET(CURLOPT_MAXAGE_CONN, STILL_ALIVE_S);
    SET(CURLOPT_USERAGENT, "lockbox-courier/" LB_VERSION);
#undef SET
    if (r == CURLE_OK)
        r = set_tls(e, tls);
    error = r == CURLE_OK ? set_key(e, tls, ret_error) : -ENOMEM;
    if (error < 0)
        curl_easy_cleanup(e);
    else
        *ret = e;
    return error;
}

/* --- a mail's bytes ----------------------------------------------------------------------------------------------- */

static size_t give_bytes(char *to, size_t size, size_t n, void *userdata)
{
    struct lb_upload *u = userdata;
    size_t left = u->size - u->at;

    n *= size;
    n = n < left ? n : left;
    memcpy(to, u->bytes + u->at, n);
    u->at += n;
    return n;
}

/* A connection that was kept may turn out to be gone once something was sent: then once more, from the beginning. */
static int seek_bytes(void *userdata, curl_off_t offset, int origin)
{
    struct lb_upload *u = userdata;

    if (origin != SEEK_SET || offset < 0 || (size_t)offset > u->size)
        return CURL_SEEKFUNC_FAIL;
    u->at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

int lb_handle_upload(CURL *easy, const char *bytes)
{
    size_t size = strlen(bytes);
    struct lb_upload *u = calloc(1, sizeof(*u) + size);
    CURLcode r = CURLE_OK;

    if (!u)
        return -ENOMEM;
    u->size = size;
    memcpy(u->bytes, bytes, size);
#define SET(option, value) (r = r == CURLE_OK ? curl_easy_setopt(easy, option, value) : r)
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, give_bytes);
    SET(CURLOPT_READDATA, u);
    SET(CURLOPT_SEEKFUNCTION, seek_bytes);
    SET(CURLOPT_SEEKDATA, u);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)u->size);
    SET(CURLOPT_PRIVATE, u);
#undef SET
    if (r != CURLE_OK)
        free(u);
    return r == CURLE_OK ? 0 : -ENOMEM;
}

struct lb_upload *lb_handle_take_upload(CURL *easy)
{
    struct lb_upload *u = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &u);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
    return u;
}

bool lb_upload_has_begun(const struct lb_upload *u)
{
    return u->at > 0;
}

struct lb_upload *lb_upload_free(struct lb_upload *u)
{
    free(u);
    return NULL;
}

void lb_handle_free(CURL *easy)
{
    if (!easy)
        return;
    lb_upload_free(lb_handle_take_upload(easy));
    curl_easy_cleanup(easy);
}
