/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/service.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/question.h"
#include "lockboxd/courier/standard.h"
#include "policy/base.h"

void lb_service_wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(LB_TAKE(*secret));
}

static int say(char **ret_error, const char *text)
{
    *ret_error = strdup(text);
    return *ret_error ? -EACCES : -ENOMEM;
}

/* A secret that is not there may come. */
static int read_secret(const char *name, char **ret, char **ret_error)
{
    int r = lb_secret_read(name, ret, ret_error);

    if (r == -ENOENT)
        return -EACCES;
    return r == 0 && strpbrk(*ret, "\r\n") ? say(ret_error, "the secret has more than one line") : r;
}

int lb_service_bear(const char *token, struct curl_slist **headers, char **ret_error)
{
    LB_CLEANUP(lb_service_wipe) char *secret = NULL, *value = NULL;
    int r = read_secret(token, &secret, ret_error);

    if (r == 0 && asprintf(&value, "Bearer %s", secret) < 0) {
        value = NULL;
        r = -ENOMEM;
    }
    return r < 0 ? r : lb_standard_header(headers, "Authorization", value);
}

/* A GET is signed as well, over no body: who asks for a decision has to be the one who asked for it to be taken. */
static int sign(const struct lb_remote_config *remote, const struct lb_service_message *m, struct curl_slist **headers,
                char **ret_error)
{
    LB_CLEANUP(lb_service_wipe) char *secret = NULL;
    int r = remote->secret ? read_secret(remote->secret, &secret, ret_error) : 0;

    if (r == 0)
        r = lb_standard_headers(headers, secret, m->id, lb_clock_now().wall / LB_USEC_PER_SEC, m->body ? m->body : "");
    return r == -EINVAL ? say(ret_error, "the secret is not whsec_ and the base64 of 16 bytes or more") : r;
}

static int add_headers(const struct lb_remote_config *remote, const struct lb_service_message *m,
                       struct curl_slist **headers, char **ret_error)
{
    static const char *const fixed[][2] = { { "Content-Type", "application/json" }, { "Expect", "" } };
    int r = lb_standard_header(headers, "Accept", "application/json");

    for (size_t i = 0; r == 0 && m->body && i < LB_ELEMENTS(fixed); i++)
        r = lb_standard_header(headers, fixed[i][0], fixed[i][1]);
    if (r == 0)
        r = lb_standard_header(headers, "Idempotency-Key", m->id);
    if (r == 0 && remote->token)
        r = lb_service_bear(remote->token, headers, ret_error);
    return r < 0 ? r : sign(remote, m, headers, ret_error);
}

int lb_service_open(const struct lb_courier_config *config, const struct lb_service_message *m, CURL **ret,
                    struct curl_slist **ret_headers, char **ret_error)
{
    LB_FREE char *url = lb_question_url(config->remote.url, m->request, m->what);
    struct curl_slist *headers = NULL;
    CURL *easy = NULL;
    int r = url ? lb_handle_new(config->proxy, url, "https", &config->remote.tls, &easy, ret_error) : -ENOMEM;

    if (r == 0)
        r = add_headers(&config->remote, m, &headers, ret_error);
    if (r == 0 && m->body &&
        (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(m->body)) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_POSTFIELDS, m->body) != CURLE_OK))
        r = -ENOMEM;
    if (r < 0) {
        curl_slist_free_all(headers);
        curl_easy_cleanup(easy);
        return r;
    }
    *ret = easy;
    *ret_headers = headers;
    return 0;
}
