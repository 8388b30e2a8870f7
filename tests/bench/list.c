/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What old requests cost: fills a store with N closed ones, in a directory of its own below the one that is given, and
 * times what a daemon and its readers do with it. Prints "NAME NS" lines, each thing several times.
 */
#include <sys/stat.h>

#include "lockboxd/store.h"
#include "policy/base.h"
#include "policy/lifecycle.h"
#include "tests/bench/bench.h"
#include "tests/unit/old_requests.h"

#define TIMES 21
#define HOUR (3600 * LB_USEC_PER_SEC)
#define NOW INT64_C(1790000000000000)

/* An event of a request of that name; it borrows all of its strings. */
static struct lb_event event_of(const char *id, int kind, int state)
{
    static char *people[] = { "bob", "carol", NULL };

    return (struct lb_event){
        .kind = kind, .state = state, .time = { NOW, HOUR, 77 }, .host = "appliance", .request = (char *)id,
        .account = "eng", .engineer = "alice@vendor.example", .ticket = "CASE-1234", .reason = "The array is degraded",
        .basis = LB_BASIS_APPROVAL, .uid = 1000, .key = "SHA256:abc", .service = "sshd", .scope = "login",
        .rhost = "192.0.2.7", .tty = "ssh", .rule = "20-vendor.policy", .duration = HOUR, .entitled = people,
        .approver = "bob", .role = "customer", .stage = "customer", .evidence = "host",
        .terms = { .reason = LB_NEED_REQUIRED, .expire_after = HOUR, .max_pending = 5, .customer = people, .quorum = 1,
                   .duration = HOUR, .max_duration = HOUR, .use_by = HOUR, .max_sessions = 10, .exclusive = true },
    };
}

static struct lb_store *open_store(const char *directory)
{
    struct lb_store *s;

    bench_need(lb_store_open(directory, false, 0, &s) == 0, "open");
    return s;
}

/* A few requests that wait, beside the old ones, which are one that was denied, again and again. */
static void fill(const char *directory, int64_t old)
{
    struct lb_event events[] = {
        event_of("7F3K-9QXM", LB_EVENT_REQUESTED, LB_STATE_PENDING),
        event_of("7F3K-9QXM", LB_EVENT_DENIED, LB_STATE_DENIED),
        event_of("7F3K-9QX1", LB_EVENT_REQUESTED, LB_STATE_PENDING),
        event_of("7F3K-9QX2", LB_EVENT_REQUESTED, LB_STATE_PENDING),
        event_of("7F3K-9QX3", LB_EVENT_REQUESTED, LB_STATE_PENDING),
    };
    struct lb_store *s = open_store(directory);
    char path[4200];

    snprintf(path, sizeof(path), "%s/lockbox.db", directory);
    bench_need(lb_store_append(s, events, 2) == 0, "append");
    s = lb_store_close(s);
    bench_need(old == 0 || old_requests_add(path, "7F3K-9QXM", old) == 0, "old requests");
    s = open_store(directory);
    bench_need(lb_store_append(s, events + 2, 3) == 0, "append");
    lb_store_close(s);
}

static int load(void *userdata, const char *id)
{
    struct lb_request *r = NULL;

    bench_need(lb_store_load(userdata, id, &r) == 0, "load");
    lb_request_free(r);
    return 0;
}

static void time_list(struct lb_store *s, const char *name, const struct lb_store_filter *filter)
{
    for (int i = 0; i < TIMES; i++) {
        int64_t began = bench_now();

        bench_need(lb_store_list(s, filter, load, s) == 0, name);
        printf("%s %" PRId64 "\n", name, bench_now() - began);
    }
}

/* As the daemon starts: opens, checks, and reads what is open. */
static void time_start(const char *directory)
{
    struct lb_store *s;

    for (int i = 0; i < 3; i++) {
        int64_t began = bench_now();

        s = open_store(directory);
        bench_need(lb_store_list(s, &(struct lb_store_filter){ .open_only = true }, load, s) == 0, "start");
        printf("start %" PRId64 "\n", bench_now() - began);
        lb_store_close(s);
    }
}

int main(int argc, char *argv[])
{
    int64_t n = argc == 3 ? strtoll(argv[2], NULL, 10) : -1, began = bench_now();
    struct lb_store *s;
    char directory[4096];

    if (n < 0) {
        fprintf(stderr, "usage: list DIRECTORY REQUESTS\n");
        return 2;
    }
    snprintf(directory, sizeof(directory), "%s/%" PRId64, argv[1], n);
    bench_need(mkdir(directory, 0700) == 0, directory);
    fill(directory, n);
    s = open_store(directory);
    printf("fill %" PRId64 "\n", bench_now() - began);
    time_list(s, "pending", &(struct lb_store_filter){ .open_only = true });
    time_list(s, "one", &(struct lb_store_filter){ .account = "eng", .engineer = "alice@vendor.example", .limit = 10 });
    time_list(s, "recent", &(struct lb_store_filter){ .recent = NOW });
    time_list(s, "newest", &(struct lb_store_filter){ .limit = 10 });
    lb_store_close(s);
    time_start(directory);
    return 0;
}
