/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk in memory under SQLite that remembers every change, so that it can be cut from power after each of them: what
 * was synced is there then, and of what was written since any part may be, sector by sector, in no order.
 *
 * One directory, whose files are the database, its WAL and its rollback journal; one process. A name is durable when
 * the directory was synced, which SQLite does for what it makes, not for the database itself.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/samples.h"

#define SIM_SECTOR 512
#define SIM_INODES 64
#define SIM_NONE (-1)

enum sim_name { SIM_DATABASE, SIM_WAL, SIM_JOURNAL, SIM_NAMES_ };

struct sim_file {
    char *bytes;
    size_t n, room;
};

struct sim_disk {
    struct sim_file inodes[SIM_INODES];
    int n;
    int names[SIM_NAMES_]; /* the inode that has it, or SIM_NONE */
};

struct sim_op {
    enum sim_op_kind { SIM_WRITE, SIM_TRUNCATE, SIM_SYNC, SIM_NAME, SIM_SYNC_DIRECTORY } kind;
    int inode, name; /* of SIM_NAME: what has it from now on */
    int64_t at;      /* where, or how long */
    size_t n;
    char *bytes;
};

/* What was done to a disk, from `base` on. */
struct sim_log {
    struct sim_disk base;
    struct sim_op *ops;
    size_t n, room;
};

/* How far a replay has got: `durable` is what is there for sure. */
struct sim_replay {
    struct sim_disk durable;
    size_t at, synced[SIM_INODES], directory_synced;
};

static struct {
    sqlite3_vfs vfs;
    struct sim_disk disk; /* as the process sees it */
    struct sim_log *log;  /* NULL: nothing is remembered */
    void *shared[32];     /* the WAL's index: memory, which no cut survives */
    int handles;          /* of the database; who has it for himself alone may take the WAL away */
} sim;

/* --- files -------------------------------------------------------------------------------------------------------- */

static void sim_file_resize(struct sim_file *f, size_t n, char filling)
{
    if (n > f->room) {
        f->room = 2 * n;
        f->bytes = realloc(f->bytes, f->room);
        if (!f->bytes)
            abort();
    }
    if (n > f->n)
        memset(f->bytes + f->n, filling, n - f->n);
    f->n = n;
}

static void sim_file_write(struct sim_file *f, int64_t at, const char *bytes, size_t n, char filling)
{
    if (n == 0)
        return;
    if ((size_t)at + n > f->n)
        sim_file_resize(f, (size_t)at + n, filling);
    memcpy(f->bytes + at, bytes, n);
}

static void sim_disk_clear(struct sim_disk *d)
{
    for (int i = 0; i < d->n; i++)
        free(d->inodes[i].bytes);
    *d = (struct sim_disk){ .names = { SIM_NONE, SIM_NONE, SIM_NONE } };
}

static void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from)
{
    sim_disk_clear(to);
    to->n = from->n;
    memcpy(to->names, from->names, sizeof(to->names));
    for (int i = 0; i < from->n; i++)
        sim_file_write(&to->inodes[i], 0, from->inodes[i].bytes, from->inodes[i].n, 0);
}

/* The power is gone: all that is in memory is. */
static void sim_forget_memory(void)
{
    for (size_t i = 0; i < LB_ELEMENTS(sim.shared); i++) {
        free(sim.shared[i]);
        sim.shared[i] = NULL;
    }
}

static void sim_note(struct sim_op op, const void *bytes)
{
    struct sim_log *l = sim.log;

    if (!l)
        return;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 256;
        l->ops = reallocarray(l->ops, l->room, sizeof(*l->ops));
    }
    if (bytes) {
        op.bytes = malloc(op.n);
        memcpy(op.bytes, bytes, op.n);
    }
    l->ops[l->n++] = op;
}

static void sim_log_begin(struct sim_log *l)
{
    *l = (struct sim_log){ .base.names = { SIM_NONE, SIM_NONE, SIM_NONE } };
    sim_disk_copy(&l->base, &sim.disk);
    sim.log = l;
}

static void sim_log_clear(struct sim_log *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->ops[i].bytes);
    free(l->ops);
    sim_disk_clear(&l->base);
}

/* --- cuts --------------------------------------------------------------------------------------------------------- */

static void sim_replay_begin(struct sim_replay *r, const struct sim_log *l)
{
    *r = (struct sim_replay){ .durable.names = { SIM_NONE, SIM_NONE, SIM_NONE } };
    sim_disk_copy(&r->durable, &l->base);
}

static void sim_apply(struct sim_disk *d, const struct sim_op *op)
{
    if (op->kind == SIM_WRITE)
        sim_file_write(&d->inodes[op->inode], op->at, op->bytes, op->n, 0);
    else if (op->kind == SIM_TRUNCATE)
        sim_file_resize(&d->inodes[op->inode], (size_t)op->at, 0);
    else if (op->kind == SIM_NAME)
        d->names[op->name] = op->inode;
}

/* One operation on. */
static void sim_replay_step(struct sim_replay *r, const struct sim_log *l)
{
    const struct sim_op *op = &l->ops[r->at];
    bool directory = op->kind == SIM_SYNC_DIRECTORY;

    if (op->kind == SIM_NAME && op->inode >= r->durable.n)
        r->durable.n = op->inode + 1;
    if (op->kind == SIM_SYNC || directory) {
        size_t *synced = directory ? &r->directory_synced : &r->synced[op->inode];

        for (; *synced < r->at; (*synced)++) {
            const struct sim_op *done = &l->ops[*synced];

            if ((done->kind == SIM_NAME) == directory && (directory || done->inode == op->inode))
                sim_apply(&r->durable, done);
        }
    }
    r->at++;
}

/* What may be left of the operations that were not synced. */
enum sim_fate { SIM_NOTHING, SIM_ALL, SIM_TORN, SIM_ANY };

/* So many chances of this number has each part to be there. */
#define SIM_SURELY 8

static bool sim_chance(int64_t odds, uint64_t *seed)
{
    return odds == SIM_SURELY || sample_below(seed, SIM_SURELY) < odds;
}

/* Of the first n bytes of a write those sectors that chance keeps. */
static void sim_write_some(const struct sim_op *op, size_t n, int64_t odds, char filling, uint64_t *seed)
{
    for (size_t at = 0, part; at < n; at += part) {
        part = SIM_SECTOR - ((size_t)op->at + at) % SIM_SECTOR;
        part = part < n - at ? part : n - at;
        if (sim_chance(odds, seed))
            sim_file_write(&sim.disk.inodes[op->inode], op->at + (int64_t)at, op->bytes + at, part, filling);
    }
}

/* The disk as a cut here leaves it. */
static void sim_cut(const struct sim_replay *r, const struct sim_log *l, enum sim_fate fate, uint64_t *seed)
{
    int64_t odds = fate == SIM_ANY ? 1 + sample_below(seed, SIM_SURELY) : SIM_SURELY;
    char filling = fate == SIM_ANY && sample_below(seed, 2) ? (char)0xa5 : 0;
    bool stuck[SIM_NAMES_] = { 0 };

    sim_forget_memory();
    sim_disk_copy(&sim.disk, &r->durable);
    for (size_t i = 0; fate != SIM_NOTHING && i < r->at; i++) {
        const struct sim_op *op = &l->ops[i];

        if (op->kind == SIM_NAME && i >= r->directory_synced) { /* one name's changes come in order */
            stuck[op->name] |= !sim_chance(odds, seed);
            if (!stuck[op->name])
                sim_apply(&sim.disk, op);
        } else if (op->kind == SIM_TRUNCATE && i >= r->synced[op->inode] && sim_chance(odds, seed))
            sim_apply(&sim.disk, op);
        else if (op->kind == SIM_WRITE && i >= r->synced[op->inode])
            sim_write_some(op, fate == SIM_TORN && i + 1 == r->at ? op->n / 2 : op->n, odds, filling, seed);
    }
}

/* --- for SQLite --------------------------------------------------------------------------------------------------- */

struct sim_handle {
    sqlite3_file file;
    int inode;
    bool fresh;          /* its name has to become durable with it */
    struct sim_file own; /* of a temporary file, which has no inode */
};

static struct sim_file *sim_file_of(sqlite3_file *file)
{
    struct sim_handle *h = (struct sim_handle *)file;

    return h->inode == SIM_NONE ? &h->own : &sim.disk.inodes[h->inode];
}

static bool sim_is_database(const struct sim_handle *h)
{
    return h->inode != SIM_NONE && h->inode == sim.disk.names[SIM_DATABASE];
}

static int sim_close(sqlite3_file *file)
{
    struct sim_handle *h = (struct sim_handle *)file;

    sim.handles -= sim_is_database(h);
    free(h->own.bytes);
    return SQLITE_OK;
}

static int sim_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    const struct sim_file *f = sim_file_of(file);
    size_t there = (size_t)at < f->n ? f->n - (size_t)at : 0;

    there = there < (size_t)n ? there : (size_t)n;
    if (there > 0)
        memcpy(to, f->bytes + at, there);
    memset((char *)to + there, 0, (size_t)n - there);
    return there == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int sim_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    struct sim_handle *h = (struct sim_handle *)file;

    sim_file_write(sim_file_of(file), at, bytes, (size_t)n, 0);
    if (h->inode != SIM_NONE)
        sim_note((struct sim_op){ .kind = SIM_WRITE, .inode = h->inode, .at = at, .n = (size_t)n }, bytes);
    return SQLITE_OK;
}

static int sim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct sim_handle *h = (struct sim_handle *)file;

    sim_file_resize(sim_file_of(file), (size_t)size, 0);
    if (h->inode != SIM_NONE)
        sim_note((struct sim_op){ .kind = SIM_TRUNCATE, .inode = h->inode, .at = size }, NULL);
    return SQLITE_OK;
}

static int sim_sync(sqlite3_file *file, int flags)
{
    struct sim_handle *h = (struct sim_handle *)file;

    (void)flags;
    if (h->inode == SIM_NONE)
        return SQLITE_OK;
    sim_note((struct sim_op){ .kind = SIM_SYNC, .inode = h->inode }, NULL);
    if (h->fresh)
        sim_note((struct sim_op){ .kind = SIM_SYNC_DIRECTORY }, NULL);
    h->fresh = false;
    return SQLITE_OK;
}

static int sim_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)sim_file_of(file)->n;
    return SQLITE_OK;
}

static int sim_lock(sqlite3_file *file, int level)
{
    (void)file;
    return level == SQLITE_LOCK_EXCLUSIVE && sim.handles > 1 ? SQLITE_BUSY : SQLITE_OK;
}

static int sim_reserved(sqlite3_file *file, int *ret)
{
    (void)file;
    *ret = 0;
    return SQLITE_OK;
}

static int sim_control(sqlite3_file *file, int op, void *arg)
{
    (void)file, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int sim_sector(sqlite3_file *file)
{
    (void)file;
    return 4096; /* as SQLite's own says; what tears is smaller */
}

static int sim_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int sim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    (void)file;
    if (page >= (int)LB_ELEMENTS(sim.shared))
        return SQLITE_IOERR_SHMMAP;
    if (!sim.shared[page] && extend)
        sim.shared[page] = calloc(1, (size_t)size);
    *ret = sim.shared[page];
    return SQLITE_OK;
}

static int sim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    (void)file, (void)offset, (void)n, (void)flags;
    return SQLITE_OK;
}

static void sim_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int sim_shm_unmap(sqlite3_file *file, int remove)
{
    (void)file;
    if (remove)
        sim_forget_memory();
    return SQLITE_OK;
}

static int sim_name_of(const char *path)
{
    size_t n = strlen(path);

    return n > 4 && strcmp(path + n - 4, "-wal") == 0           ? SIM_WAL
           : n > 8 && strcmp(path + n - 8, "-journal") == 0 ? SIM_JOURNAL
                                                            : SIM_DATABASE;
}

static void sim_rename(int name, int inode)
{
    sim.disk.names[name] = inode;
    sim_note((struct sim_op){ .kind = SIM_NAME, .name = name, .inode = inode }, NULL);
}

static int sim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
    static const sqlite3_io_methods methods = {
        2, sim_close, sim_read, sim_write, sim_truncate, sim_sync, sim_size, sim_lock, sim_lock, sim_reserved,
        sim_control, sim_sector, sim_characteristics, sim_shm_map, sim_shm_lock, sim_shm_barrier, sim_shm_unmap,
        NULL, NULL,
    };
    struct sim_handle *h = (struct sim_handle *)file;
    int name = path ? sim_name_of(path) : SIM_NONE;

    (void)vfs;
    *h = (struct sim_handle){ .inode = SIM_NONE };
    if (path && sim.disk.names[name] == SIM_NONE) {
        if (!(flags & SQLITE_OPEN_CREATE) || sim.disk.n == SIM_INODES)
            return SQLITE_CANTOPEN;
        sim_rename(name, sim.disk.n++);
        h->fresh = name != SIM_DATABASE;
    }
    if (path)
        h->inode = sim.disk.names[name];
    if (ret_flags)
        *ret_flags = flags;
    sim.handles += sim_is_database(h);
    h->file.pMethods = &methods;
    return SQLITE_OK;
}

static int sim_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    int name = sim_name_of(path);

    (void)vfs;
    if (sim.disk.names[name] == SIM_NONE)
        return SQLITE_IOERR_DELETE_NOENT;
    sim_rename(name, SIM_NONE);
    if (sync)
        sim_note((struct sim_op){ .kind = SIM_SYNC_DIRECTORY }, NULL);
    return SQLITE_OK;
}

static int sim_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    int inode = sim.disk.names[sim_name_of(path)];

    (void)vfs, (void)flags;
    *ret = inode != SIM_NONE && sim.disk.inodes[inode].n > 0;
    return SQLITE_OK;
}

static int sim_full_path(sqlite3_vfs *vfs, const char *path, int size, char *ret)
{
    (void)vfs;
    sqlite3_snprintf(size, ret, "%s", path);
    return SQLITE_OK;
}

/* To be called once; all databases are on it then. */
static void sim_install(void)
{
    sqlite3_initialize();
    sim.vfs = *sqlite3_vfs_find(NULL); /* for its clock and its chance */
    sim.vfs.zName = "sim";
    sim.vfs.szOsFile = sizeof(struct sim_handle);
    sim.vfs.xOpen = sim_open;
    sim.vfs.xDelete = sim_delete;
    sim.vfs.xAccess = sim_access;
    sim.vfs.xFullPathname = sim_full_path;
    if (sqlite3_vfs_register(&sim.vfs, 1) != SQLITE_OK)
        abort();
    sim_disk_clear(&sim.disk);
}
