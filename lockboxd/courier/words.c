/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/words.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "policy/base.h"
#include "policy/ini.h"
#include "policy/span.h"
#include "policy/text.h"

#define CHANGES_MAX 20 /* lines; show lists them all */
#define FIELDS_MAX 200 /* of request and event, more than there are */

/* What stands for a byte of a value in the text around it. */
static const char *const escapes[LB_FORM_MAX_][256] = {
    [LB_FORM_HTML] = { ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;",
                       ['\n'] = "<br>\n" },
    [LB_FORM_JSON] = { ['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n" },
};

static void escape(FILE *out, const char *value, enum lb_form form)
{
    for (; *value; value++) {
        const char *instead = escapes[form][(unsigned char)*value];

        if (instead)
            fputs(instead, out);
        else
            fputc(*value, out);
    }
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Each returns 1 if it has written something, 0 if there is nothing, or -errno. */

static int put_text(FILE *out, const char *text)
{
    LB_FREE char *clean = lb_text_clean(text, SIZE_MAX);

    if (!clean)
        return -ENOMEM;
    return *clean ? fputs(clean, out) >= 0 : 0;
}

/* "2026-11-28 10:00 UTC (11:00 CET)": where the reader is we do not know, where the host is we do. */
static int put_moment(FILE *out, enum lb_form form, int64_t usec)
{
    time_t seconds = (time_t)(usec / LB_USEC_PER_SEC);
    struct tm utc, here;
    char text[64], local[64];

    if (usec <= 0 || usec == LB_NEVER || !gmtime_r(&seconds, &utc) || !localtime_r(&seconds, &here))
        return 0;
    if (form == LB_FORM_JSON)
        return strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc) > 0 && fputs(text, out) >= 0;
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &utc);
    fputs(text, out);
    strftime(local, sizeof(local), here.tm_mday == utc.tm_mday ? "%H:%M %Z" : "%Y-%m-%d %H:%M %Z", &here);
    if (here.tm_gmtoff != 0)
        fprintf(out, " (%s)", local);
    return 1;
}

static bool is_number(const struct lb_field *f)
{
    return f->type == LB_FIELD_INT && !(f->flags & (LB_FIELD_TIME | LB_FIELD_SPAN));
}

static int put_int(FILE *out, enum lb_form form, const struct lb_field *f, int64_t n, bool optional)
{
    char buf[LB_SPAN_MAX];

    if (f->flags & LB_FIELD_TIME)
        return put_moment(out, form, n);
    if (n == 0 && (optional || (form == LB_FORM_JSON && !is_number(f))))
        return 0;
    if (f->flags & LB_FIELD_SPAN)
        return fputs(lb_span_format(n, buf, sizeof(buf)), out) >= 0;
    return fprintf(out, "%" PRId64, n) > 0;
}

static int put_strings(FILE *out, char *const *strings)
{
    int any = 0, r = 0;

    for (; r >= 0 && strings && *strings; strings++, any = 1) {
        fputs(any ? " " : "", out);
        r = put_text(out, *strings);
    }
    return r < 0 ? r : any;
}

static int put_field(FILE *out, enum lb_form form, const struct lb_field *f, const void *base, bool optional)
{
    const void *member = (const char *)base + f->offset;

    switch (f->type) {
    case LB_FIELD_STRING: return put_text(out, *(char *const *)member);
    case LB_FIELD_INT: return put_int(out, form, f, *(const int64_t *)member, optional);
    case LB_FIELD_BOOL: return *(const bool *)member ? fputs("yes", out) >= 0 : 0;
    case LB_FIELD_ENUM: return put_text(out, f->names[*(const int *)member]);
    case LB_FIELD_STRINGS: return put_strings(out, *(char **const *)member);
    case LB_FIELD_OBJECT:
    case LB_FIELD_LIST: break;
    }
    return 0;
}

/* --- fields by name ----------------------------------------------------------------------------------------------- */

/* The row of "a.b" in a table, and the struct that it is in: `base`, or one within. NULL: there is none that is
 * text. */
static const struct lb_field *find(const struct lb_field *table, const char *name, const void **base)
{
    char part[LB_SENTENCE_NAME_MAX];
    const struct lb_field *f = NULL;

    for (size_t n; table; name += n + 1) {
        n = strcspn(name, ".");
        if (n >= sizeof(part))
            return NULL;
        memcpy(part, name, n);
        part[n] = '\0';
        f = lb_fields_find(table, part);
        if (!f || !name[n])
            break;
        table = f->type == LB_FIELD_OBJECT ? f->fields : NULL;
        if (!table)
            return NULL;
        if (*base)
            *base = (const char *)*base + f->offset;
    }
    return f && f->type != LB_FIELD_OBJECT && f->type != LB_FIELD_LIST ? f : NULL;
}

/* A request knows more than the event that made it what it is; the host's own events have none. */
static int put_named(FILE *out, const struct lb_words *w, const char *name, bool optional)
{
    const void *request = w->matter->request, *event = w->matter->event;
    const struct lb_field *f = request ? find(lb_request_fields, name, &request) : NULL;
    int r = f ? put_field(out, w->form, f, request, optional) : 0;

    if (r != 0 || !event)
        return r;
    f = find(lb_event_fields, name, &event);
    return f ? put_field(out, w->form, f, event, optional) : 0;
}

/* --- words of our own --------------------------------------------------------------------------------------------- */

/* What has happened, in a word or two. */
static const char *const titles[LB_EVENT_MAX_] = {
    [LB_EVENT_REVIEW] = "Review needed",
    [LB_EVENT_REQUESTED] = "Action needed",
    [LB_EVENT_PERMITTED] = "Let in by a rule",
    [LB_EVENT_GRANTED] = "Opened beforehand",
    [LB_EVENT_PREAPPROVED] = "Let in",
    [LB_EVENT_SCRIPT_STARTED] = "Script started",
    [LB_EVENT_REVIEWED] = "Reviewed",
    [LB_EVENT_VOTED] = "One approval more",
    [LB_EVENT_APPROVED] = "Approved",
    [LB_EVENT_DENIED] = "Denied",
    [LB_EVENT_EXPIRED] = "Expired",
    [LB_EVENT_WITHDRAWN] = "Withdrawn",
    [LB_EVENT_UNDECIDABLE] = "Closed undecided",
    [LB_EVENT_MESSAGE] = "Message",
    [LB_EVENT_EMERGENCY] = "Emergency access",
    [LB_EVENT_BEGUN] = "Begun",
    [LB_EVENT_LAPSED] = "Not used in time",
    [LB_EVENT_OPENED] = "Session opened",
    [LB_EVENT_CLOSED] = "Session closed",
    [LB_EVENT_WARNED] = "Ends soon",
    [LB_EVENT_REBOOTED] = "Host restarted",
    [LB_EVENT_ADDED] = "Time added",
    [LB_EVENT_EXTENDED] = "Extended",
    [LB_EVENT_UNIT_FAILED] = "Unit failed",
    [LB_EVENT_SCRIPT_ENDED] = "Script ended",
    [LB_EVENT_PAUSED] = "Paused",
    [LB_EVENT_FROZEN] = "Frozen at its end",
    [LB_EVENT_RESUMED] = "Resumed",
    [LB_EVENT_TIME_OVER] = "Time over",
    [LB_EVENT_HANDED_BACK] = "Handed back",
    [LB_EVENT_STOPPED] = "Stopped",
    [LB_EVENT_STUCK] = "Access does not end",
    [LB_EVENT_LEFT_BEHIND] = "Left behind",
    [LB_EVENT_NO_REPORT] = "Left behind: not known",
    [LB_EVENT_COMPLETED] = "Completed",
    [LB_EVENT_ENDED] = "Ended",
    [LB_EVENT_REVOKED] = "Revoked",
    [LB_EVENT_ACKNOWLEDGED] = "Acknowledged",
    [LB_EVENT_REFUSED] = "Login refused",
    [LB_EVENT_ILLEGAL] = "Refused",
    [LB_EVENT_UNDELIVERED] = "Not delivered",
    [LB_EVENT_UNACCOUNTED] = "Processes without an access",
    [LB_EVENT_STARTED] = "Gatekeeper started",
    [LB_EVENT_STOPPING] = "Gatekeeper stops",
    [LB_EVENT_POLICY_LOADED] = "Policy loaded",
    [LB_EVENT_POLICY_REFUSED] = "Policy refused",
};

/* A reminder tells what has happened long ago. */
static int put_title(const struct lb_words *w, FILE *out)
{
    const struct lb_event *e = w->matter->event;
    const char *title = e && w->matter->notice != LB_NOTICE_REMINDER ? titles[e->kind] : lb_matter_title(w->matter);

    return put_text(out, title ? title : lb_event_names[e->kind]);
}

static int put_sentence(const struct lb_words *w, FILE *out)
{
    LB_FREE char *sentence = lb_matter_sentence(w->matter);

    return sentence ? put_text(out, sentence) : -ENOMEM;
}

static int put_event(const struct lb_words *w, FILE *out)
{
    return put_text(out, w->matter->event ? lb_event_names[w->matter->event->kind] : "test");
}

static int put_notice(const struct lb_words *w, FILE *out)
{
    return put_text(out, lb_notice_names[w->matter->notice]);
}

static int put_host(const struct lb_words *w, FILE *out)
{
    int r = put_named(out, w, "host", true);

    return r ? r : put_text(out, w->matter->host);
}

static int put_person(const struct lb_words *w, FILE *out)
{
    return put_text(out, w->matter->person);
}

static int put_now(const struct lb_words *w, FILE *out)
{
    return put_moment(out, w->form, w->matter->now);
}

static int put_link(const struct lb_words *w, FILE *out)
{
    const char *id = w->matter->request ? w->matter->request->id : NULL;

    if (!w->link || !id)
        return 0;
    for (const char *p = w->link; *p; p++) {
        bool is_id = p[0] == '%' && p[1] == 'i';

        fprintf(out, "%.*s", is_id ? (int)strlen(id) : 1, is_id ? id : p);
        p += is_id;
    }
    return 1;
}

static int put_proven(const struct lb_words *w, FILE *out)
{
    int r = put_named(out, w, "key", true);

    return r ? r : fputs("nothing: whoever came to this account's login", out) >= 0;
}

static int put_origin(const struct lb_words *w, FILE *out)
{
    int r = put_named(out, w, "rhost", true);

    return r ? r : fputs("the host itself", out) >= 0;
}

/* Behind the command that approves. */
static int put_sign(const struct lb_words *w, FILE *out)
{
    const struct lb_request *r = w->matter->request;

    return r && r->terms.evidence == LB_EVIDENCE_SIGNED ? fputs(" --sign KEY", out) >= 0 : 0;
}

/* To the vendor's own approver. */
static int put_review(const struct lb_words *w, FILE *out)
{
    const struct lb_request *r = w->matter->request;

    return r && r->state == LB_STATE_REVIEW
               ? fputs("You decide for the vendor. The customer is asked after you.", out) >= 0
               : 0;
}

/* Where it stands, and until when. */
static int put_standing(const struct lb_words *w, FILE *out)
{
    static const struct {
        const char *shown;
        size_t until; /* the deadline that counts in the state */
    } rows[LB_STATE_MAX_] = {
        [LB_STATE_REVIEW] = { "the vendor reviews it, until ", offsetof(struct lb_request, decide_by) },
        [LB_STATE_PENDING] = { "action needed, by ", offsetof(struct lb_request, decide_by) },
        [LB_STATE_APPROVED] = { "approved, to be begun by ", offsetof(struct lb_request, use_by) },
        [LB_STATE_ACTIVE] = { "active until ", offsetof(struct lb_request, not_after) },
        [LB_STATE_PAUSED] = { "frozen, and ends unless it is resumed by ", offsetof(struct lb_request, not_after) },
    };
    const struct lb_request *r = w->matter->request;
    const struct lb_deadline *until;

    if (!r)
        return 0;
    if (!rows[r->state].shown)
        return put_text(out, lb_state_names[r->state]);
    until = (const void *)((const char *)r + rows[r->state].until);
    fputs(until->wall == LB_NEVER ? lb_state_names[r->state] : rows[r->state].shown, out);
    return until->wall == LB_NEVER ? 1 : put_moment(out, w->form, until->wall);
}

/* The command that stops it, where there is something to stop. */
static int put_stop(const struct lb_words *w, FILE *out)
{
    const struct lb_request *r = w->matter->request;

    if (!r || (r->state != LB_STATE_APPROVED && !lb_state_is_access(r->state)))
        return 0;
    return fprintf(out, "lockboxctl revoke %s", r->id) > 0;
}

static int put_votes(const struct lb_words *w, FILE *out)
{
    const struct lb_request *r = w->matter->request;
    const struct lb_approval *a = r ? r->approvals.items : NULL;
    int64_t votes = 0;

    if (!r || r->state != LB_STATE_PENDING || r->terms.quorum < 2)
        return 0;
    for (size_t i = 0; i < r->approvals.n; i++)
        votes += lb_streq(a[i].stage, "customer") && lb_streq(a[i].decision, "approve");
    return fprintf(out, "%" PRId64 " of %" PRId64, votes, r->terms.quorum) > 0;
}

/* One line for each of what the approver reads closely and that is not what it looks like. */
static int put_caution(const struct lb_words *w, FILE *out)
{
    static const char *const read_closely[] = { "engineer", "account", "ticket", "reason", "note", "script.name" };
    int any = 0;

    for (size_t i = 0; i < LB_ELEMENTS(read_closely); i++) {
        LB_FREE char *value = NULL;
        size_t size;
        FILE *f = open_memstream(&value, &size);
        int r = f ? put_named(f, w, read_closely[i], true) : -ENOMEM;

        if ((f && fclose(f) != 0) || r < 0)
            return -ENOMEM;
        if (r > 0 && lb_text_is_confusable(value))
            any = fprintf(out, "%sCareful: the %s mixes alphabets. Its letters may not be what they look like.",
                          any ? "\n" : "", strncmp(read_closely[i], "script", 6) == 0 ? "script" : read_closely[i]) > 0;
    }
    return any;
}

/* "bob approved (signed), 2026-11-28 10:00 UTC: as agreed" */
static int put_decision(FILE *out, enum lb_form form, const struct lb_approval *a)
{
    static const struct { const char *decision, *shown; } rows[] = {
        { "approve", "approved" }, { "deny", "denied" }, { "acknowledge", "acknowledged" },
    };
    const char *shown = a->decision;
    int r;

    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        if (lb_streq(rows[i].decision, a->decision))
            shown = rows[i].shown;
    r = put_text(out, a->approver);
    fprintf(out, " %s%s%s, ", shown, lb_streq(a->stage, "internal") ? " for the vendor" : "",
            lb_streq(a->evidence, LB_EVIDENCE_SIGNATURE) ? " (signed)" : "");
    if (r >= 0)
        r = put_moment(out, form, a->at);
    fputs(r >= 0 && a->note ? ": " : "", out);
    return r < 0 ? r : put_text(out, a->note);
}

static int put_decisions(const struct lb_words *w, FILE *out)
{
    const struct lb_request *request = w->matter->request;
    const struct lb_approval *a = request ? request->approvals.items : NULL;
    size_t n = request ? request->approvals.n : 0;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++) {
        fputs(i ? "\n" : "", out);
        r = put_decision(out, w->form, &a[i]);
    }
    return r < 0 ? r : n > 0;
}

/* What is known once all of it is gone. */
static int put_receipt(const struct lb_words *w, FILE *out)
{
    const struct lb_request *r = w->matter->request;
    const struct lb_end *end = r ? &r->end : NULL;

    if (!r || (r->state != LB_STATE_COMPLETED && r->state != LB_STATE_ENDED && r->state != LB_STATE_REVOKED))
        return 0;
    fprintf(out, "%" PRId64 " process%s ended in %" PRId64 " ms, ", end->killed, end->killed == 1 ? "" : "es", end->ms);
    if (end->left)
        fprintf(out, "%" PRId64 " left", end->left);
    else
        fputs("nothing left", out);
    if (end->shared)
        fprintf(out, "; %" PRId64 " cannot be told from another engineer's", end->shared);
    return 1;
}

/* "unit added: /etc/systemd/system/x.service" */
static int put_change(FILE *out, const struct lb_change *c)
{
    const struct { const char *before, *text; } parts[] = { { "", c->kind }, { " ", c->change }, { ": ", c->name },
                                                            { " - ", c->detail } };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < LB_ELEMENTS(parts); i++)
        if (parts[i].text && *parts[i].text) {
            fputs(parts[i].before, out);
            r = put_text(out, parts[i].text);
        }
    return r;
}

static int put_changes(const struct lb_words *w, FILE *out)
{
    const struct lb_request *request = w->matter->request;
    const struct lb_list *changes = request ? &request->left_behind.changes : NULL;
    const struct lb_change *c = changes ? changes->items : NULL;
    size_t n = changes ? changes->n : 0;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n && i < CHANGES_MAX; i++) {
        fputs(i ? "\n" : "", out);
        r = put_change(out, &c[i]);
    }
    if (r >= 0 && n > CHANGES_MAX)
        fprintf(out, "\nand more: lockboxctl show %s", request->id);
    return r < 0 ? r : n > 0;
}

static const struct word {
    const char *name;
    int (*put)(const struct lb_words *w, FILE *out);
} words[LB_WORDS_OWN] = {
    { "title", put_title },         /* what has happened, in a word or two */
    { "sentence", put_sentence },   /* … in a sentence, as in the journal */
    { "message", put_sentence },    /* … by the name that it had in webhooks first */
    { "event", put_event },         /* … by the event's name */
    { "notice", put_notice },       /* what it is to the reader */
    { "host", put_host },
    { "person", put_person },       /* to whom the letter goes; empty for an address of To= */
    { "now", put_now },
    { "link", put_link },           /* Link= */
    { "proven", put_proven },       /* how it is known who the engineer is */
    { "origin", put_origin },       /* where the login comes from */
    { "sign", put_sign },           /* " --sign KEY", where only a signature counts */
    { "review", put_review },       /* that this is the vendor's stage */
    { "standing", put_standing },   /* its state, and until when */
    { "stop", put_stop },           /* the command that stops it, while it can be */
    { "votes", put_votes },         /* "1 of 2", where several approvals are needed */
    { "caution", put_caution },     /* that letters are not what they look like */
    { "decisions", put_decisions }, /* who decided what and when, a line each */
    { "receipt", put_receipt },     /* what the end of the access found and left */
    { "changes", put_changes },     /* what the access has left behind, a line each */
};

static const struct word *find_word(const char *name)
{
    for (size_t i = 0; i < LB_ELEMENTS(words); i++)
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}

static const struct lb_field *find_field(const char *name)
{
    const void *none = NULL;
    const struct lb_field *f = find(lb_request_fields, name, &none);

    return f ? f : find(lb_event_fields, name, &none);
}

bool lb_words_know(const char *name)
{
    return find_word(name) || find_field(name);
}

bool lb_words_is_number(const char *name)
{
    const struct lb_field *f = find_word(name) ? NULL : find_field(name);

    return f && is_number(f);
}

const char *lb_words_near(const char *name)
{
    static const struct lb_field *const tables[] = { lb_request_fields, lb_event_fields };
    const char *known[LB_WORDS_OWN + FIELDS_MAX + 1] = { 0 };
    size_t n = 0;

    for (; n < LB_WORDS_OWN; n++)
        known[n] = words[n].name;
    for (size_t i = 0; i < LB_ELEMENTS(tables); i++)
        for (const struct lb_field *f = tables[i]; f->name && n < LB_ELEMENTS(known) - 1; f++)
            if (f->type != LB_FIELD_OBJECT && f->type != LB_FIELD_LIST)
                known[n++] = f->name;
    return lb_ini_suggest(name, known);
}

int lb_words_write(void *userdata, const char *name, bool optional, FILE *out)
{
    const struct lb_words *w = userdata;
    const struct word *word = find_word(name);
    LB_FREE char *value = NULL;
    size_t size;
    FILE *f = open_memstream(&value, &size);
    int r;

    if (!f)
        return -ENOMEM;
    r = word ? word->put(w, f) : put_named(f, w, name, optional);
    if (r == 0 && w->form == LB_FORM_JSON && lb_words_is_number(name))
        r = fputc('0', f) != EOF;
    if (fclose(f) != 0)
        return -ENOMEM;
    if (r > 0)
        escape(out, value, w->form);
    return r;
}
