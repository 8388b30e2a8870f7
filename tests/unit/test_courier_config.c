/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* courier.conf: what is taken, and which words a mistake is answered with. Secrets are read from where they are
 * safe. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/courier/config.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "tests/unit/directory.h"

#define MINUTE (60 * LB_USEC_PER_SEC)

static char directory[64], path[96], drop_ins[112];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/lockbox-courier-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s/courier.conf", directory);
    snprintf(drop_ins, sizeof(drop_ins), "%s.d", path);
    return mkdir(drop_ins, 0700);
}

static int tear_down(void **state)
{
    (void)state;
    directory_remove(directory);
    return 0;
}

static int load(const char *text, struct lb_courier_config *c, char **ret_error)
{
    directory_write(directory, "courier.conf", text);
    return lb_courier_config_load(path, c, ret_error);
}

/* The mistakes in it are told with these words; "@" stands for the file. */
static void assert_mistake(const char *text, const char *wanted)
{
    struct lb_courier_config c = { 0 };
    LB_FREE char *error = NULL, *all = NULL;
    size_t size;
    FILE *out = open_memstream(&all, &size);

    for (const char *p = wanted; *p; p++)
        *p == '@' && (p == wanted || p[-1] == '\n') ? fputs(path, out) : fputc(*p, out);
    fputc('\n', out);
    fclose(out);
    assert_int_equal(load(text, &c, &error), -EINVAL);
    assert_string_equal(error, all);
}

static const char all[] =
    "[Courier]\nHost=box\nProxy=http://proxy.example:3128\nGiveUp=2d\n"
    "[Mail]\nServer=smtps://mail.example:465\nFrom=lockbox@customer.example\n"
    "To=noc@customer.example ops@customer.example\n"
    "User=lockbox\nPassword=mail-password\nRemind=30min\nTemplates=/usr/share\nLink=https://portal.example/%i\n"
    "CAFile=/etc/ca.pem\nPin=sha256//YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMwE=\nCertificate=/etc/c.pem\n"
    "Key=/etc/k.pem\n"
    "[Webhook siem]\nURL=https://siem.example:8443/in\nSecret=/etc/lockbox/siem\nToken=siem-token\n"
    "Events=appro* denied\n"
    "[Webhook chat]\nURL=https://hooks.example/x\nFormat=slack\n"
    "[Remote]\nURL=https://portal.example/\nApprover=portal\nToken=t\nSecret=s\nPoll=45s\n"
    "[Export]\nURL=s3://bucket/prefix/\nEndpoint=https://s3.example\nRegion=eu-1\nAccessKey=AK\nSecretKey=sk\n"
    "Every=10min\n"
    "Packs=yes\n";

static void test_everything(void **state)
{
    LB_CLEANUP(lb_courier_config_clear) struct lb_courier_config c = { 0 };
    const struct lb_webhook_config *w;
    char *error = NULL;

    (void)state;
    assert_int_equal(load(all, &c, &error), 0);
    assert_string_equal(c.host, "box");
    assert_string_equal(c.proxy, "http://proxy.example:3128");
    assert_int_equal(c.give_up, 48 * 60 * MINUTE);
    assert_string_equal(c.mail.server, "smtps://mail.example:465");
    assert_string_equal(c.mail.to[1], "ops@customer.example");
    assert_int_equal(c.mail.remind, 30 * MINUTE);
    assert_string_equal(c.mail.tls.key, "/etc/k.pem");
    assert_non_null(c.mail.texts); /* the directory has none of its own */
    assert_int_equal(c.webhooks.n, 2);
    w = lb_courier_config_webhook(&c, "siem");
    assert_string_equal(w->url, "https://siem.example:8443/in");
    assert_string_equal(w->events[1], "denied");
    assert_int_equal(w->format, LB_FORMAT_EVENT);
    assert_int_equal(lb_courier_config_webhook(&c, "chat")->format, LB_FORMAT_SLACK);
    assert_null(lb_courier_config_webhook(&c, "other"));
    assert_string_equal(c.remote.approver, "portal");
    assert_int_equal(c.remote.poll, 45 * LB_USEC_PER_SEC);
    assert_string_equal(c.export.url, "s3://bucket/prefix/");
    assert_true(c.export.packs);
    assert_true(lb_courier_config_has(&c, "mail") && lb_courier_config_has(&c, "webhook"));
    assert_true(lb_courier_config_has(&c, "remote") && lb_courier_config_has(&c, "export"));
}

static void test_nothing(void **state)
{
    LB_CLEANUP(lb_courier_config_clear) struct lb_courier_config c = { 0 };
    char *error = NULL;

    (void)state;
    assert_int_equal(lb_courier_config_load(path, &c, &error), 0);
    assert_true(*c.host);
    assert_int_equal(c.give_up, 96 * 60 * MINUTE);
    assert_int_equal(c.mail.remind, 60 * MINUTE);
    assert_false(lb_courier_config_has(&c, "mail") || lb_courier_config_has(&c, "webhook"));
}

/* A drop-in adds to a section, and what it says counts. */
static void test_drop_ins(void **state)
{
    LB_CLEANUP(lb_courier_config_clear) struct lb_courier_config c = { 0 };
    char *error = NULL;

    (void)state;
    directory_write(directory, "courier.conf.d/10.conf",
                    "[Webhook siem]\nEvents=denied\n[Webhook more]\nURL=https://more.example/\n");
    directory_write(directory, "courier.conf.d/20.conf", "[Webhook siem]\nURL=https://other.example/\n");
    directory_write(directory, "courier.conf.d/30.txt", "nonsense");
    assert_int_equal(load("[Webhook siem]\nURL=https://siem.example/\nEvents=approved\n", &c, &error), 0);
    assert_int_equal(c.webhooks.n, 2);
    assert_string_equal(lb_courier_config_webhook(&c, "siem")->url, "https://other.example/");
    assert_string_equal(lb_courier_config_webhook(&c, "siem")->events[0], "denied");
    assert_null(lb_courier_config_webhook(&c, "siem")->events[1]);
}

static void test_mistakes(void **state)
{
    (void)state;
    assert_mistake("[Mial]\n", "@:1: unknown section \"Mial\" (did you mean \"Mail\"?)");
    assert_mistake("[Webhok x]\nURL=https://x/\n",
                   "@:1: unknown section \"Webhok x\" (did you mean \"Webhook NAME\"?)");
    assert_mistake("[Webhook]\nURL=https://x/\n", "@:1: [Webhook] needs a name: [Webhook chat]");
    assert_mistake("[Webhook a b]\n",
                   "@:1: [Webhook a b]: a webhook's name is made of letters, digits, _ . and -, at most 64");
    assert_mistake("[Webhook x]\nUrl=https://x/\n", "@:2: unknown key \"Url\" in [Webhook x] (did you mean \"URL\"?)");
    assert_mistake("[Webhook x]\nEvents=denied\n", "@:1: [Webhook x] needs URL=");
    assert_mistake("[Webhook x]\nURL=https://x/\nFormat=xml\n",
                   "@:3: Format=xml: expected event, slack, teams, ntfy or template");
    assert_mistake("[Webhook x]\nURL=https://x/\nEvents=aproved den*\n",
                   "@:3: Events=: there is no event aproved (did you mean approved?)");
    assert_mistake("[Webhook x]\nURL=https://x/\nEvents=[a\n", "@:3: Events=: [a: a [ without its ]");
    assert_mistake("[Webhook x]\nURL=https://x/\nFormat=template\n",
                   "@:1: [Webhook x]: Format=template and Template= go together");
    assert_mistake("[Webhook x]\nURL=https://x/\nCertificate=/c\n", "@:1: Certificate= and Key= go together");
    assert_mistake("[Webhook x]\nURL=https://x/\nCAFile=ca.pem\n", "@:3: CAFile=ca.pem: expected an absolute path");
    assert_mistake("[Webhook x]\nURL=https://x/\nPin=abc\n",
                   "@:3: Pin=abc: expected sha256//BASE64, several with ; between them");
    assert_mistake("[Mail]\nServer=smtp://m\n", "@:1: [Mail] needs From=");
    assert_mistake("[Mail]\nServer=smtp://m\nFrom=a@b\nUser=u\n", "@:1: User= and Password= go together");
    assert_mistake("[Mail]\nServer=smtp://m\nFrom=a@b\nRemind=soon\n",
                   "@:4: Remind=soon: expected a duration such as 1h or 30min");
    assert_mistake("[Mail]\nServer=smtp://m\nFrom=A B <a@b>\n",
                   "@:3: From=A B <a@b>: expected a mail address such as lockbox@customer.example");
    assert_mistake("[Mail]\nServer=smtp://m\nFrom=a@b\nTo=bob\n", "@:4: To=: bob is no mail address");
    assert_mistake("[Remote]\nURL=https://p/\n",
                   "@:1: [Remote] needs Approver=: the name that its signatures have in allowed_signers");
    assert_mistake("[Remote]\nURL=https://p/?x=1\nApprover=p\n", "@:2: URL=: expected https://HOST/PATH, without "
                   "? or #");
    assert_mistake("[Export]\nURL=https://b/#x\n", "@:2: URL=: expected https://HOST/PATH/ or s3://BUCKET/PREFIX/, "
                   "without ? or #");
    assert_mistake("[Export]\nURL=s3://b/\n", "@:1: URL=s3://b/ needs Region=, AccessKey= and SecretKey=");
    assert_mistake("[Export]\nURL=https://b/\nRegion=x\n",
                   "@:1: Endpoint=, Region=, AccessKey= and SecretKey= are for s3:// alone");
    assert_mistake("[Export]\nURL=s3:/b\n", "@:2: URL=: expected https://HOST/PATH/ or s3://BUCKET/PREFIX/, without "
                   "user or password");
    assert_mistake("[Export]\nURL=https://b/\nPacks=maybe\n", "@:3: Packs=maybe: expected yes or no");
    assert_mistake("[Courier]\nGiveUp=0\n", "@:2: GiveUp=0: expected more than nothing");
}

/* Nothing but TLS, no secret in a place that everybody reads, and none repeated that was written there. */
static void test_urls(void **state)
{
    static const char *const wrong[] = { "http://x/", "ftp://x/", "https://", "x", "https://u:p@x/", "https://u@x/",
                                         "file:///etc/passwd", "", "https://x y/", "HTTPS:x", "//x/",
                                         "https:/x/", "https:x/", "https:///x/", "HTTPS://x/" };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        LB_FREE char *text = NULL;

        assert_true(asprintf(&text, "[Webhook x]\nURL=%s\n", wrong[i]) > 0);
        assert_mistake(text, "@:2: URL=: expected https://HOST/…, without user or password");
    }
    assert_mistake("[Courier]\nProxy=http://u:hush@x/\n",
                   "@:2: Proxy=: expected http://HOST:PORT, without user or password");
    assert_mistake("[Webhook x]\nURL=https://x/\nSecret=whsec_abcd\n",
                   "@:3: Secret=: the secret itself does not belong here, "
                   "but into a file that others cannot read");
    assert_mistake("[Webhook x]\nURL=https://x/\nToken=a/b\n",
                   "@:3: Token=: expected the absolute path of a file with the "
                   "secret, or the name of a systemd credential");
}

/* A template is read with the settings: its mistakes are theirs. */
static void test_template(void **state)
{
    static const struct { const char *text, *wanted; } rows[] = {
        { NULL, ": cannot be read: No such file or directory\n" },
        { "", ": is empty\n" },
        { "{\n\"x\": \"{mesage}\"}\n", ":2: {mesage} stands for nothing (did you mean {message}?)\n" },
        { "x", ": is no JSON object once the placeholders are filled in\n" },
    };
    LB_CLEANUP(lb_courier_config_clear) struct lb_courier_config c = { 0 };
    LB_FREE char *text = NULL;
    char *none = NULL;

    (void)state;
    assert_true(asprintf(&text, "[Webhook x]\nURL=https://x/\nFormat=template\nTemplate=%s/t\n", directory) > 0);
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *error = NULL, *wanted = NULL;

        if (rows[i].text)
            directory_write(directory, "t", rows[i].text);
        assert_int_equal(load(text, &c, &error), -EINVAL);
        assert_true(asprintf(&wanted, "%s/t%s", directory, rows[i].wanted) > 0);
        assert_string_equal(error, wanted);
    }
    directory_write(directory, "t", "{\"x\": \"{message}\"}\n");
    assert_int_equal(load(text, &c, &none), 0);
    assert_string_equal(lb_courier_config_webhook(&c, "x")->text, "{\"x\": \"{message}\"}\n");
}

/* Every line spoiled in turn: the whole is refused, and which line it was is told. */
static void test_each_line_spoiled(void **state)
{
    unsigned line = 0;

    (void)state;
    for (const char *at = all; *at; at = strchr(at, '\n') + 1) {
        struct lb_courier_config c = { 0 };
        LB_FREE char *text = NULL, *error = NULL, *where = NULL;

        line++;
        if (*at == '[')
            continue;
        assert_true(asprintf(&text, "%.*sX%s", (int)(at - all), all, at) > 0);
        assert_true(asprintf(&where, "%s:%u: unknown key \"X", path, line) > 0);
        assert_int_equal(load(text, &c, &error), -EINVAL);
        assert_int_equal(strncmp(error, where, strlen(where)), 0);
        assert_null(c.host);
    }
    assert_true(line > 35);
}

/* --- secrets ------------------------------------------------------------------------------------------------------ */

static void assert_secret(mode_t mode, const char *text, int wanted, const char *words)
{
    LB_FREE char *file = NULL, *secret = NULL, *error = NULL;

    assert_true(asprintf(&file, "%s/secret", directory) > 0);
    directory_write(directory, "secret", text);
    assert_int_equal(chmod(file, mode), 0);
    assert_int_equal(lb_secret_read(file, &secret, &error), wanted);
    if (wanted == 0)
        assert_string_equal(secret, words);
    else
        assert_non_null(strstr(error, words));
    assert_true(!error || !strstr(error, "hush"));
}

static void test_secrets(void **state)
{
    LB_FREE char *secret = NULL, *error = NULL;

    (void)state;
    assert_secret(0600, "hush\n", 0, "hush");
    assert_secret(0640, "hush", 0, "hush");
    assert_secret(0604, "hush\n", -EACCES, "others can read this secret");
    assert_secret(0644, "hush\n", -EACCES, "others can read this secret");
    assert_secret(0600, "\n", -EACCES, "is empty");
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    directory_write(directory, "credential", "hush");
    snprintf(path, sizeof(path), "%s/credential", directory);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(lb_secret_read("credential", &secret, &error), 0);
    assert_string_equal(secret, "hush");
    assert_int_equal(lb_secret_read("absent", &secret, &error), -ENOENT);
    assert_string_equal(error, "the systemd credential that is named for it: No such file or directory");
    unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drop_ins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_urls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_template, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_line_spoiled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
