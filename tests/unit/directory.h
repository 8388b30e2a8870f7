/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a test's directory away again. */
#pragma once

#include <ftw.h>
#include <stdio.h>

static inline int directory_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void directory_remove(const char *path)
{
    nftw(path, directory_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
