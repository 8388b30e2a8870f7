/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/inspect.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lockboxd/chain.h"
#include "policy/base.h"
#include "policy/text.h"

#define NAME_MAX_ 1024              /* bytes of a name that is shown */
#define DETAIL_MAX 512
#define TEXT_MAX (4 * 1024 * 1024)  /* bytes of a file that is read line by line */
#define DIGEST_FILE_MAX (8 * 1024 * 1024)

int lb_picture_open(struct lb_picture *p, const char *root)
{
    *p = (struct lb_picture){ .root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) };
    if (p->root < 0)
        return -errno;
    p->kinds = json_object();
    p->unknown = json_object();
    if (p->kinds && p->unknown)
        return 0;
    lb_picture_clear(p);
    return -ENOMEM;
}

void lb_picture_clear(struct lb_picture *p)
{
    lb_closep(&p->root);
    json_decref(p->kinds);
    json_decref(p->unknown);
    *p = (struct lb_picture){ .root = -1 };
}

void lb_picture_take(struct lb_picture *p)
{
    for (const struct lb_kind *k = lb_inspect_kinds; k->name; k++)
        if (k->read)
            k->read(p);
}

json_t *lb_picture_json(const struct lb_picture *p)
{
    return p->error ? NULL : json_pack("{sisOsO}", "version", 1, "kinds", p->kinds, "unknown", p->unknown);
}

/* --- what there is ------------------------------------------------------------------------------------------------ */

/* Names that look the same once they are safe to show stay two by the digest of what they really are. */
static char *safe_name(const char *name)
{
    char *clean = lb_text_clean(name, NAME_MAX_), *distinct, digest[LB_DIGEST_MAX];

    if (!clean || lb_streq(clean, name))
        return clean;
    if (asprintf(&distinct, "%s #%.8s", clean, lb_picture_digest(name, strlen(name), digest)) < 0)
        distinct = NULL;
    free(clean);
    return distinct;
}

static json_t *pair(const json_t *there, const char *detail, const char *digest)
{
    const char *text = json_string_value(json_array_get(there, 0)), *old = json_string_value(json_array_get(there, 1));
    LB_FREE char *all = NULL, *both = NULL, *clean = NULL;
    char combined[LB_DIGEST_MAX];

    if (there && asprintf(&all, "%s; %s", text, detail) < 0)
        all = NULL;
    if (there && asprintf(&both, "%s %s %s", old, digest, detail) < 0)
        both = NULL;
    if (there && (!all || !both))
        return NULL;
    clean = lb_text_clean(there ? all : detail, DETAIL_MAX);
    return clean ? json_pack("[ss]", clean, there ? lb_picture_digest(both, strlen(both), combined) : digest) : NULL;
}

void lb_picture_add(struct lb_picture *p, const char *kind, const char *name, const char *detail, const char *digest)
{
    json_t *of_kind = json_object_get(p->kinds, kind);
    LB_FREE char *key = safe_name(name);

    if (!of_kind && json_object_set_new(p->kinds, kind, json_object()) == 0)
        of_kind = json_object_get(p->kinds, kind);
    if (!of_kind || !key || json_object_set_new(of_kind, key, pair(json_object_get(of_kind, key), detail, digest)) < 0)
        p->error = -ENOMEM;
}

void lb_picture_unknown(struct lb_picture *p, const char *kind, const char *why)
{
    LB_FREE char *clean = lb_text_clean(why, DETAIL_MAX);

    if (!clean || json_object_set_new(p->unknown, kind, json_string(clean)) < 0)
        p->error = -ENOMEM;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

int lb_picture_open_at(const struct lb_picture *p, const char *path, int flags)
{
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (unsigned)flags,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    int fd = (int)syscall(SYS_openat2, p->root, path, &how, sizeof(how));

    return fd < 0 ? -errno : fd;
}

int lb_picture_open_file(const struct lb_picture *p, const char *path)
{
    int fd = lb_picture_open_at(p, path, 0);
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return -EINVAL;
}

/* To the end; -EFBIG if that is more than `max` bytes. */
static int read_all(int fd, size_t max, char **ret, size_t *ret_size)
{
    LB_FREE char *text = NULL;
    size_t size = 0, room = 0;
    ssize_t n;

    do {
        char *grown = size + 1 < room ? text : realloc(text, room = room ? 2 * room : 4096);

        if (!grown)
            return -ENOMEM;
        text = grown;
        n = read(fd, text + size, room - size - 1);
        if (n < 0)
            return -errno;
        size += (size_t)n;
    } while (n > 0 && size <= max);
    if (size > max)
        return -EFBIG;
    text[size] = '\0';
    *ret = LB_TAKE(text);
    *ret_size = size;
    return 0;
}

int lb_picture_read(struct lb_picture *p, const char *kind, const char *path, char **ret)
{
    LB_CLOSE int fd = lb_picture_open_file(p, path);
    LB_FREE char *why = NULL;
    size_t size;
    int r = fd < 0 ? fd : read_all(fd, TEXT_MAX, ret, &size);

    if (r == 0 || r == -ENOENT || r == -ENOTDIR)
        return r == -ENOTDIR ? -ENOENT : r;
    if (!kind)
        return r;
    if (asprintf(&why, "/%s: %s", path, strerror(-r)) < 0)
        why = NULL;
    lb_picture_unknown(p, kind, why ? why : "");
    return r;
}

void lb_picture_lines(char *text, void (*row)(void *userdata, char *line), void *userdata)
{
    char *line;

    while ((line = strsep(&text, "\n"))) {
        char *end = line + strlen(line);

        while (end > line && isspace((unsigned char)end[-1]))
            *--end = '\0';
        line += strspn(line, " \t");
        if (*line && *line != '#')
            row(userdata, line);
    }
}

/* --- digests ------------------------------------------------------------------------------------------------------ */

/* Half of a SHA-256: enough for what is never looked up. */
const char *lb_picture_digest(const char *bytes, size_t size, char ret[static LB_DIGEST_MAX])
{
    char whole[LB_HASH_MAX];

    if (lb_chain_hash(bytes, size, whole) < 0)
        abort(); /* out of memory; the unit fails, and that is told */
    memcpy(ret, whole, LB_DIGEST_MAX - 1);
    ret[LB_DIGEST_MAX - 1] = '\0';
    return ret;
}

const char *lb_picture_digest_file(int fd, const char *more, char ret[static LB_DIGEST_MAX])
{
    LB_CLOSE int owned = fd;
    LB_FREE char *bytes = NULL, *summary = NULL;
    char contents[LB_DIGEST_MAX] = "";
    struct stat st = { 0 };
    size_t size = 0;
    int r = fd < 0 ? fd : read_all(fd, DIGEST_FILE_MAX, &bytes, &size);

    if (r == 0)
        lb_picture_digest(bytes, size, contents);
    if (r == -EFBIG)
        fstat(fd, &st);
    if (asprintf(&summary, "%d %s %lld %lld.%09ld %s", r, contents, (long long)st.st_size, (long long)st.st_ctim.tv_sec,
                 st.st_ctim.tv_nsec, more) < 0)
        abort();
    return lb_picture_digest(summary, strlen(summary), ret);
}
