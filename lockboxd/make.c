/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/make.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/people.h"
#include "policy/span.h"
#include "policy/text.h"

#define NOT_A_TIME "This is not a time: say for example 2h or 30min."

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

enum words { WORDS_GOOD, WORDS_TICKET, WORDS_REASON, WORDS_DURATION };

/* Asks again for what was wrong, and for nothing else. */
static int ask_again(const struct lb_attempt *a, struct lb_answer *ret, enum words wrong, const char *problem)
{
    const char *pattern = wrong == WORDS_TICKET ? a->verdict.terms->ticket_pattern : NULL;
    LB_FREE char *hint = NULL;
    int r = lb_make_ask(a, ret, problem);

    if (pattern && asprintf(&hint, "It has to fit %s", pattern) >= 0)
        lb_answer_add(ret, hint);
    if (wrong != WORDS_TICKET)
        ret->ask.ticket = LB_NEED_NO;
    if (wrong != WORDS_REASON)
        ret->ask.reason = LB_NEED_NO;
    if (wrong != WORDS_DURATION && ret->ask.duration)
        *ret->ask.duration = '\0';
    return r;
}

/* Which answer is wrong, and why. */
static enum words check_words(const struct lb_terms *t, const char *ticket, const char *reason, const char **ret_why)
{
    if (t->ticket == LB_NEED_REQUIRED && !*ticket) {
        *ret_why = "A ticket is needed.";
        return WORDS_TICKET;
    }
    if (*ticket && t->ticket_pattern && !lb_text_matches(t->ticket_pattern, ticket)) {
        *ret_why = "This is not a ticket as this host expects it.";
        return WORDS_TICKET;
    }
    *ret_why = "A reason is needed.";
    return t->reason == LB_NEED_REQUIRED && !*reason ? WORDS_REASON : WORDS_GOOD;
}

/* The time asked for, never more than the rule allows; then *ret_asked is what was asked: for ever, where it is more
 * than can be counted. False for what is not a time. */
static bool read_duration(const struct lb_terms *t, const char *text, int64_t *ret, int64_t *ret_asked)
{
    int64_t asked = t->duration;
    int r = text && *text ? lb_span_parse(text, &asked) : 0;

    if (r == -ERANGE)
        asked = LB_NEVER;
    else if (r < 0 || asked <= 0)
        return false;
    *ret_asked = asked > t->max_duration ? asked : 0;
    *ret = *ret_asked ? t->max_duration : asked;
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
        const char *by = r->state == LB_STATE_DENIED && d ? d->approver
                         : r->state == LB_STATE_REVOKED ? r->end.by : NULL;

        if (asprintf(&p->text, "%s, %s%s%s", r->id, lb_state_names[r->state], by ? " by " : "", by ? by : "") < 0)
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

/* Who may decide about a request, but never about his own. */
static int find_people(const struct lb_attempt *a, char *const *names, char ***ret)
{
    const char *self = lb_approvers_name_of(a->gate->approvers, a->account);
    int r = lb_people_resolve(a->gate->approvers, names, ret);
    size_t kept = 0;

    for (size_t i = 0; r == 0 && *ret && (*ret)[i]; i++) {
        if (self && strcmp((*ret)[i], self) == 0)
            free((*ret)[i]);
        else
            (*ret)[kept++] = (*ret)[i];
    }
    if (r == 0 && *ret)
        (*ret)[kept] = NULL;
    return r;
}

static size_t length(char *const *strings)
{
    size_t n = 0;

    while (strings && strings[n])
        n++;
    return n;
}

/* Whether the stages can be passed at all, when nobody decides in both. */
static bool can_be_decided(const struct lb_terms *t, char *const *reviewers, char *const *entitled)
{
    size_t needed = (size_t)t->quorum;

    if (!t->internal || !t->internal[0])
        return length(entitled) >= needed;
    for (size_t i = 0; reviewers && reviewers[i]; i++)
        if (length(entitled) - lb_strings_contain(entitled, reviewers[i]) >= needed)
            return true;
    return false;
}

/* The request's first event, whole but for the words. */
static int draft(const struct lb_attempt *a, int64_t duration, struct lb_event *ret)
{
    const struct lb_terms *t = a->verdict.terms;
    bool internal = t->internal && t->internal[0];
    int r = first_event(a, internal ? LB_EVENT_REVIEW : LB_EVENT_REQUESTED, LB_BASIS_APPROVAL, duration, ret);

    if (r == 0)
        r = find_people(a, t->internal, &ret->reviewers);
    if (r == 0)
        r = find_people(a, t->customer, &ret->entitled);
    return r;
}

/* In use by another engineer? Then the login is refused before there is a request of its own. */
static const struct lb_request *find_user(const struct lb_attempt *a)
{
    for (size_t i = 0; i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;

        if ((lb_state_is_access(r->state) || r->state == LB_STATE_ENDING) && lb_streq(r->account, a->account) &&
            r->engineer && !(lb_streq(r->engineer, a->identity.engineer) && lb_streq(r->key, a->identity.key)) &&
            !lb_request_is_script(r) && (r->terms.exclusive || a->verdict.terms->exclusive))
            return r;
    }
    return NULL;
}

/* The window that a customer opened for this ticket, if it is open now and he may still do so. */
static struct lb_live *find_window(const struct lb_attempt *a, const char *ticket)
{
    for (size_t i = 0; *ticket && i < a->gate->n_live; i++) {
        const struct lb_request *r = a->gate->live[i]->request;
        const struct lb_approval *by = r->approvals.items;

        if (lb_request_is_window(r) && r->state == LB_STATE_ACTIVE &&
            lb_streq(r->account, a->account) && lb_streq(r->scope, a->login->scope) && lb_streq(r->ticket, ticket) &&
            a->verdict.terms->evidence != LB_EVIDENCE_SIGNED && /* nobody has signed it */
            lb_people_named(a->gate->approvers, a->verdict.terms->customer, by->approver) > 0)
            return a->gate->live[i];
    }
    return NULL;
}

/* Lets the engineer in through a window: a request of his own, as long as the window is open at the most. */
static int use_window(const struct lb_attempt *a, const struct lb_live *window, const char *reason,
                      int64_t duration, struct lb_answer *ret, struct lb_live **ret_live)
{
    const struct lb_request *user = find_user(a);
    struct lb_time now = lb_clock_now();
    int64_t left = lb_deadline_left(&window->request->not_after, &now);
    struct lb_event e;
    int r;

    if (user)
        return lb_attempt_refuse(a, ret, "%s is in use by %s (%s).", a->account, user->engineer, user->id);
    r = first_event(a, LB_EVENT_PREAPPROVED, LB_BASIS_PREAPPROVED, duration < left ? duration : left, &e);
    if (r < 0)
        return r;
    e.grant = lb_dup(window->request->id);
    e.ticket = lb_dup(window->request->ticket);
    e.reason = lb_dup(reason);
    r = lb_gate_new_request(a->gate, &e, ret_live);
    if (r == 0)
        lb_login_look(*ret_live, ret);
    return r;
}

/* An emergency that no approver has acknowledged yet is in the way of the account's next request. */
static int refuse_unseen(const struct lb_attempt *a, struct lb_answer *ret)
{
    LB_FREE char *id = NULL;
    int r = lb_store_unseen(a->gate->store, a->account, &id);

    if (r > 0)
        lb_attempt_refuse(a, ret, "The emergency access %s to %s has to be acknowledged by the customer first "
                                  "(lockboxctl acknowledge %s).", id, a->account, id);
    return r;
}

/* What a request says besides who asks. */
struct wish {
    const char *ticket, *reason;
    int64_t duration, asked; /* asked: where the rule's cap made it less */
    const char *extends;
};

static void set_clamp(const struct wish *w, struct lb_event *e)
{
    char span[LB_SPAN_MAX];

    e->asked = w->asked;
    if (w->asked && asprintf(&e->clamp, "%s was asked for, the rule allows no more",
                             lb_span_format(w->asked, span, sizeof(span))) < 0)
        e->clamp = NULL;
}

/* Makes the request, if anybody can decide about it. */
static int create(const struct lb_attempt *a, const struct wish *w, struct lb_answer *ret, struct lb_live **ret_live)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    int r = draft(a, w->duration, &e);

    if (r < 0)
        return r;
    if (!can_be_decided(a->verdict.terms, e.reviewers, e.entitled))
        return lb_attempt_refuse(a, ret, "Too few people on this host may approve access to %s: tell its administrator "
                                         "to name approvers.", a->account);
    e.ticket = lb_dup(w->ticket);
    e.reason = lb_dup(w->reason);
    e.ticket_url = ticket_url(a->verdict.terms->ticket_url, w->ticket);
    e.extends = lb_dup(w->extends);
    e.previous = w->extends ? NULL : find_previous(a);
    set_clamp(w, &e);
    r = lb_gate_new_request(a->gate, &e, ret_live);
    if (r == 0)
        lb_login_look(*ret_live, ret);
    return r;
}

/* Whether the account has as many open questions as the policy allows. */
static bool is_crowded(const struct lb_attempt *a, struct lb_answer *ret)
{
    size_t pending = count_pending(a);

    if (pending < (size_t)a->verdict.terms->max_pending)
        return false;
    lb_attempt_refuse(a, ret, "%zu requests for %s are pending already, as many as the policy allows.", pending,
                      a->account);
    return true;
}

/* The request for more time of an access that is open already, or NULL. */
static struct lb_live *find_extension(const struct lb_attempt *a, const struct lb_request *access)
{
    for (size_t i = 0; i < a->gate->n_live; i++)
        if (a->gate->live[i]->request->extends && lb_streq(a->gate->live[i]->request->extends, access->id))
            return a->gate->live[i];
    return NULL;
}

int lb_make_extension(const struct lb_attempt *a, const struct lb_request *access, const char *reason,
                      int64_t duration, struct lb_answer *ret, struct lb_live **ret_live)
{
    LB_FREE char *clean = lb_text_clean(reason, LB_REASON_MAX);
    int64_t room = access->terms.max_duration - access->duration;
    struct wish wish = { access->ticket ? access->ticket : "", clean, duration < room ? duration : room,
                         duration > room ? duration : 0, access->id };
    struct lb_live *pending = find_extension(a, access);

    if (!clean)
        return -ENOMEM;
    if (pending) {
        *ret_live = pending;
        lb_login_look(pending, ret);
        return 0;
    }
    if (room <= 0)
        return lb_attempt_refuse(a, ret, "Access %s lasts as long as its rule allows already.", access->id);
    if (a->verdict.action != LB_ACTION_REQUIRE)
        return lb_attempt_refuse(a, ret, "The policy asks nobody about this login; there is nothing to extend.");
    return is_crowded(a, ret) ? 0 : create(a, &wish, ret, ret_live);
}

static int64_t usual_more(const struct lb_request *access)
{
    int64_t room = access->terms.max_duration - access->duration;

    return access->terms.duration < room ? access->terms.duration : room;
}

static int ask_for_more(const struct lb_attempt *a, const struct lb_request *access, const char *problem,
                        struct lb_answer *ret)
{
    struct lb_time now = lb_clock_now();
    char span[LB_SPAN_MAX];
    int r = lb_make_ask(a, ret, problem);

    if (r < 0)
        return r;
    if (!problem)
        lb_answer_paused(ret, LB_ANSWER_ASK, access, &now, "\nSay why, and how much longer you need.");
    ret->ask.ticket = LB_NEED_NO; /* the access has its own */
    free(ret->ask.duration);
    ret->ask.duration = strdup(lb_span_format(usual_more(access), span, sizeof(span)));
    return ret->ask.duration ? 0 : -ENOMEM;
}

int lb_make_more(const struct lb_attempt *a, const struct lb_request *access, const struct lb_words *w,
                 struct lb_answer *ret, struct lb_live **ret_live)
{
    struct lb_terms terms = access->terms;
    bool is_pending = find_extension(a, access);
    int64_t duration, asked;

    if (w->silent && !is_pending) {
        lb_login_look(lb_gate_find(a->gate, access->id), ret);
        return 0;
    }
    if (!is_pending && !w->reason && !w->duration)
        return ask_for_more(a, access, NULL, ret);
    if (!is_pending && terms.reason == LB_NEED_REQUIRED && !(w->reason && *w->reason))
        return ask_for_more(a, access, "A reason is needed.", ret);
    terms.duration = usual_more(access);
    terms.max_duration = INT64_MAX; /* more time has a bound of its own */
    if (!read_duration(&terms, w->duration, &duration, &asked))
        return ask_for_more(a, access, NOT_A_TIME, ret);
    return lb_make_extension(a, access, w->reason ? w->reason : "", duration, ret, ret_live);
}

int lb_make_request(const struct lb_attempt *a, const struct lb_words *w, struct lb_answer *ret,
                    struct lb_live **ret_live)
{
    const struct lb_terms *t = a->verdict.terms;
    LB_FREE char *ticket = lb_text_clean(w->ticket, LB_TICKET_MAX), *reason = lb_text_clean(w->reason, LB_REASON_MAX);
    struct wish wish = { ticket, reason, 0, 0, NULL };
    const char *problem = NULL;
    enum words wrong = ticket && reason ? check_words(t, ticket, reason, &problem) : WORDS_GOOD;
    struct lb_live *window;
    int r;

    if (!ticket || !reason)
        return -ENOMEM;
    if (wrong)
        return ask_again(a, ret, wrong, problem);
    if (!read_duration(t, w->duration, &wish.duration, &wish.asked))
        return ask_again(a, ret, WORDS_DURATION, NOT_A_TIME);
    *ret_live = lb_attempt_waiting(a, ticket);
    if (*ret_live) {
        lb_login_look(*ret_live, ret);
        return 0;
    }
    r = refuse_unseen(a, ret);
    if (r != 0)
        return r < 0 ? r : 0;
    window = find_window(a, ticket);
    if (window)
        return use_window(a, window, reason, wish.duration, ret, ret_live);
    if (is_crowded(a, ret))
        return 0;
    r = create(a, &wish, ret, ret_live);
    if (r == 0 && *ret_live && wish.asked)
        lb_answer_clamp(ret, (*ret_live)->request->duration);
    return r;
}

/* A rule lets it in: the same shape, begun at once. */
static int begin_permitted(const struct lb_attempt *a, struct lb_live **ret)
{
    struct lb_event e;
    int r = first_event(a, LB_EVENT_PERMITTED, LB_BASIS_PERMIT, a->verdict.terms->duration, &e);

    return r < 0 ? r : lb_gate_new_request(a->gate, &e, ret);
}

int lb_make_script(const struct lb_attempt *a, struct lb_event *ret)
{
    struct lb_event e;
    int r = first_event(a, LB_EVENT_SCRIPT_STARTED, LB_BASIS_PERMIT, a->verdict.terms->duration, &e);

    if (r == 0 && (r = find_people(a, a->verdict.terms->customer, &e.entitled)) < 0)
        lb_event_clear(&e);
    if (r == 0)
        *ret = e;
    return r;
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
