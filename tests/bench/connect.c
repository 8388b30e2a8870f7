/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a call costs on a connection that is open, and on one that is made for it:
 *
 *     connect N SOCKET
 *
 * Prints "open NANOSECONDS" and "fresh NANOSECONDS".
 */
#include "lockboxd/proto/client.h"
#include "tests/bench/bench.h"

#define TIMEOUT_MS 5000

static void call(struct lb_client *client)
{
    struct lb_varlink_reply reply;

    bench_need(lb_client_call(client, "org.varlink.service.GetInfo", NULL, TIMEOUT_MS, &reply) == 0, "call");
    lb_varlink_reply_clear(&reply);
}

int main(int argc, char *argv[])
{
    struct lb_client *open, *fresh;

    bench_need(argc == 3 && lb_client_open(argv[2], TIMEOUT_MS, &open) == 0, "connect");
    for (int i = 0; i < atoi(argv[1]); i++) {
        int64_t began = bench_now(), between;

        call(open);
        between = bench_now();
        bench_need(lb_client_open(argv[2], TIMEOUT_MS, &fresh) == 0, "connect");
        call(fresh);
        lb_client_close(fresh);
        printf("open %" PRId64 "\nfresh %" PRId64 "\n", between - began, bench_now() - between);
    }
    lb_client_close(open);
    return 0;
}
