/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the benches share: a clock, engineers that nobody has seen before, and a way out. Numbers go to standard output,
 * one a line, in nanoseconds; run.py makes medians of them. */
#pragma once

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define BENCH_KEY_MAX 128

static inline int64_t bench_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static inline void bench_need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench: %s failed\n", what);
    exit(EXIT_FAILURE);
}

/* SSH_AUTH_INFO_0 as sshd would leave it for a key that nobody has seen before. */
static inline void bench_key(char ret[static BENCH_KEY_MAX])
{
    unsigned char blob[51] = "\0\0\0\x0bssh-ed25519\0\0\0\x20";
    int n = snprintf(ret, BENCH_KEY_MAX, "publickey ssh-ed25519 ");

    bench_need(getrandom(blob + 19, 32, 0) == 32, "getrandom");
    EVP_EncodeBlock((unsigned char *)ret + n, blob, sizeof(blob));
}
