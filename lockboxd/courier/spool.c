/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the directory:
 *   position                       "SEQ HASH" of the last event of the last finished batch
 *   000000000001-000000000120.jsonl  a finished batch
 *   7F3K-9QXM.000000000118.wanted  a pack is due, since that event; counts if the position is at it or past it
 *   7F3K-9QXM.tar                  a finished pack
 *   *.tmp                          half made
 */
#include "lockboxd/courier/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define POSITION "position"
#define BATCH "batch.tmp"
#define WANTED ".wanted"
#define PACK ".tar"
#define LINES ".jsonl"

struct lb_spool {
    char *directory;
    int fd;
    int64_t position;
    char hash[LB_HASH_MAX]; /* of the event there */
    FILE *batch;            /* NULL: none is being made */
    int64_t size;
    int64_t first, last;    /* of it; first 0: it is empty */
    char last_hash[LB_HASH_MAX];
    bool checked;           /* the log goes on where the last batch ended */
    char *packing;          /* the name of the wanted pack that is being made */
    char *sending;          /* of the finished one that was to be sent last */
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && strcmp(name + n - k, end) == 0;
}

void lb_spool_drop(struct lb_spool *s)
{
    if (s->batch)
        fclose(s->batch);
    unlinkat(s->fd, BATCH, 0);
    s->batch = NULL;
    s->size = s->first = s->last = 0;
    s->checked = false;
}

/* --- how far it is ------------------------------------------------------------------------------------------------ */

static int read_position(struct lb_spool *s)
{
    char text[128] = "";
    LB_CLOSE int fd = openat(s->fd, POSITION, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    int end = 0;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (n < 0)
        return -errno;
    if (sscanf(text, "%" SCNd64 " %64[0-9a-f]\n%n", &s->position, s->hash, &end) != 2 || end != n)
        return -EBADMSG;
    return s->position > 0 && strlen(s->hash) == LB_HASH_MAX - 1 ? 0 : -EBADMSG;
}

/* The whole of a small file, or nothing of it. */
static int put(struct lb_spool *s, const char *name, const char *text)
{
    size_t n = strlen(text);
    LB_CLOSE int fd = openat(s->fd, "put.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t written = fd < 0 ? -1 : write(fd, text, n);

    if (written < 0 || fsync(fd) < 0)
        return -errno;
    if ((size_t)written < n)
        return -ENOSPC;
    return renameat(s->fd, "put.tmp", s->fd, name) < 0 || fsync(s->fd) < 0 ? -errno : 0;
}

/* Which event a file is from: of a batch the last, of a wanted pack its end. 0: it is another one. */
static int64_t seq_of(const char *name)
{
    const char *before = NULL;

    if (ends_with(name, LINES))
        before = strchr(name, '-');
    else if (ends_with(name, WANTED))
        before = strchr(name, '.');
    return before ? strtoll(before + 1, NULL, 10) : 0;
}

/* Nothing behind the position was sent yet: it is made anew. */
static int clear_up(struct lb_spool *s)
{
    LB_CLOSE int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (!d)
        return -errno;
    fd = -1;
    while ((e = readdir(d)))
        if (ends_with(e->d_name, ".tmp") || seq_of(e->d_name) > s->position)
            unlinkat(s->fd, e->d_name, 0);
    closedir(d);
    return 0;
}

int lb_spool_open(const char *directory, struct lb_spool **ret)
{
    struct lb_spool *s = calloc(1, sizeof(*s));
    int r = -ENOMEM;

    if (!s)
        return r;
    *s = (struct lb_spool){ .directory = strdup(directory), .fd = -1 };
    if (s->directory) {
        r = mkdir(directory, 0700) < 0 && errno != EEXIST ? -errno : 0;
        s->fd = r < 0 ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = r < 0 ? r : s->fd < 0 ? -errno : read_position(s);
    }
    if (r == 0)
        r = clear_up(s);
    if (r < 0) {
        lb_spool_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct lb_spool *lb_spool_close(struct lb_spool *s)
{
    if (!s)
        return NULL;
    if (s->fd >= 0) {
        lb_spool_drop(s);
        close(s->fd);
    }
    free(s->directory);
    free(s->packing);
    free(s->sending);
    free(s);
    return NULL;
}

int64_t lb_spool_position(const struct lb_spool *s)
{
    return s->position;
}

/* --- a batch ------------------------------------------------------------------------------------------------------ */

static int begin_batch(struct lb_spool *s)
{
    LB_CLOSE int fd = openat(s->fd, BATCH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    s->batch = fd < 0 ? NULL : fdopen(fd, "w");
    if (!s->batch)
        return -errno;
    fd = -1;
    return 0;
}

/* The same bytes as of `lockboxctl audit export`. */
static int write_event(struct lb_spool *s, const json_t *event)
{
    LB_FREE char *line = lb_json_canonical(event);
    int r = line ? 0 : -ENOMEM;

    if (r == 0 && !s->batch)
        r = begin_batch(s);
    if (r == 0 && fprintf(s->batch, "%s\n", line) < 0)
        r = -errno;
    s->size += r == 0 ? (int64_t)strlen(line) + 1 : 0;
    return r;
}

static int add(struct lb_spool *s, const json_t *event)
{
    int64_t seq = json_integer_value(json_object_get(event, "seq")), last = lb_spool_last(s);
    const char *hash = json_string_value(json_object_get(event, "hash"));
    int r;

    if (seq <= 0 || !hash || strlen(hash) != LB_HASH_MAX - 1)
        return -EBADMSG;
    if (s->position > 0 && !s->checked) {
        s->checked = seq == s->position && lb_streq(hash, s->hash);
        return s->checked ? 0 : -ESTALE;
    }
    if (seq != last + 1)
        return -EACCES;
    r = write_event(s, event);
    if (r < 0)
        return r;
    s->first = s->first ? s->first : seq;
    s->last = seq;
    memcpy(s->last_hash, hash, LB_HASH_MAX);
    return s->size >= LB_BATCH_MAX;
}

int lb_spool_add(struct lb_spool *s, const json_t *event)
{
    int r = add(s, event);

    if (r < 0)
        lb_spool_drop(s);
    return r;
}

bool lb_spool_has_batch(const struct lb_spool *s)
{
    return s->first > 0;
}

int64_t lb_spool_last(const struct lb_spool *s)
{
    return s->first ? s->last : s->position;
}

static int finish_batch(struct lb_spool *s)
{
    char name[64];
    FILE *batch = LB_TAKE(s->batch);
    bool bad = fflush(batch) != 0 || fsync(fileno(batch)) < 0;
    int r = bad ? -errno : 0;

    fclose(batch);
    snprintf(name, sizeof(name), "%012" PRId64 "-%012" PRId64 LINES, s->first, s->last);
    if (r == 0 && (renameat(s->fd, BATCH, s->fd, name) < 0 || fsync(s->fd) < 0))
        r = -errno;
    return r;
}

int lb_spool_commit(struct lb_spool *s)
{
    char text[128];
    int r = finish_batch(s);

    snprintf(text, sizeof(text), "%" PRId64 " %s\n", s->last, s->last_hash);
    if (r == 0)
        r = put(s, POSITION, text);
    if (r == 0) {
        s->position = s->last;
        memcpy(s->hash, s->last_hash, LB_HASH_MAX);
    }
    lb_spool_drop(s);
    if (r < 0)
        clear_up(s);
    return r;
}

/* --- packs -------------------------------------------------------------------------------------------------------- */

int lb_spool_want_pack(struct lb_spool *s, const char *request)
{
    char name[64];

    snprintf(name, sizeof(name), "%.30s.%012" PRId64 WANTED, request, s->last);
    return put(s, name, "");
}

/* In a round: those behind `after` come before the others. */
static bool is_before(const char *name, const char *other, const char *after)
{
    bool behind = strcmp(name, after) > 0, other_behind = strcmp(other, after) > 0;

    return behind == other_behind ? strcmp(name, other) < 0 : behind;
}

/* The first name behind `after` (NULL: of all) of those that `fits` takes: 1 and *ret, or 0. */
static int first(struct lb_spool *s, bool (*fits)(const struct lb_spool *s, const char *name), const char *after,
                 char **ret, size_t *ret_n)
{
    LB_FREE char *found = NULL;
    LB_CLOSE int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    bool short_of_memory = false;

    if (!d)
        return -errno;
    fd = -1;
    while (!short_of_memory && (e = readdir(d))) {
        if (!fits(s, e->d_name))
            continue;
        ++*ret_n;
        if (found && !is_before(e->d_name, found, after ? after : ""))
            continue;
        free(found);
        found = strdup(e->d_name);
        short_of_memory = !found;
    }
    closedir(d);
    if (short_of_memory)
        return -ENOMEM;
    *ret = LB_TAKE(found);
    return *ret != NULL;
}

static bool is_wanted(const struct lb_spool *s, const char *name)
{
    return ends_with(name, WANTED) && seq_of(name) <= s->position;
}

/* Names begin with a digit of twelve, or with an ID of eight and a dash: sorted by kind, batches in order. */
static bool is_finished(const struct lb_spool *s, const char *name)
{
    return (ends_with(name, LINES) && seq_of(name) <= s->position) || ends_with(name, PACK);
}

static bool is_batch(const struct lb_spool *s, const char *name)
{
    return ends_with(name, LINES) && is_finished(s, name);
}

static bool is_waiting(const struct lb_spool *s, const char *name)
{
    return is_wanted(s, name) || is_finished(s, name);
}

int lb_spool_next_pack(struct lb_spool *s, char **ret_request, char **ret_path)
{
    LB_FREE char *request = NULL, *path = NULL, *last = LB_TAKE(s->packing);
    size_t n = 0;
    int r = first(s, is_wanted, last, &s->packing, &n);

    if (r <= 0)
        return r;
    request = strndup(s->packing, strcspn(s->packing, "."));
    if (asprintf(&path, "%s/pack.tmp", s->directory) < 0)
        path = NULL;
    if (!request || !path)
        return -ENOMEM;
    unlinkat(s->fd, "pack.tmp", 0);
    *ret_request = LB_TAKE(request);
    *ret_path = LB_TAKE(path);
    return 1;
}

static int finish_pack(struct lb_spool *s)
{
    char name[64];
    LB_CLOSE int fd = openat(s->fd, "pack.tmp", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    snprintf(name, sizeof(name), "%.*s" PACK, (int)strcspn(s->packing, "."), s->packing);
    return fd < 0 || fsync(fd) < 0 || renameat(s->fd, "pack.tmp", s->fd, name) < 0 || fsync(s->fd) < 0 ? -errno : 0;
}

int lb_spool_take_pack(struct lb_spool *s)
{
    int r = finish_pack(s);

    return r < 0 ? r : lb_spool_done(s, s->packing);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

int lb_spool_next(struct lb_spool *s, char **ret_name)
{
    size_t n = 0;
    int r = first(s, is_batch, NULL, ret_name, &n);

    if (r != 0)
        return r;
    r = first(s, is_finished, s->sending, ret_name, &n);
    free(s->sending);
    s->sending = r > 0 ? strdup(*ret_name) : NULL;
    return r;
}

FILE *lb_spool_read(struct lb_spool *s, const char *name, int64_t *ret_size)
{
    LB_CLOSE int fd = openat(s->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    FILE *file;

    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    file = fdopen(fd, "r");
    if (file)
        fd = -1;
    *ret_size = st.st_size;
    return file;
}

int lb_spool_done(struct lb_spool *s, const char *name)
{
    return unlinkat(s->fd, name, 0) < 0 || fsync(s->fd) < 0 ? -errno : 0;
}

size_t lb_spool_count(struct lb_spool *s)
{
    LB_FREE char *name = NULL;
    size_t n = 0;

    return first(s, is_waiting, NULL, &name, &n) < 0 ? 0 : n;
}
