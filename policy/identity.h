/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who the engineer is, from what sshd proved: SSH_AUTH_INFO_0. */
#pragma once

#include <stdbool.h>

enum lb_proof {
    LB_PROOF_PLAIN = 1 << 0,
    LB_PROOF_CERTIFICATE = 1 << 1,
    LB_PROOF_HARDWARE = 1 << 2, /* sk- key; may come together with CERTIFICATE */
};

#define LB_ENGINEER_UNPROVEN "unproven"

/* Two logins are the same engineer exactly if `engineer` and `key` are equal. */
struct lb_identity {
    char *engineer; /* Key ID of the certificate (unless empty), else SHA256:… of the key, else "unproven"; made safe
                       to show */
    char *key;      /* "certificate CA SHA256:…", "hardware SHA256:…", "plain SHA256:…", or "" when unproven;
                       a hardware-backed certificate says "certificate hardware CA SHA256:…" */
    unsigned proof; /* enum lb_proof bits; 0: unproven */
};

/*
 * Reads the value of SSH_AUTH_INFO_0 (lines "method type base64"). The first verified publickey line decides; no such
 * line, NULL or "" is unproven. -EINVAL for a publickey line that cannot be understood (refuse the login): a type that
 * is not known, a certificate that is not a user's, a Key ID with a NUL in it or of more than LB_NAME_MAX bytes.
 * -ENOMEM. `ret` is set on success only; clear it with lb_identity_clear.
 */
int lb_identity_parse(const char *auth_info, struct lb_identity *ret);
void lb_identity_clear(struct lb_identity *id);
