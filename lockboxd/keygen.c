/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/keygen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "policy/base.h"
#include "policy/deadline.h"

#define PATIENCE (10 * LB_USEC_PER_SEC)
#define WORDS_MAX 24

struct lb_keygen {
    sd_event_source *io, *patience;
    int pidfd, output, errors;
    bool late;
    lb_keygen_done *done;
    void *userdata;
};

struct lb_keygen *lb_keygen_free(struct lb_keygen *k)
{
    if (!k)
        return NULL;
    sd_event_source_disable_unref(k->io);
    sd_event_source_disable_unref(k->patience);
    if (k->pidfd >= 0) { /* it is not reaped yet */
        pidfd_send_signal(k->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)k->pidfd, &(siginfo_t){ 0 }, WEXITED);
        close(k->pidfd);
    }
    if (k->output >= 0)
        close(k->output);
    if (k->errors >= 0)
        close(k->errors);
    free(k);
    return NULL;
}

int lb_keygen_file(const char *bytes, size_t n)
{
    int fd = memfd_create("lockbox-keygen", MFD_CLOEXEC);
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

/* --- its end ------------------------------------------------------------------------------------------------------ */

static void read_output(int fd, char buf[static LB_KEYGEN_OUTPUT_MAX])
{
    ssize_t n = pread(fd, buf, LB_KEYGEN_OUTPUT_MAX - 1, 0);

    buf[n > 0 ? n : 0] = '\0';
}

/* What it complains of, without the names of our copies. */
static const char *problem_of(const struct lb_keygen *k, char buf[static LB_KEYGEN_OUTPUT_MAX])
{
    const char *colon;

    if (k->late)
        return "ssh-keygen did not answer in time";
    read_output(k->errors, buf);
    buf[strcspn(buf, "\n")] = '\0';
    colon = strncmp(buf, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0 ? strstr(buf, ": ") : NULL;
    return colon ? colon + 2 : buf;
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_keygen *k = userdata;
    char text[LB_KEYGEN_OUTPUT_MAX];
    siginfo_t info = { 0 };

    (void)source;
    (void)revents;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return 0;
    close(k->pidfd);
    k->pidfd = -1;
    k->io = sd_event_source_disable_unref(k->io);
    k->patience = sd_event_source_disable_unref(k->patience);
    if (!k->late && info.si_code == CLD_EXITED && info.si_status == 0) {
        read_output(k->output, text);
        k->done(k->userdata, text, NULL);
    } else {
        k->done(k->userdata, NULL, problem_of(k, text));
    }
    return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_keygen *k = userdata;

    (void)source;
    (void)usec;
    k->late = true;
    pidfd_send_signal(k->pidfd, SIGKILL, NULL, 0);
    return 0;
}

/* --- its begin ---------------------------------------------------------------------------------------------------- */

static int prepare_files(const struct lb_keygen *k, const struct lb_keygen_call *call,
                         posix_spawn_file_actions_t *files)
{
    int r = call->in >= 0 ? posix_spawn_file_actions_adddup2(files, call->in, STDIN_FILENO)
                          : posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    r |= posix_spawn_file_actions_adddup2(files, k->output, STDOUT_FILENO) |
         posix_spawn_file_actions_adddup2(files, k->errors, STDERR_FILENO);
    for (size_t i = 0; i < call->n_kept; i++) /* onto itself: it stays open there */
        r |= call->kept[i] >= 0 ? posix_spawn_file_actions_adddup2(files, call->kept[i], call->kept[i]) : 0;
    return r ? -ENOMEM : 0;
}

/* It inherits nothing but what is named here. */
static int spawn(const struct lb_keygen *k, const struct lb_keygen_call *call, pid_t *ret)
{
    const char *argv[WORDS_MAX + 2] = { "ssh-keygen" };
    char *environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C", NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int r;

    for (size_t i = 0; call->words[i]; i++) {
        if (i == WORDS_MAX)
            return -E2BIG;
        argv[i + 1] = call->words[i];
    }
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    r = prepare_files(k, call, &files);
    if (r == 0)
        r = -posix_spawn(ret, LB_KEYGEN_PROGRAM, &files, &attr, (char *const *)argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int start(struct lb_keygen *k, sd_event *event, const struct lb_keygen_call *call)
{
    uint64_t patience = (uint64_t)(call->patience ? call->patience : PATIENCE);
    pid_t pid = 0;
    int r;

    k->output = lb_keygen_file("", 0);
    k->errors = lb_keygen_file("", 0);
    r = k->output < 0 ? k->output : k->errors < 0 ? k->errors : spawn(k, call, &pid);
    if (r < 0)
        return r;
    k->pidfd = pidfd_open(pid, 0);
    if (k->pidfd < 0) { /* nobody would know of its end */
        r = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    r = sd_event_add_io(event, &k->io, k->pidfd, EPOLLIN, on_exit_of, k);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &k->patience, CLOCK_BOOTTIME, patience, 0, on_patience, k);
    return r;
}

int lb_keygen_new(sd_event *event, const struct lb_keygen_call *call, lb_keygen_done *done, void *userdata,
                  struct lb_keygen **ret)
{
    struct lb_keygen *k = calloc(1, sizeof(*k));
    int r;

    if (!k)
        return -ENOMEM;
    *k = (struct lb_keygen){ .pidfd = -1, .output = -1, .errors = -1, .done = done, .userdata = userdata };
    r = start(k, event, call);
    if (r < 0) {
        lb_keygen_free(k);
        return r;
    }
    *ret = k;
    return 0;
}
