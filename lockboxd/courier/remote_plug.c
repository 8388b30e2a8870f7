/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* [Remote] in the courier: what it does by itself, and what the approval service is told by letter: that a request
 * is open no more, and a test. */
#include <errno.h>

#include "lockboxd/courier/courier.h"
#include "lockboxd/courier/question.h"
#include "lockboxd/courier/remote.h"
#include "lockboxd/courier/service.h"
#include "lockboxd/courier/trouble.h"
#include "lockboxd/proto/public.h"
#include "policy/base.h"

static int compose(const struct lb_courier_config *config, const char *target, const struct lb_matter *m, char **ret)
{
    json_auto_t *request = m->request ? lb_public_request(m->request) : NULL;

    (void)config;
    (void)target;
    if (m->notice != LB_NOTICE_TEST && !m->request)
        return -EINVAL;
    *ret = m->notice == LB_NOTICE_TEST ? lb_question_test(m->host) : lb_question_closed(m->host, request);
    return *ret ? 0 : -ENOMEM;
}

static int open_letter(const struct lb_courier_config *config, const struct lb_letter *l, CURL **ret,
                       struct curl_slist **ret_headers, struct curl_slist **ret_recipients, char **ret_error)
{
    const struct lb_service_message m = { l->request ? l->request : "", l->request ? "/closed" : "", l->id, l->body };

    (void)ret_recipients;
    if (config->remote.url)
        return lb_service_open(config, &m, ret, ret_headers, ret_error);
    *ret_error = strdup("it is not configured any more");
    return *ret_error ? -ENOENT : -ENOMEM;
}

const struct lb_channel lb_channel_remote = { .name = "remote", .compose = compose, .open = open_letter };

/* --- by itself ---------------------------------------------------------------------------------------------------- */

static int start(struct lb_courier *courier, void **ret)
{
    struct lb_remote *remote = NULL;
    int r = courier->config.remote.url
                ? lb_remote_new(courier->event, courier->queries, courier->transfers, &courier->config, &remote) : 0;

    if (r < 0)
        return r;
    if (remote)
        lb_remote_sync(remote);
    *ret = remote;
    return 0;
}

/* Who may decide, and what, hangs on the policy as well. */
static void happened(void *self, const struct lb_matter *m)
{
    if (m->event->request)
        lb_remote_touch(self, m->event->request, !m->request || lb_state_is_waiting(m->request->state));
    else if (m->event->kind == LB_EVENT_POLICY_LOADED || m->event->kind == LB_EVENT_STARTED)
        lb_remote_sync(self);
}

static json_t *status(const void *self)
{
    struct lb_remote_status s;

    lb_remote_status(self, &s);
    return lb_trouble_status(s.problem, s.since, s.spoke_at,
                          json_pack("{sI}", "waiting", (json_int_t)s.questions));
}

static void hurry(void *self)
{
    lb_remote_hurry(self);
}

static void stop(void *self)
{
    lb_remote_free(self);
}

const struct lb_part lb_part_remote = { "remote", start, happened, status, hurry, stop };
