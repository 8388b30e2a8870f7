/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message to the customer's approval service ([Remote]): where it goes, and how it shows that it is from us. */
#pragma once

#include "lockboxd/courier/config.h"

struct lb_service_message {
    const char *request; /* ID as printed, "": all of them */
    const char *what;    /* behind its URL: "", "/closed", "/decision?wait=30" */
    const char *id;      /* Idempotency-Key and webhook-id */
    const char *body;    /* posted, borrowed until the end of the transfer; NULL: GET */
};

/* A handle as of lb_channel's open(), with the same errors. */
int lb_service_open(const struct lb_courier_config *config, const struct lb_service_message *message, CURL **ret,
                    struct curl_slist **ret_headers, char **ret_error);

/* Adds "Authorization: Bearer …" with the secret of this name. -EACCES: it cannot be read, *ret_error (owned) says why;
 * -ENOMEM. */
int lb_service_bear(const char *token, struct curl_slist **headers, char **ret_error);

/* Frees a secret, and leaves nothing of it: for LB_CLEANUP. */
void lb_service_wipe(char **secret);
