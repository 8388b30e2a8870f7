/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches from outside until nothing of an account is left: every process that runs as the uid or whose login was his.
 *
 *     left UID
 *
 * Prints "watching N", and when all are gone and no new one is found "gone CLOCK".
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lockboxd/proc.h"
#include "tests/bench/bench.h"

#define MOST 16384

struct watch {
    uid_t uid;
    struct pollfd items[MOST];
    nfds_t n;
};

static int look_at(void *userdata, pid_t pid)
{
    struct watch *w = userdata;
    uint32_t session, loginuid;
    struct lb_proc_stat st;
    uid_t uid;

    if (lb_proc_audit(pid, &session, &loginuid) < 0 || lb_proc_uid(pid, &uid) < 0 ||
        (loginuid != w->uid && uid != w->uid) || lb_proc_stat(pid, &st) < 0 || st.state == 'Z')
        return 0;
    bench_need(w->n < MOST, "watching so many");
    w->items[w->n] = (struct pollfd){ .fd = pidfd_open(pid, 0), .events = POLLIN };
    w->n += w->items[w->n].fd >= 0;
    return 0;
}

static nfds_t look(struct watch *w)
{
    while (w->n > 0)
        close(w->items[--w->n].fd);
    lb_proc_each(look_at, w);
    return w->n;
}

static void await(const struct watch *w)
{
    for (nfds_t i = 0; i < w->n; i++) {
        struct pollfd one = w->items[i];

        while (poll(&one, 1, 10 * 1000) < 0 && errno == EINTR)
            ;
        bench_need(one.revents, "waiting for the end");
    }
}

int main(int argc, char *argv[])
{
    static struct watch w;
    struct rlimit files = { MOST + 64, MOST + 64 };
    int64_t last = 0;

    bench_need(argc == 2 && setrlimit(RLIMIT_NOFILE, &files) == 0, "usage");
    w.uid = (uid_t)atoi(argv[1]);
    look(&w);
    printf("watching %lu\n", (unsigned long)w.n);
    fflush(stdout);
    while (w.n > 0) {
        await(&w);
        last = bench_now();
        look(&w);
    }
    printf("gone %" PRId64 "\n", last);
    return 0;
}
