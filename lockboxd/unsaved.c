/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/unsaved.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/chain.h"
#include "policy/base.h"

#define EVENT_MAX (64 * 1024) /* bytes */

static char *path_of(const char *runtime_directory, int64_t number)
{
    char *path;

    return asprintf(&path, "%s/unsaved/%012" PRId64, runtime_directory, number) < 0 ? NULL : path;
}

int lb_unsaved_keep(const char *runtime_directory, int64_t number, const struct lb_event *e)
{
    LB_FREE char *directory = NULL, *path = path_of(runtime_directory, number), *json = NULL;
    struct lb_event numbered = *e; /* its place in the log it gets there */
    char hash[LB_HASH_MAX];
    FILE *f;
    int r;

    numbered.seq = number + 1;
    r = lb_chain_encode(&numbered, LB_CHAIN_GENESIS, &json, hash);
    if (r < 0 || !path || asprintf(&directory, "%s/unsaved", runtime_directory) < 0)
        return r < 0 ? r : -ENOMEM;
    mkdir(directory, 0700);
    f = fopen(path, "we");
    if (!f)
        return -errno;
    fputs(json, f);
    r = ferror(f) ? -EIO : 0;
    return fclose(f) == 0 ? r : -errno;
}

void lb_unsaved_forget(const char *runtime_directory, int64_t number)
{
    LB_FREE char *path = path_of(runtime_directory, number);

    if (path)
        unlink(path);
}

/* One file → event. A file that was cut short by the end of the daemon is none. */
static int load(const char *path, struct lb_event *ret)
{
    LB_FREE char *json = calloc(1, EVENT_MAX + 1);
    FILE *f = json ? fopen(path, "re") : NULL;
    size_t n;

    if (!f)
        return json ? -errno : -ENOMEM;
    n = fread(json, 1, EVENT_MAX, f);
    fclose(f);
    json[n] = '\0';
    return lb_chain_decode(json, ret, NULL);
}

int lb_unsaved_each(const char *runtime_directory, lb_unsaved_row *row, void *userdata)
{
    LB_FREE char *directory = NULL;
    struct dirent **entries = NULL;
    int n, r = 0;

    if (asprintf(&directory, "%s/unsaved", runtime_directory) < 0)
        return -ENOMEM;
    n = scandir(directory, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        int64_t number = strtoll(entries[i]->d_name, NULL, 10);
        LB_FREE char *path = path_of(runtime_directory, number);
        struct lb_event e = { 0 };

        if (r == 0 && entries[i]->d_name[0] != '.' && path && load(path, &e) == 0)
            r = row(userdata, number, &e);
        free(entries[i]);
    }
    free(entries);
    return r;
}
