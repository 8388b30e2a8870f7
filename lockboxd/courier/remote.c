/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/remote.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/dialogue.h"
#include "lockboxd/courier/question.h"
#include "lockboxd/courier/service.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define AGAIN (5 * LB_USEC_PER_SEC) /* lockboxd was not there */
#define QUESTIONS_MAX 1000

/* A request that may be to be asked about. Three things are fetched from lockboxd, one after the other. */
struct topic {
    struct lb_remote *remote;
    struct topic *next;
    char *request;
    struct lb_query *query; /* lockboxd is being asked … */
    bool stale;            /* … and something has happened since, or it has to be asked again */
    char *approve, *deny;  /* what it has said so far */
    struct lb_dialogue *dialogue; /* NULL: nothing is asked */
};

struct lb_remote {
    struct lb_dialogue_means means;
    struct lb_query *listing;
    sd_event_source *again;
    bool unsynced;
    struct topic *first;
};

static void look(struct topic *t);

static struct topic *topic_free(struct topic *t)
{
    lb_query_free(t->query);
    lb_dialogue_free(t->dialogue);
    free(t->request);
    free(t->approve);
    free(t->deny);
    free(t);
    return NULL;
}

static void drop(struct topic *t)
{
    struct topic **at = &t->remote->first;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    topic_free(t);
}

/* --- what lockboxd says ------------------------------------------------------------------------------------------- */

static void arm(struct lb_remote *remote)
{
    if (sd_event_source_set_time_relative(remote->again, AGAIN) < 0 ||
        sd_event_source_set_enabled(remote->again, SD_EVENT_ONESHOT) < 0)
        lb_log(LOG_ERR, "remote: what waits is not looked at again before the next event: no timer");
}

/* What could not be asked now is, later. */
static void look_again_later(struct topic *t)
{
    t->stale = true;
    arm(t->remote);
}

static int begin(struct topic *t, const char *id, json_t *request)
{
    const char *approver = t->remote->means.config->remote.approver;
    LB_FREE char *body = lb_question_body(id, approver, request, t->approve, t->deny);

    t->dialogue = lb_dialogue_free(t->dialogue);
    return body ? lb_dialogue_new(&t->remote->means, t->request, id, body, &t->dialogue) : -ENOMEM;
}

/* Another text is another question: the stage has changed, or the request. */
static void on_request(void *userdata, const char *error, const json_t *parameters)
{
    struct topic *t = userdata;
    json_t *request = error ? NULL : json_object_get(parameters, "request");
    char id[LB_QUESTION_ID_MAX];

    t->query = NULL;
    if (!request || lb_question_id(t->request, t->approve, id) < 0) {
        look_again_later(t);
        return;
    }
    if ((!t->dialogue || !lb_streq(lb_dialogue_id(t->dialogue), id)) && begin(t, id, request) < 0)
        look_again_later(t);
    else if (t->stale)
        look(t);
}

static void call(struct topic *t, const char *method, json_t *parameters, lb_query_done *done)
{
    t->query = lb_query_start(t->remote->means.queries, method, parameters, done, t);
    if (!t->query)
        look_again_later(t);
}

static void ask_for_statement(struct topic *t, const char *decision, lb_query_done *done)
{
    call(t, "org.lockbox.Access.Statement", json_pack("{ss ss ss}", "id", t->request, "decision", decision, "approver",
                                                      t->remote->means.config->remote.approver), done);
}

/* The text of an answer, owned; NULL: it was a refusal. -EAGAIN: it is to be asked once more. */
static int take_statement(const char *error, const json_t *parameters, char **ret)
{
    const char *text = error ? NULL : json_string_value(json_object_get(parameters, "statement"));

    if (lb_streq(error, LB_QUERY_UNREACHABLE) || lb_streq(error, "org.lockbox.Access.Unavailable"))
        return -EAGAIN;
    free(*ret);
    *ret = lb_dup(text);
    return text && !*ret ? -EAGAIN : 0;
}

static void on_deny(void *userdata, const char *error, const json_t *parameters)
{
    struct topic *t = userdata;

    t->query = NULL;
    if (take_statement(error, parameters, &t->deny) < 0)
        look_again_later(t);
    else
        call(t, "org.lockbox.Access.Get", json_pack("{ss}", "id", t->request), on_request);
}

/* The approver may sign, or he may not (any more), which is the end of it: each event brings it up again. */
static void on_approve(void *userdata, const char *error, const json_t *parameters)
{
    struct topic *t = userdata;

    t->query = NULL;
    if (take_statement(error, parameters, &t->approve) < 0)
        look_again_later(t);
    else if (t->approve)
        ask_for_statement(t, "deny", on_deny);
    else if (t->stale)
        look(t);
    else
        drop(t);
}

static void look(struct topic *t)
{
    t->stale = false;
    ask_for_statement(t, "approve", on_approve);
}

/* --- what there is ------------------------------------------------------------------------------------------------ */

static struct topic *find(struct lb_remote *remote, const char *request, size_t *ret_n)
{
    *ret_n = 0;
    for (struct topic *t = remote->first; t; t = t->next, (*ret_n)++)
        if (lb_streq(t->request, request))
            return t;
    return NULL;
}

static struct topic *add(struct lb_remote *remote, const char *request)
{
    struct topic *t = calloc(1, sizeof(*t));
    char *copy = strdup(request);

    if (!t || !copy) {
        free(t);
        free(copy);
        return NULL;
    }
    *t = (struct topic){ .remote = remote, .next = remote->first, .request = copy };
    remote->first = t;
    return t;
}

void lb_remote_touch(struct lb_remote *remote, const char *request, bool waits)
{
    size_t n;
    struct topic *t = find(remote, request, &n);

    if (!t && !waits)
        return;
    if (!t && n < QUESTIONS_MAX)
        t = add(remote, request);
    if (!t) { /* what is too much now is found in the list, later */
        remote->unsynced = true;
        arm(remote);
        return;
    }
    t->stale = true;
    if (!t->query)
        look(t);
}

void lb_remote_hurry(struct lb_remote *remote)
{
    for (struct topic *t = remote->first; t; t = t->next)
        if (t->dialogue)
            lb_dialogue_hurry(t->dialogue);
}

static void on_list(void *userdata, const char *error, const json_t *parameters)
{
    struct lb_remote *remote = userdata;
    const json_t *request = NULL;
    size_t i = 0;

    remote->listing = NULL;
    remote->unsynced = error != NULL;
    if (error) {
        arm(remote);
        return;
    }
    json_array_foreach (json_object_get(parameters, "requests"), i, request) {
        const char *id = json_string_value(json_object_get(request, "id"));

        if (id)
            lb_remote_touch(remote, id, true);
    }
}

/* What was asked about before may be over. */
void lb_remote_sync(struct lb_remote *remote)
{
    for (struct topic *t = remote->first, *following; t; t = following) {
        following = t->next;
        lb_remote_touch(remote, t->request, true);
    }
    remote->listing = remote->listing ? remote->listing
                                      : lb_query_start(remote->means.queries, "org.lockbox.Access.List",
                                                       json_pack("{ss}", "which", "pending"), on_list, remote);
    remote->unsynced = !remote->listing;
    if (remote->unsynced)
        arm(remote);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_remote *remote = userdata;

    (void)source;
    (void)usec;
    if (remote->unsynced)
        lb_remote_sync(remote);
    for (struct topic *t = remote->first, *following; t; t = following) {
        following = t->next;
        if (t->stale && !t->query)
            look(t);
    }
    return 0;
}

int lb_remote_new(sd_event *event, struct lb_queries *queries, struct lb_transfers *transfers,
                  const struct lb_courier_config *config, struct lb_remote **ret)
{
    struct lb_remote *remote = calloc(1, sizeof(*remote));
    int r;

    if (!remote)
        return -ENOMEM;
    *remote = (struct lb_remote){ .means = { event, queries, transfers, config } };
    r = sd_event_add_time_relative(event, &remote->again, CLOCK_BOOTTIME, 0, 0, on_again, remote);
    if (r >= 0)
        r = sd_event_source_set_enabled(remote->again, SD_EVENT_OFF);
    if (r < 0) {
        lb_remote_free(remote);
        return r;
    }
    *ret = remote;
    return 0;
}

struct lb_remote *lb_remote_free(struct lb_remote *remote)
{
    if (!remote)
        return NULL;
    lb_query_free(remote->listing);
    while (remote->first)
        drop(remote->first);
    sd_event_source_disable_unref(remote->again);
    lb_pace_clear(&remote->means.submissions);
    free(remote);
    return NULL;
}

void lb_remote_status(const struct lb_remote *remote, struct lb_remote_status *ret)
{
    *ret = (struct lb_remote_status){ .spoke_at = remote->means.spoke_at };
    for (const struct topic *t = remote->first; t; t = t->next) {
        int64_t since;
        const char *problem = t->dialogue ? lb_dialogue_problem(t->dialogue, &since) : NULL;

        ret->questions += t->dialogue != NULL;
        if (problem && (!ret->problem || since < ret->since)) {
            ret->problem = problem;
            ret->since = since;
        }
    }
}
