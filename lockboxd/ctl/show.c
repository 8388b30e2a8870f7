/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/deadline.h"
#include "policy/span.h"
#include "policy/text.h"

static const struct {
    const char *state, *shown;
    enum lb_colour colour;
    const char *waits_for;
} states[] = {
    { "review", "Vendor reviews", LB_COLOUR_YELLOW, "waits for the vendor's own approver" },
    { "pending", "Action needed", LB_COLOUR_YELLOW },
    { "approved", "Approved", LB_COLOUR_GREEN },
    { "active", "Active", LB_COLOUR_GREEN },
    { "paused", "Paused", LB_COLOUR_YELLOW },
    { "ending", "Ending", LB_COLOUR_RED },
    { "completed", "Completed", LB_COLOUR_DIM },
    { "ended", "Ended", LB_COLOUR_DIM },
    { "revoked", "Revoked", LB_COLOUR_DIM },
    { "denied", "Denied", LB_COLOUR_DIM },
    { "expired", "Expired", LB_COLOUR_DIM },
    { "withdrawn", "Withdrawn", LB_COLOUR_DIM },
    { "lapsed", "Lapsed", LB_COLOUR_DIM },
    { "undecidable", "Undecidable", LB_COLOUR_DIM },
};

/* What can be done in which states, and by whom. */
static const struct {
    const char *states;
    bool own;
    const char *label, *verb, *args;
    const char *only_with; /* a member that the request must have; NULL: none */
    const char *not_with;  /* … or must not have */
} steps[] = {
    { "review pending", false, "To approve", "approve", "", NULL, "evidence" },
    { "review pending", false, "To approve", "approve", " --sign KEY", "evidence" },
    { "review pending", false, "To deny", "deny", "", NULL },
    { "review pending", false, "To ask", "ask", " 'TEXT'", "engineer" },
    { "review pending approved active paused", true, "To answer", "answer", " 'TEXT'", "messages" },
    { "review pending approved", true, "To take it back", "withdraw", "", NULL },
    { "active paused", true, "To get more time", "extend", " --for TIME", NULL, "script" },
    { "active paused", true, "To hand it back", "done", "", NULL },
    { "active", false, "To freeze it", "pause", "", "sessions" },
    { "approved active paused ending", false, "To stop it", "revoke", "", NULL },
};

/* What each decision is called. */
static const struct {
    const char *decision, *shown;
} decisions[] = { { "approve", "Approved" }, { "deny", "Denied" }, { "acknowledge", "Acknowledged" } };

/* In whose name it was taken: by the stage, else by the role. */
static const struct {
    const char *role, *shown;
} roles[] = { { "internal", " for the vendor" }, { "customer", " for the customer" }, { "root", " as root" } };

bool lb_show_is_one_of(const char *word, const char *words)
{
    size_t n = strlen(word);
    const char *at = words;

    while (n && (at = strstr(at, word))) {
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
        at += n;
    }
    return false;
}

static bool is_in(const json_t *request, const char *words)
{
    return lb_show_is_one_of(lb_ctl_string(request, "state"), words);
}

bool lb_show_is_at_end(const json_t *request)
{
    return strcmp(lb_ctl_string(json_object_get(request, "paused"), "by"), LB_BY_CLOCK) == 0;
}

const char *lb_show_state(const json_t *request)
{
    const char *state = lb_ctl_string(request, "state");

    if (lb_show_is_at_end(request))
        return "Frozen at its end";
    for (size_t i = 0; i < LB_ELEMENTS(states); i++)
        if (strcmp(states[i].state, state) == 0)
            return states[i].shown;
    return state;
}

enum lb_colour lb_show_colour(const json_t *request)
{
    for (size_t i = 0; i < LB_ELEMENTS(states); i++)
        if (strcmp(states[i].state, lb_ctl_string(request, "state")) == 0)
            return states[i].colour;
    return LB_COLOUR_NONE;
}

bool lb_show_is_window(const json_t *request)
{
    return strcmp(lb_ctl_string(request, "basis"), lb_basis_names[LB_BASIS_PREAPPROVED]) == 0 &&
           !*lb_ctl_string(request, "grant");
}

bool lb_show_is_emergency(const json_t *request)
{
    return strcmp(lb_ctl_string(request, "basis"), lb_basis_names[LB_BASIS_EMERGENCY]) == 0;
}

bool lb_show_is_unseen(const json_t *request)
{
    return lb_show_is_emergency(request) && !*lb_ctl_string(request, "acknowledged_at");
}

const char *lb_show_duration(const json_t *request, char *buf)
{
    int64_t seconds = lb_ctl_int(request, "duration");
    bool never = json_is_null(json_object_get(request, "duration")) || seconds > INT64_MAX / LB_USEC_PER_SEC;

    char span[LB_SPAN_MAX];

    lb_span_format(never ? LB_NEVER : seconds * LB_USEC_PER_SEC, span, sizeof(span));
    snprintf(buf, LB_SHOW_DURATION_MAX, "%s%s", span, *lb_ctl_string(request, "extends") ? " more" : "");
    return buf;
}

const char *lb_show_votes(const json_t *request, char *buf)
{
    const char *stage = lb_ctl_string(request, "stage");
    int64_t votes = 0, quorum = lb_ctl_int(request, "quorum");
    const json_t *item = NULL;
    size_t i = 0;

    json_array_foreach (json_object_get(request, "approvals"), i, item)
        votes += strcmp(lb_ctl_string(item, "stage"), stage) == 0 &&
                 strcmp(lb_ctl_string(item, "decision"), "approve") == 0;
    *buf = '\0';
    if (is_in(request, "pending") && quorum > 1)
        snprintf(buf, LB_SHOW_VOTES_MAX, "%" PRId64 " of %" PRId64 " approvals", votes, quorum);
    return buf;
}

/* " (12 session, 3 user service)": of which kinds, as far as there were any. */
static void put_kinds(FILE *out, const json_t *kinds)
{
    static const struct { const char *key, *label; } rows[] = {
        { "session", "session" },
        { "scope", "escaped" },
        { "service", "user service" },
        { "connection", "connection" },
        { "other", "elsewhere" },
    };
    const char *before = " (";

    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        int64_t n = lb_ctl_int(kinds, rows[i].key);

        if (n == 0)
            continue;
        fprintf(out, "%s%" PRId64 " %s", before, n, rows[i].label);
        before = ", ";
    }
    if (*before == ',')
        fputc(')', out);
}

static void put_receipt(FILE *out, const json_t *end)
{
    int64_t killed = lb_ctl_int(end, "killed"), shared = lb_ctl_int(end, "shared");

    fprintf(out, "%" PRId64 " process%s ended in %" PRId64 " ms", killed, killed == 1 ? "" : "es",
            lb_ctl_int(end, "ms"));
    put_kinds(out, json_object_get(end, "kinds"));
    if (shared == 0)
        fputs(", nothing left", out);
    else
        fprintf(out, ", nothing surely its own left; %" PRId64 " cannot be told from another engineer's", shared);
}

const char *lb_show_receipt(const json_t *request, char *buf)
{
    const json_t *end = json_object_get(request, "end");
    int64_t left = lb_ctl_int(end, "left");
    FILE *out = fmemopen(buf, LB_SHOW_RECEIPT_MAX, "w");

    *buf = '\0';
    if (!out)
        return buf;
    if (is_in(request, "ending") && left)
        fprintf(out, "%" PRId64 " processes do not end; lockboxd goes on trying", left);
    else if (end && is_in(request, "completed ended revoked"))
        put_receipt(out, end);
    fclose(out);
    return buf;
}

struct card {
    const struct lb_ctl *ctl;
    struct lb_table *table;
    int r;
};

/* A line; none where the value is empty. */
static void line(struct card *card, const char *label, enum lb_colour colour, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void line(struct card *card, const char *label, enum lb_colour colour, const char *format, ...)
{
    LB_FREE char *value = NULL, *title = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&value, format, args) < 0)
        value = NULL;
    va_end(args);
    if (!value || asprintf(&title, "%s:", label) < 0) {
        card->r = -ENOMEM;
        title = NULL;
    } else if (*value) {
        const struct lb_cell cells[] = { { title, LB_COLOUR_NONE }, { value, colour } };
        int r = lb_table_add(card->table, cells);
        card->r = r < 0 ? r : card->r;
    }
}

static void moment(struct card *card, const char *label, const json_t *object, const char *key)
{
    char buf[LB_HUMAN_MAX];

    if (lb_ctl_time(object, key))
        line(card, label, LB_COLOUR_NONE, "%s", lb_human_moment(lb_ctl_time(object, key), card->ctl->now, buf));
}

static void state(struct card *card, const json_t *request)
{
    const char *waits_for = NULL;
    char votes[LB_SHOW_VOTES_MAX];

    for (size_t i = 0; i < LB_ELEMENTS(states); i++)
        if (is_in(request, states[i].state))
            waits_for = states[i].waits_for;
    lb_show_votes(request, votes);
    line(card, "State", lb_show_colour(request), "%s%s%s%s%s", lb_show_state(request), waits_for ? ": " : "",
         waits_for ? waits_for : "", *votes ? ", " : "", votes);
    if (lb_show_is_unseen(request))
        line(card, "Emergency", LB_COLOUR_RED, "nobody was asked; not acknowledged: lockboxctl acknowledge %s",
             lb_ctl_string(request, "id"));
    else if (lb_show_is_emergency(request))
        moment(card, "Acknowledged", request, "acknowledged_at");
}

static void who(struct card *card, const json_t *request)
{
    const char *key = lb_ctl_string(request, "key"), *engineer = lb_ctl_string(request, "engineer");
    const char *space = strchr(key, ' ');
    bool is_key = space && strcmp(space + 1, engineer) == 0; /* he has no other name */

    if (lb_show_is_window(request))
        line(card, "Engineer", LB_COLOUR_BOLD, "whoever comes with the ticket while it is open");
    else
        line(card, "Engineer", LB_COLOUR_BOLD, "%s%s%.*s%s%s", engineer, *key ? " (" : "",
             (int)(is_key ? space - key : (ptrdiff_t)strlen(key)), key, is_key ? " key" : "", *key ? ")" : "");
}

/* What distinguishes this request from the one that it is not. */
static void who_and_where(struct card *card, const json_t *request)
{
    static const char *const read_closely[] = { "engineer", "account", "ticket", "reason" };
    const char *rhost = lb_ctl_string(request, "rhost"), *tty = lb_ctl_string(request, "tty");

    line(card, "Request", LB_COLOUR_BOLD, "%s", lb_ctl_string(request, "id"));
    state(card, request);
    who(card, request);
    line(card, "Account", LB_COLOUR_BOLD, "%s@%s", lb_ctl_string(request, "account"), lb_ctl_string(request, "host"));
    line(card, "Login", LB_COLOUR_NONE, "%s, scope %s%s%s%s%s", lb_ctl_string(request, "service"),
         lb_ctl_string(request, "scope"), *rhost ? ", from " : "", rhost, *tty ? ", on " : "", tty);
    line(card, "Ticket", LB_COLOUR_NONE, "%s", lb_ctl_string(request, "ticket"));
    line(card, "Ticket URL", LB_COLOUR_NONE, "%s", lb_ctl_string(request, "ticket_url"));
    line(card, "Reason", LB_COLOUR_NONE, "%s", lb_ctl_string(request, "reason"));
    for (size_t i = 0; i < LB_ELEMENTS(read_closely); i++)
        if (lb_text_is_confusable(lb_ctl_string(request, read_closely[i])))
            line(card, "Careful", LB_COLOUR_RED, "the %s mixes alphabets: its letters may not be what they look like",
                 read_closely[i]);
}

/* The requests that it has to do with. */
static void links(struct card *card, const json_t *request)
{
    static const struct {
        const char *label, *key, *what;
    } linked[] = {
        { "Extends", "extends", "the access that it asks more time for" },
        { "Window", "grant", "opened beforehand; it let the engineer in" },
        { "Previous", "previous", "" },
    };

    for (size_t i = 0; i < LB_ELEMENTS(linked); i++) {
        const char *value = lb_ctl_string(request, linked[i].key);
        line(card, linked[i].label, LB_COLOUR_NONE, "%s%s%s%s", value, *value && *linked[i].what ? " (" : "",
             *value ? linked[i].what : "", *value && *linked[i].what ? ")" : "");
    }
}

/* Why it is frozen, until when, and what lets it go on. */
static void paused(struct card *card, const json_t *request)
{
    const json_t *pause = json_object_get(request, "paused");
    const char *note = lb_ctl_string(pause, "note"), *id = lb_ctl_string(request, "id");
    int64_t left = lb_ctl_int(pause, "left");
    bool hold = json_is_true(json_object_get(pause, "hold"));
    char time[LB_HUMAN_MAX], span[LB_SPAN_MAX];

    lb_human_time(lb_ctl_time(pause, "at"), card->ctl->now, time);
    if (lb_show_is_at_end(request))
        line(card, "Frozen", LB_COLOUR_YELLOW, "since %s, when its time was over", time);
    else
        line(card, "Paused", LB_COLOUR_YELLOW, "by %s since %s%s%s", lb_ctl_string(pause, "by"), time,
             *note ? ": " : "", note);
    if (hold && left)
        line(card, "Time left", LB_COLOUR_NONE, "%s, which stands still",
             lb_span_format(left * LB_USEC_PER_SEC, span, sizeof(span)));
    lb_human_moment(lb_ctl_time(request, "not_after"), card->ctl->now, time);
    line(card, "Ends", LB_COLOUR_NONE, "%s, if %s", time,
         hold && !left ? "no more time is approved: the engineer asks for it with a new login" : "it is not resumed");
    if (!hold || left)
        line(card, "To let it go on", LB_COLOUR_NONE, "lockboxctl resume %s", id);
}

static void when(struct card *card, const json_t *request)
{
    char span[LB_SHOW_DURATION_MAX];
    bool waiting = is_in(request, "review pending");

    moment(card, "Asked", request, "requested_at");
    line(card, waiting ? "Asked for" : "Duration", LB_COLOUR_NONE, "%s", lb_show_duration(request, span));
    if (waiting)
        moment(card, "Decide by", request, "decide_by");
    if (is_in(request, "approved"))
        moment(card, "Use by", request, "use_by");
    moment(card, lb_ctl_time(request, "not_before") > card->ctl->now ? "Begins" : "Began", request, "not_before");
    if (is_in(request, "active"))
        moment(card, "Ends", request, "not_after");
    if (is_in(request, "paused"))
        paused(card, request);
    line(card, "Rule", LB_COLOUR_NONE, "%s", lb_ctl_string(request, "rule"));
    line(card, "Basis", LB_COLOUR_NONE, "%s", lb_ctl_string(request, "basis"));
}

/* "today 18:00 by bob for the customer, evidence local: as agreed" */
static void decision(struct card *card, const json_t *approval)
{
    const char *note = lb_ctl_string(approval, "note"), *evidence = lb_ctl_string(approval, "evidence");
    const char *stage = lb_ctl_string(approval, "stage"), *label = "Decided", *in_the_name = "";
    const char *role = *stage ? stage : lb_ctl_string(approval, "role");
    char buf[LB_HUMAN_MAX];

    for (size_t i = 0; i < LB_ELEMENTS(decisions); i++)
        if (strcmp(decisions[i].decision, lb_ctl_string(approval, "decision")) == 0)
            label = decisions[i].shown;
    for (size_t i = 0; i < LB_ELEMENTS(roles); i++)
        if (strcmp(roles[i].role, role) == 0)
            in_the_name = roles[i].shown;
    line(card, label, LB_COLOUR_NONE, "%s by %s%s%s%s%s%s",
         lb_human_time(lb_ctl_time(approval, "at"), card->ctl->now, buf), lb_ctl_string(approval, "approver"),
         in_the_name, *evidence ? ", evidence " : "", evidence, *note ? ": " : "", note);
}

static void what_was_said(struct card *card, const json_t *request)
{
    const json_t *item = NULL;
    size_t i = 0;
    char buf[LB_HUMAN_MAX];

    json_array_foreach (json_object_get(request, "approvals"), i, item)
        decision(card, item);
    json_array_foreach (json_object_get(request, "messages"), i, item)
        line(card, "Message", LB_COLOUR_NONE, "%s from %s: %s",
             lb_human_time(lb_ctl_time(item, "at"), card->ctl->now, buf), lb_ctl_string(item, "from"),
             lb_ctl_string(item, "text"));
}

/* "check.sh --unit x as diagnose", what it is, and how it went. */
static void script(struct card *card, const json_t *request)
{
    const json_t *script = json_object_get(request, "script"), *item = NULL;
    const char *note = lb_ctl_string(script, "note");
    LB_FREE char *arguments = NULL;
    size_t i = 0, size = 0;
    FILE *f = script ? open_memstream(&arguments, &size) : NULL;

    if (!f)
        return;
    json_array_foreach (json_object_get(script, "arguments"), i, item)
        fprintf(f, " %s", json_string_value(item));
    fclose(f);
    line(card, "Script", LB_COLOUR_BOLD, "%s%s as %s", lb_ctl_string(script, "name"), arguments ? arguments : "",
         lb_ctl_string(script, "user"));
    line(card, "Digest", LB_COLOUR_NONE, "%s", lb_ctl_string(script, "command"));
    if (!lb_ctl_time(script, "ended_at"))
        return;
    line(card, "Exit status", LB_COLOUR_NONE, "%" PRId64 "%s%s", lb_ctl_int(script, "exit_status"), *note ? ", " : "",
         note);
    line(card, "Output", LB_COLOUR_NONE, "%" PRId64 " bytes, %s", lb_ctl_int(script, "bytes"),
         lb_ctl_string(script, "output"));
}

static void what_was_done(struct card *card, const json_t *request)
{
    const json_t *item = NULL, *end = json_object_get(request, "end");
    const char *note = lb_ctl_string(end, "note");
    size_t i = 0;
    char from[LB_HUMAN_MAX], to[LB_HUMAN_MAX], receipt[LB_SHOW_RECEIPT_MAX], left[LB_SHOW_LEFT_MAX];

    script(card, request);
    json_array_foreach (json_object_get(request, "sessions"), i, item) {
        const char *tty = lb_ctl_string(item, "tty"), *rhost = lb_ctl_string(item, "rhost");
        int64_t closed = lb_ctl_time(item, "closed_at");
        line(card, "Session", LB_COLOUR_NONE, "%" PRId64 ", %s%s%s%s%s, process %" PRId64 ", %s%s%s%s",
             lb_ctl_int(item, "session"), lb_ctl_string(item, "service"), *tty ? " on " : "", tty,
             *rhost ? " from " : "", rhost, lb_ctl_int(item, "pid"), closed ? "" : "since ",
             lb_human_time(lb_ctl_time(item, "opened_at"), card->ctl->now, from), closed ? " until " : "",
             closed ? lb_human_time(closed, card->ctl->now, to) : "");
    }
    if (end && lb_ctl_time(end, "at"))
        line(card, "End", LB_COLOUR_NONE, "%s, %s by %s%s%s",
             lb_human_time(lb_ctl_time(end, "at"), card->ctl->now, from), lb_ctl_string(end, "reason"),
             lb_ctl_string(end, "by"), *note ? ": " : "", note);
    line(card, "Receipt", is_in(request, "ending") ? LB_COLOUR_RED : LB_COLOUR_NONE, "%s",
         lb_show_receipt(request, receipt));
    line(card, "Left behind", LB_COLOUR_NONE, "%s", lb_show_left_behind(request, left));
}

static void what_to_do(struct card *card, const json_t *request)
{
    bool own = geteuid() != 0 && lb_ctl_int(request, "uid") == geteuid();

    if (card->ctl->verb && card->ctl->verb->question) /* which comes next */
        return;
    for (size_t i = 0; i < LB_ELEMENTS(steps); i++)
        if (steps[i].own == own && is_in(request, steps[i].states) &&
            (!steps[i].only_with || json_object_get(request, steps[i].only_with)) &&
            (!steps[i].not_with || !json_object_get(request, steps[i].not_with)))
            line(card, steps[i].label, LB_COLOUR_NONE, "lockboxctl %s %s%s", steps[i].verb,
                 lb_ctl_string(request, "id"), steps[i].args);
}

int lb_show_request(const struct lb_ctl *ctl, const json_t *request)
{
    static const struct lb_column columns[] = { { NULL, false, 0 }, { NULL, false, 0 } };
    LB_TABLE struct lb_table *table = lb_table_new(&ctl->out, columns, LB_ELEMENTS(columns));
    struct card card = { ctl, table, 0 };

    if (!table)
        return lb_ctl_lost(ctl, -ENOMEM);
    who_and_where(&card, request);
    when(&card, request);
    links(&card, request);
    what_was_said(&card, request);
    what_was_done(&card, request);
    what_to_do(&card, request);
    if (card.r < 0 || lb_table_print(table) < 0 || lb_show_changes(ctl, request) < 0)
        return lb_ctl_lost(ctl, -ENOMEM);
    return LB_EXIT_DONE;
}
