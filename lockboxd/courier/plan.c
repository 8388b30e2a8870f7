/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/plan.h"

#include <errno.h>

#include "lockboxd/courier/letter.h"
#include "policy/base.h"
#include "policy/glob.h"

/* A reminder that comes so soon after the question is none. */
#define SOON (60 * LB_USEC_PER_SEC)

enum who {
    NOBODY,
    REVIEWERS, /* the vendor's approvers */
    CUSTOMER,  /* the customer's */
    DECIDERS,  /* whoever has it before him now */
    ASKED,     /* all who were asked, or told of the emergency */
    HOST,      /* whoever looks after the host */
};

/* What a kind is to people, and to whom. The others are told to programs alone. */
static const struct {
    int notice;
    enum who who;
    bool settles; /* nobody is asked any more who was asked before; by a vote of several, he who has cast it */
} kinds[LB_EVENT_MAX_] = {
    [LB_EVENT_REVIEW] = { LB_NOTICE_ACTION, REVIEWERS },
    [LB_EVENT_REQUESTED] = { LB_NOTICE_ACTION, CUSTOMER },
    [LB_EVENT_REVIEWED] = { LB_NOTICE_ACTION, CUSTOMER, true },
    [LB_EVENT_VOTED] = { LB_NOTICE_NONE, NOBODY, true },
    [LB_EVENT_MESSAGE] = { LB_NOTICE_MESSAGE, DECIDERS },
    [LB_EVENT_EMERGENCY] = { LB_NOTICE_URGENT, ASKED, true },
    [LB_EVENT_APPROVED] = { LB_NOTICE_OUTCOME, ASKED, true },
    [LB_EVENT_DENIED] = { LB_NOTICE_OUTCOME, ASKED, true },
    [LB_EVENT_EXPIRED] = { LB_NOTICE_OUTCOME, ASKED, true },
    [LB_EVENT_WITHDRAWN] = { LB_NOTICE_OUTCOME, ASKED, true },
    [LB_EVENT_UNDECIDABLE] = { LB_NOTICE_OUTCOME, ASKED, true },
    [LB_EVENT_LAPSED] = { LB_NOTICE_OUTCOME, ASKED },
    [LB_EVENT_COMPLETED] = { LB_NOTICE_OUTCOME, ASKED },
    [LB_EVENT_ENDED] = { LB_NOTICE_OUTCOME, ASKED },
    [LB_EVENT_REVOKED] = { LB_NOTICE_OUTCOME, ASKED },
    [LB_EVENT_STUCK] = { LB_NOTICE_ALARM, CUSTOMER },
    [LB_EVENT_UNIT_FAILED] = { LB_NOTICE_ALARM, CUSTOMER },
    [LB_EVENT_UNACCOUNTED] = { LB_NOTICE_ALARM, HOST },
    [LB_EVENT_POLICY_REFUSED] = { LB_NOTICE_ALARM, HOST },
};

int lb_plan_notice(const struct lb_event *e)
{
    return kinds[e->kind].notice;
}

int lb_plan_add(struct lb_plan *p, const char *channel, const char *target, const char *person, int notice, int64_t due,
                int64_t until)
{
    struct lb_planned *l = p->letters.items;

    for (size_t i = 0; i < p->letters.n; i++)
        if (lb_streq(l[i].channel, channel) && lb_streq(l[i].target, target) && l[i].notice == notice)
            return 0;
    l = lb_list_append(&p->letters, sizeof(*l));
    if (!l)
        return -ENOMEM;
    *l = (struct lb_planned){ channel, strdup(target), lb_dup(person), notice, due, until };
    return l->target && (!person || l->person) ? 0 : -ENOMEM;
}

/* --- mail --------------------------------------------------------------------------------------------------------- */

/* Both stages in their order; a request that the vendor's own approver turned down never came before the customer. */
static void asked(const struct lb_request *q, char *const *ret[2])
{
    const struct lb_approval *a = q->approvals.items;
    bool passed = !q->reviewers || q->basis == LB_BASIS_EMERGENCY || q->state == LB_STATE_PENDING;

    for (size_t i = 0; i < q->approvals.n; i++)
        passed |= lb_streq(a[i].stage, "internal") && lb_streq(a[i].decision, "approve");
    ret[0] = q->reviewers;
    ret[1] = passed ? q->entitled : NULL;
}

/* What nobody was asked about is nobody's to be told the end of: permits, and what came in by a window. */
static bool was_asked(const struct lb_request *q)
{
    return (q->basis == LB_BASIS_APPROVAL || q->basis == LB_BASIS_EMERGENCY) && !lb_request_is_window(q);
}

static void people_of(const struct lb_request *q, enum who who, char *const *ret[2])
{
    ret[0] = ret[1] = NULL;
    if (!q)
        return;
    if (who == ASKED && was_asked(q))
        asked(q, ret);
    else if (who == REVIEWERS || (who == DECIDERS && q->state == LB_STATE_REVIEW))
        ret[0] = q->reviewers;
    else if (who == CUSTOMER || who == DECIDERS)
        ret[0] = q->entitled;
}

/* The words of an approver, or the daemon, are the engineer's to read. */
static bool is_engineers(const struct lb_occasion *o)
{
    const char *from = o->event->from;

    return o->request && !lb_streq(from, LB_FROM_DAEMON) && !lb_strings_contain(o->request->entitled, from) &&
           !lb_strings_contain(o->request->reviewers, from);
}

struct addressing {
    const struct lb_occasion *occasion;
    struct lb_plan *plan;
    int notice;
    int64_t until, remind; /* remind 0: no reminder */
};

static int write_to(const struct addressing *a, const char *address, const char *person)
{
    int r = lb_plan_add(a->plan, "mail", address, person, a->notice, 0, a->until);

    if (r == 0 && a->remind)
        r = lb_plan_add(a->plan, "mail", address, person, LB_NOTICE_REMINDER, a->remind, a->until);
    return r;
}

static int write_to_person(const struct addressing *a, const struct lb_approver *p)
{
    int r = 0;

    for (char **address = p ? p->mail : NULL; r == 0 && address && *address; address++)
        r = write_to(a, *address, p->name);
    return r;
}

/* Where To= says nothing, an alarm of the host goes to everybody whose address is known. */
static int write_to_host(const struct addressing *a)
{
    const struct lb_approvers *known = a->occasion->approvers;
    const struct lb_approver *people = known ? known->people.items : NULL;
    int r = 0;

    for (size_t i = 0; r == 0 && known && !a->occasion->config->mail.to && i < known->people.n; i++)
        r = write_to_person(a, &people[i]);
    return r;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct addressing addressing_of(const struct lb_occasion *o, struct lb_plan *plan)
{
    const struct lb_request *q = o->request;
    int64_t decide_by = q && lb_state_is_waiting(q->state) ? q->decide_by.wall : LB_NEVER;
    int64_t until = earlier(decide_by, o->event->time.wall + o->config->give_up);
    struct addressing a = { o, plan, lb_plan_notice(o->event), until };
    int64_t remind = decide_by - o->config->mail.remind;

    if (a.notice == LB_NOTICE_ACTION && o->config->mail.remind && decide_by != LB_NEVER && remind > o->now + SOON) {
        a.remind = remind;
        a.until = decide_by;
    }
    return a;
}

static int plan_mail(const struct lb_occasion *o, struct lb_plan *plan)
{
    const struct addressing a = addressing_of(o, plan);
    enum who who = kinds[o->event->kind].who;
    char *const *people[2];
    bool tells = false;
    int r = 0;

    if (!o->config->mail.server || who == NOBODY || a.until <= o->now)
        return 0;
    if (o->event->kind == LB_EVENT_MESSAGE && !is_engineers(o))
        return 0;
    people_of(o->request, who, people);
    for (int stage = 0; stage < 2; stage++)
        for (char *const *name = people[stage]; r == 0 && name && *name; name++) {
            r = write_to_person(&a, lb_approvers_find(o->approvers, *name));
            tells = true;
        }
    if (r == 0 && who == HOST)
        r = write_to_host(&a);
    for (char **to = o->config->mail.to; r == 0 && (tells || who == HOST) && to && *to; to++)
        r = write_to(&a, *to, NULL);
    return r;
}

/* --- webhooks ----------------------------------------------------------------------------------------------------- */

static bool wants(const struct lb_webhook_config *w, const struct lb_event *e)
{
    bool fits = !w->events;

    for (char **pattern = w->events; !fits && pattern && *pattern; pattern++)
        fits = lb_glob_fits(*pattern, lb_event_names[e->kind]);
    return fits;
}

static int plan_webhooks(const struct lb_occasion *o, struct lb_plan *plan)
{
    const struct lb_webhook_config *w = o->config->webhooks.items;
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->config->webhooks.n; i++)
        if (wants(&w[i], o->event))
            r = lb_plan_add(plan, "webhook", w[i].name, NULL, lb_plan_notice(o->event), 0, o->now + o->config->give_up);
    return r;
}

/* --- remote ------------------------------------------------------------------------------------------------------- */

/* Who may have been asked there is told that there is nothing to decide any more. */
static int plan_remote(const struct lb_occasion *o, struct lb_plan *plan)
{
    const struct lb_remote_config *remote = &o->config->remote;
    const struct lb_request *q = o->request;
    bool over = kinds[o->event->kind].settles && q && !lb_state_is_waiting(q->state);

    if (!remote->url || !over || (!lb_strings_contain(q->entitled, remote->approver) &&
                                  !lb_strings_contain(q->reviewers, remote->approver)))
        return 0;
    return lb_plan_add(plan, "remote", "remote", NULL, LB_NOTICE_OUTCOME, 0, o->now + o->config->give_up);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int (*const plans[])(const struct lb_occasion *o, struct lb_plan *plan) = {
    plan_mail, plan_webhooks, plan_remote,
};

int lb_plan_make(const struct lb_occasion *o, struct lb_plan *ret)
{
    struct lb_plan plan = { .settles = kinds[o->event->kind].settles,
                            .voter = o->event->kind == LB_EVENT_VOTED ? o->event->approver : NULL };
    int r = 0;

    /* that something was not delivered is not told again: it would not be delivered either, and so on */
    for (size_t i = 0; r == 0 && o->event->kind != LB_EVENT_UNDELIVERED && i < LB_ELEMENTS(plans); i++)
        r = plans[i](o, &plan);
    if (r < 0)
        lb_plan_clear(&plan);
    else
        *ret = plan;
    return r;
}

void lb_plan_clear(struct lb_plan *p)
{
    struct lb_planned *l = p->letters.items;

    for (size_t i = 0; i < p->letters.n; i++) {
        free(l[i].target);
        free(l[i].person);
    }
    free(l);
    *p = (struct lb_plan){ 0 };
}
