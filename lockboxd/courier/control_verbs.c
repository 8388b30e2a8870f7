/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of org.lockbox.Courier, each checked and handed over by control.c. */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/control.h"
#include "lockboxd/courier/reading.h"
#include "policy/base.h"
#include "policy/text.h"

#define DEAD_MAX 1000

/* --- how it is ---------------------------------------------------------------------------------------------------- */

static const char *time_text(int64_t wall, char text[static 40])
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    struct tm tm;

    strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return text;
}

static json_t *pack_parts(const struct lb_courier *co)
{
    json_t *parts = json_object();

    for (size_t i = 0; lb_parts[i]; i++)
        if (co->parts[i] && lb_parts[i]->status)
            json_object_set_new(parts, lb_parts[i]->name, lb_parts[i]->status(co->parts[i]));
    return parts;
}

static void verb_status(struct lb_conversation *c, const struct lb_control_parameters *p)
{
    static const char *const channels[] = { "mail", "webhook", "remote", "export" };
    struct lb_courier *co = c->courier;
    int64_t position = lb_outbox_position(co->outbox, NULL), last = co->follow ? lb_follow_last(co->follow) : 0;
    const char *problem = lb_reading_problem(co->reading);
    char started[40];
    json_t *has = json_object(), *targets = lb_post_status(co->post);

    (void)p;
    problem = problem || !co->follow ? problem : lb_follow_problem(co->follow);
    for (size_t i = 0; i < LB_ELEMENTS(channels); i++)
        json_object_set_new(has, channels[i], json_boolean(lb_courier_config_has(&co->config, channels[i])));
    lb_control_reply(c, json_pack("{ss ss ss sI sI sI ss* ss* so so so}", "version", LB_VERSION, "host",
                       co->config.host ? co->config.host : "", "started_at", time_text(co->started_at, started),
                       "position", (json_int_t)position, "behind",
                       (json_int_t)(position >= 0 && last > position ? last - position : 0), "dropped",
                       (json_int_t)lb_outbox_dropped(co->outbox), "problem", problem, "config_error",
                       co->config_error, "channels", has, "targets", targets ? targets : json_array(), "parts",
                       pack_parts(co)), false);
}

static int on_dead(void *userdata, const struct lb_letter *l)
{
    return json_array_append_new(userdata, json_pack("{ss ss ss ss* ss sI ss*}", "id", l->id, "channel", l->channel,
                                                     "target", l->target, "request", l->request, "notice",
                                                     l->notice > 0 && l->notice < LB_NOTICE_MAX_
                                                         ? lb_notice_names[l->notice] : "",
                                                     "attempts", (json_int_t)l->attempts, "error", l->error));
}

static void verb_dead(struct lb_conversation *c, const struct lb_control_parameters *p)
{
    json_t *letters = json_array();

    (void)p;
    if (lb_outbox_dead(c->courier->outbox, DEAD_MAX, on_dead, letters) < 0) {
        json_decref(letters);
        lb_control_refuse(c, LB_COURIER_ERROR("Unavailable"), json_pack("{ss}", "reason", "the outbox cannot be read"));
        return;
    }
    lb_control_reply(c, json_pack("{so}", "letters", letters), false);
}

static int on_revived(void *userdata, const struct lb_outbox_target *t)
{
    if (t->waiting)
        lb_post_expect(userdata, t->channel, t->target);
    return 0;
}

/* Whoever has mended what was wrong does not want to wait. */
static void hurry(struct lb_courier *co)
{
    lb_post_hurry(co->post);
    for (size_t i = 0; lb_parts[i]; i++)
        if (co->parts[i])
            lb_parts[i]->hurry(co->parts[i]);
}

static void verb_retry(struct lb_conversation *c, const struct lb_control_parameters *p)
{
    struct lb_courier *co = c->courier;
    int64_t n = lb_outbox_revive(co->outbox, p->id, lb_clock_now().wall + co->config.give_up);

    if (n >= 0)
        lb_outbox_targets(co->outbox, on_revived, co->post);
    if (n >= 0 && !p->id)
        hurry(co);
    if (n < 0)
        lb_control_refuse(c, LB_COURIER_ERROR("Unavailable"),
                          json_pack("{ss}", "reason", "the outbox cannot be written"));
    else if (n == 0 && p->id)
        lb_control_refuse(c, LB_COURIER_ERROR("InvalidParameter"),
               json_pack("{ss ss}", "field", "id", "reason", "there is no such letter that was given up"));
    else
        lb_control_reply(c, json_pack("{sI}", "count", (json_int_t)n), false);
}

static void verb_get_info(struct lb_conversation *c, const struct lb_control_parameters *p)
{
    (void)p;
    lb_control_reply(c, json_pack("{ss ss ss ss s[ss]}", "vendor", "lockbox", "product", "lockbox-courier",
                                  "version", LB_VERSION, "url", "https://varlink.org", "interfaces",
                                  "org.lockbox.Courier", "org.varlink.service"), false);
}

static void verb_get_description(struct lb_conversation *c, const struct lb_control_parameters *p)
{
    if (lb_streq(p->interface, "org.lockbox.Courier"))
        lb_control_reply(c, json_pack("{ss}", "description", lb_courier_interface), false);
    else
        lb_control_refuse(c, "org.varlink.service.InterfaceNotFound", json_pack("{ss*}", "interface", p->interface));
}

/* --- a test ------------------------------------------------------------------------------------------------------- */

static void test_over(struct lb_conversation *c, bool delivered, const char *problem)
{
    LB_FREE char *clean = problem ? lb_text_clean(problem, 512) : NULL;

    c->transfer = NULL;
    lb_letter_clear(&c->letter);
    lb_control_reply(c, json_pack("{sb ss*}", "delivered", delivered, "problem", clean), false);
}

static void on_tested(void *userdata, const struct lb_transfer_result *r)
{
    test_over(userdata, r->sent, r->problem);
}

static void on_step(void *userdata, const char *text)
{
    LB_FREE char *clean = lb_text_clean(text, 512);
    struct lb_conversation *c = userdata;

    if (clean && *clean && c->caller.more && !c->caller.dead)
        lb_control_reply(c, json_pack("{ss}", "step", clean), true);
}

/* Whom it goes to where nobody is named. */
static const char *only_target(const struct lb_courier_config *config, const char *channel)
{
    const struct lb_webhook_config *w = config->webhooks.items;

    if (strcmp(channel, "webhook") == 0)
        return config->webhooks.n == 1 ? w[0].name : NULL;
    if (strcmp(channel, "mail") == 0)
        return config->mail.to ? config->mail.to[0] : NULL;
    return channel;
}

static int make_test(struct lb_conversation *c, const struct lb_channel *channel, const char *target)
{
    struct lb_courier *co = c->courier;
    const struct lb_matter m = { .notice = LB_NOTICE_TEST, .host = co->config.host, .now = lb_clock_now().wall };
    struct lb_letter *l = &c->letter;
    uint64_t random = 0;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random) ||
        asprintf(&l->id, "test.%016llx@%s", (unsigned long long)random, "lockbox") < 0)
        return -ENOMEM;
    l->channel = strdup(channel->name);
    l->target = strdup(target);
    l->notice = LB_NOTICE_TEST;
    return l->channel && l->target ? channel->compose(&co->config, target, &m, &l->body) : -ENOMEM;
}

static void verb_test(struct lb_conversation *c, const struct lb_control_parameters *p)
{
    struct lb_courier *co = c->courier;
    const struct lb_channel *channel = lb_channel_find(p->channel ? p->channel : "");
    const char *target = p->target || !channel ? p->target : only_target(&co->config, channel->name);
    struct curl_slist *headers = NULL, *recipients = NULL;
    LB_FREE char *error = NULL;
    CURL *easy = NULL;
    int r = 0;

    if (!channel || !lb_courier_config_has(&co->config, channel->name) || !co->transfers) {
        lb_control_refuse(c, LB_COURIER_ERROR("InvalidParameter"),
                          json_pack("{ss ss}", "field", "channel", "reason",
                                    channel ? "it is not configured: courier.conf(5)"
                                            : "there is no such channel: mail, webhook, remote, export"));
        return;
    }
    if (!target) {
        bool mail = lb_streq(channel->name, "mail");

        lb_control_refuse(c, LB_COURIER_ERROR("InvalidParameter"),
                          json_pack("{ss ss}", "field", "target", "reason", mail ? "to whom? Add an address"
                                                                               : "to which of them? Add its name"));
        return;
    }
    r = make_test(c, channel, target);
    if (r == 0)
        r = channel->open(&co->config, &c->letter, &easy, &headers, &recipients, &error);
    if (r == 0)
        r = lb_transfer_start(co->transfers, easy, headers, recipients, LB_CONTROL_TEST_USEC, on_tested, on_step, c,
                              &c->transfer);
    if (r < 0)
        test_over(c, false, error ? error : r == -EINVAL ? "there is no such target" : strerrordesc_np(-r));
}

void lb_control_stop_test(struct lb_conversation *c)
{
    c->transfer = lb_transfer_free(c->transfer);
    test_over(c, false, "the settings were read anew meanwhile; try again");
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

#define FIELD(member) { #member, LB_FIELD_STRING, offsetof(struct lb_control_parameters, member) }
static const struct lb_field none[] = { { 0 } }, test_fields[] = { FIELD(channel), FIELD(target), { 0 } },
                             retry_fields[] = { FIELD(id), { 0 } }, description_fields[] = { FIELD(interface), { 0 } };

const struct lb_control_verb lb_control_verbs[] = {
    { LB_COURIER_ERROR("Status"), LB_CONTROL_READERS, none, verb_status },
    { LB_COURIER_ERROR("Dead"), LB_CONTROL_READERS, none, verb_dead },
    { LB_COURIER_ERROR("Test"), LB_CONTROL_ROOT, test_fields, verb_test },
    { LB_COURIER_ERROR("Retry"), LB_CONTROL_ROOT, retry_fields, verb_retry },
    { "org.varlink.service.GetInfo", LB_CONTROL_ANYBODY, none, verb_get_info },
    { "org.varlink.service.GetInterfaceDescription", LB_CONTROL_ANYBODY, description_fields,
      verb_get_description },
    { 0 },
};
