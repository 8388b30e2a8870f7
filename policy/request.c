/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/request.h"

#include "policy/base.h"

const char *const lb_state_names[] = {
    [LB_STATE_NONE] = "",
    [LB_STATE_REVIEW] = "review",
    [LB_STATE_PENDING] = "pending",
    [LB_STATE_APPROVED] = "approved",
    [LB_STATE_ACTIVE] = "active",
    [LB_STATE_PAUSED] = "paused",
    [LB_STATE_ENDING] = "ending",
    [LB_STATE_COMPLETED] = "completed",
    [LB_STATE_ENDED] = "ended",
    [LB_STATE_REVOKED] = "revoked",
    [LB_STATE_DENIED] = "denied",
    [LB_STATE_EXPIRED] = "expired",
    [LB_STATE_WITHDRAWN] = "withdrawn",
    [LB_STATE_LAPSED] = "lapsed",
    [LB_STATE_UNDECIDABLE] = "undecidable",
    [LB_STATE_MAX_] = NULL,
};

const char *const lb_basis_names[] = {
    [LB_BASIS_NONE] = "",
    [LB_BASIS_APPROVAL] = "approval",
    [LB_BASIS_PERMIT] = "permit",
    [LB_BASIS_PREAPPROVED] = "preapproved",
    [LB_BASIS_EMERGENCY] = "break-glass",
    NULL,
};

#define IN(type, member, label, kind, ...) { label, kind, offsetof(struct type, member), __VA_ARGS__ }

static const struct lb_field approval_fields[] = {
    IN(lb_approval, approver, "approver", LB_FIELD_STRING, 0),
    IN(lb_approval, role, "role", LB_FIELD_STRING, 0),
    IN(lb_approval, stage, "stage", LB_FIELD_STRING, 0),
    IN(lb_approval, decision, "decision", LB_FIELD_STRING, 0),
    IN(lb_approval, evidence, "evidence", LB_FIELD_STRING, 0),
    IN(lb_approval, at, "at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_approval, note, "note", LB_FIELD_STRING, 0),
    { 0 },
};

static const struct lb_field message_fields[] = {
    IN(lb_message, from, "from", LB_FIELD_STRING, 0),
    IN(lb_message, at, "at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_message, text, "text", LB_FIELD_STRING, 0),
    { 0 },
};

static const struct lb_field session_fields[] = {
    IN(lb_session, session, "session", LB_FIELD_INT, LB_FIELD_ALWAYS),
    IN(lb_session, pid, "pid", LB_FIELD_INT, LB_FIELD_ALWAYS),
    IN(lb_session, service, "service", LB_FIELD_STRING, 0),
    IN(lb_session, tty, "tty", LB_FIELD_STRING, 0),
    IN(lb_session, rhost, "rhost", LB_FIELD_STRING, 0),
    IN(lb_session, opened_at, "opened_at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_session, closed_at, "closed_at", LB_FIELD_INT, LB_FIELD_TIME),
    { 0 },
};

static const struct lb_field script_fields[] = {
    IN(lb_script, name, "name", LB_FIELD_STRING, 0),
    IN(lb_script, command, "command", LB_FIELD_STRING, 0),
    IN(lb_script, arguments, "arguments", LB_FIELD_STRINGS, 0),
    IN(lb_script, user, "user", LB_FIELD_STRING, 0),
    IN(lb_script, ended_at, "ended_at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_script, exit_status, "exit_status", LB_FIELD_INT, 0),
    IN(lb_script, bytes, "bytes", LB_FIELD_INT, 0),
    IN(lb_script, output, "output", LB_FIELD_STRING, 0),
    IN(lb_script, note, "note", LB_FIELD_STRING, 0),
    { 0 },
};

static const struct lb_field end_fields[] = {
    IN(lb_end, reason, "reason", LB_FIELD_STRING, 0),
    IN(lb_end, by, "by", LB_FIELD_STRING, 0),
    IN(lb_end, at, "at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_end, note, "note", LB_FIELD_STRING, 0),
    IN(lb_end, killed, "killed", LB_FIELD_INT, LB_FIELD_ALWAYS),
    IN(lb_end, left, "left", LB_FIELD_INT, LB_FIELD_ALWAYS),
    IN(lb_end, ms, "ms", LB_FIELD_INT, LB_FIELD_ALWAYS),
    IN(lb_end, kinds, "kinds", LB_FIELD_OBJECT, 0, .fields = lb_killed_fields),
    IN(lb_end, shared, "shared", LB_FIELD_INT, 0),
    { 0 },
};

const struct lb_field lb_left_behind_fields[] = {
    IN(lb_left_behind, at, "at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_left_behind, count, "count", LB_FIELD_INT, LB_FIELD_ALWAYS),
    IN(lb_left_behind, changes, "changes", LB_FIELD_LIST, LB_FIELD_ALWAYS, .fields = lb_change_fields,
       .size = sizeof(struct lb_change)),
    IN(lb_left_behind, problem, "problem", LB_FIELD_STRING, 0),
    { 0 },
};

static const struct lb_field pause_fields[] = {
    IN(lb_pause, by, "by", LB_FIELD_STRING, 0),
    IN(lb_pause, at, "at", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_pause, note, "note", LB_FIELD_STRING, 0),
    IN(lb_pause, hold, "hold", LB_FIELD_BOOL, LB_FIELD_ALWAYS),
    IN(lb_pause, left, "left", LB_FIELD_INT, LB_FIELD_SPAN | LB_FIELD_ALWAYS),
    { 0 },
};

#define FIELD(member, kind, ...) IN(lb_request, member, #member, kind, __VA_ARGS__)
#define STRING(member) FIELD(member, LB_FIELD_STRING, 0)
#define LIST(member, element, of) FIELD(member, LB_FIELD_LIST, 0, .fields = of, .size = sizeof(struct element))

const struct lb_field lb_request_fields[] = {
    STRING(id),
    FIELD(state, LB_FIELD_ENUM, 0, .names = lb_state_names),
    FIELD(basis, LB_FIELD_ENUM, 0, .names = lb_basis_names),
    STRING(host), STRING(account),
    FIELD(uid, LB_FIELD_INT, LB_FIELD_ALWAYS),
    STRING(engineer), STRING(key), STRING(service), STRING(scope), STRING(rhost), STRING(tty),
    STRING(ticket), STRING(ticket_url), STRING(reason), STRING(rule), STRING(previous), STRING(grant), STRING(extends),
    FIELD(requested_at, LB_FIELD_INT, LB_FIELD_TIME),
    FIELD(duration, LB_FIELD_INT, LB_FIELD_SPAN | LB_FIELD_ALWAYS),
    IN(lb_request, decide_by.wall, "decide_by", LB_FIELD_INT, LB_FIELD_TIME),
    FIELD(not_before, LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_request, use_by.wall, "use_by", LB_FIELD_INT, LB_FIELD_TIME),
    IN(lb_request, not_after.wall, "not_after", LB_FIELD_INT, LB_FIELD_TIME),
    FIELD(closed_at, LB_FIELD_INT, LB_FIELD_TIME),
    FIELD(acknowledged_at, LB_FIELD_INT, LB_FIELD_TIME),
    LIST(approvals, lb_approval, approval_fields),
    LIST(messages, lb_message, message_fields),
    LIST(sessions, lb_session, session_fields),
    FIELD(script, LB_FIELD_OBJECT, 0, .fields = script_fields),
    IN(lb_request, pause, "paused", LB_FIELD_OBJECT, 0, .fields = pause_fields),
    FIELD(end, LB_FIELD_OBJECT, 0, .fields = end_fields),
    FIELD(left_behind, LB_FIELD_OBJECT, 0, .fields = lb_left_behind_fields),
    { 0 },
};

bool lb_state_is_open(int state)
{
    return state >= LB_STATE_REVIEW && state <= LB_STATE_ENDING;
}

bool lb_state_is_access(int state)
{
    return state == LB_STATE_ACTIVE || state == LB_STATE_PAUSED;
}

bool lb_state_is_waiting(int state)
{
    return state == LB_STATE_REVIEW || state == LB_STATE_PENDING;
}

bool lb_request_is_window(const struct lb_request *r)
{
    return r->basis == LB_BASIS_PREAPPROVED && !r->grant;
}

size_t lb_request_open_sessions(const struct lb_request *r)
{
    const struct lb_session *s = r->sessions.items;
    size_t open = 0;

    for (size_t i = 0; i < r->sessions.n; i++)
        open += s[i].closed_at == 0;
    return open;
}

struct lb_session *lb_request_session(const struct lb_request *r, int64_t pid, int64_t pid_started)
{
    struct lb_session *s = r->sessions.items;

    for (size_t i = 0; i < r->sessions.n; i++)
        if (s[i].closed_at == 0 && s[i].pid == pid && s[i].pid_started == pid_started)
            return &s[i];
    return NULL;
}

/* The warning that stands i-th and is still to be given; one longer than the access itself is never given. */
static int64_t warning_to_give(const struct lb_request *r, size_t i)
{
    int64_t warning = i < LB_WARN_MAX ? r->terms.warn[i] : 0;

    return warning < r->duration && (r->warned == 0 || warning < r->warned) ? warning : 0;
}

static bool warning_is_due(const struct lb_request *r, int64_t warning, const struct lb_time *now)
{
    struct lb_deadline d = lb_deadline_before(&r->not_after, warning);

    return warning > 0 && lb_deadline_due(&d, now);
}

bool lb_request_may_begin(const struct lb_request *r, const struct lb_time *now)
{
    return r->state == LB_STATE_APPROVED && !r->extends && lb_deadline_wait(&r->begin_at, now) == 0;
}

static int64_t boot_of(const struct lb_deadline *d, const struct lb_time *now)
{
    return d->boot_id == now->boot_id ? d->boot : LB_NEVER;
}

/* On one clock: the beginning, until it has come, or the deadline before it. */
static int64_t next(int64_t begin, int64_t end, int64_t now)
{
    return begin > now && begin < end ? begin : end;
}

/* What an approved access waits for on each clock: both have to come to its beginning, one of them to its end. */
static struct lb_deadline next_of_approved(const struct lb_request *r, const struct lb_time *now)
{
    return (struct lb_deadline){ next(r->begin_at.wall, r->use_by.wall, now->wall),
                                 next(boot_of(&r->begin_at, now), boot_of(&r->use_by, now), now->boot), now->boot_id };
}

struct lb_deadline lb_request_deadline(const struct lb_request *r, const struct lb_time *now)
{
    switch (r->state) {
    case LB_STATE_REVIEW:
    case LB_STATE_PENDING:
        return r->decide_by;
    case LB_STATE_APPROVED:
        return next_of_approved(r, now);
    case LB_STATE_ACTIVE:
        for (size_t i = 0; i < LB_WARN_MAX; i++)
            if (warning_to_give(r, i))
                return lb_deadline_before(&r->not_after, warning_to_give(r, i));
        return r->not_after;
    case LB_STATE_PAUSED:
        return r->not_after;
    default:
        return lb_deadline_never();
    }
}

bool lb_request_freezes(const struct lb_request *r)
{
    return r->terms.on_end == LB_ON_END_FREEZE && !r->pause.hold && r->sessions.n > 0 &&
           r->basis != LB_BASIS_PERMIT && r->duration < r->terms.max_duration;
}

bool lb_request_is_at_end(const struct lb_request *r)
{
    return r->state == LB_STATE_PAUSED && r->pause.hold && r->pause.left == 0;
}

/* The end comes before any warning, and of several warnings that are due only the last is given. */
static int due_in_access(const struct lb_request *r, const struct lb_time *now, int64_t *ret_warning)
{
    if (lb_deadline_due(&r->not_after, now))
        return lb_request_freezes(r) ? LB_EVENT_FROZEN : LB_EVENT_TIME_OVER;
    if (r->state != LB_STATE_ACTIVE)
        return LB_EVENT_NONE;
    for (size_t i = 0; i < LB_WARN_MAX; i++)
        if (warning_is_due(r, warning_to_give(r, i), now))
            *ret_warning = warning_to_give(r, i);
    return *ret_warning ? LB_EVENT_WARNED : LB_EVENT_NONE;
}

int lb_request_due(const struct lb_request *r, const struct lb_time *now, int64_t *ret_warning)
{
    *ret_warning = 0;
    if (lb_state_is_waiting(r->state))
        return lb_deadline_due(&r->decide_by, now) ? LB_EVENT_EXPIRED : LB_EVENT_NONE;
    if (r->state == LB_STATE_APPROVED)
        return lb_deadline_due(&r->use_by, now)                                          ? LB_EVENT_LAPSED
               : r->terms.starts == LB_STARTS_APPROVAL && lb_request_may_begin(r, now) ? LB_EVENT_BEGUN
                                                                                          : LB_EVENT_NONE;
    return lb_state_is_access(r->state) ? due_in_access(r, now, ret_warning) : LB_EVENT_NONE;
}

bool lb_request_is_script(const struct lb_request *r)
{
    return r->script.command;
}

bool lb_request_is_for(const struct lb_request *r, const char *account, const char *engineer, const char *key,
                       const char *scope)
{
    return lb_streq(r->account, account) && lb_streq(r->engineer, engineer) && lb_streq(r->key, key) &&
           lb_streq(r->scope, scope) && !lb_request_is_script(r);
}

struct lb_request *lb_request_free(struct lb_request *r)
{
    if (!r)
        return NULL;
    lb_fields_clear(lb_request_fields, r);
    lb_fields_clear(lb_terms_fields, &r->terms);
    lb_strings_free(r->reviewers);
    lb_strings_free(r->entitled);
    free(r->nonce);
    free(r);
    return NULL;
}
