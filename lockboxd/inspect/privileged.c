/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that give whoever runs them more than he has: setuid, setgid, file capabilities. They may be anywhere, so
 * all local file systems are walked; not those that are not the host's own, and those where such a bit means nothing
 * (nosuid).
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

#define SECONDS_MAX 5   /* for the whole walk: then it is not known */
#define DEPTH_MAX 128   /* each level holds a descriptor */
#define DEVICES_MAX 512

/* No disk of this host's: nothing in there is anybody's to leave behind, or it is another host's. */
static const char *const foreign[] = {
    "9p", "afs", "autofs", "binfmt_misc", "bpf", "ceph", "cgroup", "cgroup2", "cifs", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "glusterfs", "hugetlbfs", "lustre", "mqueue", "ncpfs", "nfs", "nfs4", "nfsd",
    "nsfs", "ocfs2", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "smb3", "smbfs", "sysfs", "tracefs",
    "virtiofs",
};

struct walk {
    struct lb_picture *picture;
    struct { dev_t device; bool looked_at; } devices[DEVICES_MAX];
    size_t n_devices;
    struct timespec until;
    const char *problem;
};

/* --- file systems ------------------------------------------------------------------------------------------------- */

static bool has_option(char *options, const char *name)
{
    char *option;

    while ((option = strsep(&options, ",")))
        if (strcmp(option, name) == 0)
            return true;
    return false;
}

static bool is_foreign(const char *type)
{
    for (size_t i = 0; i < LB_ELEMENTS(foreign); i++)
        if (strcmp(type, foreign[i]) == 0)
            return true;
    return strncmp(type, "fuse", 4) == 0 && strcmp(type, "fuseblk") != 0;
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE …": a device counts if one of its mounts does. */
static void on_mount(void *userdata, char *line)
{
    struct walk *w = userdata;
    unsigned major, minor;
    char options[512], *type = strstr(line, " - ");
    size_t i = 0;
    bool look;

    if (!type || sscanf(line, "%*u %*u %u:%u %*s %*s %511s", &major, &minor, options) != 3)
        return;
    type += 3;
    type[strcspn(type, " ")] = '\0';
    look = !is_foreign(type) && !has_option(options, "nosuid");
    while (i < w->n_devices && w->devices[i].device != makedev(major, minor))
        i++;
    if (i == DEVICES_MAX)
        return; /* walked, as any that is not known */
    w->devices[i].device = makedev(major, minor);
    w->devices[i].looked_at |= look;
    w->n_devices += i == w->n_devices;
}

/* What no mount is known of is part of one (a subvolume). */
static bool is_looked_at(const struct walk *w, dev_t device)
{
    for (size_t i = 0; i < w->n_devices; i++)
        if (w->devices[i].device == device)
            return w->devices[i].looked_at;
    return true;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static const char *const capability_names[] = {
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
};

/* "cap_net_raw, cap_net_admin": those that the file may give. */
static void describe_capabilities(const struct vfs_ns_cap_data *data, char *ret, size_t size)
{
    uint64_t bits = le32toh(data->data[0].permitted) | le32toh(data->data[0].inheritable);
    size_t used = 0;

    bits |= (uint64_t)(le32toh(data->data[1].permitted) | le32toh(data->data[1].inheritable)) << 32;
    *ret = '\0';
    for (size_t i = 0; i < LB_ELEMENTS(capability_names) && used < size; i++)
        if (bits >> i & 1)
            used += (size_t)snprintf(ret + used, size - used, "%scap_%s", used ? ", " : "", capability_names[i]);
}

static void look_at_capabilities(struct walk *w, int directory, const char *entry, const char *path)
{
    struct vfs_ns_cap_data data = { 0 };
    char by_fd[32 + 256], detail[1024], digest[LB_DIGEST_MAX];
    ssize_t n;

    snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d/%s", directory, entry);
    n = lgetxattr(by_fd, "security.capability", &data, sizeof(data));
    if (n <= 0)
        return;
    describe_capabilities(&data, detail, sizeof(detail));
    lb_picture_add(w->picture, "capability", path, detail, lb_picture_digest((const char *)&data, (size_t)n, digest));
}

static void look_at_mode(struct walk *w, int directory, const char *entry, const char *path, const struct stat *st)
{
    bool setuid = st->st_mode & S_ISUID, setgid = st->st_mode & S_ISGID;
    char detail[96], digest[LB_DIGEST_MAX];
    int fd;

    if (!setuid && !setgid)
        return;
    fd = openat(directory, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    snprintf(detail, sizeof(detail), "%s%s%s, mode %04o, uid %u, gid %u", setuid ? "setuid" : "",
             setuid && setgid ? " and " : "", setgid ? "setgid" : "", st->st_mode & 07777, st->st_uid, st->st_gid);
    lb_picture_add(w->picture, "setuid", path, detail, lb_picture_digest_file(fd < 0 ? -errno : fd, detail, digest));
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

static bool is_too_late(struct walk *w)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > w->until.tv_sec || (now.tv_sec == w->until.tv_sec && now.tv_nsec > w->until.tv_nsec))
        w->problem = "there are too many files";
    return w->problem;
}

static void walk(struct walk *w, int fd, const char *path, dev_t device, int depth);

static void look_at(struct walk *w, int directory, const struct dirent *e, const char *path, dev_t device, int depth)
{
    bool may_be_directory = e->d_type == DT_DIR || e->d_type == DT_UNKNOWN;
    LB_FREE char *below = NULL;
    struct stat st;
    int fd;

    if ((e->d_type != DT_REG && !may_be_directory) ||
        fstatat(directory, e->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 ||
        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return;
    if (S_ISDIR(st.st_mode) && st.st_dev != device && !is_looked_at(w, st.st_dev))
        return;
    if (asprintf(&below, "%s/%s", path, e->d_name) < 0) {
        w->picture->error = -ENOMEM;
        return;
    }
    if (S_ISREG(st.st_mode)) {
        look_at_mode(w, directory, e->d_name, below, &st);
        look_at_capabilities(w, directory, e->d_name, below);
        return;
    }
    fd = openat(directory, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        walk(w, fd, below, st.st_dev, depth + 1);
    else if (errno != ENOENT)
        w->problem = strerror(errno);
}

/* Takes the descriptor. */
static void walk(struct walk *w, int fd, const char *path, dev_t device, int depth)
{
    DIR *d = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    struct dirent *e;

    if (!d) {
        w->problem = "there are too many directories in one another";
        close(fd);
        return;
    }
    while (!is_too_late(w) && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            look_at(w, dirfd(d), e, path, device, depth);
    closedir(d);
}

/* Half of a walk says nothing, for it is another half each time. */
void lb_read_privileged(struct lb_picture *p)
{
    static const char *const kinds[] = { "setuid", "capability" };
    struct walk w = { .picture = p };
    LB_FREE char *mounts = NULL;
    struct stat st = { 0 };
    int fd = lb_picture_open_at(p, ".", O_DIRECTORY);

    clock_gettime(CLOCK_MONOTONIC, &w.until);
    w.until.tv_sec += SECONDS_MAX;
    if (lb_picture_read(p, "setuid", "proc/self/mountinfo", &mounts) == 0)
        lb_picture_lines(mounts, on_mount, &w);
    if (fd < 0 || fstat(fd, &st) < 0)
        w.problem = "the root directory cannot be read";
    else
        walk(&w, fd, "", st.st_dev, 0);
    for (size_t i = 0; w.problem && i < LB_ELEMENTS(kinds); i++) {
        json_object_del(p->kinds, kinds[i]);
        lb_picture_unknown(p, kinds[i], w.problem);
    }
}
