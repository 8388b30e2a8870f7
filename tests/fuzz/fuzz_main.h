/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * With -DLB_FUZZ_MAIN: a main that needs no fuzzer. It gives each file named on the command line to the fuzz target,
 * and then, with --rounds=N, mixtures of them that are the same every time. The input that it is at stands in the file
 * of
 * --last=FILE, also after a crash.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef LB_FUZZ_MAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_BYTES (1 << 20)
#define FUZZ_MIXED 4096 /* bytes of a mixture */
#define FUZZ_SEEDS 64

struct fuzz_input {
    uint8_t *bytes;
    size_t size;
};

static inline size_t fuzz_random(size_t below)
{
    static uint64_t state = 88172645463325252;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (size_t)(state % below) : 0;
}

/* Where the input stands while it is tried. */
static inline uint8_t *fuzz_last(const char *path)
{
    static uint8_t nowhere[FUZZ_MIXED];
    FILE *f = path ? fopen(path, "w+e") : NULL;
    uint8_t *bytes = f && ftruncate(fileno(f), FUZZ_MIXED) == 0
        ? mmap(NULL, FUZZ_MIXED, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0) : MAP_FAILED;

    if (f)
        fclose(f);
    return bytes == MAP_FAILED ? nowhere : bytes;
}

/* A piece of one put into the other, instead of so much of it or more or less. */
static inline size_t fuzz_splice(uint8_t *bytes, size_t size, const uint8_t *piece, size_t n)
{
    size_t at = fuzz_random(size + 1), gone = fuzz_random(3) ? fuzz_random(n + 1) : fuzz_random(size + 1);

    gone = gone < size - at ? gone : size - at;
    n = n < FUZZ_MIXED - (size - gone) ? n : FUZZ_MIXED - (size - gone);
    memmove(bytes + at + n, bytes + at + gone, size - at - gone);
    memcpy(bytes + at, piece, n);
    return size - gone + n;
}

static inline size_t fuzz_mix(uint8_t *bytes, const struct fuzz_input *seeds, size_t n)
{
    const struct fuzz_input *from = &seeds[fuzz_random(n)];
    size_t size = from->size < FUZZ_MIXED ? from->size : FUZZ_MIXED;

    memcpy(bytes, from->bytes, size);
    for (size_t changes = 1 + fuzz_random(6); changes > 0; changes--) {
        const struct fuzz_input *other = &seeds[fuzz_random(n)];
        size_t at = fuzz_random(other->size), most = other->size - at;
        const uint8_t byte = (uint8_t)fuzz_random(256);

        if (fuzz_random(3))
            size = fuzz_splice(bytes, size, other->bytes + at, fuzz_random(most < 64 ? most + 1 : 64));
        else if (size > 0 && fuzz_random(2))
            bytes[fuzz_random(size)] ^= (uint8_t)(1u << fuzz_random(8));
        else
            size = fuzz_splice(bytes, size, &byte, 1);
    }
    return size;
}

int main(int argc, char **argv)
{
    static struct fuzz_input seeds[FUZZ_SEEDS];
    size_t n = 0, rounds = 0;
    const char *last = NULL;
    uint8_t *bytes;

    for (int i = 1; i < argc; i++) {
        FILE *in;

        if (strncmp(argv[i], "--rounds=", 9) == 0) {
            rounds = strtoul(argv[i] + 9, NULL, 10);
            continue;
        }
        if (strncmp(argv[i], "--last=", 7) == 0) {
            last = argv[i] + 7;
            continue;
        }
        in = n < FUZZ_SEEDS ? fopen(argv[i], "rbe") : NULL;
        if (!in || !(seeds[n].bytes = malloc(FUZZ_BYTES))) {
            perror(argv[i]);
            return 1;
        }
        seeds[n].size = fread(seeds[n].bytes, 1, FUZZ_BYTES, in);
        fclose(in);
        LLVMFuzzerTestOneInput(seeds[n].bytes, seeds[n].size);
        n++;
    }
    bytes = fuzz_last(last);
    if (rounds > 0 && n == 0) {
        fputs("there is nothing to begin with\n", stderr);
        return 1;
    }
    for (size_t i = 0; i < rounds; i++) {
        size_t size = fuzz_mix(bytes, seeds, n);

        memset(bytes + size, 0, FUZZ_MIXED - size);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    while (n > 0)
        free(seeds[--n].bytes);
    return 0;
}
#endif
