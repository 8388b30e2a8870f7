/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* [Export] in the courier: what it does by itself, and the test of the store by letter: an object that says that
 * it is one. */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/collect.h"
#include "lockboxd/courier/courier.h"
#include "lockboxd/courier/export.h"
#include "lockboxd/courier/object.h"
#include "lockboxd/courier/trouble.h"
#include "policy/base.h"

static int compose(const struct lb_courier_config *config, const char *target, const struct lb_matter *m, char **ret)
{
    (void)config;
    (void)target;
    if (m->notice != LB_NOTICE_TEST)
        return -EINVAL;
    if (asprintf(ret, "This is a test of lockbox-courier on %s. It can be removed.\n", m->host) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int open_letter(const struct lb_courier_config *config, const struct lb_letter *l, CURL **ret,
                       struct curl_slist **ret_headers, struct curl_slist **ret_recipients, char **ret_error)
{
    const struct lb_object_bytes bytes = { .text = l->body, .size = (int64_t)strlen(l->body) };
    LB_FREE char *url = config->export.url ? lb_object_url(&config->export, "test", config->host, "test.txt") : NULL;

    (void)ret_recipients;
    if (config->export.url && !url)
        return -ENOMEM;
    if (url)
        return lb_object_open(config, url, "text/plain; charset=utf-8", &bytes, ret, ret_headers, ret_error);
    *ret_error = strdup("it is not configured any more");
    return *ret_error ? -ENOENT : -ENOMEM;
}

const struct lb_channel lb_channel_export = { .name = "export", .compose = compose, .open = open_letter };

/* --- by itself ---------------------------------------------------------------------------------------------------- */

static int start(struct lb_courier *courier, void **ret)
{
    const struct lb_export_means means = { courier->event,   courier->queries, courier->transfers,
                                           &courier->config, courier->options->state_directory,
                                           courier->options->packer };
    struct lb_export *export = NULL;
    int r = courier->config.export.url ? lb_export_new(&means, &export) : 0;

    *ret = export;
    return r;
}

static void happened(void *self, const struct lb_matter *m)
{
    if (lb_collect_is_end(m->event->kind))
        lb_export_run(self);
}

static json_t *status(const void *self)
{
    struct lb_export_status s;

    lb_export_status(self, &s);
    return lb_trouble_status(s.problem, s.since, s.sent_at,
                          json_pack("{sI sI}", "position", (json_int_t)s.position, "waiting", (json_int_t)s.waiting));
}

static void hurry(void *self)
{
    lb_export_hurry(self);
}

static void stop(void *self)
{
    lb_export_free(self);
}

const struct lb_part lb_part_export = { "export", start, happened, status, hurry, stop };
