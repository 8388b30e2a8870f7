/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logins that wait, one after the other, each an engineer's who was never here, through the real module; and before
 * each the disk's own measure, a bare append of 512 bytes with fdatasync.
 *
 *     login N DIRECTORY USER FILE
 *
 * DIRECTORY holds a stack called sshd, FILE is appended to. Prints "commit NANOSECONDS", "waiting ID" and, once the
 * login is released, "released CLOCK".
 */
#include <fcntl.h>
#include <security/pam_appl.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define ID_LEN 9

struct talk {
    char id[ID_LEN + 1];
};

static void commit(int fd)
{
    char block[512] = { 0 };
    int64_t began = bench_now();

    bench_need(write(fd, block, sizeof(block)) == sizeof(block) && fdatasync(fd) == 0, "append");
    printf("commit %" PRId64 "\n", bench_now() - began);
}

static const char *answer(struct talk *t, const char *question)
{
    if (strstr(question, "Ticket"))
        return "CASE-1";
    if (strstr(question, "Reason"))
        return "bench";
    if (strstr(question, "wait"))
        printf("waiting %s\n", t->id);
    fflush(stdout);
    return "";
}

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *userdata)
{
    struct talk *t = userdata;

    *ret = calloc((size_t)n, sizeof(**ret));
    for (int i = 0; *ret && i < n; i++) {
        sscanf(messages[i]->msg, "Request %9s", t->id);
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
            (*ret)[i].resp = strdup(answer(t, messages[i]->msg));
    }
    return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

static void login(const char *directory, const char *user)
{
    char key[BENCH_KEY_MAX], env[BENCH_KEY_MAX + 32];
    struct talk talk = { 0 };
    struct pam_conv conv = { converse, &talk };
    pam_handle_t *pamh;
    int r = pam_start_confdir("sshd", user, &conv, directory, &pamh);

    bench_need(r == PAM_SUCCESS, "pam_start");
    bench_key(key);
    snprintf(env, sizeof(env), "SSH_AUTH_INFO_0=%s\n", key);
    pam_putenv(pamh, env);
    pam_set_item(pamh, PAM_RHOST, "127.0.0.1");
    r = pam_acct_mgmt(pamh, 0);
    printf("released %" PRId64 "\n", bench_now());
    fflush(stdout);
    bench_need(r == PAM_SUCCESS, "the login");
    pam_end(pamh, r);
}

int main(int argc, char *argv[])
{
    char line[16];
    int fd;

    bench_need(argc == 5, "usage");
    fd = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bench_need(fd >= 0, argv[4]);
    for (int i = 0; i < atoi(argv[1]) && fgets(line, sizeof(line), stdin); i++) { /* a line each: go on */
        commit(fd);
        login(argv[2], argv[3]);
    }
    return 0;
}
