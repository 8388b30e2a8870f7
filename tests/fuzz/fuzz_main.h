/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* With -DLB_FUZZ_MAIN: a main that gives each file named on the command line to the fuzz target, no fuzzer needed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef LB_FUZZ_MAIN
#include <stdio.h>

int main(int argc, char **argv)
{
    static uint8_t data[1 << 20];

    for (int i = 1; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");

        if (!in) {
            perror(argv[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), in));
        fclose(in);
    }
    return 0;
}
#endif
