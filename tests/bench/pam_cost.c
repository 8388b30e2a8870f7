/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one PAM account transaction costs, through several stacks in turn, so that what disturbs one disturbs all:
 *
 *     pam_cost N AUTH_INFO MODULE… -- DIRECTORY USER [DIRECTORY USER]…
 *
 * Each DIRECTORY holds a stack called sshd. The MODULEs are loaded beforehand and stay; what is not named there is
 * loaded anew by each transaction, as in a process of its own. Prints "K NANOSECONDS", K being the stack's place.
 */
#include <dlfcn.h>
#include <security/pam_appl.h>

#include "tests/bench/bench.h"

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *userdata)
{
    (void)messages;
    (void)userdata;
    *ret = calloc((size_t)n, sizeof(**ret)); /* what is shown is not read; nothing is asked */
    return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int64_t transaction(const char *directory, const char *user, const char *auth_info)
{
    static const struct pam_conv conv = { converse, NULL };
    int64_t began = bench_now(), took;
    pam_handle_t *pamh;
    int r = pam_start_confdir("sshd", user, &conv, directory, &pamh);

    bench_need(r == PAM_SUCCESS, "pam_start");
    if (pam_putenv(pamh, auth_info) == PAM_SUCCESS && pam_set_item(pamh, PAM_RHOST, "127.0.0.1") == PAM_SUCCESS)
        r = pam_acct_mgmt(pamh, 0);
    bench_need(r == PAM_SUCCESS, "pam_acct_mgmt");
    pam_end(pamh, r);
    took = bench_now() - began;
    return took;
}

int main(int argc, char *argv[])
{
    char auth_info[4096];
    int first = 3, n;

    bench_need(argc > 5, "usage");
    n = atoi(argv[1]);
    snprintf(auth_info, sizeof(auth_info), "SSH_AUTH_INFO_0=%s\n", argv[2]);
    for (; strcmp(argv[first], "--") != 0; first++)
        bench_need(dlopen(argv[first], RTLD_NOW) != NULL, argv[first]);
    for (int i = 0; i < n; i++)
        for (int k = first + 1; k + 1 < argc; k += 2)
            printf("%d %" PRId64 "\n", (k - first) / 2, transaction(argv[k], argv[k + 1], auth_info));
    return 0;
}
