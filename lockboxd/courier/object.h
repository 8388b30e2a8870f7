/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An object of the store ([Export]): a file that is PUT under a name of its own, at an HTTPS server that takes a
 * token or at an S3-compatible store, for which libcurl signs (AWS Signature Version 4).
 */
#pragma once

#include <stdio.h>

#include "lockboxd/courier/config.h"

/* What lies where: "events/HOST/…" for a batch, "packs/HOST/…" for a pack, "test/HOST/…" for a test, under the
 * place that is configured. Each part is escaped. Owned; NULL: out of memory. */
char *lb_object_url(const struct lb_export_config *export, const char *kind, const char *host, const char *name);

/* What is sent: a file, from its beginning on, or a text. */
struct lb_object_bytes {
    FILE *file;
    const char *text; /* where there is no file */
    int64_t size;
};

/*
 * A handle that sends them; they are the caller's and stay until the end. 0; -EACCES: a secret cannot be read,
 * *ret_error (owned) says so; -EIO: the file cannot be read; -ENOMEM.
 */
int lb_object_open(const struct lb_courier_config *config, const char *url, const char *type,
                   const struct lb_object_bytes *bytes, CURL **ret, struct curl_slist **ret_headers, char **ret_error);

/* Why the store refused, from its answer, where it says so in a word: "SignatureDoesNotMatch" of
 * <Code>SignatureDoesNotMatch</Code>. Owned; NULL: it does not, or out of memory. */
char *lb_object_reason(const char *body);
