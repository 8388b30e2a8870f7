/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel "mail": one letter, one address, over SMTP. TLS is not a choice: smtps:// begins with it, smtp:// has to
 * come to it by STARTTLS before anything is said, the password least of all.
 */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/compose.h"
#include "policy/base.h"
#include "policy/mailbox.h"

#define PROTOCOLS "smtp,smtps"

static void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
}

/* curl makes copies of both. */
static int set_login(CURL *easy, const struct lb_mail_config *mail, char **ret_error)
{
    LB_CLEANUP(wipe) char *password = NULL;
    int r;

    if (!mail->user)
        return 0;
    r = mail->password ? lb_secret_read(mail->password, &password, ret_error) : 0;
    if (r < 0)
        return r == -ENOMEM ? r : -EACCES;
    if (curl_easy_setopt(easy, CURLOPT_USERNAME, mail->user) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PASSWORD, password ? password : "") != CURLE_OK)
        return -ENOMEM;
    return 0;
}

static int append(struct curl_slist **list, const char *address)
{
    LB_FREE char *path = NULL;
    struct curl_slist *longer;

    if (asprintf(&path, "<%s>", address) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    longer = curl_slist_append(*list, path);
    *list = longer ? longer : *list;
    return longer ? 0 : -ENOMEM;
}

static int set_up(CURL *easy, const struct lb_mail_config *mail, const struct lb_letter *letter, char **ret_error)
{
    LB_FREE char *from = NULL;
    int r;

    if (asprintf(&from, "<%s>", mail->from) < 0) {
        from = NULL;
        return -ENOMEM;
    }
    if (curl_easy_setopt(easy, CURLOPT_MAIL_FROM, from) != CURLE_OK)
        return -ENOMEM;
    r = lb_handle_upload(easy, letter->body);
    return r < 0 ? r : set_login(easy, mail, ret_error);
}

/* What is said of a letter that cannot go; `r` where it could be said. */
static int refuse(int r, const char *what, char **ret_error)
{
    *ret_error = strdup(what);
    return *ret_error ? r : -ENOMEM;
}

static int mail_compose(const struct lb_courier_config *config, const char *target, const struct lb_matter *matter,
                        char **ret)
{
    return lb_mailbox_is_address(target) ? lb_compose(&config->mail, matter, target, ret) : -EINVAL;
}

static int mail_open(const struct lb_courier_config *config, const struct lb_letter *letter, CURL **ret,
                     struct curl_slist **ret_headers, struct curl_slist **ret_recipients, char **ret_error)
{
    const struct lb_mail_config *mail = &config->mail;
    struct curl_slist *recipients = NULL;
    CURL *easy = NULL;
    int r;

    (void)ret_headers; /* they are in the body */
    if (!mail->server || !mail->from)
        return refuse(-ENOENT, "no mail server is configured any more", ret_error);
    if (!lb_mailbox_is_address(letter->target))
        return refuse(-EINVAL, "the recipient is no mail address", ret_error);
    r = lb_handle_new(config->proxy, mail->server, PROTOCOLS, &mail->tls, &easy, ret_error);
    if (r == 0)
        r = set_up(easy, mail, letter, ret_error);
    if (r == 0)
        r = append(&recipients, letter->target);
    if (r < 0) {
        lb_handle_free(easy);
        return r;
    }
    *ret = easy;
    *ret_recipients = recipients;
    return 0;
}

const struct lb_channel lb_channel_mail = {
    .name = "mail", .one_server = true, .compose = mail_compose, .open = mail_open,
};
