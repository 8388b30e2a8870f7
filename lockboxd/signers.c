/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/signers.h"

#include <fnmatch.h>
#include <stdio.h>

#include "lockboxd/signer.h"
#include "policy/base.h"

#define NAME_MAX_BYTES 256

/* A list of patterns with commas; one with a ! takes out what the others let in. */
static bool means(const char *list, size_t n, const char *name)
{
    bool found = false;
    char pattern[NAME_MAX_BYTES + 2];

    for (size_t i = 0, size; i < n; i += size + 1) {
        size = strcspn(list + i, ",");
        size = size > n - i ? n - i : size;
        if (size >= sizeof(pattern))
            continue;
        memcpy(pattern, list + i, size);
        pattern[size] = '\0';
        if (*pattern == '!' && fnmatch(pattern + 1, name, 0) == 0)
            return false;
        found = found || fnmatch(pattern, name, 0) == 0;
    }
    return found;
}

bool lb_signers_mean(const char *principals, const char *name)
{
    for (size_t n; *principals; principals += n + (principals[n] != '\0')) {
        n = strcspn(principals, "\n");
        if (means(principals, n, name))
            return true;
    }
    return false;
}

/* The first field of a line, which may stand in quotes. */
static void copy_principals(const char *line, FILE *to)
{
    line += strspn(line, " \t");
    if (*line == '"')
        fprintf(to, "%.*s\n", (int)strcspn(line + 1, "\"\n"), line + 1);
    else if (*line && *line != '#' && *line != '\n')
        fprintf(to, "%.*s\n", (int)strcspn(line, " \t\n"), line);
}

char *lb_signers_read(const char *path)
{
    LB_FREE char *text = NULL, *line = NULL;
    size_t size, room = 0;
    int fd = path ? lb_signer_copy(path) : -1;
    FILE *from = fd >= 0 ? fdopen(fd, "r") : NULL, *to = from ? open_memstream(&text, &size) : NULL;

    if (fd >= 0 && !from)
        close(fd);
    while (to && getline(&line, &room, from) >= 0)
        copy_principals(line, to);
    if (from)
        fclose(from);
    return to && fclose(to) == 0 ? LB_TAKE(text) : NULL;
}
