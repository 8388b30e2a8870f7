/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files in a test's directory; and it is taken away again. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* Owned. */
static inline char *read_text(const char *path)
{
    char *text = calloc(1, 8192);
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

static inline void directory_write(const char *path, const char *name, const char *text)
{
    char file[256];

    snprintf(file, sizeof(file), "%s/%s", path, name);
    write_text(file, text);
}

static inline int directory_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void directory_remove(const char *path)
{
    nftw(path, directory_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
