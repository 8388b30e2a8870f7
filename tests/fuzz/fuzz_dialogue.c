/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any sequence of statuses and answers from an approval service, and of answers from lockboxd: what is handed in is
 * only what was an answer, one thing happens at a time, and nothing is left when it ends. The input is lines: a digit
 * for what happens, and the rest is what was said. The network, lockboxd and the clock are made up here (-Wl,--wrap).
 * See fuzz_policy.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "lockboxd/courier/dialogue.h"
#include "lockboxd/courier/reply.h"
#include "lockboxd/courier/service.h"
#include "lockboxd/log.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/deadline.h"

#include "tests/fuzz/fuzz_main.h"

#define TURNS 64
#define LONGEST UINT64_C(86400) /* seconds that a service may ask to be left alone for */

int __real_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
__typeof__(sd_event_source_set_time_relative) __wrap_sd_event_source_set_time_relative;
__typeof__(lb_service_open) __wrap_lb_service_open;
__typeof__(lb_transfer_start) __wrap_lb_transfer_start;
__typeof__(lb_transfer_free) __wrap_lb_transfer_free;
__typeof__(lb_query_start) __wrap_lb_query_start;
__typeof__(lb_query_free) __wrap_lb_query_free;
__typeof__(lb_log) __wrap_lb_log;

/* What runs; the real ones are never made. */
static struct {
    lb_transfer_done *done;
    lb_query_done *answered;
    void *userdata;
    char *answer; /* of the service, the last one */
} world;

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    assert(usec <= LONGEST * LB_USEC_PER_SEC);
    return __real_sd_event_source_set_time_relative(source, 0);
}

int __wrap_lb_service_open(const struct lb_courier_config *config, const struct lb_service_message *m, CURL **ret,
                           struct curl_slist **ret_headers, char **ret_error)
{
    (void)config;
    (void)ret;
    (void)ret_headers;
    (void)ret_error;
    assert(lb_streq(m->id, "7F3K-9QXM.0") && !m->body == (strncmp(m->what, "/decision?wait=", 15) == 0));
    return 0;
}

int __wrap_lb_transfer_start(struct lb_transfers *t, CURL *easy, struct curl_slist *headers,
                             struct curl_slist *recipients, int64_t timeout, lb_transfer_done *done,
                             lb_transfer_step *step, void *userdata, struct lb_transfer **ret)
{
    (void)t;
    (void)step;
    (void)easy;
    (void)headers;
    (void)recipients;
    assert(!world.done && !world.answered && timeout > 0);
    world.done = done;
    world.userdata = userdata;
    *ret = (struct lb_transfer *)&world;
    return 0;
}

struct lb_transfer *__wrap_lb_transfer_free(struct lb_transfer *transfer)
{
    if (transfer)
        world.done = NULL;
    return NULL;
}

/* Row 29: nothing is handed in that the service has not said. */
struct lb_query *__wrap_lb_query_start(struct lb_queries *q, const char *method, json_t *parameters,
                                       lb_query_done *done, void *userdata)
{
    const char *statement = json_string_value(json_object_get(parameters, "statement"));
    struct lb_remote_reply said = { 0 };
    const char *problem;

    (void)q;
    assert(!world.done && !world.answered && lb_streq(method, "org.lockbox.Access.Submit") && statement);
    assert(world.answer && lb_remote_reply_parse(world.answer, strlen(world.answer), &said, &problem) == 0);
    assert(lb_streq(said.statement, statement));
    lb_remote_reply_clear(&said);
    json_decref(parameters);
    world.answered = done;
    world.userdata = userdata;
    return (struct lb_query *)&world;
}

struct lb_query *__wrap_lb_query_free(struct lb_query *query)
{
    if (query)
        world.answered = NULL;
    return NULL;
}

void __wrap_lb_log(int priority, const char *format, ...)
{
    va_list words;
    char line[1024];

    va_start(words, format);
    vsnprintf(line, sizeof(line), format, words);
    va_end(words);
    (void)priority;
    for (const char *p = line; *p; p++) /* nobody's words make a line of their own */
        assert((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void answer_as_service(int kind, char *said, size_t size)
{
    static const struct lb_transfer_result kinds[] = {
        { .sent = true, .status = 200 }, { .sent = true, .status = 202 }, { .sent = true, .status = 204 },
        { .sent = true, .status = 299 }, { .status = 404, .problem = "HTTP 404" },
        { .status = 410, .final = true, .problem = "HTTP 410" }, { .status = 503, .retry_after = 86399,
        .problem = "HTTP 503" },
        { .problem = "no route" },
    };
    struct lb_transfer_result result = kinds[kind % (int)LB_ELEMENTS(kinds)];
    lb_transfer_done *done = world.done;

    result.body = said;
    result.size = size;
    if (result.problem && size > 0)
        result.problem = said;
    free(world.answer);
    world.answer = strdup(said);
    assert(world.answer);
    world.done = NULL;
    done(world.userdata, &result);
}

static void answer_as_lockboxd(int kind, const char *said, size_t size)
{
    static const char *const errors[] = { NULL, NULL, LB_QUERY_UNREACHABLE, "org.lockbox.Access.Unavailable",
                                          "org.lockbox.Access.Refused" };
    json_auto_t *parameters = lb_json_load(said, size);
    lb_query_done *done = world.answered;

    world.answered = NULL;
    done(world.userdata, errors[kind % (int)LB_ELEMENTS(errors)], parameters);
}

/* The next line of the input to whoever is waited for. */
static const char *step(sd_event *event, const char *text)
{
    size_t n = strcspn(text, "\n");
    LB_FREE char *said = n > 0 ? strndup(text + 1, n - 1) : strdup("");
    int kind = n > 0 ? (unsigned char)text[0] % 16 : 0;

    assert(said && sd_event_run(event, 0) >= 0);
    if (world.done)
        answer_as_service(kind, said, strlen(said));
    else if (world.answered)
        answer_as_lockboxd(kind, said, strlen(said));
    return text + n + (text[n] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lb_courier_config config = {
        .remote = { .url = (char *)"https://a.example", .approver = (char *)"board", .poll = LB_USEC_PER_SEC }
    };
    LB_FREE char *text = calloc(1, size + 1);
    struct lb_dialogue_means means = { .config = &config };
    struct lb_dialogue *d = NULL;
    const char *p = text;
    int64_t since;

    assert(text && sd_event_new(&means.event) >= 0);
    if (size > 0)
        memcpy(text, data, size);
    assert(lb_dialogue_new(&means, "7F3K-9QXM", "7F3K-9QXM.0", "{}", &d) == 0);
    for (int i = 0; i < TURNS && *p; i++) {
        const char *problem = lb_dialogue_problem(d, &since);

        assert(!problem || since > 0);
        p = step(means.event, p);
        assert(means.running == (world.done != NULL));
    }
    lb_dialogue_free(d);
    assert(means.running == 0 && !world.done && !world.answered);
    lb_pace_clear(&means.submissions);
    free(LB_TAKE(world.answer));
    sd_event_unref(means.event);
    return 0;
}
