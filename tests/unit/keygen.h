/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and signatures by the real ssh-keygen, and the files that they are in. */
#pragma once

#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include "policy/base.h"

extern char **environ;

static inline void run(const char *first, ...)
{
    char *argv[16] = { (char *)first };
    size_t n = 1;
    int status;
    pid_t pid;
    va_list args;

    va_start(args, first);
    while (n < LB_ELEMENTS(argv) && (argv[n] = va_arg(args, char *)))
        n++;
    va_end(args);
    assert_int_equal(posix_spawnp(&pid, first, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static inline char *read_text(const char *path)
{
    char *text = calloc(1, 8192);
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}
