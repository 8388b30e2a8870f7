/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "policy/base.h"
#include "policy/deadline.h"

#define PROGRAM "/usr/bin/ssh-keygen"
#define PATIENCE (10 * LB_USEC_PER_SEC)
#define FILE_MAX (1024 * 1024) /* bytes of a file of keys */
#define OUTPUT_MAX 1024

struct lb_signer {
    sd_event_source *io, *patience;
    int pidfd, output, errors;
    bool late, finding;
    lb_signer_done *done;
    void *userdata;
};

struct lb_signer *lb_signer_free(struct lb_signer *s)
{
    if (!s)
        return NULL;
    sd_event_source_disable_unref(s->io);
    sd_event_source_disable_unref(s->patience);
    if (s->pidfd >= 0) { /* it is not reaped yet */
        pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)s->pidfd, &(siginfo_t){ 0 }, WEXITED);
        close(s->pidfd);
    }
    if (s->output >= 0)
        close(s->output);
    if (s->errors >= 0)
        close(s->errors);
    free(s);
    return NULL;
}

/* --- what it reads ------------------------------------------------------------------------------------------------ */

static int memory_file(const char *bytes, size_t n)
{
    int fd = memfd_create("lockbox-consent", MFD_CLOEXEC);
    ssize_t r = 0;

    if (fd < 0)
        return -errno;
    for (size_t done = 0; r >= 0 && done < n; done += (size_t)r)
        r = write(fd, bytes + done, n - done);
    if (r >= 0 && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -EIO;
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
    return !bytes ? -ENOMEM : r < 0 ? -errno : r > 0 ? -EFBIG : memory_file(bytes, n);
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

/* --- its end ------------------------------------------------------------------------------------------------------ */

static void read_output(int fd, char buf[static OUTPUT_MAX], const char *end)
{
    ssize_t n = pread(fd, buf, OUTPUT_MAX - 1, 0);

    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, end)] = '\0';
}

/* 'Good "lockbox-consent" signature for bob with ED25519 key SHA256:…' → "ED25519 SHA256:…"; false for all else. */
static bool read_key(const char *line, char key[static OUTPUT_MAX])
{
    char type[64], print[128];
    const char *with = strstr(line, " with ");

    if (strncmp(line, "Good \"" LB_SIGNER_NAMESPACE "\" signature for ", strlen("Good \"\" signature for ") +
                strlen(LB_SIGNER_NAMESPACE)) != 0 ||
        !with || sscanf(with, " with %63s key %127s", type, print) != 2 || strncmp(print, "SHA256:", 7) != 0)
        return false;
    snprintf(key, OUTPUT_MAX, "%s %s", type, print);
    return true;
}

/* What it found, verified or whose it is. */
static bool read_result(const struct lb_signer *s, char result[static OUTPUT_MAX])
{
    char line[OUTPUT_MAX];

    if (!s->finding) {
        read_output(s->output, line, "\n");
        return read_key(line, result);
    }
    read_output(s->output, result, "");
    return *result;
}

/* What ssh-keygen says, without the names of our copies. */
static const char *reason_of(const struct lb_signer *s, char buf[static OUTPUT_MAX])
{
    const char *colon;

    if (s->late)
        return "ssh-keygen did not answer in time";
    read_output(s->errors, buf, "\n");
    colon = strncmp(buf, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0 ? strstr(buf, ": ") : NULL;
    return colon ? colon + 2 : *buf ? buf : "no key of that name made it, or the key is revoked";
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_signer *s = userdata;
    char text[OUTPUT_MAX];
    siginfo_t info = { 0 };

    (void)source;
    (void)revents;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return 0;
    close(s->pidfd);
    s->pidfd = -1;
    s->io = sd_event_source_disable_unref(s->io);
    s->patience = sd_event_source_disable_unref(s->patience);
    if (!s->late && info.si_code == CLD_EXITED && info.si_status == 0 && read_result(s, text))
        s->done(s->userdata, text, NULL);
    else
        s->done(s->userdata, NULL, reason_of(s, text));
    return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_signer *s = userdata;

    (void)source;
    (void)usec;
    s->late = true;
    pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
    return 0;
}

/* --- its begin ---------------------------------------------------------------------------------------------------- */

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
    in->signers = lb_signer_copy(call->signers);
    if (in->signers < 0)
        return refuse_file(call->signers, in->signers, ret_error);
    in->revoked = call->principal ? lb_signer_copy(call->revoked) : -ENOENT;
    if (in->revoked < 0 && in->revoked != -ENOENT)
        return refuse_file(call->revoked, in->revoked, ret_error);
    in->text = call->principal ? memory_file(call->text, strlen(call->text)) : memory_file("", 0);
    in->signature = memory_file(call->signature, strlen(call->signature));
    return in->text < 0 ? in->text : in->signature < 0 ? in->signature : 0;
}

/* It inherits nothing but what is named here. */
static int spawn(struct lb_signer *s, const struct inputs *in, const char *principal, pid_t *ret)
{
    char signers[32], signature[32], revoked[32];
    char *verify[] = { (char *)"ssh-keygen", (char *)"-Y", (char *)"verify", (char *)"-n", (char *)LB_SIGNER_NAMESPACE,
                       (char *)"-f", signers, (char *)"-I", (char *)principal, (char *)"-s", signature,
                       in->revoked >= 0 ? (char *)"-r" : NULL, revoked, NULL };
    char *find[] = { verify[0], verify[1], (char *)"find-principals", (char *)"-f", signers, (char *)"-s", signature,
                     NULL };
    char *environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C", NULL };
    const int kept[] = { in->signers, in->signature, in->revoked };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int r;

    snprintf(signers, sizeof(signers), "/proc/self/fd/%d", in->signers);
    snprintf(signature, sizeof(signature), "/proc/self/fd/%d", in->signature);
    snprintf(revoked, sizeof(revoked), "/proc/self/fd/%d", in->revoked);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    r = posix_spawn_file_actions_adddup2(&files, in->text, STDIN_FILENO) |
        posix_spawn_file_actions_adddup2(&files, s->output, STDOUT_FILENO) |
        posix_spawn_file_actions_adddup2(&files, s->errors, STDERR_FILENO);
    for (size_t i = 0; i < LB_ELEMENTS(kept); i++) /* onto itself: it stays open there */
        r |= kept[i] >= 0 ? posix_spawn_file_actions_adddup2(&files, kept[i], kept[i]) : 0;
    r = r ? ENOMEM : posix_spawn(ret, PROGRAM, &files, &attr, principal ? verify : find, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return -r;
}

static int start(struct lb_signer *s, sd_event *event, const struct inputs *in, const struct lb_signer_call *call)
{
    uint64_t patience = (uint64_t)(call->patience ? call->patience : PATIENCE);
    pid_t pid = 0;
    int r;

    s->output = memory_file("", 0);
    s->errors = memory_file("", 0);
    r = s->output < 0 ? s->output : s->errors < 0 ? s->errors : spawn(s, in, call->principal, &pid);
    if (r < 0)
        return r;
    s->pidfd = pidfd_open(pid, 0);
    if (s->pidfd < 0) { /* nobody would know of its end */
        r = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    r = sd_event_add_io(event, &s->io, s->pidfd, EPOLLIN, on_exit_of, s);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &s->patience, CLOCK_BOOTTIME, patience, 0, on_patience, s);
    return r;
}

int lb_signer_new(sd_event *event, const struct lb_signer_call *call, lb_signer_done *done, void *userdata,
                  struct lb_signer **ret, char **ret_error)
{
    struct inputs in = { -1, -1, -1, -1 };
    struct lb_signer *s = calloc(1, sizeof(*s));
    LB_FREE char *error = NULL;
    int r;

    if (!s)
        return -ENOMEM;
    *s = (struct lb_signer){ .pidfd = -1, .output = -1, .errors = -1, .finding = !call->principal,
                              .done = done, .userdata = userdata };
    r = open_inputs(call, &in, &error);
    if (r >= 0)
        r = start(s, event, &in, call);
    close_inputs(&in);
    if (r < 0 && !error && asprintf(&error, PROGRAM " cannot be run: %s", strerror(-r)) < 0)
        error = NULL;
    if (r < 0) {
        lb_signer_free(s);
        *ret_error = LB_TAKE(error);
        return r;
    }
    *ret = s;
    return 0;
}
