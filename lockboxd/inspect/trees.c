/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is configured by being a file in a known place: each file with the digest of what is in it, who may write it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

#define DEPTH_MAX 8
/* Of one tree. One's home is his to fill, and must not keep anybody from looking at the rest. */
#define ENTRIES_MAX 10000
#define BYTES_MAX (64 * 1024 * 1024)

static const struct place {
    const char *kind, *path;
} places[] = {
    { "sudoers", "etc/sudoers" },
    { "sudoers", "etc/sudoers.d" },
    { "pam", "etc/pam.conf" },
    { "pam", "etc/pam.d" },
    { "pam", "etc/security" },
    { "pam", "usr/lib/pam.d" },
    { "sshd", "etc/ssh" },
    { "unit", "etc/init.d" },
    { "unit", "etc/rc.local" },
    { "unit", "etc/systemd" },
    { "unit", "run/systemd/system" },
    { "unit", "run/systemd/system.control" },
    { "unit", "run/systemd/transient" },
    { "unit", "run/systemd/user" },
    { "unit", "usr/lib/systemd/system" },
    { "unit", "usr/lib/systemd/system-generators" },
    { "unit", "usr/lib/systemd/user" },
    { "unit", "usr/lib/systemd/user-generators" },
    { "unit", "usr/local/lib/systemd" },
    { "cron", "etc/anacrontab" },
    { "cron", "etc/cron.allow" },
    { "cron", "etc/cron.d" },
    { "cron", "etc/cron.daily" },
    { "cron", "etc/cron.deny" },
    { "cron", "etc/cron.hourly" },
    { "cron", "etc/cron.monthly" },
    { "cron", "etc/cron.weekly" },
    { "cron", "etc/cron.yearly" },
    { "cron", "etc/crontab" },
    { "cron", "var/spool/cron" },
    { "at", "etc/at.allow" },
    { "at", "etc/at.deny" },
    { "at", "var/spool/at" },
    { "at", "var/spool/cron/atjobs" },
    { "linger", "var/lib/systemd/linger" },
};

/* The same below each home. */
static const struct place home_places[] = {
    { "sshd", ".ssh/environment" },
    { "sshd", ".ssh/rc" },
    { "sshd", ".rhosts" },
    { "sshd", ".shosts" },
    { "user-unit", ".config/systemd" },
    { "user-unit", ".local/share/systemd" },
};

/* Parts of a place that are a place of their own, or say nothing (where at keeps count; where jobs write to). */
static const char *const skipped[] = { "var/spool/cron/atjobs", "var/spool/cron/atspool", "var/spool/cron/atjobs/.SEQ",
                                       "var/spool/at/.SEQ", "var/spool/at/spool" };

struct tree {
    struct lb_picture *picture;
    const struct place *place;
    size_t entries;
    int64_t bytes;
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* --- what is lockbox's own ---------------------------------------------------------------------------------------- */

/* All that the daemon ever says of a transient unit. */
static const char *const our_keys[] = {
    "AccuracySec", "CapabilityBoundingSet", "CollectMode", "Description", "ExecStart", "LockPersonality", "MemoryMax",
    "MemoryDenyWriteExecute", "Nice", "NoNewPrivileges", "OnActiveSec", "OnCalendar", "PrivateNetwork",
    "ProtectClock", "ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
    "ProtectSystem", "ReadWritePaths", "RemainAfterElapse", "RestrictAddressFamilies", "RestrictNamespaces",
    "RestrictRealtime", "SystemCallFilter", "TasksMax", "TimeoutStartSec", "Type", "UMask",
};

static bool is_our_command(const char *value)
{
    static const char *const programs[] = { LB_SBINDIR "/lockboxd", LB_LIBEXECDIR "/lockbox-inspect" };
    const char *command = value + strspn(value, "\"@-");

    for (size_t i = 0; i < LB_ELEMENTS(programs); i++) {
        size_t n = strlen(programs[i]);

        if (strncmp(command, programs[i], n) == 0 && strspn(command + n, "\" ") > 0)
            return true;
    }
    return *value == '\0'; /* what came before is forgotten */
}

static bool is_our_line(char *line)
{
    char *key = strsep(&line, "=");

    if (!line)
        return strchr("[#", *key); /* (or empty) */
    for (size_t i = 0; i < LB_ELEMENTS(our_keys); i++)
        if (strcmp(key, our_keys[i]) == 0)
            return strcmp(key, "ExecStart") != 0 || is_our_command(line);
    return false;
}

/* PID 1's deadlines of accesses, and what makes these pictures: they come and go with accesses. By its name alone
 * anybody's unit would pass; so each line of it must be one of lockbox's. */
static bool is_ours(struct lb_picture *p, const char *path, const char *name)
{
    LB_FREE char *text = NULL;
    char *rest, *line;
    bool ours = true;

    if ((strncmp(name, "lockbox-end-", 12) != 0 && strncmp(name, "lockbox-inspect-", 16) != 0) ||
        lb_picture_read(p, NULL, path, &text) < 0)
        return false;
    for (rest = text; ours && (line = strsep(&rest, "\n"));)
        ours = is_our_line(line);
    return ours;
}

/* Scopes are sessions' and end with them: they start nothing. */
static bool is_skipped(struct lb_picture *p, const char *path, const char *name)
{
    for (size_t i = 0; i < LB_ELEMENTS(skipped); i++)
        if (strcmp(path, skipped[i]) == 0)
            return true;
    if (strncmp(path, "run/systemd/", 12) != 0)
        return false;
    return ends_with(name, ".scope") || ends_with(name, ".scope.d") || is_ours(p, path, name);
}

static void add(struct tree *t, const char *path, const char *detail, const char *digest)
{
    bool unit = ends_with(t->place->kind, "unit");
    LB_FREE char *name = NULL;

    if (asprintf(&name, "/%s", path) < 0) {
        name = NULL;
        t->picture->error = -ENOMEM;
        return;
    }
    lb_picture_add(t->picture, unit && ends_with(path, ".timer") ? "timer" : t->place->kind, name, detail, digest);
}

static void on_link(struct tree *t, int parent, const char *entry, const char *path)
{
    char target[1024], detail[1100], digest[LB_DIGEST_MAX];
    ssize_t n = readlinkat(parent, entry, target, sizeof(target) - 1);

    target[n > 0 ? n : 0] = '\0';
    snprintf(detail, sizeof(detail), "link to %s", target);
    add(t, path, detail, lb_picture_digest_file(lb_picture_open_file(t->picture, path), detail, digest));
}

/* Where there is too much to read, the times of a file stand for what is in it. */
static void on_file(struct tree *t, const char *path, const struct stat *st)
{
    char detail[64], digest[LB_DIGEST_MAX], times[128];

    t->bytes += st->st_size;
    snprintf(detail, sizeof(detail), "mode %04o, uid %u, gid %u", st->st_mode & 07777, st->st_uid, st->st_gid);
    snprintf(times, sizeof(times), "%lld %lld.%09ld %lld.%09ld", (long long)st->st_size, (long long)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    if (t->bytes > BYTES_MAX)
        lb_picture_digest(times, strlen(times), digest);
    else
        lb_picture_digest_file(lb_picture_open_file(t->picture, path), detail, digest);
    add(t, path, detail, digest);
}

static void walk(struct tree *t, int parent, const char *entry, const char *path, int depth);

/* A directory is something by itself only if others than its owner may put something into it. */
static void on_directory(struct tree *t, int fd, const char *path, const struct stat *st, int depth)
{
    DIR *d = fdopendir(fd);
    struct dirent *e;
    char detail[64];

    snprintf(detail, sizeof(detail), "directory, mode %04o, uid %u, gid %u", st->st_mode & 07777, st->st_uid,
             st->st_gid);
    if (st->st_mode & 022)
        add(t, path, detail, "");
    while (d && (e = readdir(d))) {
        LB_FREE char *below = NULL;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (asprintf(&below, "%s/%s", path, e->d_name) < 0)
            t->picture->error = -ENOMEM;
        else if (!is_skipped(t->picture, below, e->d_name))
            walk(t, dirfd(d), e->d_name, below, depth + 1);
    }
    if (d)
        closedir(d);
    else
        close(fd);
}

static void walk(struct tree *t, int parent, const char *entry, const char *path, int depth)
{
    struct stat st;
    int fd;

    if (++t->entries > ENTRIES_MAX || depth > DEPTH_MAX) {
        lb_picture_unknown(t->picture, t->place->kind, "there are too many files");
        return;
    }
    if (fstatat(parent, entry, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return;
    if (S_ISLNK(st.st_mode))
        on_link(t, parent, entry, path);
    else if (!S_ISDIR(st.st_mode))
        on_file(t, path, &st);
    else if ((fd = openat(parent, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0)
        on_directory(t, fd, path, &st, depth);
    else
        lb_picture_unknown(t->picture, t->place->kind, strerror(errno));
}

/* Whatever leads to the place itself is followed, as its reader does; below it, links are what they are. */
static void read_place(struct lb_picture *p, const struct place *place, const char *path)
{
    struct tree tree = { .picture = p, .place = place };
    int fd = lb_picture_open_at(p, path, O_DIRECTORY);
    bool directory = fd >= 0;
    struct stat st = { 0 };

    if (fd == -ENOTDIR)
        fd = lb_picture_open_file(p, path);
    if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
        lb_picture_unknown(p, place->kind, strerror(-fd));
    if (fd < 0)
        return;
    fstat(fd, &st);
    if (directory) {
        on_directory(&tree, fd, path, &st, 0);
        return;
    }
    close(fd);
    on_file(&tree, path, &st);
}

static void on_home(struct lb_picture *p, void *userdata, const char *home, const char *user)
{
    (void)userdata;
    (void)user;
    for (size_t i = 0; i < LB_ELEMENTS(home_places); i++) {
        LB_FREE char *path = NULL;

        if (asprintf(&path, "%s%s%s", home, *home ? "/" : "", home_places[i].path) < 0)
            p->error = -ENOMEM;
        else
            read_place(p, &home_places[i], path);
    }
}

void lb_read_trees(struct lb_picture *p)
{
    for (size_t i = 0; i < LB_ELEMENTS(places); i++)
        read_place(p, &places[i], places[i].path);
    lb_each_home(p, on_home, NULL);
}
