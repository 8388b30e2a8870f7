/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/scripts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "policy/base.h"

#define FOLDER "scripts"

char *lb_scripts_path(const char *directory, const char *id)
{
    char *path;

    return asprintf(&path, "%s/" FOLDER "/%s", directory, id) < 0 ? NULL : path;
}

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);

        if (done < 0)
            return -errno;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* The folder lets nobody but root in; the unit that runs the script has the file alone bound into its name space. */
static int open_folder(const char *directory)
{
    LB_FREE char *path = NULL;
    int fd;

    if (asprintf(&path, "%s/" FOLDER, directory) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int lb_scripts_put(const char *directory, const char *id, const char *bytes, size_t n)
{
    LB_CLOSE int folder = open_folder(directory), fd = -1;
    int r;

    if (folder < 0)
        return folder;
    fd = openat(folder, id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = write_all(fd, bytes, n);
    if (r == 0 && (fchmod(fd, 0555) < 0 || fsync(fd) < 0 || fsync(folder) < 0))
        r = -errno;
    if (r < 0)
        unlinkat(folder, id, 0);
    return r;
}

void lb_scripts_remove(const char *directory, const char *id)
{
    LB_FREE char *path = lb_scripts_path(directory, id);

    if (path)
        unlink(path);
}

void lb_scripts_sweep(const char *directory, bool (*wanted)(void *userdata, const char *id), void *userdata)
{
    LB_FREE char *path = lb_scripts_path(directory, "");
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !wanted(userdata, entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}
