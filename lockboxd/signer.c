/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/keygen.h"
#include "policy/base.h"

#define REVOKED "revoked_signers"
#define FILE_MAX (1024 * 1024) /* bytes of a file of keys */

struct lb_signer {
    struct lb_child *keygen;
    char *good; /* what it has to say before the key; NULL: it is only asked whose key it is */
    lb_signer_done *done;
    void *userdata;
};

struct lb_signer *lb_signer_free(struct lb_signer *s)
{
    if (!s)
        return NULL;
    lb_child_free(s->keygen);
    free(s->good);
    free(s);
    return NULL;
}

/* --- what it reads ------------------------------------------------------------------------------------------------ */

/* The keys that are good no more stand beside those that are. */
static char *revoked_path(const char *signers)
{
    const char *slash = strrchr(signers, '/');
    char *path;

    return asprintf(&path, "%.*s" REVOKED, slash ? (int)(slash + 1 - signers) : 0, signers) < 0 ? NULL : path;
}

int lb_signer_copy(const char *path)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    LB_FREE char *bytes = NULL;
    struct stat st;
    size_t n = 0;
    ssize_t r = 1;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
        return -EACCES;
    bytes = malloc(FILE_MAX);
    while (bytes && r > 0 && n < FILE_MAX) {
        r = read(fd, bytes + n, FILE_MAX - n);
        n += r > 0 ? (size_t)r : 0;
    }
    return !bytes ? -ENOMEM : r < 0 ? -errno : r > 0 ? -EFBIG : lb_child_file(bytes, n);
}

static int refuse_file(const char *path, int r, char **ret_error)
{
    const char *why = r == -EACCES ? "it has to be a file that root alone can write: chown root, chmod 0644"
                      : r == -ENOENT ? "it names no keys yet: see lockbox.approvers(5)"
                      : r == -EFBIG  ? "it is longer than a megabyte"
                                     : strerror(-r);

    if (asprintf(ret_error, "%s cannot be used: %s", path, why) < 0)
        *ret_error = NULL;
    return r;
}

/* What it is given, all of it open here; negative: not there. */
struct inputs {
    int text, signature, signers, revoked;
};

static void close_inputs(const struct inputs *in)
{
    const int fds[] = { in->text, in->signature, in->signers, in->revoked };

    for (size_t i = 0; i < LB_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int open_inputs(const struct lb_signer_call *call, struct inputs *in, char **ret_error)
{
    LB_FREE char *revoked = revoked_path(call->signers);
    const char *text = call->principal ? call->text : "";

    if (!revoked)
        return -ENOMEM;
    in->signers = lb_signer_copy(call->signers);
    if (in->signers < 0)
        return refuse_file(call->signers, in->signers, ret_error);
    in->revoked = call->principal ? lb_signer_copy(revoked) : -ENOENT;
    if (in->revoked < 0 && in->revoked != -ENOENT)
        return refuse_file(revoked, in->revoked, ret_error);
    in->text = lb_child_file(text, strlen(text));
    in->signature = lb_child_file(call->signature, strlen(call->signature));
    return in->text < 0 ? in->text : in->signature < 0 ? in->signature : 0;
}

/* --- what it says ------------------------------------------------------------------------------------------------- */

/* 'Good "lockbox-consent" signature for bob with ED25519 key SHA256:…' → "ED25519 SHA256:…". Owned; NULL for all else.
 * The name is compared as a whole: who is trusted for a pattern of names may have chosen one that goes on like this. */
static char *read_key(const char *output, const char *good)
{
    size_t n = strlen(good);
    char type[64], print[128], *key;

    if (strncmp(output, good, n) != 0 || sscanf(output + n, "%63s key %127s", type, print) != 2 ||
        strncmp(print, "SHA256:", 7) != 0)
        return NULL;
    return asprintf(&key, "%s %s", type, print) < 0 ? NULL : key;
}

static char *make_good(const struct lb_signer_call *call)
{
    char *good;

    return asprintf(&good, "Good \"%s\" signature for %s with ", call->namespace, call->principal) < 0 ? NULL : good;
}

static void on_done(void *userdata, const char *output, const char *problem)
{
    struct lb_signer *s = userdata;
    LB_FREE char *key = !output ? NULL : s->good ? read_key(output, s->good) : lb_dup(output);

    s->done(s->userdata, key, key ? NULL : problem && *problem ? problem
                                         : "no key of that name made it, or the key is revoked");
}

/* --- its begin ---------------------------------------------------------------------------------------------------- */

static int start(struct lb_signer *s, sd_event *event, const struct inputs *in, const struct lb_signer_call *call)
{
    char signers[32], signature[32], revoked[32];
    const char *const verify[] = { "ssh-keygen", "-Y", "verify", "-n", call->namespace, "-f", signers, "-I",
                                   call->principal, "-s", signature, in->revoked >= 0 ? "-r" : NULL, revoked, NULL };
    const char *const find[] = { "ssh-keygen", "-Y", "find-principals", "-f", signers, "-s", signature, NULL };
    const int kept[] = { in->signers, in->signature, in->revoked };
    const struct lb_child_call keygen = { .argv = call->principal ? verify : find, .in = in->text, .kept = kept,
                                          .n_kept = LB_ELEMENTS(kept), .patience = call->patience };

    snprintf(signers, sizeof(signers), "/proc/self/fd/%d", in->signers);
    snprintf(signature, sizeof(signature), "/proc/self/fd/%d", in->signature);
    snprintf(revoked, sizeof(revoked), "/proc/self/fd/%d", in->revoked);
    return lb_keygen_new(event, &keygen, on_done, s, &s->keygen);
}

int lb_signer_new(sd_event *event, const struct lb_signer_call *call, lb_signer_done *done, void *userdata,
                  struct lb_signer **ret, char **ret_error)
{
    struct inputs in = { -1, -1, -1, -1 };
    struct lb_signer *s = calloc(1, sizeof(*s));
    LB_FREE char *error = NULL;
    int r = -ENOMEM;

    if (!s)
        return r;
    *s = (struct lb_signer){ .good = call->principal ? make_good(call) : NULL, .done = done, .userdata = userdata };
    if (s->good || !call->principal)
        r = open_inputs(call, &in, &error);
    if (r >= 0)
        r = start(s, event, &in, call);
    close_inputs(&in);
    if (r < 0 && !error && asprintf(&error, LB_KEYGEN_PROGRAM " cannot be run: %s", strerror(-r)) < 0)
        error = NULL;
    if (r < 0) {
        lb_signer_free(s);
        *ret_error = LB_TAKE(error);
        return r;
    }
    *ret = s;
    return 0;
}
