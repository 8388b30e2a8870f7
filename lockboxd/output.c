/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/output.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "policy/base.h"

#define CHUNK (64 * 1024)
#define TURNS_MAX 4096 /* changes between the streams that a watcher may be behind */

const char *const lb_stream_names[] = { [LB_STREAM_OUT] = "stdout", [LB_STREAM_ERR] = "stderr", NULL };

/* The file has both streams as they came; up to where which one wrote is known only as long as a watcher needs it. */
struct turn {
    int64_t end;
    int stream;
};

struct pipe {
    struct lb_output *output;
    int stream;
    sd_event_source *source; /* owns the descriptor; NULL: closed */
};

struct lb_output {
    struct pipe pipes[LB_STREAM_MAX_];
    int fd;
    int64_t size;
    EVP_MD_CTX *hash;
    const char *problem;
    bool owned, told, behind;
    int64_t status;
    char *text;
    struct lb_watcher *watcher;
    int64_t seen;
    struct turn turns[TURNS_MAX]; /* those that are not seen */
    size_t n_turns, first_turn;
};

char *lb_output_path(const char *directory, const char *id)
{
    char *path;

    return asprintf(&path, "%s/recordings/%s.out", directory, id) < 0 ? NULL : path;
}

static void pipe_close(struct pipe *p)
{
    p->source = sd_event_source_disable_unref(p->source);
}

static void output_destroy(struct lb_output *o)
{
    for (int i = 0; i < LB_STREAM_MAX_; i++)
        pipe_close(&o->pipes[i]);
    if (o->fd >= 0)
        close(o->fd);
    EVP_MD_CTX_free(o->hash);
    free(o->text);
    free(o);
}

struct lb_output *lb_output_free(struct lb_output *o)
{
    if (!o)
        return NULL;
    o->owned = false;
    if (!o->watcher)
        output_destroy(o);
    return NULL;
}

/* --- who watches -------------------------------------------------------------------------------------------------- */

void lb_output_watch(struct lb_output *o, struct lb_watcher *w)
{
    w->output = o;
    o->watcher = w;
}

void lb_output_leave(struct lb_watcher *w)
{
    struct lb_output *o = w->output;

    if (!o)
        return;
    w->output = NULL;
    o->watcher = NULL;
    if (!o->owned)
        output_destroy(o);
}

static void tell_more(struct lb_output *o)
{
    if (o->watcher)
        o->watcher->more(o->watcher);
}

/* Notes who wrote up to here. Who is so far behind that this cannot be told any more sees no more of it. */
static void note_turn(struct lb_output *o, int stream)
{
    struct turn *last = o->n_turns > 0 ? &o->turns[(o->first_turn + o->n_turns - 1) % TURNS_MAX] : NULL;

    o->behind |= last && last->stream != stream && o->n_turns == TURNS_MAX;
    if (!o->watcher || o->behind)
        return;
    if (!last || last->stream != stream) {
        last = &o->turns[(o->first_turn + o->n_turns++) % TURNS_MAX];
        last->stream = stream;
    }
    last->end = o->size;
}

ssize_t lb_output_read(struct lb_output *o, void *buf, size_t n, int *ret_stream)
{
    const struct turn *t = &o->turns[o->first_turn];
    ssize_t got;

    if (o->n_turns == 0)
        return 0;
    if ((int64_t)n > t->end - o->seen)
        n = (size_t)(t->end - o->seen);
    got = pread(o->fd, buf, n, o->seen);
    if (got <= 0)
        return got < 0 ? -errno : -EIO;
    *ret_stream = t->stream;
    o->seen += got;
    if (o->seen == t->end) {
        o->first_turn = (o->first_turn + 1) % TURNS_MAX;
        o->n_turns--;
    }
    return got;
}

bool lb_output_is_behind(const struct lb_output *o)
{
    return o->behind;
}

bool lb_output_is_over(const struct lb_output *o, int64_t *ret_status, const char **ret_text)
{
    if (!o->told || o->n_turns > 0)
        return false;
    *ret_status = o->status;
    *ret_text = o->text;
    return true;
}

/* --- what comes in ------------------------------------------------------------------------------------------------ */

/* What does not fit is left out, and said so: the script is not stopped for it. */
static void keep(struct lb_output *o, int stream, const char *bytes, size_t n)
{
    size_t room = (size_t)(LB_OUTPUT_MAX - o->size), part = n < room ? n : room;

    while (part > 0 && !o->problem) {
        ssize_t done = pwrite(o->fd, bytes, part, o->size);

        if (done <= 0) {
            o->problem = done < 0 && errno == ENOSPC ? "the disk is full: not all of the output was kept"
                                                     : "not all of the output could be written to its file";
            return;
        }
        EVP_DigestUpdate(o->hash, bytes, (size_t)done);
        o->size += done;
        bytes += done;
        part -= (size_t)done;
        note_turn(o, stream);
    }
    if (n > room && !o->problem)
        o->problem = "only the first 64 MiB of the output were kept";
}

/* False when there is nothing in it at present, or never again. */
static bool read_pipe(struct pipe *p)
{
    char buf[CHUNK];
    ssize_t n = p->source ? read(sd_event_source_get_io_fd(p->source), buf, sizeof(buf)) : 0;

    if (n > 0) {
        keep(p->output, p->stream, buf, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        pipe_close(p);
    return false;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct pipe *p = userdata;

    (void)source;
    (void)fd;
    (void)revents;
    if (read_pipe(p))
        tell_more(p->output);
    return 0;
}

void lb_output_end(struct lb_output *o)
{
    /* No more than was there: somebody who got away with the pipe must not keep this from ending. */
    for (int i = 0; i < LB_STREAM_MAX_; i++) {
        for (int k = 0; k < 32 && read_pipe(&o->pipes[i]); k++)
            ;
        pipe_close(&o->pipes[i]);
    }
    if (fdatasync(o->fd) < 0 && !o->problem)
        o->problem = "not all of the output could be written to its file";
}

void lb_output_tell(struct lb_output *o, int64_t status, const char *text)
{
    o->told = true;
    o->status = status;
    free(o->text);
    o->text = lb_dup(text);
    tell_more(o);
}

int64_t lb_output_size(const struct lb_output *o)
{
    return o->size;
}

const char *lb_output_problem(const struct lb_output *o)
{
    return o->problem;
}

static void finish_hash(EVP_MD_CTX *hash, char ret[static LB_OUTPUT_DIGEST_MAX])
{
    unsigned char digest[32];

    *ret = '\0';
    if (EVP_DigestFinal_ex(hash, digest, NULL) != 1)
        return;
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

void lb_output_digest(struct lb_output *o, char ret[static LB_OUTPUT_DIGEST_MAX])
{
    finish_hash(o->hash, ret);
}

/* --- the begin ---------------------------------------------------------------------------------------------------- */

static EVP_MD_CTX *hash_new(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1)
        return hash;
    EVP_MD_CTX_free(hash);
    return NULL;
}

static int open_file(const char *directory, const char *id)
{
    LB_FREE char *path = lb_output_path(directory, id);
    char *slash = path ? strrchr(path, '/') : NULL;
    int fd;

    if (!slash)
        return -ENOMEM;
    *slash = '\0';
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    *slash = '/';
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

static int open_pipe(struct lb_output *o, sd_event *event, int stream, int *ret_end)
{
    struct pipe *p = &o->pipes[stream];
    int ends[2], r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0; /* the script's own end blocks, as it expects */
    *p = (struct pipe){ .output = o, .stream = stream };
    if (r == 0)
        r = sd_event_add_io(event, &p->source, ends[0], EPOLLIN, on_readable, p);
    if (r >= 0)
        r = sd_event_source_set_io_fd_own(p->source, 1);
    else
        close(ends[0]);
    *ret_end = ends[1];
    return r;
}

int lb_output_new(sd_event *event, const char *directory, const char *id, int ret_ends[static LB_STREAM_MAX_],
                  struct lb_output **ret)
{
    struct lb_output *o = calloc(1, sizeof(*o));
    int r = -ENOMEM, ends[LB_STREAM_MAX_] = { -1, -1 };

    if (!o)
        return r;
    o->fd = open_file(directory, id);
    o->hash = hash_new();
    if (o->fd < 0 || o->hash)
        r = o->fd < 0 ? o->fd : 0;
    for (int i = 0; i < LB_STREAM_MAX_ && r >= 0; i++)
        r = open_pipe(o, event, i, &ends[i]);
    if (r < 0) {
        for (int i = 0; i < LB_STREAM_MAX_; i++)
            if (ends[i] >= 0)
                close(ends[i]);
        output_destroy(o);
        return r;
    }
    o->owned = true;
    memcpy(ret_ends, ends, sizeof(ends));
    *ret = o;
    return 0;
}

void lb_output_remove(const char *directory, const char *id)
{
    LB_FREE char *path = lb_output_path(directory, id);

    if (path)
        unlink(path);
}

int lb_output_measure(const char *directory, const char *id, int64_t *ret_size, char ret[static LB_OUTPUT_DIGEST_MAX])
{
    LB_FREE char *path = lb_output_path(directory, id);
    LB_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    EVP_MD_CTX *hash = fd < 0 ? NULL : hash_new();
    char buf[CHUNK];
    ssize_t n;

    if (!hash)
        return fd < 0 ? -ENOENT : -ENOMEM;
    *ret_size = 0;
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        EVP_DigestUpdate(hash, buf, (size_t)n);
        *ret_size += n;
    }
    finish_hash(hash, ret);
    EVP_MD_CTX_free(hash);
    return n < 0 ? -EIO : 0;
}
