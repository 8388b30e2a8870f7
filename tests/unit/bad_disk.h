/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk that fails when it is told to: SQLite's own calls are exchanged by the interface it has for that, and those
 * that sync, which have none there, by others that the linker finds first.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    int error; /* what every change of the disk fails with from now on; 0: none */
    const char *ballast; /* the disk is full as long as this file is there; NULL: it is not */
    long lives; /* after so many changes the process is killed in the middle of the next one; 0: it is not */
    long changes; /* so far */
} bad_disk;

/* Half of the bytes arrive, then the lights go out. */
static int bad_disk_strikes(int fd, const void *bytes, size_t n, off_t at)
{
    bad_disk.changes++;
    if (bad_disk.lives && --bad_disk.lives == 0) {
        if (bytes && n > 1 && syscall(SYS_pwrite64, fd, bytes, n / 2, at) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    return errno = bad_disk.ballast && access(bad_disk.ballast, F_OK) == 0 ? ENOSPC : bad_disk.error;
}

static ssize_t bad_disk_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return bad_disk_strikes(fd, bytes, n, at) ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, bytes, n, at);
}

static int bad_disk_ftruncate(int fd, off_t size)
{
    return bad_disk_strikes(fd, NULL, 0, 0) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

static int bad_disk_unlink(const char *path)
{
    return bad_disk_strikes(-1, NULL, 0, 0) ? -1 : (int)syscall(SYS_unlink, path);
}

/* They need not wait for the real disk: what a killed process has written stays in the kernel. */
int fdatasync(int fd)
{
    return bad_disk_strikes(fd, NULL, 0, 0) ? -1 : 0;
}

int fsync(int fd)
{
    return fdatasync(fd);
}

/* To be called once, before the first database. */
static void bad_disk_install(void)
{
    sqlite3_vfs *vfs;

    sqlite3_initialize();
    vfs = sqlite3_vfs_find(NULL);
    if (vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)bad_disk_pwrite) ||
        vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)bad_disk_ftruncate) ||
        vfs->xSetSystemCall(vfs, "unlink", (sqlite3_syscall_ptr)bad_disk_unlink))
        abort();
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)bad_disk_pwrite); /* where there is such a one */
}
