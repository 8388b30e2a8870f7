/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "policy/base.h"

#define OUTPUT_MAX (1024 * 1024)
#define TIME_MS 10000

static int start(char *const *argv, int output, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *environment[] = { path, NULL };
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return -r;
    r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    r = r ? r : posix_spawn(ret, argv[0], &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All that comes, up to the end or the time. */
static int collect(int fd, FILE *to)
{
    int64_t end = now_ms() + TIME_MS, left = TIME_MS;
    size_t total = 0;
    char buf[4096];

    while ((left = end - now_ms()) > 0 && total < OUTPUT_MAX) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n = poll(&p, 1, (int)left) > 0 ? read(fd, buf, sizeof(buf)) : -1;
        if (n == 0)
            return 0;
        if (n > 0)
            total += fwrite(buf, 1, (size_t)n, to);
    }
    return total < OUTPUT_MAX ? -ETIME : -EFBIG;
}

int lb_command_run(char *const *argv, char **ret_text, bool *ret_ok)
{
    LB_FREE char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    int fds[2] = { -1, -1 }, r = to && pipe2(fds, O_CLOEXEC) == 0 ? 0 : -ENOMEM, status = -1;
    pid_t pid = -1;

    if (r == 0)
        r = start(argv, fds[1], &pid);
    if (fds[1] >= 0)
        close(fds[1]);
    if (pid > 0) {
        r = collect(fds[0], to);
        if (r < 0)
            kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (fds[0] >= 0)
        close(fds[0]);
    if (to && fclose(to) != 0)
        r = -ENOMEM;
    if (r == 0) {
        *ret_text = LB_TAKE(text);
        *ret_ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return r;
}
