/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is told what, when and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/courier/letter.h"
#include "lockboxd/courier/plan.h"
#include "tests/unit/samples.h"

static const char people[] = "[bob]\nMail=bob@customer.example bob@home.example\n"
                             "[carol]\nMail=carol@customer.example\n"
                             "[dave]\nUser=dave\n"
                             "[vera]\nMail=vera@vendor.example\n";
static char *customer[] = { "bob", "carol", "dave", NULL }, *vendor[] = { "vera", NULL };
static char *to[] = { "noc@customer.example", "carol@customer.example", NULL };

static struct lb_approvers *approvers;
static struct lb_courier_config config;

static int set_up(void **state)
{
    char *error = NULL;

    (void)state;
    config = (struct lb_courier_config){
        .host = "appliance", .give_up = 4 * 24 * HOUR, .mail = { .server = "smtp://mail", .remind = HOUR, .to = to },
    };
    return lb_approvers_parse("approvers.conf", people, strlen(people), &approvers, &error);
}

static int tear_down(void **state)
{
    (void)state;
    approvers = lb_approvers_free(approvers);
    return 0;
}

/* What an event with its request makes, as "channel target notice;" in order. */
static void assert_plan(struct lb_event *e, const struct lb_request *r, int64_t now, bool settles, const char *wanted)
{
    LB_CLEANUP(lb_plan_clear) struct lb_plan plan = { 0 };
    const struct lb_occasion o = { e, r, &config, approvers, now };
    const struct lb_planned *l;
    char text[1024] = "";
    size_t n = 0;

    assert_int_equal(lb_plan_make(&o, &plan), 0);
    l = plan.letters.items;
    for (size_t i = 0; i < plan.letters.n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s %s;", l[i].channel, l[i].target,
                              lb_notice_names[l[i].notice]);
    assert_string_equal(text, wanted);
    assert_int_equal(plan.settles, settles);
}

/* Events of these kinds, one after the other; the plan is for the last one. */
struct story {
    struct lb_request *request;
    struct lb_event last;
    bool reviewed;
};

static void tell(struct story *s, int kind)
{
    s->last = sample_event(kind, HOUR);
    s->last.entitled = customer;
    s->last.reviewers = s->reviewed ? vendor : NULL;
    s->last.terms.internal = s->reviewed ? vendor : NULL;
    s->last.terms.emergency = true;
    s->last.terms.emergency_duration = HOUR;
    if (kind == LB_EVENT_REVIEWED)
        s->last.stage = s->last.role = "internal";
    assert_int_equal(lb_lifecycle_apply(&s->request, &s->last), 0);
}

#define NOW (SAMPLE_WALL + HOUR)
#define BOBS(notice) "mail bob@customer.example " notice ";mail bob@home.example " notice ";"
#define CAROL(notice) "mail carol@customer.example " notice ";"
#define NOC(notice) "mail noc@customer.example " notice ";"
#define ALL(notice) BOBS(notice) CAROL(notice) NOC(notice)
#define ASK_BOBS "mail bob@customer.example action;mail bob@customer.example reminder;" \
                 "mail bob@home.example action;mail bob@home.example reminder;"
#define ASK_CAROL "mail carol@customer.example action;mail carol@customer.example reminder;"
#define ASK_NOC "mail noc@customer.example action;mail noc@customer.example reminder;"

/* All addresses of a person, nobody without one, the group's besides, and nobody twice. */
static void test_who_is_asked(void **state)
{
    struct story s = { 0 };

    (void)state;
    tell(&s, LB_EVENT_REQUESTED);
    assert_plan(&s.last, s.request, NOW, false, ASK_BOBS ASK_CAROL ASK_NOC);
    lb_request_free(s.request);
}

static void test_the_vendor_first(void **state)
{
    struct story s = { .reviewed = true };

    (void)state;
    tell(&s, LB_EVENT_REVIEW);
    assert_plan(&s.last, s.request, NOW, false,
                "mail vera@vendor.example action;mail vera@vendor.example reminder;" ASK_NOC ASK_CAROL);
    tell(&s, LB_EVENT_REVIEWED);
    assert_plan(&s.last, s.request, NOW, true, ASK_BOBS ASK_CAROL ASK_NOC);
    lb_request_free(s.request);
}

/* What the vendor turned down never came before the customer. */
static void test_turned_down_by_the_vendor(void **state)
{
    struct story s = { .reviewed = true };

    (void)state;
    tell(&s, LB_EVENT_REVIEW);
    tell(&s, LB_EVENT_DENIED);
    assert_plan(&s.last, s.request, NOW, true, "mail vera@vendor.example outcome;" NOC("outcome") CAROL("outcome"));
    lb_request_free(s.request);
}

static void test_the_outcome_goes_to_who_was_asked(void **state)
{
    static const int ends[] = { LB_EVENT_APPROVED, LB_EVENT_DENIED, LB_EVENT_EXPIRED, LB_EVENT_WITHDRAWN };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(ends); i++) {
        struct story s = { 0 };

        tell(&s, LB_EVENT_REQUESTED);
        tell(&s, ends[i]);
        assert_plan(&s.last, s.request, NOW, true, ALL("outcome"));
        lb_request_free(s.request);
    }
}

static void test_the_receipt(void **state)
{
    struct story s = { 0 };
    static const int way[] = { LB_EVENT_REQUESTED, LB_EVENT_APPROVED, LB_EVENT_BEGUN, LB_EVENT_TIME_OVER };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(way); i++)
        tell(&s, way[i]);
    assert_plan(&s.last, s.request, NOW, false, "");
    tell(&s, LB_EVENT_ENDED);
    assert_plan(&s.last, s.request, NOW, false, ALL("outcome"));
    lb_request_free(s.request);
}

/* Nobody was asked, so nobody is told by mail how it ended. */
static void test_a_permit_is_nobodys_mail(void **state)
{
    struct story s = { 0 };

    (void)state;
    for (int kind = LB_EVENT_PERMITTED; kind;
         kind = kind == LB_EVENT_PERMITTED ? LB_EVENT_TIME_OVER : kind == LB_EVENT_TIME_OVER ? LB_EVENT_ENDED : 0) {
        tell(&s, kind);
        s.request->basis = LB_BASIS_PERMIT;
        assert_plan(&s.last, s.request, NOW, false, "");
    }
    lb_request_free(s.request);
}

static void test_an_emergency(void **state)
{
    struct story s = { 0 };

    (void)state;
    tell(&s, LB_EVENT_REQUESTED);
    tell(&s, LB_EVENT_EMERGENCY);
    assert_plan(&s.last, s.request, NOW, true, ALL("urgent"));
    lb_request_free(s.request);
}

/* One yes of several: he who has said it is asked no more, and nobody is told yet. */
static void test_a_vote(void **state)
{
    LB_CLEANUP(lb_plan_clear) struct lb_plan plan = { 0 };
    struct story s = { 0 };

    (void)state;
    tell(&s, LB_EVENT_REQUESTED);
    tell(&s, LB_EVENT_VOTED);
    s.last.approver = "bob";
    assert_plan(&s.last, s.request, NOW, true, "");
    assert_int_equal(lb_plan_make(&(struct lb_occasion){ &s.last, s.request, &config, approvers, NOW }, &plan), 0);
    assert_string_equal(plan.voter, "bob");
    lb_request_free(s.request);
}

static void test_only_the_engineers_words(void **state)
{
    struct story s = { 0 };

    (void)state;
    tell(&s, LB_EVENT_REQUESTED);
    tell(&s, LB_EVENT_MESSAGE); /* from bob */
    assert_plan(&s.last, s.request, NOW, false, "");
    s.last.from = LB_FROM_DAEMON;
    assert_plan(&s.last, s.request, NOW, false, "");
    s.last.from = "eng@vendor.example";
    assert_plan(&s.last, s.request, NOW, false, ALL("message"));
    lb_request_free(s.request);
}

static void test_alarms(void **state)
{
    struct story s = { 0 };
    struct lb_event e = sample_event(LB_EVENT_UNACCOUNTED, HOUR);

    (void)state;
    e.request = NULL;
    assert_plan(&e, NULL, NOW, false, NOC("alarm") CAROL("alarm"));
    config.mail.to = NULL; /* then whoever is known */
    assert_plan(&e, NULL, NOW, false, BOBS("alarm") CAROL("alarm") "mail vera@vendor.example alarm;");
    config.mail.to = to;
    tell(&s, LB_EVENT_REQUESTED);
    s.last.kind = LB_EVENT_STUCK;
    assert_plan(&s.last, s.request, NOW, false, ALL("alarm"));
    lb_request_free(s.request);
}

static void test_undelivered_is_not_told(void **state)
{
    struct lb_webhook_config hook = { .name = "siem" };
    struct lb_event e = sample_event(LB_EVENT_UNDELIVERED, HOUR);

    (void)state;
    config.webhooks = (struct lb_list){ &hook, 1 };
    assert_plan(&e, NULL, NOW, false, "");
}

static void test_webhooks_choose(void **state)
{
    static char *some[] = { "appro*", "denied", NULL };
    struct lb_webhook_config hooks[] = { { .name = "all" }, { .name = "some", .events = some } };
    struct lb_event e = sample_event(LB_EVENT_OPENED, HOUR);

    (void)state;
    config.mail.server = NULL;
    config.webhooks = (struct lb_list){ hooks, 2 };
    assert_plan(&e, NULL, NOW, false, "webhook all ;");
    e.kind = LB_EVENT_APPROVED;
    assert_plan(&e, NULL, NOW, true, "webhook all outcome;webhook some outcome;");
    e.kind = LB_EVENT_POLICY_LOADED;
    assert_plan(&e, NULL, NOW, false, "webhook all ;");
}

/* Times: asked until the request expires, reminded before, and what is old is not told at all. */
static void test_times(void **state)
{
    LB_CLEANUP(lb_plan_clear) struct lb_plan plan = { 0 };
    struct story s = { 0 };
    const struct lb_planned *l;
    struct lb_occasion o;

    (void)state;
    tell(&s, LB_EVENT_REQUESTED);
    o = (struct lb_occasion){ &s.last, s.request, &config, approvers, NOW };
    assert_int_equal(lb_plan_make(&o, &plan), 0);
    l = plan.letters.items;
    assert_int_equal(l[0].due, 0);
    assert_int_equal(l[0].until, NOW + 12 * HOUR);
    assert_string_equal(l[0].person, "bob");
    assert_int_equal(l[1].notice, LB_NOTICE_REMINDER);
    assert_int_equal(l[1].due, NOW + 11 * HOUR);
    assert_int_equal(l[1].until, NOW + 12 * HOUR);
    assert_null(l[6].person);
    assert_plan(&s.last, s.request, NOW + 11 * HOUR, false, BOBS("action") CAROL("action") NOC("action"));
    assert_plan(&s.last, s.request, NOW + 12 * HOUR, false, "");
    lb_request_free(s.request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_vendor_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turned_down_by_the_vendor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_outcome_goes_to_who_was_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_receipt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_permit_is_nobodys_mail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_emergency, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_vote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_engineers_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alarms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_undelivered_is_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_webhooks_choose, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
