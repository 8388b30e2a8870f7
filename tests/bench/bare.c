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

/* The same as an engineer's: a program of its own each. */
static void start(int processes)
{
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();

        bench_need(pid >= 0, "fork");
        if (pid == 0) {
            put(CGROUP "/cgroup.procs", "0");
            execlp("sleep", "sleep", "1000", NULL);
            _exit(EXIT_FAILURE);
        }
    }
}

/* How many of them are in it and have become what they are to be. */
static int count(void)
{
    FILE *f = fopen(CGROUP "/cgroup.procs", "r");
    char line[32], path[64], name[32];
    int n = 0;

    bench_need(f != NULL, "cgroup.procs");
    while (fgets(line, sizeof(line), f)) {
        FILE *comm;

        snprintf(path, sizeof(path), "/proc/%d/comm", atoi(line));
        comm = fopen(path, "r");
        n += comm && fgets(name, sizeof(name), comm) && strcmp(name, "sleep\n") == 0;
        if (comm)
            fclose(comm);
    }
    fclose(f);
    return n;
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
        while (count() < atoi(argv[1]))
            usleep(10 * 1000);
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
