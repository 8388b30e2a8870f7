/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/packer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "policy/base.h"
#include "policy/deadline.h"

#define PATIENCE (600 * LB_USEC_PER_SEC)
#define OUTPUT_MAX 1024

struct lb_packer {
    int pidfd, errors; /* negative: none */
    sd_event_source *io, *patience;
    bool late;
    lb_packer_done *done;
    void *userdata;
};

struct lb_packer *lb_packer_free(struct lb_packer *p)
{
    siginfo_t info;

    if (!p)
        return NULL;
    sd_event_source_disable_unref(p->io);
    sd_event_source_disable_unref(p->patience);
    if (p->pidfd >= 0) {
        pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED);
        close(p->pidfd);
    }
    if (p->errors >= 0)
        close(p->errors);
    free(p);
    return NULL;
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_packer *p = userdata;
    char words[OUTPUT_MAX] = "";
    bool good;
    siginfo_t info = { 0 };
    ssize_t n;

    (void)source;
    (void)revents;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return 0;
    p->io = sd_event_source_disable_unref(p->io);
    close(p->pidfd);
    p->pidfd = -1;
    n = pread(p->errors, words, sizeof(words) - 1, 0);
    words[n > 0 ? n : 0] = '\0';
    good = !p->late && info.si_code == CLD_EXITED && info.si_status == 0;
    if (p->late)
        snprintf(words, sizeof(words), "the evidence pack was not made in time");
    else if (!*words)
        snprintf(words, sizeof(words), "no evidence pack was made");
    p->done(p->userdata, good ? NULL : words);
    return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_packer *p = userdata;

    (void)source;
    (void)usec;
    p->late = true;
    pidfd_send_signal(p->pidfd, SIGTERM, NULL, 0); /* it takes away what it has made so far */
    return 0;
}

static int spawn(const struct lb_packer *p, const char *program, const char *request, const char *path, pid_t *ret)
{
    char *argv[] = { (char *)program, (char *)"audit", (char *)"pack", (char *)request, (char *)"-o", (char *)path,
                     NULL };
    char *environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C.UTF-8", NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0) |
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) |
        posix_spawn_file_actions_adddup2(&files, p->errors, STDERR_FILENO);
    r = r ? ENOMEM : posix_spawn(ret, program, &files, &attr, argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return -r;
}

static int start(struct lb_packer *p, sd_event *event, const char *program, const char *request, const char *path)
{
    pid_t pid = 0;
    int r;

    p->errors = memfd_create("errors", MFD_CLOEXEC);
    r = p->errors < 0 ? -errno : spawn(p, program, request, path, &pid);
    if (r < 0)
        return r;
    p->pidfd = pidfd_open(pid, 0);
    if (p->pidfd < 0) { /* nobody would know of its end */
        r = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    r = sd_event_add_io(event, &p->io, p->pidfd, EPOLLIN, on_exit_of, p);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &p->patience, CLOCK_BOOTTIME, PATIENCE, 0, on_patience, p);
    return r;
}

int lb_packer_new(sd_event *event, const char *program, const char *request, const char *path, lb_packer_done *done,
                  void *userdata, struct lb_packer **ret)
{
    struct lb_packer *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return -ENOMEM;
    *p = (struct lb_packer){ .pidfd = -1, .errors = -1, .done = done, .userdata = userdata };
    r = start(p, event, program, request, path);
    if (r < 0) {
        lb_packer_free(p);
        return r;
    }
    *ret = p;
    return 0;
}
