/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides as it is told: reads "Approve ID" or "Revoke ID", calls that method, and prints "CLOCK CLOCK", when the call
 * was sent and when it was answered. Run it in an approver's login session.
 */
#include "lockboxd/proto/client.h"
#include "tests/bench/bench.h"

#define TIMEOUT_MS 5000

static void decide(const char *verb, const char *id)
{
    struct lb_varlink_reply reply;
    struct lb_client *client;
    char method[64];
    json_auto_t *parameters = json_pack("{s:s}", "id", id);
    int64_t began;

    snprintf(method, sizeof(method), "org.lockbox.Access.%s", verb);
    bench_need(lb_client_open(LB_CONTROL_SOCKET, TIMEOUT_MS, &client) == 0, "connect");
    began = bench_now();
    bench_need(lb_client_call(client, method, parameters, TIMEOUT_MS, &reply) == 0, method);
    printf("%" PRId64 " %" PRId64 "\n", began, bench_now());
    fflush(stdout);
    bench_need(!reply.error, reply.error ? reply.error : "");
    lb_varlink_reply_clear(&reply);
    lb_client_close(client);
}

int main(void)
{
    char verb[16], id[16];

    while (scanf("%15s %15s", verb, id) == 2)
        decide(verb, id);
    return 0;
}
