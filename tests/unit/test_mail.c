/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channel "mail": what can be sent, what cannot, and that nothing is left of either. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/transfer.h"
#include "policy/base.h"

struct opened {
    CURL *easy;
    struct curl_slist *headers, *recipients;
    char *error;
};

static struct lb_transfers *transfers;
static sd_event *event;

static int open_letter(const struct lb_courier_config *config, const char *target, struct opened *ret)
{
    const struct lb_letter letter = { .target = (char *)target, .body = (char *)"From: a@b.example\r\n\r\nbody\r\n" };

    *ret = (struct opened){ 0 };
    return lb_channel_mail.open(config, &letter, &ret->easy, &ret->headers, &ret->recipients, &ret->error);
}

static void clear(struct opened *o)
{
    lb_handle_free(o->easy);
    curl_slist_free_all(o->headers);
    curl_slist_free_all(o->recipients);
    free(o->error);
}

static struct lb_courier_config good(void)
{
    return (
        struct lb_courier_config){ .mail = { .server = (char *)"smtp://127.0.0.1:1", .from = (char *)"a@b.example" } };
}

static void test_open(void **state)
{
    struct lb_courier_config config = good();
    LB_CLEANUP(clear) struct opened o = { 0 };

    (void)state;
    assert_int_equal(open_letter(&config, "bob@customer.example", &o), 0);
    assert_non_null(o.easy);
    assert_null(o.headers);
    assert_string_equal(o.recipients->data, "<bob@customer.example>");
    assert_null(o.recipients->next);
}

/* What is installed to start from. */
static void test_the_example(void **state)
{
    struct lb_courier_config config = { 0 };
    LB_FREE char *error = NULL;

    (void)state;
    assert_int_equal(lb_courier_config_load("packaging/examples/courier.conf", &config, &error), 0);
    assert_string_equal(config.mail.server, "smtp://mail.customer.example:587");
    assert_null(config.mail.user);
    lb_courier_config_clear(&config);
}

static void test_not_configured(void **state)
{
    struct lb_courier_config config = good();
    LB_CLEANUP(clear) struct opened o = { 0 };

    (void)state;
    config.mail.server = NULL;
    assert_int_equal(open_letter(&config, "bob@customer.example", &o), -ENOENT);
    assert_non_null(o.error);
    assert_null(o.easy);
}

/* Whatever stands in the outbox: a recipient is an address, or there is none. */
static void test_targets(void **state)
{
    static const char *const bad[] = { "", "bob", "@b", "bob@", "a@b>\r\nRCPT TO:<c@d", "a b@c", "<a@b>", "a@b c@d",
                                       "J\xc3\xb6rg@b", "-a@b", "a@b\n" };
    struct lb_courier_config config = good();

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        const struct lb_matter m = { .notice = LB_NOTICE_TEST, .host = "appliance" };
        LB_CLEANUP(clear) struct opened o = { 0 };
        LB_FREE char *body = NULL;

        assert_int_equal(open_letter(&config, bad[i], &o), -EINVAL);
        assert_non_null(o.error);
        assert_null(o.easy);
        assert_int_equal(lb_channel_mail.compose(&config, bad[i], &m, &body), -EINVAL);
        assert_null(body);
    }
}

static void test_the_password(void **state)
{
    struct lb_courier_config config = good();
    char path[] = "/tmp/lockbox-secret-XXXXXX";
    LB_CLOSE int fd = mkstemp(path);
    LB_CLEANUP(clear) struct opened unreadable = { 0 }, open_to_all = { 0 }, o = { 0 };

    (void)state;
    config.mail.user = (char *)"courier";
    config.mail.password = path;
    assert_int_equal(write(fd, "geheim\n", 7), 7);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(open_letter(&config, "bob@customer.example", &open_to_all), -EACCES);
    assert_non_null(open_to_all.error);
    assert_null(strstr(open_to_all.error, "geheim"));
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_int_equal(open_letter(&config, "bob@customer.example", &o), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(open_letter(&config, "bob@customer.example", &unreadable), -EACCES);
    assert_non_null(unreadable.error);
}

static void on_done(void *userdata, const struct lb_transfer_result *result)
{
    assert_false(result->sent);
    assert_false(result->final);
    assert_non_null(result->problem);
    *(bool *)userdata = true;
    sd_event_exit(event, 0);
}

/* Where nobody listens: another day. And one that is broken off. */
static void test_nobody_listens(void **state)
{
    struct lb_courier_config config = good();
    struct lb_transfer *transfer = NULL, *other = NULL;
    struct opened o, second;
    bool done = false;

    (void)state;
    assert_int_equal(open_letter(&config, "bob@customer.example", &o), 0);
    assert_int_equal(open_letter(&config, "bob@customer.example", &second), 0);
    assert_int_equal(
        lb_transfer_start(transfers, second.easy, NULL, second.recipients, 10000000, on_done, NULL, &done, &other), 0);
    lb_transfer_free(other);
    assert_int_equal(
        lb_transfer_start(transfers, o.easy, NULL, o.recipients, 10000000, on_done, NULL, &done, &transfer), 0);
    assert_int_equal(sd_event_loop(event), 0);
    assert_true(done);
}

static int set_up(void **state)
{
    (void)state;
    return sd_event_new(&event) >= 0 && lb_transfers_new(event, &transfers) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    lb_transfers_free(transfers);
    sd_event_unref(event);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_the_example),
        cmocka_unit_test(test_not_configured),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_the_password),
        cmocka_unit_test(test_nobody_listens),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
