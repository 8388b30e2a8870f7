/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * N logins that wait at a time, each an engineer's of his own with a connection and a request of its own.
 *
 *     waiters N ACCOUNT SHOWN
 *
 * Prints "waiting ID" of SHOWN of them, "parked" when all wait, and "woken ID CLOCK" for each that is answered. Ends
 * with its standard input.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lockboxd/proto/client.h"
#include "tests/bench/bench.h"

#define TIMEOUT_MS 30000

struct waiter {
    struct lb_client *client;
    char id[16];
};

static json_t *begin_parameters(const char *account)
{
    char key[BENCH_KEY_MAX];

    bench_key(key);
    return json_pack("{s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:s, s:s}", "login", "account", account, "service", "sshd",
                     "scope", "login", "rhost", "127.0.0.1", "auth_info", key, "ticket", "CASE-1", "reason", "bench",
                     "for", "");
}

static void park(struct waiter *w, const char *account)
{
    json_auto_t *parameters = begin_parameters(account), *wait = NULL;
    struct lb_varlink_reply reply;
    const char *id = NULL, *verdict = NULL;
    json_int_t seen = 0;

    bench_need(lb_client_open(LB_LOGIN_SOCKET, TIMEOUT_MS, &w->client) == 0, "connect");
    bench_need(lb_client_call(w->client, "org.lockbox.Login.Begin", parameters, TIMEOUT_MS, &reply) == 0, "Begin");
    bench_need(json_unpack(reply.parameters, "{s:s, s:s, s?I}", "verdict", &verdict, "request", &id, "seen", &seen) ==
                       0 && strcmp(verdict, "waiting") == 0, "a place to wait");
    snprintf(w->id, sizeof(w->id), "%s", id);
    wait = json_pack("{s:s, s:s, s:I}", "request", id, "text", "", "seen", seen);
    bench_need(lb_client_send(w->client, "org.lockbox.Login.Wait", wait, false, TIMEOUT_MS) == 0, "Wait");
    lb_varlink_reply_clear(&reply);
}

static void add(int epoll, int fd, void *data)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

    bench_need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void wake(struct waiter *w, int64_t at)
{
    struct lb_varlink_reply reply;

    bench_need(lb_client_receive(w->client, TIMEOUT_MS, &reply) == 0, "receive");
    printf("woken %s %" PRId64 "\n", w->id, at);
    fflush(stdout);
    lb_varlink_reply_clear(&reply);
    w->client = lb_client_close(w->client);
}

static void serve(int epoll)
{
    struct epoll_event event;

    while (epoll_wait(epoll, &event, 1, -1) == 1) {
        if (!event.data.ptr) /* standard input: nothing is ever written there */
            return;
        wake(event.data.ptr, bench_now());
    }
}

int main(int argc, char *argv[])
{
    struct rlimit limit;
    struct waiter *waiters;
    int n, shown, epoll = epoll_create1(EPOLL_CLOEXEC);

    bench_need(argc == 4 && epoll >= 0, "usage");
    n = atoi(argv[1]);
    shown = atoi(argv[3]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    bench_need(setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > (rlim_t)n, "a descriptor for each");
    waiters = calloc((size_t)n, sizeof(*waiters));
    bench_need(waiters != NULL, "calloc");
    add(epoll, STDIN_FILENO, NULL);
    for (int i = 0; i < n; i++) {
        park(&waiters[i], argv[2]);
        add(epoll, lb_client_fd(waiters[i].client), &waiters[i]);
        if (i % (n / shown) == 0)
            printf("waiting %s\n", waiters[i].id);
    }
    puts("parked");
    fflush(stdout);
    serve(epoll);
    return 0;
}
