/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the sub-commands read and write. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/inspect/inspect.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define PICTURE_MAX (64 * 1024 * 1024) /* bytes */

static int write_all(FILE *f, const json_t *value)
{
    LB_FREE char *text = lb_json_canonical(value);
    int r = text ? 0 : -ENOMEM;

    if (text)
        fprintf(f, "%s\n", text);
    if (fflush(f) != 0 || ferror(f))
        r = -EIO;
    return r;
}

int lb_inspect_write(const char *path, const json_t *value)
{
    LB_FREE char *fresh = NULL;
    FILE *f;
    int r;

    if (!path)
        return write_all(stdout, value);
    if (asprintf(&fresh, "%s.new", path) < 0)
        return -ENOMEM;
    f = fopen(fresh, "we");
    if (!f)
        return -errno;
    r = write_all(f, value);
    fclose(f);
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(fresh);
    return r;
}

int lb_inspect_load(const char *path, json_t **ret)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    LB_FREE char *bytes = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size > PICTURE_MAX)
        return -EBADMSG;
    bytes = malloc((size_t)st.st_size + 1);
    if (!bytes)
        return -ENOMEM;
    n = read(fd, bytes, (size_t)st.st_size);
    *ret = n >= 0 ? lb_json_load(bytes, (size_t)n) : NULL;
    return *ret ? 0 : -EBADMSG;
}
