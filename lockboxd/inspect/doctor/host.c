/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "policy/base.h"

#define FILE_MAX_BYTES (1024 * 1024)

static int open_path(const struct lb_host *host, const char *path, int flags)
{
    struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY)) };
    LB_CLOSE int root = -1;
    int fd = -1;

    if (lb_host_is_this(host)) {
        fd = open(path, (int)how.flags);
        return fd < 0 ? -errno : fd;
    }
    root = open(host->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT;
    fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    return fd < 0 ? -errno : fd;
}

static int read_all(int fd, char **ret)
{
    LB_FREE char *text = NULL;
    struct stat st;
    size_t used = 0;
    ssize_t n = 1;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) /* of those only /dev/null, which masks */
        return -EINVAL;
    text = malloc(FILE_MAX_BYTES + 1);
    if (!text)
        return -ENOMEM;
    while (used < FILE_MAX_BYTES && n != 0) {
        n = read(fd, text + used, FILE_MAX_BYTES - used);
        if (n < 0 && errno != EINTR)
            return -errno;
        used += n > 0 ? (size_t)n : 0;
    }
    text[used] = '\0';
    *ret = strdup(text); /* what stands behind a NUL is no text */
    return used == FILE_MAX_BYTES ? -EFBIG : *ret ? 0 : -ENOMEM;
}

int lb_host_read(const struct lb_host *host, const char *path, char **ret)
{
    LB_FREE char *text = NULL;
    LB_CLOSE int fd = open_path(host, path, O_RDONLY);
    int r = fd < 0 ? fd : read_all(fd, &text);

    if (r == 0)
        *ret = LB_TAKE(text);
    return r == -ENOTDIR ? -ENOENT : r;
}

bool lb_host_has(const struct lb_host *host, const char *path)
{
    LB_CLOSE int fd = open_path(host, path, O_PATH);

    return fd >= 0;
}

char *lb_host_link(const struct lb_host *host, const char *path)
{
    LB_CLOSE int fd = open_path(host, path, O_PATH | O_NOFOLLOW);
    char target[4096];
    ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);

    return n < 0 ? NULL : strndup(target, (size_t)n);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void lb_host_sort(char **names)
{
    size_t n = 0;

    while (names && names[n])
        n++;
    if (n > 1)
        qsort(names, n, sizeof(*names), compare);
}

int lb_host_list(const struct lb_host *host, const char *path, char ***ret)
{
    int fd = open_path(host, path, O_RDONLY | O_DIRECTORY);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    char **names = NULL;
    const struct dirent *entry = NULL;
    int r = 0;

    while (directory && r == 0 && (entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            r = lb_strings_append(&names, entry->d_name);
    if (directory)
        closedir(directory);
    if (r < 0) {
        lb_strings_free(names);
        return r;
    }
    lb_host_sort(names);
    *ret = names;
    return 0;
}

int lb_host_glob(const struct lb_host *host, const char *pattern, char ***ret)
{
    const char *base = strrchr(pattern, '/');
    LB_FREE char *directory = base ? strndup(pattern, (size_t)(base - pattern)) : NULL;
    char **names = NULL, **found = NULL;
    int r = directory ? lb_host_list(host, directory, &names) : base ? -ENOMEM : 0;

    for (char **name = names; r == 0 && name && *name; name++) {
        LB_FREE char *path = NULL;
        if (fnmatch(base + 1, *name, FNM_PERIOD) != 0)
            continue;
        r = asprintf(&path, "%s/%s", directory, *name) < 0 ? -ENOMEM : lb_strings_append(&found, path);
    }
    lb_strings_free(names);
    if (r < 0)
        lb_strings_free(found);
    else
        *ret = found;
    return r;
}

char *lb_host_line(char **at)
{
    char *line = *at, *end = NULL;

    if (!line || !*line)
        return NULL;
    end = strchrnul(line, '\n');
    *at = *end ? end + 1 : end;
    *end = '\0';
    return line;
}

/* --- accounts ----------------------------------------------------------------------------------------------------- */

static const struct lb_field account_fields[] = {
    { "name", LB_FIELD_STRING, offsetof(struct lb_account, name) },
    { "home", LB_FIELD_STRING, offsetof(struct lb_account, home) },
    { 0 },
};

static int add_account(struct lb_host *host, const struct passwd *pw)
{
    struct lb_account *account = lb_list_append(&host->accounts, sizeof(*account));

    if (account)
        *account = (struct lb_account){ strdup(pw->pw_name), strdup(pw->pw_dir), pw->pw_uid, pw->pw_gid };
    return account && account->name && account->home ? 0 : -ENOMEM;
}

/* A file of the other host as a stream; NULL where there is none. */
static FILE *open_stream(const struct lb_host *host, const char *path)
{
    int fd = open_path(host, path, O_RDONLY);

    return fd < 0 ? NULL : fdopen(fd, "re");
}

int lb_host_open(const char *root, struct lb_host *ret)
{
    struct lb_host host = { .root = root };
    FILE *file = *root ? open_stream(&host, "/etc/passwd") : NULL;
    const struct passwd *pw = NULL;
    int r = 0;

    if (!*root)
        setpwent();
    while (r == 0 && (pw = !*root ? getpwent() : file ? fgetpwent(file) : NULL))
        r = add_account(&host, pw);
    if (!*root)
        endpwent();
    if (file)
        fclose(file);
    if (r < 0)
        lb_host_close(&host);
    else
        *ret = host;
    return r;
}

void lb_host_close(struct lb_host *host)
{
    struct lb_account *accounts = host->accounts.items;

    for (size_t i = 0; i < host->accounts.n; i++)
        lb_fields_clear(account_fields, &accounts[i]);
    free(accounts);
    host->accounts = (struct lb_list){ 0 };
}

const struct lb_account *lb_host_account(const struct lb_host *host, const char *name)
{
    const struct lb_account *accounts = host->accounts.items;

    for (size_t i = 0; i < host->accounts.n; i++)
        if (strcmp(accounts[i].name, name) == 0)
            return &accounts[i];
    return NULL;
}

static int add_once(char ***list, const char *name)
{
    return lb_strings_contain(*list, name) ? 0 : lb_strings_append(list, name);
}

static int add_of_group(const struct lb_host *host, const struct group *group, char ***ret)
{
    const struct lb_account *accounts = host->accounts.items;
    int r = 0;

    for (char **member = group->gr_mem; r == 0 && *member; member++)
        r = add_once(ret, *member);
    for (size_t i = 0; r == 0 && i < host->accounts.n; i++)
        if (accounts[i].gid == group->gr_gid)
            r = add_once(ret, accounts[i].name);
    return r;
}

int lb_host_add_members(const struct lb_host *host, const char *group, char ***ret)
{
    const struct group *found = NULL;
    FILE *file = NULL;
    int r = 0;

    if (lb_host_is_this(host)) {
        errno = 0;
        found = getgrnam(group);
        return found ? add_of_group(host, found, ret) : -errno;
    }
    file = open_stream(host, "/etc/group");
    while (file && r == 0 && (found = fgetgrent(file)))
        if (strcmp(found->gr_name, group) == 0)
            r = add_of_group(host, found, ret);
    if (file)
        fclose(file);
    return r;
}
