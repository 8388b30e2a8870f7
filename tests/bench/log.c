/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fills DIRECTORY with the log of a host on which many an access was had: at least N events, a real chain. */
#include <sys/stat.h>

#include "lockboxd/store.h"
#include "policy/base.h"
#include "policy/id.h"
#include "policy/lifecycle.h"
#include "tests/bench/bench.h"

#define HOUR (3600 * LB_USEC_PER_SEC)
#define NOW INT64_C(1790000000000000)
#define LIVES 200 /* in one commit */

/* A life, and who is named in each of its events. */
static const struct { int kind, state; } life[] = {
    { LB_EVENT_REQUESTED, LB_STATE_PENDING }, { LB_EVENT_APPROVED, LB_STATE_APPROVED },
    { LB_EVENT_BEGUN, LB_STATE_ACTIVE },      { LB_EVENT_OPENED, LB_STATE_ACTIVE },
    { LB_EVENT_WARNED, LB_STATE_ACTIVE },     { LB_EVENT_TIME_OVER, LB_STATE_ENDING },
    { LB_EVENT_LEFT_BEHIND, LB_STATE_ENDING }, { LB_EVENT_ENDED, LB_STATE_ENDED },
};
#define LENGTH (int64_t)LB_ELEMENTS(life)

/* It borrows all of its strings. */
static struct lb_event event_of(char *id, size_t i, int64_t n)
{
    static char *people[] = { "bob", "carol", NULL };
    struct lb_event e = {
        .kind = life[i].kind, .state = life[i].state, .time = { NOW + n * HOUR, n * HOUR + 1, 77 }, .host = "appliance",
        .request = id, .account = "eng", .engineer = "alice@vendor.example", .ticket = "CASE-1234",
        .reason = "The array is degraded",
    };

    if (e.kind == LB_EVENT_REQUESTED) {
        e.basis = LB_BASIS_APPROVAL;
        e.uid = 1000;
        e.key = "SHA256:kq5hU3Bs6l0bPqUGqT5YqXvLqO3bS8o3pGZrQ0yT1dE";
        e.service = "sshd";
        e.scope = "login";
        e.rhost = "192.0.2.7";
        e.rule = "20-vendor.policy";
        e.duration = HOUR;
        e.entitled = people;
        e.terms = (struct lb_terms){ .reason = LB_NEED_REQUIRED, .expire_after = HOUR, .max_pending = 5,
                                     .customer = people, .quorum = 1, .duration = HOUR, .max_duration = HOUR,
                                     .use_by = HOUR, .max_sessions = 10, .exclusive = true };
    }
    if (e.kind == LB_EVENT_APPROVED) {
        e.approver = "bob";
        e.role = e.stage = "customer";
        e.evidence = "host";
        e.duration = HOUR;
    }
    if (e.kind == LB_EVENT_OPENED) {
        e.session = e.pid = e.pid_started = 12345;
        e.service = "sshd";
    }
    return e;
}

static void append(struct lb_store *s, int64_t first)
{
    static struct lb_event events[LIVES * LENGTH];
    static char ids[LIVES][LB_ID_PRINTED_MAX];

    for (int64_t n = 0; n < LIVES; n++) {
        lb_id_make((uint64_t)(first + n) * UINT64_C(2654435761), ids[n]);
        for (size_t i = 0; i < LENGTH; i++)
            events[n * LENGTH + (int64_t)i] = event_of(ids[n], i, first + n);
    }
    bench_need(lb_store_append(s, events, LIVES * LENGTH) == 0, "append");
}

int main(int argc, char *argv[])
{
    int64_t n = argc == 3 ? strtoll(argv[2], NULL, 10) : 0;
    struct lb_store *s;

    if (n <= 0) {
        fprintf(stderr, "usage: log DIRECTORY EVENTS\n");
        return 2;
    }
    bench_need(mkdir(argv[1], 0700) == 0, argv[1]);
    bench_need(lb_store_open(argv[1], false, 0, &s) == 0, "open");
    for (int64_t first = 0; first * LENGTH < n; first += LIVES)
        append(s, first);
    printf("%" PRId64 "\n", lb_store_last(s, NULL));
    lb_store_close(s);
    return 0;
}
