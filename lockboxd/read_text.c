/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/read_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "policy/base.h"

/* A thousand times what a person writes by hand: whatever is larger is no file of ours. */
#define FILE_MAX_BYTES (1024 * 1024)

static bool is_mask(const struct stat *st)
{
    return (S_ISREG(st->st_mode) && st->st_size == 0) ||
           (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3)); /* /dev/null */
}

/* The whole of an open regular file, NUL-terminated. */
static int read_all(int fd, size_t size, char **ret, size_t *ret_size)
{
    LB_FREE char *text = malloc(size + 1);
    size_t used = 0;
    ssize_t n = 1;

    if (!text)
        return -ENOMEM;
    while (used < size && n != 0) {
        n = read(fd, text + used, size - used);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            used += (size_t)n;
    }
    text[used] = '\0';
    *ret = LB_TAKE(text);
    *ret_size = used;
    return 0;
}

int lb_read_text(const char *path, bool must_exist, char **ret, size_t *ret_size, struct lb_ini_errors *errors)
{
    /* Not to block on a FIFO that somebody gave the name. */
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;

    if (r == -ENOENT && !must_exist)
        return 0;
    if (r == 0 && is_mask(&st))
        return 0;
    if (r == 0 && !S_ISREG(st.st_mode))
        return lb_ini_error(errors, path, 0, "is not a regular file"), 0;
    if (r == 0 && st.st_size > FILE_MAX_BYTES)
        return lb_ini_error(errors, path, 0, "is larger than 1 MiB"), 0;
    if (r == 0)
        r = read_all(fd, (size_t)st.st_size, ret, ret_size);
    if (r < 0 && r != -ENOMEM)
        return lb_ini_error(errors, path, 0, "cannot be read: %s", strerrordesc_np(-r)), 0;
    return r < 0 ? r : 1;
}

/* --- settings and their drop-ins ---------------------------------------------------------------------------------- */

static int read_file(const char *path, lb_ini_row *row, void *userdata, struct lb_ini_errors *errors)
{
    LB_FREE char *text = NULL;
    size_t size;
    int r = lb_read_text(path, false, &text, &size, errors);

    return r > 0 ? lb_ini_parse(path, text, size, row, userdata, errors) : r;
}

static int is_conf(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int read_directory(const char *path, lb_ini_row *row, void *userdata, struct lb_ini_errors *errors)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_conf, alphasort), r = 0;

    if (n < 0 && errno != ENOENT)
        lb_ini_error(errors, path, 0, "cannot be read: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        LB_FREE char *name = NULL;

        if (r == 0)
            r = asprintf(&name, "%s/%s", path, entries[i]->d_name) < 0 ? -ENOMEM
                                                                       : read_file(name, row, userdata, errors);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int lb_read_conf(const char *path, lb_ini_row *row, void *userdata, struct lb_ini_errors *errors)
{
    LB_FREE char *directory = NULL;
    int r = asprintf(&directory, "%s.d", path) < 0 ? -ENOMEM : read_file(path, row, userdata, errors);

    return r == 0 ? read_directory(directory, row, userdata, errors) : r;
}
