/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/dialogue.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/question.h"
#include "lockboxd/courier/reply.h"
#include "lockboxd/courier/service.h"
#include "lockboxd/courier/trouble.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define SECOND LB_USEC_PER_SEC
#define RUNNING_MAX 64       /* transfers at a time; the other questions wait for one of them to end */
#define POLLS_MAX 56         /* of these, polls: what is asked for the first time finds a place at once */
#define SUBMISSIONS 20       /* a minute; lockboxd takes 30 */
#define ANSWER (20 * SECOND) /* besides the time that a poll may last */
#define ACCURACY 1000        /* µs; the loop would take a quarter of a second */
#define PAUSE (2 * SECOND)   /* between two polls of a service that does not keep them */

static const struct lb_patience with_network = { SECOND, 60 * SECOND };
static const struct lb_patience with_refusal = { 10 * SECOND, 600 * SECOND };
static const struct lb_patience with_lockboxd = { 2 * SECOND, 30 * SECOND };

enum step { STEP_ASK, STEP_WAIT, STEP_HAND_IN, STEP_OVER };

struct lb_dialogue {
    struct lb_dialogue_means *means;
    char *request, *id, *body;
    enum step step;
    sd_event_source *timer;
    struct lb_transfer *transfer;
    struct lb_query *query;
    struct lb_remote_reply reply; /* to be handed in */
    int64_t polled_at;            /* µs since boot */
    struct lb_trouble trouble;
    char who[64];
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

int lb_dialogue_new(struct lb_dialogue_means *means, const char *request, const char *id, const char *body,
                    struct lb_dialogue **ret)
{
    struct lb_dialogue *d = calloc(1, sizeof(*d));
    int r = -ENOMEM;

    if (!d)
        return r;
    *d = (struct lb_dialogue){ .means = means, .request = strdup(request), .id = strdup(id), .body = strdup(body) };
    snprintf(d->who, sizeof(d->who), "remote: %.32s", request);
    d->trouble.who = d->who;
    if (d->request && d->id && d->body)
        r = sd_event_add_time_relative(means->event, &d->timer, CLOCK_BOOTTIME, 0, ACCURACY, on_timer, d);
    if (r < 0) {
        lb_dialogue_free(d);
        return -ENOMEM;
    }
    *ret = d;
    return 0;
}

static void end_transfer(struct lb_dialogue *d)
{
    if (d->transfer)
        d->means->running--;
    d->transfer = NULL;
}

struct lb_dialogue *lb_dialogue_free(struct lb_dialogue *d)
{
    if (!d)
        return NULL;
    lb_transfer_free(d->transfer);
    end_transfer(d);
    lb_query_free(d->query);
    sd_event_source_disable_unref(d->timer);
    lb_remote_reply_clear(&d->reply);
    free(d->request);
    free(d->id);
    free(d->body);
    lb_trouble_clear(&d->trouble);
    free(d);
    return NULL;
}

const char *lb_dialogue_id(const struct lb_dialogue *d)
{
    return d->id;
}

const char *lb_dialogue_problem(const struct lb_dialogue *d, int64_t *ret_since)
{
    *ret_since = d->trouble.since;
    return d->trouble.text;
}

/* --- what comes next ---------------------------------------------------------------------------------------------- */

static void next(struct lb_dialogue *d, enum step step, int64_t delay)
{
    d->step = step;
    if (sd_event_source_set_time_relative(d->timer, (uint64_t)delay) < 0 ||
        sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT) < 0)
        lb_log(LOG_ERR, "remote: %s cannot be asked about any more: no timer", d->request);
}

void lb_dialogue_hurry(struct lb_dialogue *d)
{
    if (d->trouble.failures && !d->transfer && !d->query)
        next(d, d->step, 0);
}

static void go_well(struct lb_dialogue *d)
{
    lb_trouble_over(&d->trouble);
    d->means->spoke_at = lb_clock_now().wall;
}

/* Later, once more. */
static void try_again(struct lb_dialogue *d, enum step step, const struct lb_patience *patience, int64_t at_least,
                      const char *problem)
{
    int64_t delay = lb_trouble_meet(&d->trouble, patience, problem);

    next(d, step, delay > at_least ? delay : at_least);
}

/* --- the answer, and lockboxd ------------------------------------------------------------------------------------- */

static void on_taken(void *userdata, const char *error, const json_t *parameters)
{
    LB_FREE char *problem = NULL;
    struct lb_dialogue *d = userdata;
    const char *id = json_string_value(json_object_get(parameters, "id"));
    const char *reason = json_string_value(json_object_get(parameters, "reason"));
    bool later = lb_streq(error, LB_QUERY_UNREACHABLE) || lb_streq(error, "org.lockbox.Access.Unavailable");

    d->query = NULL;
    if (!error && lb_streq(id, d->request)) {
        lb_remote_reply_clear(&d->reply);
        go_well(d);
        d->step = STEP_OVER;
        return;
    }
    if (asprintf(&problem, later   ? "lockboxd cannot take the answer now: %s"
                           : error ? "lockboxd refuses what the service has signed: %s"
                                   : "the service has decided about %s instead",
                 error ? reason ? reason : error : id ? id : "another request") < 0)
        problem = NULL;
    try_again(d, later ? STEP_HAND_IN : STEP_ASK, later ? &with_lockboxd : &with_refusal, 0, problem);
}

static void hand_in(struct lb_dialogue *d)
{
    if (!lb_pace_take(&d->means->submissions, 0, lb_clock_now().boot, SUBMISSIONS)) {
        next(d, STEP_HAND_IN, with_lockboxd.first);
        return;
    }
    d->query = lb_query_start(d->means->queries, "org.lockbox.Access.Submit",
                              json_pack("{ss ss}", "statement", d->reply.statement, "signature", d->reply.signature),
                              on_taken, d);
    if (!d->query)
        try_again(d, STEP_HAND_IN, &with_lockboxd, 0, NULL);
}

static void take_reply(struct lb_dialogue *d, const struct lb_transfer_result *result)
{
    const char *problem = "out of memory";

    lb_remote_reply_clear(&d->reply);
    if (lb_remote_reply_parse(result->body, result->size, &d->reply, &problem) < 0)
        try_again(d, STEP_ASK, &with_refusal, 0, problem);
    else
        next(d, STEP_HAND_IN, 0);
}

/* --- the service -------------------------------------------------------------------------------------------------- */

static void wait_on(struct lb_dialogue *d, int64_t delay)
{
    go_well(d);
    next(d, STEP_WAIT, delay);
}

/* A status that is no failure, but not one of those that we know. */
static void puzzled(struct lb_dialogue *d, const struct lb_transfer_result *result)
{
    char problem[128];

    snprintf(problem, sizeof(problem), "the service answered HTTP %ld, which means nothing here", result->status);
    try_again(d, STEP_ASK, &with_refusal, 0, problem);
}

static void on_asked(void *userdata, const struct lb_transfer_result *result)
{
    struct lb_dialogue *d = userdata;

    end_transfer(d);
    if (!result->sent)
        try_again(d, STEP_ASK, &with_network, result->retry_after * SECOND, result->problem);
    else if (result->status == 200)
        take_reply(d, result);
    else if (result->status == 202)
        wait_on(d, 0);
    else
        puzzled(d, result);
}

static void on_polled(void *userdata, const struct lb_transfer_result *result)
{
    struct lb_dialogue *d = userdata;
    int64_t lasted = lb_clock_now().boot - d->polled_at;

    end_transfer(d);
    if (result->status == 404 || result->status == 410) /* it has lost the question, which is then put anew */
        try_again(d, STEP_ASK, &with_network, 0, "the service does not know the question any more");
    else if (!result->sent)
        try_again(d, STEP_WAIT, &with_network, result->retry_after * SECOND, result->problem);
    else if (result->status == 200)
        take_reply(d, result);
    else if (result->status == 204)
        wait_on(d, lasted < PAUSE ? PAUSE - lasted : 0);
    else
        puzzled(d, result);
}

/* `what`: of the request's URL; `body` NULL: GET. */
static void talk(struct lb_dialogue *d, const char *request, const char *what, const char *body, int64_t timeout,
                 lb_transfer_done *done)
{
    const struct lb_service_message message = { request, what, d->id, body };
    struct curl_slist *headers = NULL;
    LB_FREE char *error = NULL;
    CURL *easy = NULL;
    int r = lb_service_open(d->means->config, &message, &easy, &headers, &error);

    if (r == 0)
        r = lb_transfer_start(d->means->transfers, easy, headers, NULL, timeout, done, NULL, d, &d->transfer);
    if (r < 0) {
        try_again(d, d->step, &with_network, 0, error ? error : strerrordesc_np(-r));
        return;
    }
    lb_transfer_want_answer(d->transfer);
    d->means->running++;
}

static void poll_service(struct lb_dialogue *d)
{
    int64_t poll = d->means->config->remote.poll;
    char what[64];

    snprintf(what, sizeof(what), "/decision?wait=%lld", (long long)(poll / SECOND));
    d->polled_at = lb_clock_now().boot;
    talk(d, d->request, what, NULL, poll + ANSWER, on_polled);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_dialogue *d = userdata;

    (void)source;
    (void)usec;
    if (d->step == STEP_HAND_IN)
        hand_in(d);
    else if (d->means->running >= (d->step == STEP_WAIT ? POLLS_MAX : RUNNING_MAX))
        next(d, d->step, PAUSE);
    else if (d->step == STEP_ASK)
        talk(d, "", "", d->body, ANSWER, on_asked);
    else if (d->step == STEP_WAIT)
        poll_service(d);
    return 0;
}
