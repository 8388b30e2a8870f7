/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel alone takes to end so many processes: a cgroup of them, one write to its cgroup.kill.
 *
 *     bare PROCESSES ROUNDS
 *
 * Prints for each round the time from the write until the cgroup is empty.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define CGROUP "/sys/fs/cgroup/lockbox-bench"

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    bench_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

/* The same as an engineer's: a program of its own each. Each holds the pipe until it is that program. */
static void start(int processes)
{
    int fds[2];
    char none;

    bench_need(pipe2(fds, O_CLOEXEC) == 0, "pipe");
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();

        bench_need(pid >= 0, "fork");
        if (pid == 0) {
            put(CGROUP "/cgroup.procs", "0");
            execlp("sleep", "sleep", "1000", NULL);
            _exit(EXIT_FAILURE);
        }
    }
    close(fds[1]);
    bench_need(read(fds[0], &none, 1) == 0, "pipe");
    close(fds[0]);
}

static void await_empty(int events)
{
    struct pollfd item = { .fd = events, .events = POLLPRI };
    char text[256];

    for (;;) {
        ssize_t n = pread(events, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        if (strstr(text, "populated 0"))
            return;
        poll(&item, 1, 1000);
    }
}

int main(int argc, char *argv[])
{
    int events;

    bench_need(argc == 3 && mkdir(CGROUP, 0755) == 0, "usage");
    events = open(CGROUP "/cgroup.events", O_RDONLY);
    for (int round = atoi(argv[2]); round > 0; round--) {
        int64_t began;

        start(atoi(argv[1]));
        began = bench_now();
        put(CGROUP "/cgroup.kill", "1");
        await_empty(events);
        printf("%" PRId64 "\n", bench_now() - began);
        while (wait(NULL) > 0)
            ;
    }
    rmdir(CGROUP);
    return 0;
}
