/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A libcurl handle as all of ours begin, with the same strict settings: peer and host verified, TLS 1.2 at least, no
 * redirect followed, no proxy but the configured one (the environment is not asked), and that for HTTPS alone, and no
 * netrc. transfer.h runs it, and bounds its time and the bytes of its answer.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/* How the other end proves who it is, and we to it. Paths and texts are borrowed; NULL: curl's own default. */
struct lb_tls {
    char *ca;          /* file of certificates that are trusted instead of the system's */
    char *pin;         /* "sha256//…": the key that the other end has to have */
    char *certificate; /* ours, PEM … */
    char *key;         /* … and its key: a secret, named as for lb_secret_read */
};

/* For one URL. `proxy`: a URL; NULL: none. `protocols` as CURLOPT_PROTOCOLS_STR has it, such as "https" or
 * "smtp,smtps". All are copied. What the caller sets besides must not undo the settings above. -ENOMEM, also where curl
 * cannot do it; -EACCES: our key cannot be read, *ret_error (owned) says why. */
int lb_handle_new(const char *proxy, const char *url, const char *protocols, const struct lb_tls *tls, CURL **ret,
                  char **ret_error);

/* For a handle that is not started after all; NULL is fine. */
void lb_handle_free(CURL *easy);

/* Has the handle send a copy of these bytes as a mail; once. -ENOMEM. */
int lb_handle_upload(CURL *easy, const char *bytes);

/* What it sends, and how far it is; owned, to be freed behind the handle. NULL: lb_handle_upload was not called. The
 * handle's private pointer is free then. */
struct lb_upload;
struct lb_upload *lb_handle_take_upload(CURL *easy);
bool lb_upload_has_begun(const struct lb_upload *u); /* some of it was given to curl */
struct lb_upload *lb_upload_free(struct lb_upload *u); /* NULL is fine; returns NULL */
