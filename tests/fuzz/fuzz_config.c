/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as courier.conf, up to the first 0xff; what is behind it is in each file that it names, so that no other
 * file is read (-Wl,--wrap). Refused with file and line, or taken and then fit for use. See fuzz_policy.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "lockboxd/courier/config.h"
#include "lockboxd/courier/mail_template.h"
#include "lockboxd/courier/template.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/read_text.h"
#include "policy/base.h"
#include "policy/mailbox.h"
#include "policy/text.h"

#include "tests/fuzz/fuzz_main.h"

__typeof__(lb_read_text) __wrap_lb_read_text;
__typeof__(lb_mail_templates_load) __wrap_lb_mail_templates_load;

static const uint8_t *named;
static size_t named_size;

int __wrap_lb_read_text(const char *path, bool must_exist, char **ret, size_t *ret_size, struct lb_ini_errors *errors)
{
    (void)errors;
    assert(*path == '/' && must_exist);
    if (named_size == 0)
        return 0;
    *ret = calloc(1, named_size + 1);
    assert(*ret);
    memcpy(*ret, named, named_size);
    *ret_size = named_size;
    return 1;
}

/* No directory is read: that of a template is fuzz_template.c's. */
int __wrap_lb_mail_templates_load(const char *directory, struct lb_ini_errors *errors, struct lb_mail_templates **ret)
{
    (void)errors;
    (void)ret;
    assert(*directory == '/');
    return 0;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void check_url(const char *url)
{
    assert(lb_text_is_clean(url, 2048) && !strchr(url, ' '));
}

/* What goes out has somewhere to go, encrypted, and what it goes with is no secret. */
static void check_good(const struct lb_courier_config *c)
{
    const struct lb_webhook_config *w = c->webhooks.items;
    const char *const secrets[] = { c->mail.password, c->remote.token, c->remote.secret, c->export.secret_key,
                                    c->export.token };

    assert(c->host && *c->host && c->give_up > 0 && c->remote.poll > 0 && c->export.every > 0);
    assert(!c->mail.server || begins(c->mail.server, "smtp://") || begins(c->mail.server, "smtps://"));
    assert(!c->mail.server == !c->mail.from && (!c->mail.from || lb_mailbox_is_address(c->mail.from)));
    assert(!c->remote.url == !c->remote.approver && (!c->remote.url || begins(c->remote.url, "https://")));
    assert(!c->export.url || begins(c->export.url, "https://") || begins(c->export.url, "s3://"));
    for (char **to = c->mail.to; to && *to; to++)
        assert(lb_mailbox_is_address(*to));
    for (size_t i = 0; i < LB_ELEMENTS(secrets); i++)
        assert(!secrets[i] || !begins(secrets[i], "whsec_"));
    for (size_t i = 0; i < c->webhooks.n; i++) {
        assert(lb_courier_config_webhook(c, w[i].name) == &w[i] && begins(w[i].url, "https://"));
        check_url(w[i].url);
        assert((w[i].format == LB_FORMAT_TEMPLATE) == (w[i].text != NULL));
    }
}

/* "path:line: …" or "path: …", and nothing in it that could not be shown. */
static void check_error(const char *path, const char *error)
{
    for (const char *end; *error; error = end + 1) {
        end = strchr(error, '\n');
        assert(end && (strncmp(error, path, strlen(path)) == 0 || *error == '/'));
        for (; error < end; error++)
            assert(*error == '\t' || ((unsigned char)*error >= ' ' && *error != 0x7f));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *border = size > 0 ? memchr(data, 0xff, size) : NULL;
    size_t first = border ? (size_t)(border - data) : size;
    struct lb_courier_config c = { 0 };
    LB_FREE char *error = NULL;
    LB_CLOSE int fd = memfd_create("courier.conf", MFD_CLOEXEC);
    char path[32];
    int r;

    named = border ? border + 1 : data;
    named_size = border ? size - first - 1 : 0;
    assert(fd >= 0 && write(fd, data, first) == (ssize_t)first);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = lb_courier_config_load(path, &c, &error);
    assert(r == 0 ? !error : r == -EINVAL && error && *error && !c.host);
    if (r == 0)
        check_good(&c);
    else
        check_error(path, error);
    lb_courier_config_clear(&c);
    return 0;
}
