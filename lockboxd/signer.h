/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose signature it is: ssh-keygen -Y verify (and find-principals), in a process of its own beside the loop. It is
 * given copies that nobody can change meanwhile.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

/* The namespace of decisions: what is signed for anything else (git, files) is not consent. */
#define LB_SIGNER_NAMESPACE "lockbox-consent"

struct lb_signer;

struct lb_signer_call {
    const char *signers;    /* path of the file that names principals and their keys (ssh-keygen(1), ALLOWED SIGNERS);
                               revoked_signers beside it, which need not exist,
                               are keys (or a KRL) that are good no more */
    const char *namespace;  /* what the signature has to be for */
    const char *principal;  /* whose signature it has to be; NULL: only whose key it is, whatever it signs */
    const char *text, *signature; /* signature: armoured, as ssh-keygen -Y sign writes it */
    int64_t patience;       /* µs that ssh-keygen has; 0: ten seconds */
};

/* `key` is "ED25519 SHA256:…", the key that signed (without a principal: those who have it, as they stand in the file,
 * a line each); NULL: it is no signature of his, and `problem` says why. Comes once, from the event loop; it may free
 * the signer. Both texts are borrowed. */
typedef void lb_signer_done(void *userdata, const char *key, const char *problem);

/* Begins. A failure is -errno with *ret_error, an owned text for a person (NULL: out of memory): -EACCES where a file
 * could be written by another than root, -ENOENT where there are no signers. */
int lb_signer_new(sd_event *event, const struct lb_signer_call *call, lb_signer_done *done, void *userdata,
                  struct lb_signer **ret, char **ret_error);

/* A copy (a descriptor) of a file that root alone can have written; -EACCES where others could, -EFBIG. */
int lb_signer_copy(const char *path);

/* Gives up, and ends what still runs. NULL is fine; returns NULL. */
struct lb_signer *lb_signer_free(struct lb_signer *s);
