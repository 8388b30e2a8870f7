/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/reading.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/chain.h"
#include "lockboxd/clock.h"
#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/plan.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define STORIES 256
#define AGAIN (2 * LB_USEC_PER_SEC)

struct lb_reading {
    struct lb_courier *courier;
    struct lb_stories *stories;
    sd_event_source *again;
    /* the page that is being made into letters */
    json_t *page; /* NULL: none */
    size_t index;
    struct lb_list steps; /* struct lb_step */
    /* the request that is being fetched, up to the event at hand */
    struct lb_query *query;
    char *id;
    struct lb_request *fetched;
    int64_t before;
    char *problem;
};

static void go_on(struct lb_reading *r);

/* --- a page ------------------------------------------------------------------------------------------------------- */

static void steps_clear(struct lb_reading *r)
{
    struct lb_step *steps = r->steps.items;

    for (size_t i = 0; i < r->steps.n; i++)
        lb_letter_clear(&steps[i].letter);
    free(steps);
    r->steps = (struct lb_list){ 0 };
}

static void stall(struct lb_reading *r, int error, const char *what)
{
    char *text = NULL;

    if (asprintf(&text, "%s: %s", what, strerrordesc_np(-error)) < 0)
        text = NULL;
    if (text && !lb_streq(text, r->problem))
        lb_log(LOG_ERR, "%s", text);
    free(r->problem);
    r->problem = text;
    sd_event_source_set_time_relative(r->again, AGAIN);
    sd_event_source_set_enabled(r->again, SD_EVENT_ONESHOT);
}

/* Everything is on disk, so it can go. */
static void page_done(struct lb_reading *r)
{
    struct lb_post *post = r->courier->post;
    const struct lb_step *steps = r->steps.items;

    for (size_t i = 0; i < r->steps.n; i++)
        if (!steps[i].withdraw)
            lb_post_expect(post, steps[i].letter.channel, steps[i].letter.target);
    steps_clear(r);
    json_decref(LB_TAKE(r->page));
    free(LB_TAKE(r->problem));
    lb_follow_go_on(r->courier->follow);
}

static void commit(struct lb_reading *r)
{
    const json_t *last = json_array_get(r->page, json_array_size(r->page) - 1);
    const char *hash = json_string_value(json_object_get(last, "hash"));
    int64_t dropped = 0;
    int error = lb_outbox_take(r->courier->outbox, json_integer_value(json_object_get(last, "seq")), hash ? hash : "",
                               r->steps.items, r->steps.n, &dropped);

    if (error < 0) {
        stall(r, error, "The outbox does not take what is to be told");
        if (error == -EUCLEAN) /* it is put aside at the start */
            sd_event_exit(r->courier->event, error);
        return;
    }
    if (dropped)
        lb_log(LOG_ERR, "%" PRId64 " letters are not sent: %d wait for their target already.", dropped, LB_OUTBOX_MAX);
    page_done(r);
}

/* --- letters ------------------------------------------------------------------------------------------------------ */

/* What is not plain in an identifier, or would end a part of it. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, isalnum((unsigned char)*text) || strchr("-_.", *text) ? "%c" : "=%02X", (unsigned char)*text);
}

/* Made of nothing but what does not change: the event, what it is, and to whom. */
static char *make_id(const struct lb_reading *r, const struct lb_matter *m, const struct lb_planned *p)
{
    const char *hash = json_string_value(json_object_get(m->shown, "hash"));
    char *id = NULL, begin[LB_HASH_MAX];
    size_t size;
    FILE *out = open_memstream(&id, &size);

    if (!out)
        return NULL;
    snprintf(begin, sizeof(begin), "%s", m->event->request ? m->event->request : hash ? hash : "");
    if (!m->event->request)
        begin[8] = '\0';
    fprintf(out, "%s.%" PRId64 "%s.", begin, m->event->seq, p->notice == LB_NOTICE_REMINDER ? ".reminder" : "");
    put_escaped(out, p->target);
    fputc('@', out);
    put_escaped(out, r->courier->config.host);
    if (fclose(out) == 0)
        return id;
    free(id);
    return NULL;
}

/* `target` NULL: whoever it was to. */
static int add_withdrawal(struct lb_reading *r, const char *channel, const char *request, const char *target)
{
    struct lb_step *step = lb_list_append(&r->steps, sizeof(*step));

    if (!step)
        return -ENOMEM;
    step->withdraw = true;
    step->letter.channel = strdup(channel);
    step->letter.request = strdup(request);
    step->letter.target = lb_dup(target);
    return step->letter.channel && step->letter.request && (!target || step->letter.target) ? 0 : -ENOMEM;
}

static int withdraw_from_one(struct lb_reading *r, const char *name, const char *request)
{
    const struct lb_approver *voter = lb_approvers_find(r->courier->approvers, name);
    int error = 0;

    for (char **address = voter ? voter->mail : NULL; error == 0 && address && *address; address++)
        error = add_withdrawal(r, "mail", request, *address);
    return error;
}

static int withdraw_from_all(struct lb_reading *r, const char *request)
{
    const struct lb_list *webhooks = &r->courier->config.webhooks;
    const struct lb_webhook_config *w = webhooks->items;
    int error = add_withdrawal(r, "mail", request, NULL);

    for (size_t i = 0; error == 0 && i < webhooks->n; i++)
        if (lb_webhook_is_chat(&w[i]))
            error = add_withdrawal(r, "webhook", request, w[i].name);
    return error;
}

static int add_letter(struct lb_reading *r, const struct lb_matter *m, const struct lb_planned *p)
{
    const struct lb_channel *channel = lb_channel_find(p->channel);
    struct lb_matter own = *m;
    LB_FREE char *body = NULL;
    struct lb_step *step;
    int error;

    own.notice = p->notice;
    own.person = p->person;
    error = channel ? channel->compose(&r->courier->config, p->target, &own, &body) : -EINVAL;
    if (error < 0)
        return error == -EINVAL ? 0 : error;
    step = lb_list_append(&r->steps, sizeof(*step));
    if (!step)
        return -ENOMEM;
    step->letter = (struct lb_letter){
        .id = make_id(r, m, p), .channel = strdup(p->channel), .target = strdup(p->target),
        .request = lb_dup(m->event->request), .seq = m->event->seq, .notice = p->notice, .due = p->due,
        .until = p->until, .body = LB_TAKE(body),
    };
    return step->letter.id && step->letter.channel && step->letter.target ? 0 : -ENOMEM;
}

static int write_letters(struct lb_reading *r, const struct lb_matter *m)
{
    LB_CLEANUP(lb_plan_clear) struct lb_plan plan = { 0 };
    const struct lb_occasion o = { m->event, m->request, &r->courier->config, r->courier->approvers, m->now };
    const struct lb_planned *letters;
    int error = lb_plan_make(&o, &plan);

    if (error == 0 && plan.settles && m->event->request)
        error = plan.voter ? withdraw_from_one(r, plan.voter, m->event->request)
                           : withdraw_from_all(r, m->event->request);
    letters = plan.letters.items;
    for (size_t i = 0; error == 0 && i < plan.letters.n; i++)
        error = add_letter(r, m, &letters[i]);
    return error;
}

/* --- a request that is not known ---------------------------------------------------------------------------------- */

static void on_events(void *userdata, const char *error, const json_t *parameters);

static void fetch(struct lb_reading *r, int64_t since)
{
    r->query = lb_query_start(r->courier->queries, "org.lockbox.Audit.Events",
                              json_pack("{ss sI}", "request", r->id, "since", (json_int_t)since), on_events, r);
    if (!r->query)
        stall(r, -ENOMEM, "A request cannot be read");
}

/* Applies those before the event at hand. Whether there may be more of them. */
static bool apply(struct lb_reading *r, const json_t *events)
{
    const json_t *shown = NULL;
    bool more = true;
    size_t i = 0;

    json_array_foreach (events, i, shown) {
        LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
        const char *json = json_string_value(json_object_get(shown, "json"));

        more = json_integer_value(json_object_get(shown, "seq")) < r->before;
        if (!more)
            break;
        if (!json || lb_chain_decode(json, &e, NULL) < 0 || e.kind >= LB_EVENT_REQUEST_MAX_)
            continue;
        if (lb_lifecycle_apply(&r->fetched, &e) < 0) { /* of a later version, perhaps: told without the request */
            r->fetched = lb_request_free(r->fetched);
            return false;
        }
    }
    return more;
}

static void on_events(void *userdata, const char *error, const json_t *parameters)
{
    struct lb_reading *r = userdata;
    bool unreachable = error && strstr(error, "NoSuchRequest") == NULL;
    int64_t next = json_integer_value(json_object_get(parameters, "next"));

    r->query = NULL;
    if (unreachable) {
        r->fetched = lb_request_free(r->fetched);
        stall(r, -EAGAIN, "A request cannot be read");
        return;
    }
    if (!error && apply(r, json_object_get(parameters, "events")) && next) {
        fetch(r, next);
        return;
    }
    if (lb_stories_put(r->stories, r->id, LB_TAKE(r->fetched)) < 0)
        stall(r, -ENOMEM, "A request cannot be read");
    else
        go_on(r);
}

/* --- event by event ----------------------------------------------------------------------------------------------- */

static void tell_parts(struct lb_courier *c, const struct lb_matter *m)
{
    for (size_t i = 0; lb_parts[i]; i++)
        if (c->parts[i] && lb_parts[i]->happened)
            lb_parts[i]->happened(c->parts[i], m);
}

/* 0: it is done; -EAGAIN: its request is fetched first. */
static int take(struct lb_reading *r, const json_t *shown)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    const char *json = json_string_value(json_object_get(shown, "json"));
    struct lb_matter m = { .host = r->courier->config.host, .event = &e, .shown = shown, .now = lb_clock_now().wall };
    int error = json ? lb_chain_decode(json, &e, NULL) : -EBADMSG;

    if (error == -EBADMSG) { /* of a later version */
        lb_log(LOG_WARNING, "Event %lld is not understood, and not told.",
               (long long)json_integer_value(json_object_get(shown, "seq")));
        return 0;
    }
    if (error == 0 && e.kind == LB_EVENT_POLICY_LOADED)
        lb_courier_read_approvers(r->courier);
    if (error == 0)
        error = lb_stories_event(r->stories, &e, &m.request);
    if (error == -ENOENT) {
        free(r->id);
        r->id = strdup(e.request);
        r->before = e.seq;
        if (r->id)
            fetch(r, 1);
        return r->id ? -EAGAIN : -ENOMEM;
    }
    if (error == 0)
        error = write_letters(r, &m);
    if (error == 0)
        tell_parts(r->courier, &m);
    return error;
}

static void go_on(struct lb_reading *r)
{
    int error = 0;

    if (!r->page || r->query)
        return;
    while (error == 0 && r->index < json_array_size(r->page)) {
        error = take(r, json_array_get(r->page, r->index));
        if (error == 0)
            r->index++;
    }
    if (error == 0)
        commit(r);
    if (error == 0 || error == -EAGAIN)
        return;
    lb_stories_forget(r->stories); /* the event at hand may be in them already: it comes again */
    stall(r, error, "What is to be told cannot be made");
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    go_on(userdata);
    return 0;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static int64_t position(void *userdata, const char **ret_hash)
{
    const struct lb_reading *r = userdata;

    return lb_outbox_position(r->courier->outbox, ret_hash);
}

static int moved(void *userdata, int64_t seq, const char *hash)
{
    struct lb_reading *r = userdata;
    int64_t dropped;

    lb_stories_forget(r->stories);
    return lb_outbox_take(r->courier->outbox, seq, hash, NULL, 0, &dropped);
}

static void on_page(void *userdata, const json_t *events)
{
    struct lb_reading *r = userdata;

    r->page = json_incref((json_t *)events);
    r->index = 0;
    go_on(r);
}

int lb_reading_new(struct lb_courier *c, struct lb_reading **ret)
{
    static const struct lb_follow_calls calls = { position, moved, on_page };
    struct lb_reading *r = calloc(1, sizeof(*r));
    int error;

    if (!r)
        return -ENOMEM;
    *r = (struct lb_reading){ .courier = c, .stories = lb_stories_new(STORIES) };
    error = r->stories ? sd_event_add_time_relative(c->event, &r->again, CLOCK_BOOTTIME, 0, 0, on_again, r) : -ENOMEM;
    if (error >= 0)
        error = lb_follow_new(c->event, c->options->socket, &calls, r, &c->follow);
    if (error < 0)
        lb_reading_free(r);
    else
        *ret = r;
    return error < 0 ? error : 0;
}

struct lb_reading *lb_reading_free(struct lb_reading *r)
{
    if (!r)
        return NULL;
    r->courier->follow = lb_follow_free(r->courier->follow);
    lb_query_free(r->query);
    steps_clear(r);
    json_decref(r->page);
    lb_stories_free(r->stories);
    lb_request_free(r->fetched);
    sd_event_source_disable_unref(r->again);
    free(r->id);
    free(r->problem);
    free(r);
    return NULL;
}

const char *lb_reading_problem(const struct lb_reading *r)
{
    return r ? r->problem : "the settings have mistakes, and nothing is read before they are mended";
}
