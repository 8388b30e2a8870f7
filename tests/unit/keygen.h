/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and signatures by the real ssh-keygen. */
#pragma once

#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include "policy/base.h"
#include "tests/unit/directory.h"

extern char **environ;

static inline void spawn(const char *first, ...)
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

/* A key of this kind in a file; its public half, owned. */
static inline char *make_key(const char *path, const char *kind)
{
    char public[256];

    spawn("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path, NULL);
    snprintf(public, sizeof(public), "%s.pub", path);
    return read_text(public);
}

/* The key's signature over what is in the file; owned. */
static inline char *sign_file(const char *key, const char *namespace, const char *path)
{
    char signature[256];

    snprintf(signature, sizeof(signature), "%s.sig", path);
    unlink(signature);
    spawn("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key, path, NULL);
    return read_text(signature);
}
