/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "policy/base.h"
#include "policy/span.h"

#define WHEN_MAX 96

const char *const lb_answer_verdict_names[] = { "denied", "ask", "waiting", "allowed", NULL };

#define AT(member) offsetof(struct lb_answer, member)

static const struct lb_field ask_fields[] = {
    { "ticket", LB_FIELD_ENUM, offsetof(struct lb_ask, ticket), LB_FIELD_ALWAYS, .names = lb_need_names },
    { "reason", LB_FIELD_ENUM, offsetof(struct lb_ask, reason), LB_FIELD_ALWAYS, .names = lb_need_names },
    { "duration", LB_FIELD_STRING, offsetof(struct lb_ask, duration), LB_FIELD_ALWAYS },
    { 0 },
};

const struct lb_field lb_answer_fields[] = {
    { "verdict", LB_FIELD_ENUM, AT(verdict), LB_FIELD_ALWAYS, .names = lb_answer_verdict_names },
    { "request", LB_FIELD_STRING, AT(request) },
    { "message", LB_FIELD_STRING, AT(message) },
    { "later", LB_FIELD_STRING, AT(later) },
    { "ask", LB_FIELD_OBJECT, AT(ask), .fields = ask_fields },
    { "remaining", LB_FIELD_INT, AT(remaining), .flags = LB_FIELD_SPAN },
    { "seen", LB_FIELD_INT, AT(seen) },
    { 0 },
};

void lb_answer_clear(struct lb_answer *a)
{
    lb_fields_clear(lb_answer_fields, a);
    *a = (struct lb_answer){ 0 };
}

static void vsay(char **member, const char *format, va_list args)
{
    free(*member);
    if (vasprintf(member, format, args) < 0)
        *member = NULL;
}

void lb_answer_say(struct lb_answer *a, int verdict, const char *format, ...)
{
    va_list args;

    a->verdict = verdict;
    va_start(args, format);
    vsay(&a->message, format, args);
    va_end(args);
}

void lb_answer_add(struct lb_answer *a, const char *line)
{
    char *more = NULL;

    if (asprintf(&more, "%s%s%s", a->message ? a->message : "", a->message ? "\n" : "", line) < 0)
        return;
    free(a->message);
    a->message = more;
}

static void say_later(struct lb_answer *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say_later(struct lb_answer *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsay(&a->later, format, args);
    va_end(args);
}

/* The host's zone, since the engineer's is not known here. */
static void print_clock(int64_t wall, char *buf, size_t size)
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    struct tm tm;

    strftime(buf, size, "%a %d %b %H:%M %Z", localtime_r(&seconds, &tm));
}

/* "18:00 CET today (in 3h 12min)" */
static const char *when(const struct lb_deadline *d, const struct lb_time *now, char buf[static WHEN_MAX])
{
    char clock[64], span[LB_SPAN_MAX];
    int64_t left = lb_deadline_left(d, now);

    if (left == LB_NEVER) {
        snprintf(buf, WHEN_MAX, "further notice");
        return buf;
    }
    if (left >= LB_USEC_PER_SEC)
        left -= left % LB_USEC_PER_SEC;
    print_clock(d->wall, clock, sizeof(clock));
    snprintf(buf, WHEN_MAX, "%s (in %s)", clock, lb_span_format(left, span, sizeof(span)));
    return buf;
}

static const struct lb_approval *last_decision(const struct lb_request *r)
{
    const struct lb_approval *a = r->approvals.items;

    return r->approvals.n ? &a[r->approvals.n - 1] : NULL;
}

#define SAID_MAX 4 /* messages; the prompt is to be seen below them */

/* What was said since the engineer's words before the last: theirs are read also where he typed before he saw them. */
static char *said(const struct lb_request *r)
{
    const struct lb_message *m = r->messages.items;
    size_t n = r->messages.n, from = n, size = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &size);

    while (f && from > 0 && n - from < SAID_MAX && (from == n || !lb_streq(m[from - 1].from, r->engineer)))
        from--;
    for (; f && from < n; from++)
        fprintf(f, "\n%s: %s", m[from].from, m[from].text);
    if (f && fclose(f) != 0)
        free(LB_TAKE(text));
    return text;
}

static void say_waiting(struct lb_answer *a, const struct lb_request *r, const struct lb_time *now)
{
    LB_FREE char *messages = said(r);
    char until[WHEN_MAX], span[LB_SPAN_MAX];

    when(&r->decide_by, now, until);
    lb_answer_say(a, LB_ANSWER_WAITING,
                  "Request %s for %s on %s is pending: %s until %s.\n"
                  "Engineer %s%s%s, asked for %s.%s%s%s", r->id, r->account, r->host,
                  r->state == LB_STATE_REVIEW ? "the vendor's own approver decides first, then the customer,"
                                              : "the customer decides",
                  until, r->engineer,
                  r->ticket ? ", ticket " : "", r->ticket ? r->ticket : "",
                  lb_span_format(r->duration, span, sizeof(span)), r->previous ? "\nPrevious: " : "",
                  r->previous ? r->previous : "", messages ? messages : "");
    say_later(a, "Request %s is still pending and stays open until %s. Log in again to pick the decision up.", r->id,
              until);
}

static void say_closed(struct lb_answer *a, const struct lb_request *r)
{
    const struct lb_approval *d = last_decision(r);

    if (r->state == LB_STATE_DENIED && d)
        lb_answer_say(a, LB_ANSWER_DENIED, "Request %s was denied by %s%s%s. Log in again to make a new request.",
                      r->id, d->approver, d->note ? ": " : "", d->note ? d->note : "");
    else
        lb_answer_say(a, LB_ANSWER_DENIED, "Request %s is over (%s). Log in again to make a new request.", r->id,
                      lb_state_names[r->state]);
}

static void say_blocked(struct lb_answer *a, const struct lb_request *r, const struct lb_request *blocker,
                        const struct lb_time *now)
{
    char until[WHEN_MAX];

    when(&blocker->not_after, now, until);
    lb_answer_say(a, LB_ANSWER_WAITING, "Request %s is approved, but %s is in use by %s until %s.", r->id, r->account,
                  blocker->engineer, until);
    say_later(a, "%s is in use by %s until %s; request %s is approved. Log in again then.", r->account,
              blocker->engineer, until, r->id);
}

static void say_early(struct lb_answer *a, const struct lb_request *r, const struct lb_time *now)
{
    struct lb_deadline begin = lb_deadline_after(now, lb_deadline_wait(&r->begin_at, now));
    char from[WHEN_MAX];

    when(&begin, now, from);
    lb_answer_say(a, LB_ANSWER_WAITING, "Request %s is approved; access begins %s.", r->id, from);
    say_later(a, "Request %s is approved; access begins %s. Log in again then.", r->id, from);
}

/* Until it is over, with all the time that may still be added, or for which it may stand still. */
static int64_t longest(const struct lb_request *r, int64_t left)
{
    const int64_t more[] = { r->terms.max_duration - r->duration, r->terms.max_duration - r->held, r->terms.freeze };

    for (size_t i = 0; i < LB_ELEMENTS(more); i++)
        if (more[i] > 0)
            left = left > LB_NEVER - more[i] ? LB_NEVER : left + more[i];
    return left;
}

/* What an approver, or the daemon about a unit that failed, has to say to who comes in. */
static const char *last_words(const struct lb_request *r, const char **ret_from)
{
    const struct lb_approval *d = last_decision(r);
    const struct lb_message *m = r->messages.items;

    for (size_t i = r->messages.n; i-- > 0;)
        if (lb_streq(m[i].from, LB_FROM_DAEMON)) {
            *ret_from = m[i].from;
            return m[i].text;
        }
    *ret_from = d ? d->approver : "";
    return d ? d->note : NULL;
}

static void say_allowed(struct lb_answer *a, const struct lb_request *r, const struct lb_time *now)
{
    const char *from, *note = last_words(r, &from);
    char until[WHEN_MAX];

    if (r->state == LB_STATE_ACTIVE) {
        a->remaining = longest(r, lb_deadline_left(&r->not_after, now));
        lb_answer_say(a, LB_ANSWER_ALLOWED, "Access %s to %s until %s.%s%s%s%s", r->id, r->account,
                      when(&r->not_after, now, until), note ? "\n" : "", note ? from : "", note ? ": " : "",
                      note ? note : "");
        return;
    }
    a->remaining = longest(r, r->duration);
    lb_answer_say(a, LB_ANSWER_ALLOWED, "Access %s to %s is approved for %s, from now on.", r->id, r->account,
                  lb_span_format(r->duration, until, sizeof(until)));
}

void lb_answer_paused(struct lb_answer *a, int verdict, const struct lb_request *r, const struct lb_time *now,
                      const char *hint)
{
    const struct lb_pause *p = &r->pause;
    char since[64], until[WHEN_MAX];

    print_clock(p->at, since, sizeof(since));
    when(&r->not_after, now, until);
    if (lb_streq(p->by, LB_BY_CLOCK))
        lb_answer_say(a, verdict, "Access %s to %s is frozen since %s, when its time was over. It ends %s if no more "
                      "time is approved.%s", r->id, r->account, since, until, hint);
    else
        lb_answer_say(a, verdict, "Access %s to %s is paused by %s since %s%s%s. It ends %s if it is not resumed.%s",
                      r->id, r->account, p->by, since, p->note ? ": " : "", p->note ? p->note : "", until, hint);
}

/* Its time is over, whether or not the timer has said so yet. */
static bool is_over(const struct lb_request *r, const struct lb_time *now)
{
    int64_t warning;
    int due = lb_request_due(r, now, &warning);

    return due == LB_EVENT_TIME_OVER || due == LB_EVENT_FROZEN || due == LB_EVENT_LAPSED;
}

void lb_answer_request(struct lb_answer *a, const struct lb_request *r, const struct lb_request *blocker,
                       const struct lb_time *now)
{
    lb_answer_clear(a);
    a->request = r->id ? strdup(r->id) : NULL;
    if (lb_state_is_waiting(r->state))
        say_waiting(a, r, now);
    else if (!lb_state_is_open(r->state))
        say_closed(a, r);
    else if (r->state == LB_STATE_PAUSED)
        lb_answer_paused(a, LB_ANSWER_DENIED, r, now,
                         lb_request_is_at_end(r) ? " Log in interactively to ask for it." : " Log in again then.");
    else if (r->state == LB_STATE_ENDING || is_over(r, now))
        lb_answer_say(a, LB_ANSWER_DENIED, "Access %s to %s is ending.", r->id, r->account);
    else if (r->state == LB_STATE_APPROVED && !lb_request_may_begin(r, now))
        say_early(a, r, now);
    else if (blocker)
        say_blocked(a, r, blocker, now);
    else if (lb_request_open_sessions(r) >= (size_t)r->terms.max_sessions)
        lb_answer_say(a, LB_ANSWER_DENIED, "Access %s has as many sessions open as its rule allows (%zu); close one.",
                      r->id, lb_request_open_sessions(r));
    else
        say_allowed(a, r, now);
}

#define CLAMPED "The rule allows %s at most."

void lb_answer_clamp(struct lb_answer *a, int64_t duration)
{
    LB_FREE char *before = LB_TAKE(a->message);
    char span[LB_SPAN_MAX];

    a->clamped = duration;
    lb_answer_say(a, a->verdict, CLAMPED "\n%s", lb_span_format(duration, span, sizeof(span)), before ? before : "");
}

char *lb_answer_remark(const struct lb_answer *a, const struct lb_request *r, const struct lb_time *now)
{
    bool blocked = r->state == LB_STATE_APPROVED && a->verdict == LB_ANSWER_WAITING && lb_request_may_begin(r, now);
    char span[LB_SPAN_MAX], *text = NULL;

    if (blocked || a->verdict == LB_ANSWER_DENIED) /* by what is not its own */
        return a->message ? strdup(a->message) : NULL;
    if (!a->clamped || asprintf(&text, CLAMPED, lb_span_format(a->clamped, span, sizeof(span))) < 0)
        return NULL;
    return text;
}
