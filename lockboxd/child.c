/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/child.h"

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

struct lb_child {
    sd_event_source *io, *patience;
    int pidfd, output, errors;
    int signal; /* at the end of its time */
    bool late;
    const char *late_problem;
    const char *(*problem)(char *complaint);
    lb_child_done *done;
    void *userdata;
};

struct lb_child *lb_child_free(struct lb_child *c)
{
    if (!c)
        return NULL;
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->patience);
    if (c->pidfd >= 0) { /* it is not reaped yet */
        pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
        waitid(P_PIDFD, (id_t)c->pidfd, &(siginfo_t){ 0 }, WEXITED);
        close(c->pidfd);
    }
    if (c->output >= 0)
        close(c->output);
    if (c->errors >= 0)
        close(c->errors);
    free(c);
    return NULL;
}

int lb_child_file(const char *bytes, size_t n)
{
    int fd = memfd_create("lockbox-child", MFD_CLOEXEC);
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

static char *read_file(int fd, char buf[static LB_CHILD_OUTPUT_MAX])
{
    ssize_t n = pread(fd, buf, LB_CHILD_OUTPUT_MAX - 1, 0);

    buf[n > 0 ? n : 0] = '\0';
    return buf;
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_child *c = userdata;
    char text[LB_CHILD_OUTPUT_MAX];
    siginfo_t info = { 0 };

    (void)source;
    (void)revents;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return 0;
    close(c->pidfd);
    c->pidfd = -1;
    c->io = sd_event_source_disable_unref(c->io);
    c->patience = sd_event_source_disable_unref(c->patience);
    if (c->late)
        c->done(c->userdata, NULL, c->late_problem);
    else if (info.si_code == CLD_EXITED && info.si_status == 0)
        c->done(c->userdata, read_file(c->output, text), NULL);
    else
        c->done(c->userdata, NULL, c->problem(read_file(c->errors, text)));
    return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_child *c = userdata;

    (void)source;
    (void)usec;
    c->late = true;
    pidfd_send_signal(c->pidfd, c->signal, NULL, 0);
    return 0;
}

/* --- its begin ---------------------------------------------------------------------------------------------------- */

static int prepare_files(const struct lb_child *c, const struct lb_child_call *call, posix_spawn_file_actions_t *files)
{
    int r = call->in >= 0 ? posix_spawn_file_actions_adddup2(files, call->in, STDIN_FILENO)
                          : posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    r |= posix_spawn_file_actions_adddup2(files, c->output, STDOUT_FILENO) |
         posix_spawn_file_actions_adddup2(files, c->errors, STDERR_FILENO);
    for (size_t i = 0; i < call->n_kept; i++) /* onto itself: it stays open there */
        r |= call->kept[i] >= 0 ? posix_spawn_file_actions_adddup2(files, call->kept[i], call->kept[i]) : 0;
    return r ? -ENOMEM : 0;
}

/* It inherits nothing but what is named here. */
static int spawn(const struct lb_child *c, const struct lb_child_call *call, pid_t *ret)
{
    char *environment[] = { (char *)"PATH=/usr/bin:/bin", (char *)call->locale, NULL };
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
    r = prepare_files(c, call, &files);
    if (r == 0)
        r = -posix_spawn(ret, call->program, &files, &attr, (char *const *)call->argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int start(struct lb_child *c, sd_event *event, const struct lb_child_call *call)
{
    pid_t pid = 0;
    int r;

    c->output = lb_child_file("", 0);
    c->errors = lb_child_file("", 0);
    r = c->output < 0 ? c->output : c->errors < 0 ? c->errors : spawn(c, call, &pid);
    if (r < 0)
        return r;
    c->pidfd = pidfd_open(pid, 0);
    if (c->pidfd < 0) { /* nobody would know of its end */
        r = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    r = sd_event_add_io(event, &c->io, c->pidfd, EPOLLIN, on_exit_of, c);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &c->patience, CLOCK_BOOTTIME, (uint64_t)call->patience, 0, on_patience,
                                       c);
    return r;
}

int lb_child_new(sd_event *event, const struct lb_child_call *call, lb_child_done *done, void *userdata,
                 struct lb_child **ret)
{
    struct lb_child *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    *c = (struct lb_child){ .pidfd = -1, .output = -1, .errors = -1, .signal = call->signal ? call->signal : SIGKILL,
                            .late_problem = call->late, .problem = call->problem, .done = done, .userdata = userdata };
    r = start(c, event, call);
    if (r < 0) {
        lb_child_free(c);
        return r;
    }
    *ret = c;
    return 0;
}
