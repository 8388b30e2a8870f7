/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/make.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/people.h"
#include "policy/span.h"
#include "policy/text.h"

int lb_make_ask(const struct lb_attempt *a, struct lb_answer *ret, const char *problem)
{
    const struct lb_terms *t = a->verdict.terms;
    char span[LB_SPAN_MAX];

    lb_answer_say(ret, LB_ANSWER_ASK, "%s", problem ? problem : "");
    if (!problem)
        free(LB_TAKE(ret->message));
    ret->ask.ticket = t->ticket;
    ret->ask.reason = t->reason;
    ret->ask.duration = strdup(lb_span_format(t->duration, span, sizeof(span)));
    return ret->ask.duration ? 0 : -ENOMEM;
}

/* What is wrong with an answer, or NULL. */
static const char *check_words(const struct lb_terms *t, const char *ticket, const char *reason)
{
    if (t->ticket == LB_NEED_REQUIRED && !*ticket)
        return "A ticket is needed.";
    if (t->reason == LB_NEED_REQUIRED && !*reason)
        return "A reason is needed.";
    if (*ticket && t->ticket_pattern && !lb_text_matches(t->ticket_pattern, ticket))
        return "This is not a ticket as this host expects it.";
    return NULL;
}

/* The time asked for, never more than the rule allows. False for what is not a time. */
static bool read_duration(const struct lb_terms *t, const char *text, int64_t *ret, bool *ret_clamped)
{
    int64_t asked = t->duration;

    if (text && *text && (lb_span_parse(text, &asked) < 0 || asked <= 0))
        return false;
    *ret_clamped = asked > t->max_duration;
    *ret = *ret_clamped ? t->max_duration : asked;
    return true;
}

static size_t count_pending(const struct lb_attempt *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->gate->n_live; i++)
        n += lb_state_is_waiting(a->gate->live[i]->request->state) &&
             lb_streq(a->gate->live[i]->request->account, a->account);
    return n;
}

/* %t in the rule's TicketURL= becomes the ticket, percent-encoded. */
static char *ticket_url(const char *pattern, const char *ticket)
{
    char *text = NULL;
    size_t size;
    FILE *f = pattern && *ticket ? open_memstream(&text, &size) : NULL;

    if (!f)
        return NULL;
    for (const char *p = pattern; *p; p++) {
        if (p[0] != '%' || p[1] != 't') {
            fputc(*p, f);
            continue;
        }
        p++;
        for (const char *t = ticket; *t; t++) {
            bool plain = (*t >= '0' && *t <= '9') || (*t >= 'A' && *t <= 'Z') || (*t >= 'a' && *t <= 'z') ||
                         strchr("-._~", *t);

            fprintf(f, plain ? "%c" : "%%%02X", (unsigned char)*t);
        }
    }
    return fclose(f) == 0 ? text : NULL;
}

struct previous {
    const struct lb_attempt *attempt;
    char *text;
};

/* "7F3K-9QXM, denied by bob" of the newest closed request of this engineer. */
static int describe_previous(void *userdata, const char *id)
{
    struct previous *p = userdata;
    struct lb_request *r = NULL;
    const struct lb_approval *d;

    if (lb_store_load(p->attempt->gate->store, id, &r) < 0)
        return 0;
    d = r->approvals.n ? (const struct lb_approval *)r->approvals.items + r->approvals.n - 1 : NULL;
    if (!lb_state_is_open(r->state) && r->basis == LB_BASIS_APPROVAL && lb_attempt_is_for(p->attempt, r)) {
        bool denied = r->state == LB_STATE_DENIED && d;

        if (asprintf(&p->text, "%s, %s%s%s", r->id, lb_state_names[r->state], denied ? " by " : "",
                     denied ? d->approver : "") < 0)
            p->text = NULL;
    }
    lb_request_free(r);
    return p->text != NULL;
}

static char *find_previous(const struct lb_attempt *a)
{
    struct lb_store_filter filter = { .account = a->account, .engineer = a->identity.engineer, .limit = 10 };
    struct previous p = { a, NULL };

    lb_store_list(a->gate->store, &filter, describe_previous, &p);
    return p.text;
}

/* The first event of a request, as far as the login says. -ENOMEM, or why no ID can be had. */
static int first_event(const struct lb_attempt *a, int kind, int basis, int64_t duration, struct lb_event *ret)
{
    struct lb_event e = { .kind = kind, .basis = basis, .uid = a->uid, .duration = duration };
    int r = lb_gate_make_id(a->gate, &e.request);

    if (r == 0)
        r = lb_terms_copy(&e.terms, a->verdict.terms);
    if (r < 0) {
        lb_event_clear(&e);
        return r;
    }
    e.account = lb_dup(a->account);
    e.engineer = lb_dup(a->identity.engineer);
    e.key = lb_dup(a->identity.key);
    e.service = lb_text_clean(a->login->service, LB_NAME_MAX);
    e.scope = lb_text_clean(a->login->scope, LB_NAME_MAX);
    e.rhost = lb_dup(a->rhost);
    e.tty = a->login->tty ? lb_text_clean(a->login->tty, LB_NAME_MAX) : NULL;
    e.rule = lb_dup(a->verdict.rule ? a->verdict.rule->file : NULL);
    if (!e.account || !e.engineer || !e.service || !e.scope) {
        lb_event_clear(&e);
        return -ENOMEM;
    }
    *ret = e;
    return 0;
}

static int create(const struct lb_attempt *a, char *ticket, char *reason, int64_t duration, char **entitled,
                  struct lb_live **ret)
{
    struct lb_event e;
    int r = first_event(a, LB_EVENT_REQUESTED, LB_BASIS_APPROVAL, duration, &e);

    if (r < 0)
        return r;
    e.ticket = lb_dup(ticket);
    e.reason = lb_dup(reason);
    e.ticket_url = ticket_url(a->verdict.terms->ticket_url, ticket);
    e.previous = find_previous(a);
    e.entitled = lb_strings_copy(entitled);
    if (!e.entitled) {
        lb_event_clear(&e);
        return -ENOMEM;
    }
    return lb_gate_new_request(a->gate, &e, ret);
}

/* Checks what was said and makes the request, or says what is wrong. */
int lb_make_request(const struct lb_attempt *a, const struct lb_words *w, struct lb_answer *ret,
                        struct lb_live **ret_live)
{
    const struct lb_terms *t = a->verdict.terms;
    LB_FREE char *ticket = lb_text_clean(w->ticket, LB_TICKET_MAX), *reason = lb_text_clean(w->reason, LB_REASON_MAX);
    const char *problem = ticket && reason ? check_words(t, ticket, reason) : NULL;
    char **entitled = NULL;
    int64_t duration;
    bool clamped;
    int r;

    if (!ticket || !reason)
        return -ENOMEM;
    if (problem)
        return lb_make_ask(a, ret, problem);
    if (!read_duration(t, w->duration, &duration, &clamped))
        return lb_make_ask(a, ret, "This is not a time: say for example 2h or 30min.");
    *ret_live = lb_attempt_waiting(a, ticket);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    if (count_pending(a) >= (size_t)t->max_pending)
        return lb_attempt_refuse(a, ret, "%zu requests for %s are pending already, as many as the policy allows.",
                      count_pending(a), a->account);
    r = lb_people_resolve(t->customer, &entitled);
    if (r < 0)
        return r;
    if (!entitled || !entitled[0]) {
        lb_strings_free(entitled);
        return lb_attempt_refuse(a, ret, "Nobody on this host may approve access to %s: tell its administrator to name approvers.",
                      a->account);
    }
    r = create(a, ticket, reason, duration, entitled, ret_live);
    lb_strings_free(entitled);
    if (r < 0)
        return r;
    lb_login_look(*ret_live, ret);
    if (clamped) {
        LB_FREE char *before = LB_TAKE(ret->message);
        char span[LB_SPAN_MAX];

        lb_answer_say(ret, ret->verdict, "The rule allows %s at most.\n%s",
                      lb_span_format(duration, span, sizeof(span)), before ? before : "");
    }
    return 0;
}

/* A rule lets it in: the same shape, begun at once. */
static int begin_permitted(const struct lb_attempt *a, struct lb_live **ret)
{
    struct lb_event e;
    int r = first_event(a, LB_EVENT_PERMITTED, LB_BASIS_PERMIT, a->verdict.terms->duration, &e);

    return r < 0 ? r : lb_gate_new_request(a->gate, &e, ret);
}

/* In use by another engineer? Then a permitted login is refused before there is a request of its own. */
static const struct lb_request *find_user(const struct lb_attempt *a)
{
    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;

        if ((lb_state_is_access(r->state) || r->state == LB_STATE_ENDING) && lb_streq(r->account, a->account) &&
            !(lb_streq(r->engineer, a->identity.engineer) && lb_streq(r->key, a->identity.key)) &&
            (r->terms.exclusive || a->verdict.terms->exclusive))
            return r;
    }
    return NULL;
}

int lb_make_permitted(const struct lb_attempt *a, struct lb_answer *ret, struct lb_live **ret_live)
{
    const struct lb_request *user = find_user(a);
    int r;

    if (user)
        return lb_attempt_refuse(a, ret, "%s is in use by %s (%s).", a->account, user->engineer, user->id);
    r = begin_permitted(a, ret_live);
    if (r == 0)
        lb_login_look(*ret_live, ret);
    return r;
}
