/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes into the courier's own socket, from a peer who may call everything: what comes back is answers, whole, no
 * more of them than there were calls, and nothing is left behind when he hangs up. Bytes 0xff cut the input into what
 * is sent at a time. The network is made up (-Wl,--wrap). See fuzz_policy.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lockboxd/courier/control.h"
#include "policy/base.h"

#include "tests/fuzz/fuzz_main.h"

#define TURNS 1000
#define BYTES 16384 /* of an input: they fit into the socket */

__typeof__(lb_transfer_start) __wrap_lb_transfer_start;

static char directory[] = "/tmp/lockbox-fuzz-XXXXXX";
static struct lb_webhook_config hook = { .name = (char *)"siem", .url = (char *)"https://a.example/" };
static char *to[] = { (char *)"a@b.example", NULL };
static struct lb_courier courier = {
    .config = { .host = (char *)"host",
                .mail = { .server = (char *)"smtp://a.example:587", .from = (char *)"a@b.example", .to = to },
                .webhooks = { &hook, 1 } },
    .started_at = 1,
};
static struct lb_control *control;

/* The answer to a test is there at once, from where a real one could not be; it goes on as from the loop. */
int __wrap_lb_transfer_start(struct lb_transfers *t, CURL *easy, struct curl_slist *headers,
                             struct curl_slist *recipients, int64_t timeout, lb_transfer_done *done,
                             lb_transfer_step *step, void *userdata, struct lb_transfer **ret)
{
    (void)t;
    (void)step;
    (void)timeout;
    (void)done;
    (void)userdata;
    (void)ret;
    lb_handle_free(easy);
    curl_slist_free_all(headers);
    curl_slist_free_all(recipients);
    return -EIO;
}

static void set_up(void)
{
    static struct lb_courier_options options = { .runtime_directory = directory };
    static const struct lb_post_calls calls = { 0 };

    assert(mkdtemp(directory) && sd_event_new(&courier.event) >= 0);
    courier.options = &options;
    assert(lb_outbox_open(directory, &courier.outbox) == 0);
    assert(lb_transfers_new(courier.event, &courier.transfers) == 0);
    assert(lb_post_new(courier.event, courier.outbox, &calls, NULL, &courier.post) == 0);
    assert(lb_control_new(&courier, &control) == 0);
}

static void tear_down(void)
{
    static const char *const names[] = { "control.socket", "outbox.db", "outbox.db-wal", "outbox.db-shm" };
    char path[64];

    lb_control_free(control);
    lb_post_free(courier.post);
    lb_transfers_free(courier.transfers);
    lb_outbox_close(courier.outbox);
    sd_event_unref(courier.event);
    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

/* The loop, until there is nothing to do. */
static void settle(void)
{
    for (int i = 0; sd_event_run(courier.event, 0) > 0; i++)
        assert(i < TURNS);
}

static int call(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.socket", directory);
    assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

/* How many final answers have come. */
static size_t hear(int fd, struct lb_varlink_reader *reader)
{
    char bytes[4096];
    size_t n = 0;

    for (ssize_t got; (got = recv(fd, bytes, sizeof(bytes), 0)) > 0;)
        assert(lb_varlink_feed(reader, bytes, (size_t)got) == 0);
    while (true) {
        json_auto_t *message = NULL;
        struct lb_varlink_reply reply;
        int r = lb_varlink_next(reader, &message);

        assert(r >= 0);
        if (r == 0)
            return n;
        assert(lb_varlink_reply_parse(message, &reply) == 0);
        n += !reply.continues;
        lb_varlink_reply_clear(&reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lb_varlink_reader reader = { .max = LB_VARLINK_REPLY_MAX };
    size_t calls = 0, answers = 0;
    int fd;

    if (!control) {
        set_up();
        atexit(tear_down);
    }
    size = size < BYTES ? size : BYTES;
    fd = call();
    for (size_t i = 0, n; i < size; i += n + 1) {
        const uint8_t *end = memchr(data + i, 0xff, size - i);

        n = end ? (size_t)(end - data) - i : size - i;
        for (size_t k = 0; k < n; k++)
            calls += data[i + k] == '\0';
        if (n > 0 && send(fd, data + i, n, MSG_NOSIGNAL) < 0)
            break; /* he was hung up on */
        settle();
        answers += hear(fd, &reader);
        assert(answers <= calls);
    }
    close(fd);
    settle();
    lb_varlink_reader_clear(&reader);
    return 0;
}
