/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is typed or pasted at the prompt of a login that waits, as far as it is about a signature: what of it is one,
 * whose it is said to be, and what is only a piece of one. Whether it is good is for ssh-keygen to say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum lb_pasted_kind {
    LB_PASTED_WORDS,     /* nothing of all this */
    LB_PASTED_SIGN,      /* !sign [NAME] [DURATION]: show what is to be signed */
    LB_PASTED_QR,        /* !qr [NAME] [DURATION]: the same as a QR code */
    LB_PASTED_SIGNATURE, /* [NAME] [DURATION] SIGNATURE */
    LB_PASTED_WRONG,     /* meant as one of these, and none */
};

struct lb_pasted {
    int kind;            /* enum lb_pasted_kind */
    char *name;          /* NULL: not said */
    int64_t duration;    /* µs; 0: not said */
    char *signature;     /* SIGNATURE: armoured, as ssh-keygen -Y sign writes it */
    const char *problem; /* WRONG: sentences that say what is the matter */
    bool piece;          /* WRONG: a part of a signature; the next line may be another part */
};

/* Reads a line; `goes_on`: the one before was a piece. -ENOMEM. Clear with lb_pasted_clear. */
int lb_pasted_parse(const char *line, bool goes_on, struct lb_pasted *ret);
void lb_pasted_clear(struct lb_pasted *p);

/* What a signature in one line begins with: base64 of "SSHSIG". */
#define LB_PASTED_MAGIC "U1NIU0lH"

/* The armour of ssh-keygen around a signature's base64 in one line. Owned; NULL: out of memory. */
char *lb_pasted_armour(const char *base64);
