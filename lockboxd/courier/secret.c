/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secrets: in files that others cannot read, or in systemd's credentials. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/courier/config.h"
#include "policy/base.h"

#define SECRET_MAX (16 * 1024) /* a key in PEM may be long */

static int say(char **ret_error, int error, const char *path, const char *what)
{
    if (asprintf(ret_error, "%s: %s", path, what) < 0)
        *ret_error = NULL;
    return error;
}

/* Where systemd has put a credential of ours. */
static char *path_of(const char *name)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char *path = NULL;

    if (*name == '/')
        return strdup(name);
    return asprintf(&path, "%s/%s", directory ? directory : "/run/credentials/lockbox-courier.service", name) < 0 ? NULL
                                                                                                                 : path;
}

int lb_secret_read(const char *name, char **ret, char **ret_error)
{
    /* the name of a credential may be the secret itself, by somebody's mistake: it is not repeated */
    const char *shown = *name == '/' ? name : "the systemd credential that is named for it";
    LB_FREE char *path = path_of(name);
    LB_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    char text[SECRET_MAX + 1];
    struct stat st;
    ssize_t n;

    if (!path)
        return -ENOMEM;
    if (fd < 0 || fstat(fd, &st) < 0)
        return say(ret_error, errno == ENOENT ? -ENOENT : -EACCES, shown,
                   errno == EACCES ? "the courier cannot read this secret: chown lockbox-courier it"
                                   : strerrordesc_np(errno));
    if (!S_ISREG(st.st_mode) || st.st_mode & S_IRWXO)
        return say(ret_error, -EACCES, shown, "others can read this secret: chmod o= it");
    n = read(fd, text, sizeof(text));
    if (n < 0 || n > SECRET_MAX)
        return say(ret_error, -EACCES, shown, n < 0 ? strerrordesc_np(errno) : "is no secret: longer than 16 KiB");
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = '\0';
    if (n == 0 || strlen(text) != (size_t)n)
        return say(ret_error, -EACCES, shown, n ? "has NUL bytes in it" : "is empty");
    *ret = strdup(text);
    explicit_bzero(text, sizeof(text));
    return *ret ? 0 : -ENOMEM;
}
