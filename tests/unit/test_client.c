/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client against a server played by the test itself: a Unix socket queues, so one thread can be both ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lockboxd/proto/client.h"
#include "policy/base.h"

#define LONG_ENOUGH 10000
#define NOBODY 65534

struct fixture {
    char dir[32], path[64];
    int listener, peer;
    struct lb_client *client;
};

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/lockbox-test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
    f->listener = listen_at(f->path, 8);
    assert_int_equal(lb_client_open(f->path, LONG_ENOUGH, &f->client), 0);
    f->peer = accept(f->listener, NULL, NULL);
    assert_true(f->peer >= 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    lb_client_close(f->client);
    close(f->peer);
    close(f->listener);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *bytes, size_t n)
{
    assert_int_equal(send(f->peer, bytes, n, MSG_NOSIGNAL), n);
}

static void test_call(void **state)
{
    struct fixture *f = *state;
    struct lb_varlink_reply reply = {};
    char bytes[256] = "";

    say(f, "{\"parameters\":{\"x\":1}}", 23);
    assert_int_equal(lb_client_call(f->client, "a.B", NULL, LONG_ENOUGH, &reply), 0);
    assert_int_equal(json_integer_value(json_object_get(reply.parameters, "x")), 1);
    lb_varlink_reply_clear(&reply);
    assert_true(recv(f->peer, bytes, sizeof(bytes), 0) > 0);
    assert_string_equal(bytes, "{\"method\":\"a.B\",\"parameters\":{}}");
}

static void test_several_replies_in_one_piece(void **state)
{
    static const char bytes[] = "{\"continues\":true}\0{\"error\":\"a.E\"}";
    struct fixture *f = *state;
    struct lb_varlink_reply reply = {};

    say(f, bytes, sizeof(bytes));
    assert_int_equal(lb_client_receive(f->client, 0, &reply), 0);
    assert_true(reply.continues);
    lb_varlink_reply_clear(&reply);
    assert_int_equal(lb_client_receive(f->client, 0, &reply), 0);
    assert_string_equal(reply.error, "a.E");
    lb_varlink_reply_clear(&reply);
}

static void test_usable_after_a_timeout(void **state)
{
    struct fixture *f = *state;
    struct lb_varlink_reply reply = {};

    assert_int_equal(lb_client_receive(f->client, 0, &reply), -ETIMEDOUT);
    say(f, "{\"parame", 8);
    assert_int_equal(lb_client_receive(f->client, 20, &reply), -ETIMEDOUT);
    assert_null(reply.parameters);
    say(f, "ters\":{}}", 10);
    assert_int_equal(lb_client_receive(f->client, LONG_ENOUGH, &reply), 0);
    lb_varlink_reply_clear(&reply);
}

static void test_hang_up(void **state)
{
    struct fixture *f = *state;
    struct lb_varlink_reply reply = {};

    say(f, "{\"parameters\":{}", 16); /* cut off */
    close(f->peer);
    f->peer = -1;
    assert_int_equal(lb_client_receive(f->client, LONG_ENOUGH, &reply), -ECONNRESET);
    assert_int_equal(lb_client_send(f->client, "a.B", NULL, false, LONG_ENOUGH), -ECONNRESET); /* and no SIGPIPE */
}

static void test_nonsense(void **state)
{
    static const char *const bad[] = { "", "[]", "hello", "{\"a\":1}", "{\"parameters\":{\"a\":1,\"a\":1}}" };
    struct fixture *f = *state;
    struct lb_varlink_reply reply = {};

    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        say(f, bad[i], strlen(bad[i]) + 1);
        assert_int_equal(lb_client_receive(f->client, LONG_ENOUGH, &reply), -EBADMSG);
        assert_null(reply.parameters);
    }
}

static void test_oversize_reply(void **state)
{
    struct fixture *f = *state;
    struct lb_varlink_reply reply = {};
    char chunk[4096];
    size_t fed = 0;
    int r = -ETIMEDOUT;

    memset(chunk, ' ', sizeof(chunk));
    for (; r == -ETIMEDOUT && fed < 64 * 1024 * 1024; fed += sizeof(chunk)) {
        say(f, chunk, sizeof(chunk));
        r = lb_client_receive(f->client, 0, &reply);
    }
    assert_int_equal(r, -EBADMSG);
    assert_int_equal(fed, LB_VARLINK_REPLY_MAX + sizeof(chunk));
}

static void test_send_gives_up(void **state)
{
    struct fixture *f = *state;
    json_t *parameters = json_object();
    char *text = malloc(8 * 1024 * 1024);

    memset(text, 'x', 8 * 1024 * 1024 - 1);
    text[8 * 1024 * 1024 - 1] = '\0';
    json_object_set_new(parameters, "text", json_string(text));
    assert_int_equal(lb_client_send(f->client, "a.B", parameters, false, 20), -ETIMEDOUT); /* nobody reads */
    json_decref(parameters);
    free(text);
}

static void test_descriptor_is_private(void **state)
{
    struct fixture *f = *state;

    assert_true(fcntl(lb_client_fd(f->client), F_GETFD) & FD_CLOEXEC);
}

static void test_not_reachable(void **state)
{
    struct fixture *f = *state;
    struct lb_client *client = NULL;
    char path[200];

    close(f->listener);
    f->listener = -1;
    assert_int_equal(lb_client_open(f->path, LONG_ENOUGH, &client), -ECONNREFUSED);
    unlink(f->path);
    assert_int_equal(lb_client_open(f->path, LONG_ENOUGH, &client), -ENOENT);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(lb_client_open(path, LONG_ENOUGH, &client), -ENAMETOOLONG);
    assert_null(client);
    assert_null(lb_client_close(NULL));
}

/* A daemon that hangs takes nobody from its queue. */
static void test_full_queue(void **state)
{
    struct fixture *f = *state;
    struct lb_client *clients[16] = {};
    size_t n = 0;
    int r = 0;

    close(f->listener);
    f->listener = listen_at(f->path, 1);
    while (n < LB_ELEMENTS(clients) && (r = lb_client_open(f->path, 20, &clients[n])) == 0)
        n++;
    assert_int_equal(r, -ETIMEDOUT);
    assert_true(n > 0 && n < LB_ELEMENTS(clients));
    while (n > 0)
        lb_client_close(clients[--n]);
}

static void test_impostor(void **state)
{
    struct fixture *f = *state;
    struct lb_client *client = NULL;

    if (geteuid() != 0)
        skip();
    close(f->listener);
    unlink(f->path);
    assert_int_equal(chmod(f->dir, 0777), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    f->listener = listen_at(f->path, 8);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(lb_client_open(f->path, LONG_ENOUGH, &client), -EPERM);
    assert_null(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_call),
        TEST(test_several_replies_in_one_piece),
        TEST(test_usable_after_a_timeout),
        TEST(test_hang_up),
        TEST(test_nonsense),
        TEST(test_oversize_reply),
        TEST(test_send_gives_up),
        TEST(test_descriptor_is_private),
        TEST(test_not_reachable),
        TEST(test_full_queue),
        TEST(test_impostor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
