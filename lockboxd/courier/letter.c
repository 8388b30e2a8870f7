/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/letter.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "policy/base.h"
#include "policy/span.h"
#include "policy/text.h"

const char *const lb_notice_names[] = {
    [LB_NOTICE_NONE] = "", [LB_NOTICE_ACTION] = "action", [LB_NOTICE_REMINDER] = "reminder",
    [LB_NOTICE_MESSAGE] = "message", [LB_NOTICE_OUTCOME] = "outcome", [LB_NOTICE_URGENT] = "urgent",
    [LB_NOTICE_ALARM] = "alarm", [LB_NOTICE_TEST] = "test", [LB_NOTICE_MAX_] = NULL,
};

void lb_letter_clear(struct lb_letter *l)
{
    char *const texts[] = { l->id, l->channel, l->target, l->request, l->body, l->error };

    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        free(texts[i]);
    *l = (struct lb_letter){ 0 };
}

const char *lb_matter_title(const struct lb_matter *m)
{
    static const char *const titles[] = {
        [LB_NOTICE_NONE] = "For your information", [LB_NOTICE_ACTION] = "Action needed",
        [LB_NOTICE_REMINDER] = "Still waiting for you", [LB_NOTICE_MESSAGE] = "A message",
        [LB_NOTICE_OUTCOME] = "Decided", [LB_NOTICE_URGENT] = "Emergency access", [LB_NOTICE_ALARM] = "Alarm",
        [LB_NOTICE_TEST] = "A test",
    };
    bool over = m->request && m->request->end.reason;

    return m->notice == LB_NOTICE_OUTCOME && over ? "Access is over" : titles[m->notice];
}

char *lb_matter_sentence(const struct lb_matter *m)
{
    char *text = NULL;

    if (m->event)
        return lb_event_sentence(m->event);
    return asprintf(&text, "This is a test of lockbox on %s. Nothing has happened.", m->host) < 0 ? NULL : text;
}

/* --- facts -------------------------------------------------------------------------------------------------------- */

/* In the host's zone: whoever reads it may be anywhere, so the zone is said. */
static int add_time(char ***facts, const char *name, int64_t wall)
{
    time_t seconds = (time_t)(wall / LB_USEC_PER_SEC);
    char text[64];
    struct tm tm;

    if (wall <= 0 || wall == LB_NEVER)
        return 0;
    strftime(text, sizeof(text), "%a %d %b %Y %H:%M %Z", localtime_r(&seconds, &tm));
    return lb_strings_append(facts, name) < 0 || lb_strings_append(facts, text) < 0 ? -ENOMEM : 0;
}

static int add(char ***facts, const char *name, const char *value)
{
    if (!value || !*value)
        return 0;
    return lb_strings_append(facts, name) < 0 || lb_strings_append(facts, value) < 0 ? -ENOMEM : 0;
}

static int add_request(char ***facts, const struct lb_request *q)
{
    char span[LB_SPAN_MAX];
    bool foul =
        lb_text_is_confusable(q->engineer ? q->engineer : "") || lb_text_is_confusable(q->reason ? q->reason : "");
    bool waits = lb_state_is_waiting(q->state), runs = lb_state_is_access(q->state);
    const struct { const char *name, *value; } rows[] = {
        { "Request", q->id }, { "Account", q->account }, { "Engineer", q->engineer }, { "From", q->rhost },
        { "By", q->service }, { "Ticket", q->ticket }, { "Ticket at", q->ticket_url }, { "Reason", q->reason },
        { "Previous", q->previous },
        { "For", q->duration ? lb_span_format(q->duration, span, sizeof(span)) : NULL },
        { "Beware", foul ? "letters that look like others are in what the engineer is called or says" : NULL },
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < LB_ELEMENTS(rows); i++)
        r = add(facts, rows[i].name, rows[i].value);
    if (r == 0 && waits)
        r = add_time(facts, "Expires", q->decide_by.wall);
    if (r == 0 && runs)
        r = add_time(facts, "Until", q->not_after.wall);
    return r;
}

static int add_commands(char ***facts, const struct lb_request *q)
{
    const char *sign = q->terms.evidence == LB_EVIDENCE_ANY ? "" : " --sign KEY";
    LB_FREE char *text = NULL;

    if (asprintf(&text, "lockboxctl approve %s%s, lockboxctl deny %s", q->id, sign, q->id) < 0)
        return -ENOMEM;
    return add(facts, "Decide with", text);
}

char **lb_matter_facts(const struct lb_matter *m)
{
    char **facts = NULL;
    int r = add(&facts, "Host", m->event && m->event->host ? m->event->host : m->host);

    if (r == 0 && m->request)
        r = add_request(&facts, m->request);
    else if (r == 0 && m->event)
        r = add(&facts, "Account", m->event->account);
    if (r == 0 && m->request && lb_state_is_waiting(m->request->state))
        r = add_commands(&facts, m->request);
    if (r == 0 && facts)
        return facts;
    return lb_strings_free(facts);
}
