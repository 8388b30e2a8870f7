/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard Webhooks (https://www.standardwebhooks.com): a message's ID, which is the same at each try, when it was
 * sent, and a signature over both and the body, so that who receives it knows that it is ours, new, and not there
 * twice.
 */
#pragma once

#include <curl/curl.h>
#include <stdint.h>

/* "v1,BASE64": HMAC-SHA256 of "id.timestamp.body" with the secret "whsec_BASE64". Owned. -EINVAL: it is no such secret;
 * -ENOMEM. */
int lb_standard_sign(const char *secret, const char *id, int64_t timestamp, const char *body, char **ret);

/* Adds a header to a list. -ENOMEM: the list is as it was. */
int lb_standard_header(struct curl_slist **headers, const char *name, const char *value);

/* Adds the three of them; `secret` NULL: without a signature. `timestamp` in seconds. -EINVAL, -ENOMEM. */
int lb_standard_headers(struct curl_slist **headers, const char *secret, const char *id, int64_t timestamp,
                        const char *body);
