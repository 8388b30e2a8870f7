/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/lifecycle.h"

#include <errno.h>

#include "policy/base.h"

#define CLOSING LB_EFFECT_CLOSING
#define NOTIFY LB_EFFECT_NOTIFY
#define WAKE LB_EFFECT_WAKE
#define ARM LB_EFFECT_ARM
#define WARN LB_EFFECT_WARN
#define REAP LB_EFFECT_REAP
#define DISARM LB_EFFECT_DISARM
#define TELL LB_EFFECT_TELL
#define UNLOCK LB_EFFECT_UNLOCK
#define LOOK LB_EFFECT_LOOK
#define FREEZE LB_EFFECT_FREEZE
#define THAW LB_EFFECT_THAW
#define TO(state, effects) { LB_STATE_##state, (effects) }

const struct lb_transition lb_lifecycle[LB_STATE_MAX_][LB_EVENT_REQUEST_MAX_] = {
    [LB_STATE_NONE] = {
        [LB_EVENT_REVIEW] = TO(REVIEW, NOTIFY),
        [LB_EVENT_REQUESTED] = TO(PENDING, NOTIFY),
        [LB_EVENT_PERMITTED] = TO(ACTIVE, ARM | UNLOCK | LOOK),
        [LB_EVENT_GRANTED] = TO(APPROVED, 0),
        [LB_EVENT_PREAPPROVED] = TO(ACTIVE, ARM | UNLOCK | LOOK),
        [LB_EVENT_SCRIPT_STARTED] = TO(ACTIVE, ARM | UNLOCK),
    },
    [LB_STATE_REVIEW] = {
        [LB_EVENT_REVIEWED] = TO(PENDING, NOTIFY | WAKE),
        [LB_EVENT_DENIED] = TO(DENIED, CLOSING | WAKE),
        [LB_EVENT_EXPIRED] = TO(EXPIRED, CLOSING | WAKE),
        [LB_EVENT_WITHDRAWN] = TO(WITHDRAWN, CLOSING | WAKE),
        [LB_EVENT_UNDECIDABLE] = TO(UNDECIDABLE, CLOSING | WAKE),
        [LB_EVENT_MESSAGE] = TO(REVIEW, WAKE | TELL),
        [LB_EVENT_EMERGENCY] = TO(ACTIVE, ARM | NOTIFY | WAKE | UNLOCK | LOOK),
        [LB_EVENT_REBOOTED] = TO(REVIEW, 0),
    },
    [LB_STATE_PENDING] = {
        [LB_EVENT_VOTED] = TO(PENDING, WAKE),
        [LB_EVENT_APPROVED] = TO(APPROVED, WAKE),
        [LB_EVENT_DENIED] = TO(DENIED, CLOSING | WAKE),
        [LB_EVENT_EXPIRED] = TO(EXPIRED, CLOSING | WAKE),
        [LB_EVENT_WITHDRAWN] = TO(WITHDRAWN, CLOSING | WAKE),
        [LB_EVENT_UNDECIDABLE] = TO(UNDECIDABLE, CLOSING | WAKE),
        [LB_EVENT_MESSAGE] = TO(PENDING, WAKE | TELL),
        [LB_EVENT_EMERGENCY] = TO(ACTIVE, ARM | NOTIFY | WAKE | UNLOCK | LOOK),
        [LB_EVENT_REBOOTED] = TO(PENDING, 0),
    },
    [LB_STATE_APPROVED] = {
        [LB_EVENT_BEGUN] = TO(ACTIVE, ARM | WAKE | UNLOCK | LOOK),
        [LB_EVENT_LAPSED] = TO(LAPSED, CLOSING | WAKE),
        [LB_EVENT_ADDED] = TO(COMPLETED, 0),
        [LB_EVENT_WITHDRAWN] = TO(WITHDRAWN, CLOSING | WAKE),
        [LB_EVENT_STOPPED] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_MESSAGE] = TO(APPROVED, WAKE | TELL),
        [LB_EVENT_REBOOTED] = TO(APPROVED, 0),
    },
    [LB_STATE_ACTIVE] = {
        [LB_EVENT_OPENED] = TO(ACTIVE, 0),
        [LB_EVENT_CLOSED] = TO(ACTIVE, CLOSING),
        [LB_EVENT_WARNED] = TO(ACTIVE, WARN),
        [LB_EVENT_EXTENDED] = TO(ACTIVE, ARM | WARN),
        [LB_EVENT_PAUSED] = TO(PAUSED, CLOSING | ARM | FREEZE | WAKE),
        [LB_EVENT_FROZEN] = TO(PAUSED, CLOSING | ARM | FREEZE | WAKE),
        [LB_EVENT_TIME_OVER] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_HANDED_BACK] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_STOPPED] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_MESSAGE] = TO(ACTIVE, TELL),
        [LB_EVENT_ACKNOWLEDGED] = TO(ACTIVE, 0),
        [LB_EVENT_REBOOTED] = TO(ACTIVE, ARM),
        [LB_EVENT_UNIT_FAILED] = TO(ACTIVE, TELL),
        [LB_EVENT_SCRIPT_ENDED] = TO(ENDING, CLOSING | WAKE | REAP),
    },
    [LB_STATE_PAUSED] = {
        [LB_EVENT_CLOSED] = TO(PAUSED, CLOSING),
        [LB_EVENT_RESUMED] = TO(ACTIVE, ARM | THAW | WAKE),
        [LB_EVENT_FROZEN] = TO(PAUSED, CLOSING | ARM | WAKE), /* as it is already */
        [LB_EVENT_EXTENDED] = TO(PAUSED, ARM),
        [LB_EVENT_TIME_OVER] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_HANDED_BACK] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_STOPPED] = TO(ENDING, CLOSING | WAKE | REAP),
        [LB_EVENT_MESSAGE] = TO(PAUSED, TELL),
        [LB_EVENT_ACKNOWLEDGED] = TO(PAUSED, 0),
        [LB_EVENT_REBOOTED] = TO(PAUSED, ARM),
        [LB_EVENT_UNIT_FAILED] = TO(PAUSED, TELL),
    },
    [LB_STATE_ENDING] = {
        [LB_EVENT_CLOSED] = TO(ENDING, CLOSING),
        [LB_EVENT_STUCK] = TO(ENDING, CLOSING),
        [LB_EVENT_LEFT_BEHIND] = TO(ENDING, CLOSING),
        [LB_EVENT_NO_REPORT] = TO(ENDING, CLOSING),
        [LB_EVENT_UNIT_FAILED] = TO(ENDING, CLOSING | TELL),
        [LB_EVENT_SCRIPT_ENDED] = TO(ENDING, CLOSING),
        [LB_EVENT_STOPPED] = TO(ENDING, CLOSING | REAP),
        [LB_EVENT_COMPLETED] = TO(COMPLETED, CLOSING | DISARM),
        [LB_EVENT_ENDED] = TO(ENDED, CLOSING | DISARM),
        [LB_EVENT_REVOKED] = TO(REVOKED, CLOSING | DISARM),
        [LB_EVENT_ACKNOWLEDGED] = TO(ENDING, 0),
    },
    /* over, but an emergency may still have to be seen */
    [LB_STATE_COMPLETED] = { [LB_EVENT_ACKNOWLEDGED] = TO(COMPLETED, 0) },
    [LB_STATE_ENDED] = { [LB_EVENT_ACKNOWLEDGED] = TO(ENDED, 0) },
    [LB_STATE_REVOKED] = { [LB_EVENT_ACKNOWLEDGED] = TO(REVOKED, 0) },
};

struct lb_transition lb_lifecycle_step(int state, int kind)
{
    if (state < 0 || state >= LB_STATE_MAX_ || kind <= LB_EVENT_NONE || kind >= LB_EVENT_REQUEST_MAX_)
        return (struct lb_transition){ 0 };
    return lb_lifecycle[state][kind];
}

static int set(char **member, const char *value)
{
    char *copy = value && *value ? strdup(value) : NULL;

    if (value && *value && !copy)
        return -ENOMEM;
    free(*member);
    *member = copy;
    return 0;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- what each kind of event changes; it has been checked, so that only memory can be lacking --------------------- */

static int on_begin(struct lb_request *r, const struct lb_event *e)
{
    const struct { char **to; const char *from; } strings[] = {
        { &r->id, e->request }, { &r->host, e->host }, { &r->account, e->account }, { &r->engineer, e->engineer },
        { &r->key, e->key }, { &r->service, e->service }, { &r->scope, e->scope }, { &r->rhost, e->rhost },
        { &r->tty, e->tty }, { &r->ticket, e->ticket }, { &r->ticket_url, e->ticket_url }, { &r->reason, e->reason },
        { &r->rule, e->rule }, { &r->previous, e->previous }, { &r->grant, e->grant },
        { &r->extends, e->extends }, { &r->nonce, e->nonce },
    };

    for (size_t i = 0; i < LB_ELEMENTS(strings); i++)
        if (set(strings[i].to, strings[i].from) < 0)
            return -ENOMEM;
    if (lb_terms_copy(&r->terms, &e->terms) < 0)
        return -ENOMEM;
    if (e->reviewers && !(r->reviewers = lb_strings_copy(e->reviewers)))
        return -ENOMEM;
    if (e->entitled && !(r->entitled = lb_strings_copy(e->entitled)))
        return -ENOMEM;
    r->basis = e->basis;
    r->uid = e->uid;
    r->requested_at = e->time.wall;
    r->duration = min(e->duration, e->terms.max_duration);
    r->decide_by = lb_deadline_after(&e->time, e->terms.expire_after);
    r->use_by = lb_deadline_after(&e->time, e->terms.use_by);
    return 0;
}

/* What was decided is not made longer here; and a window that opens late closes no later for that. */
static int on_begun(struct lb_request *r, const struct lb_event *e)
{
    int64_t left = lb_request_is_window(r) ? lb_deadline_left(&r->use_by, &e->time) : LB_NEVER;

    if (e->duration > 0)
        r->duration = min(r->duration, e->duration);
    r->not_before = e->time.wall;
    r->not_after = lb_deadline_after(&e->time, min(r->duration, left));
    return 0;
}

static int on_open_at_once(struct lb_request *r, const struct lb_event *e)
{
    int error = on_begin(r, e);

    return error < 0 ? error : on_begun(r, e);
}

static int on_script_started(struct lb_request *r, const struct lb_event *e)
{
    int error = on_open_at_once(r, e);

    if (error < 0 || set(&r->script.name, e->script) < 0 || set(&r->script.command, e->command) < 0 ||
        set(&r->script.user, e->user) < 0)
        return -ENOMEM;
    if (e->arguments && !(r->script.arguments = lb_strings_copy(e->arguments)))
        return -ENOMEM;
    return 0;
}

static const char *decision_of(int kind)
{
    return kind == LB_EVENT_DENIED ? "deny" : kind == LB_EVENT_ACKNOWLEDGED ? "acknowledge" : "approve";
}

static int on_decision(struct lb_request *r, const struct lb_event *e)
{
    struct lb_approval *a = lb_list_append(&r->approvals, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->at = e->time.wall;
    if (set(&a->approver, e->approver) < 0 || set(&a->role, e->role) < 0 || set(&a->stage, e->stage) < 0 ||
        set(&a->decision, decision_of(e->kind)) < 0 ||
        set(&a->evidence, e->evidence) < 0 || set(&a->note, e->note) < 0)
        return -ENOMEM;
    return 0;
}

/* Each yes may shorten or put off, and what one has made less or later stays so. */
static int on_vote(struct lb_request *r, const struct lb_event *e)
{
    if (e->duration > 0 && e->duration < r->duration)
        r->duration = e->duration;
    if (e->not_before > r->not_before)
        r->not_before = e->not_before;
    if (e->not_before > e->time.wall) {
        struct lb_deadline begin = lb_deadline_after(&e->time, e->not_before - e->time.wall);

        r->begin_at = lb_deadline_later(&r->begin_at, &begin);
    }
    return on_decision(r, e);
}

/* What was signed for one stage is of no use at the next. */
static int on_reviewed(struct lb_request *r, const struct lb_event *e)
{
    return set(&r->nonce, e->nonce) < 0 ? -ENOMEM : on_vote(r, e);
}

static struct lb_deadline after_wait(int64_t wait, int64_t span, const struct lb_event *e)
{
    struct lb_deadline begin = lb_deadline_after(&e->time, wait);

    return lb_deadline_before(&begin, -span);
}

/* UseBy= counts from the moment from which it can be used. */
static int on_approved(struct lb_request *r, const struct lb_event *e)
{
    int error = on_vote(r, e);
    int64_t wait = lb_deadline_wait(&r->begin_at, &e->time);

    if (wait == 0) /* then no clock that is put back keeps it from beginning */
        r->begin_at = (struct lb_deadline){ 0 };
    r->use_by = after_wait(wait, r->terms.use_by, e);
    return error;
}

/* A window: open from one moment on for so long, whoever comes. Its time runs from that moment, used or not. */
static int on_granted(struct lb_request *r, const struct lb_event *e)
{
    int error = on_begin(r, e);

    if (error == 0)
        error = on_approved(r, e);
    r->use_by = after_wait(lb_deadline_wait(&r->begin_at, &e->time), r->duration, e);
    return error;
}

/* As long as the rule has it, whatever was asked for. */
static int on_emergency(struct lb_request *r, const struct lb_event *e)
{
    r->basis = LB_BASIS_EMERGENCY;
    r->duration = r->terms.emergency_duration;
    return on_begun(r, e);
}

static int on_acknowledged(struct lb_request *r, const struct lb_event *e)
{
    r->acknowledged_at = e->time.wall;
    return on_decision(r, e);
}

static int on_message(struct lb_request *r, const struct lb_event *e)
{
    struct lb_message *m = lb_list_append(&r->messages, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->at = e->time.wall;
    return set(&m->from, e->from) < 0 || set(&m->text, e->note) < 0 ? -ENOMEM : 0;
}

static int on_opened(struct lb_request *r, const struct lb_event *e)
{
    struct lb_session *s = lb_list_append(&r->sessions, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->session = e->session;
    s->pid = e->pid;
    s->pid_started = e->pid_started;
    s->foreign = e->foreign;
    s->opened_at = e->time.wall;
    return set(&s->service, e->service) < 0 || set(&s->tty, e->tty) < 0 || set(&s->rhost, e->rhost) < 0 ? -ENOMEM : 0;
}

static int on_closed(struct lb_request *r, const struct lb_event *e)
{
    lb_request_session(r, e->pid, e->pid_started)->closed_at = e->time.wall;
    return 0;
}

static int on_warned(struct lb_request *r, const struct lb_event *e)
{
    r->warned = e->warning;
    return 0;
}

/* The deadline that the event gives, never later than `more` after the one there was. */
static struct lb_deadline renewed(const struct lb_deadline *d, const struct lb_event *e, int64_t more)
{
    struct lb_deadline latest = lb_deadline_before(d, -more);

    return lb_deadline_after(&e->time, min(e->left_usec, lb_deadline_left(&latest, &e->time)));
}

static void move_end(struct lb_request *r, struct lb_deadline end)
{
    r->not_after = end;
    r->turn++;
}

/* While the time stands still, the clock that runs is the pause's. */
static int on_extended(struct lb_request *r, const struct lb_event *e)
{
    if (r->pause.hold)
        r->pause.left += e->duration;
    else
        move_end(r, renewed(&r->not_after, e, e->duration));
    r->duration += e->duration;
    r->warned = 0; /* the warnings are given again */
    return on_decision(r, e);
}

/* Without hold the time runs on, and so does the deadline. */
static int on_paused(struct lb_request *r, const struct lb_event *e)
{
    struct lb_pause *p = &r->pause;

    *p = (struct lb_pause){ .at = e->time.wall, .hold = e->hold };
    if (e->hold) {
        p->left = lb_deadline_left(&r->not_after, &e->time);
        p->charged = min(e->duration, r->terms.max_duration - r->held);
        r->held += p->charged;
        move_end(r, lb_deadline_after(&e->time, p->charged));
    }
    return set(&p->by, e->by) < 0 || set(&p->note, e->note) < 0 ? -ENOMEM : 0;
}

/* Its time is over and stands still. What an approver has paused stays paused by him. */
static int on_frozen(struct lb_request *r, const struct lb_event *e)
{
    struct lb_pause *p = &r->pause;

    p->hold = true;
    p->left = 0;
    move_end(r, lb_deadline_after(&e->time, min(e->duration, r->terms.freeze)));
    if (r->state == LB_STATE_PAUSED)
        return 0;
    p->at = e->time.wall;
    return set(&p->by, e->by);
}

static int on_resumed(struct lb_request *r, const struct lb_event *e)
{
    struct lb_pause *p = &r->pause;

    if (p->hold) {
        r->held -= min(lb_deadline_left(&r->not_after, &e->time), p->charged);
        move_end(r, lb_deadline_after(&e->time, min(p->left, e->left_usec)));
    }
    free(p->by);
    free(p->note);
    *p = (struct lb_pause){ 0 };
    return 0;
}

static int on_rebooted(struct lb_request *r, const struct lb_event *e)
{
    struct lb_deadline *d = lb_state_is_waiting(r->state)        ? &r->decide_by
                            : r->state == LB_STATE_APPROVED ? &r->use_by
                                                            : &r->not_after;
    struct lb_session *s = r->sessions.items;

    *d = renewed(d, e, 0);
    if (r->begin_at.wall) {
        struct lb_deadline begin = lb_deadline_after(&e->time, e->wait_usec);

        begin.wall = r->begin_at.wall; /* as it was said; the boot clock alone has begun anew */
        r->begin_at = begin;
    }
    for (size_t i = 0; i < r->sessions.n; i++) {
        s[i].session = LB_SESSION_GONE;
        if (s[i].closed_at == 0)
            s[i].closed_at = e->time.wall;
    }
    return 0;
}

/* Why and by whom: the first word stands, a later "stopped" during the end only presses on. */
static int on_end(struct lb_request *r, const struct lb_event *e)
{
    if (r->end.reason)
        return 0;
    r->end.at = e->time.wall;
    return set(&r->end.reason, lb_event_names[e->kind]) < 0 || set(&r->end.by, e->by) < 0 ? -ENOMEM : 0;
}

/* The words of who stops it; those of a script's end are the script's. */
static int on_stopped(struct lb_request *r, const struct lb_event *e)
{
    if (!r->end.reason && set(&r->end.note, e->note) < 0)
        return -ENOMEM;
    return on_end(r, e);
}

static int on_script_ended(struct lb_request *r, const struct lb_event *e)
{
    r->script.ended_at = e->time.wall;
    r->script.exit_status = e->exit_status;
    r->script.bytes = e->bytes;
    return set(&r->script.output, e->output) < 0 || set(&r->script.note, e->note) < 0 ? -ENOMEM : on_end(r, e);
}

static int on_stuck(struct lb_request *r, const struct lb_event *e)
{
    r->end.killed = e->killed;
    r->end.left = e->left;
    r->end.ms = e->ms;
    r->end.kinds = e->kinds;
    r->end.shared = e->shared;
    return 0;
}

static int on_receipt(struct lb_request *r, const struct lb_event *e)
{
    struct lb_session *s = r->sessions.items;

    for (size_t i = 0; i < r->sessions.n; i++)
        if (s[i].closed_at == 0)
            s[i].closed_at = e->time.wall;
    return on_stuck(r, e);
}

static int on_left_behind(struct lb_request *r, const struct lb_event *e)
{
    const struct lb_left_behind report = { e->time.wall, e->count, e->changes, NULL };

    return lb_fields_copy(lb_left_behind_fields, &r->left_behind, &report);
}

static int on_no_report(struct lb_request *r, const struct lb_event *e)
{
    r->left_behind.at = e->time.wall;
    return set(&r->left_behind.problem, e->note);
}

static int (*const changes[LB_EVENT_REQUEST_MAX_])(struct lb_request *r, const struct lb_event *e) = {
    [LB_EVENT_REVIEW] = on_begin,
    [LB_EVENT_REQUESTED] = on_begin,
    [LB_EVENT_PERMITTED] = on_open_at_once,
    [LB_EVENT_GRANTED] = on_granted,
    [LB_EVENT_PREAPPROVED] = on_open_at_once,
    [LB_EVENT_SCRIPT_STARTED] = on_script_started,
    [LB_EVENT_SCRIPT_ENDED] = on_script_ended,
    [LB_EVENT_EMERGENCY] = on_emergency,
    [LB_EVENT_ACKNOWLEDGED] = on_acknowledged,
    [LB_EVENT_REVIEWED] = on_reviewed,
    [LB_EVENT_VOTED] = on_vote,
    [LB_EVENT_APPROVED] = on_approved,
    [LB_EVENT_DENIED] = on_decision,
    [LB_EVENT_MESSAGE] = on_message,
    [LB_EVENT_UNIT_FAILED] = on_message,
    [LB_EVENT_BEGUN] = on_begun,
    [LB_EVENT_OPENED] = on_opened,
    [LB_EVENT_CLOSED] = on_closed,
    [LB_EVENT_WARNED] = on_warned,
    [LB_EVENT_REBOOTED] = on_rebooted,
    [LB_EVENT_EXTENDED] = on_extended,
    [LB_EVENT_PAUSED] = on_paused,
    [LB_EVENT_FROZEN] = on_frozen,
    [LB_EVENT_RESUMED] = on_resumed,
    [LB_EVENT_TIME_OVER] = on_end,
    [LB_EVENT_HANDED_BACK] = on_end,
    [LB_EVENT_STOPPED] = on_stopped,
    [LB_EVENT_STUCK] = on_stuck,
    [LB_EVENT_LEFT_BEHIND] = on_left_behind,
    [LB_EVENT_NO_REPORT] = on_no_report,
    [LB_EVENT_COMPLETED] = on_receipt,
    [LB_EVENT_ENDED] = on_receipt,
    [LB_EVENT_REVOKED] = on_receipt,
};

/* --- what an event must not contradict ---------------------------------------------------------------------------- */

static bool is_new_session(const struct lb_request *r, const struct lb_event *e)
{
    return !lb_request_is_script(r) && !lb_request_session(r, e->pid, e->pid_started);
}

static bool is_script_that_runs(const struct lb_request *r, const struct lb_event *e)
{
    (void)e;
    return lb_request_is_script(r) && !r->script.ended_at;
}

static bool is_open_session(const struct lb_request *r, const struct lb_event *e)
{
    return lb_request_session(r, e->pid, e->pid_started);
}

static bool is_unseen_emergency(const struct lb_request *r, const struct lb_event *e)
{
    (void)e;
    return r->basis == LB_BASIS_EMERGENCY && !r->acknowledged_at;
}

static bool may_be_emergency(const struct lb_request *r, const struct lb_event *e)
{
    (void)e;
    return r->terms.emergency && !r->extends;
}

static bool is_for_more_time(const struct lb_request *r, const struct lb_event *e)
{
    (void)e;
    return r->extends;
}

/* Where the rule asked for signatures, nothing else is a yes. */
static bool is_evident(const struct lb_request *r, const struct lb_event *e)
{
    return r->terms.evidence == LB_EVIDENCE_ANY || lb_streq(e->evidence, LB_EVIDENCE_SIGNATURE);
}

/* An access, and not one before its time. */
static bool may_begin(const struct lb_request *r, const struct lb_event *e)
{
    return !is_for_more_time(r, e) && lb_deadline_wait(&r->begin_at, &e->time) == 0;
}

/* With all that is added, an access lasts no longer than its rule allows; and what is over is not added to. */
static bool is_within_bounds(const struct lb_request *r, const struct lb_event *e)
{
    return e->duration > 0 && e->left_usec > 0 && e->duration <= r->terms.max_duration - r->duration &&
           !lb_deadline_due(&r->not_after, &e->time);
}

/* A pause without a clock of its own has that of the access; one that holds its time has to have both. */
static bool may_pause(const struct lb_request *r, const struct lb_event *e)
{
    if (lb_request_is_script(r))
        return false; /* nothing would stand still */
    return !e->hold ||
           (e->duration > 0 && r->held < r->terms.max_duration && !lb_deadline_due(&r->not_after, &e->time));
}

static bool is_at_its_end(const struct lb_request *r, const struct lb_event *e)
{
    return lb_request_freezes(r) && lb_deadline_due(&r->not_after, &e->time);
}

/* There is time left: what the event says never makes it more than there is. */
static bool may_resume(const struct lb_request *r, const struct lb_event *e)
{
    return !lb_deadline_due(&r->not_after, &e->time) && (!r->pause.hold || e->left_usec > 0);
}

static bool is_nothing_left(const struct lb_request *r, const struct lb_event *e)
{
    (void)r;
    return e->left == 0;
}

/* One report of each access. */
static bool is_not_reported(const struct lb_request *r, const struct lb_event *e)
{
    (void)e;
    return !r->left_behind.at;
}

static bool (*const conditions[LB_EVENT_REQUEST_MAX_])(const struct lb_request *r, const struct lb_event *e) = {
    [LB_EVENT_REVIEWED] = is_evident,
    [LB_EVENT_VOTED] = is_evident,
    [LB_EVENT_APPROVED] = is_evident,
    [LB_EVENT_EMERGENCY] = may_be_emergency,
    [LB_EVENT_ADDED] = is_for_more_time,
    [LB_EVENT_BEGUN] = may_begin,
    [LB_EVENT_EXTENDED] = is_within_bounds,
    [LB_EVENT_PAUSED] = may_pause,
    [LB_EVENT_FROZEN] = is_at_its_end,
    [LB_EVENT_RESUMED] = may_resume,
    [LB_EVENT_ACKNOWLEDGED] = is_unseen_emergency,
    [LB_EVENT_OPENED] = is_new_session,
    [LB_EVENT_SCRIPT_ENDED] = is_script_that_runs,
    [LB_EVENT_CLOSED] = is_open_session,
    [LB_EVENT_LEFT_BEHIND] = is_not_reported,
    [LB_EVENT_NO_REPORT] = is_not_reported,
    [LB_EVENT_COMPLETED] = is_nothing_left,
    [LB_EVENT_ENDED] = is_nothing_left,
    [LB_EVENT_REVOKED] = is_nothing_left,
};

int lb_lifecycle_check(const struct lb_request *r, int state, const struct lb_event *e, int *ret_next,
                       unsigned *ret_effects)
{
    struct lb_transition t = lb_lifecycle_step(state, e->kind);

    if (t.next == LB_STATE_NONE)
        return -EPERM;
    if (!e->request || (r && !lb_streq(r->id, e->request)))
        return -EINVAL;
    if (r && conditions[e->kind] && !conditions[e->kind](r, e))
        return -EINVAL;
    *ret_next = t.next;
    *ret_effects = t.effects;
    return 0;
}

int lb_lifecycle_apply(struct lb_request **r, const struct lb_event *e)
{
    unsigned effects;
    int next, error = lb_lifecycle_check(*r, *r ? (*r)->state : LB_STATE_NONE, e, &next, &effects);

    if (error < 0)
        return error;
    if (!*r && !(*r = calloc(1, sizeof(**r))))
        return -ENOMEM;
    error = changes[e->kind] ? changes[e->kind](*r, e) : 0;
    if (error < 0)
        return error;
    (*r)->state = next;
    if (!lb_state_is_open(next) && !(*r)->closed_at)
        (*r)->closed_at = e->time.wall;
    return 0;
}
