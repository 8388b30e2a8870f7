/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every cell of the lifecycle table, what each event changes, and a million random steps that must keep the
 * promises. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/samples.h"

#if defined(__SANITIZE_ADDRESS__)
#define STEPS 200000
#else
#define STEPS 1500000
#endif

/*
 * What is allowed, written down from the prose and not from the code: state, event, state after it, effects. Everything
 * else is not allowed.
 */
static const char *const allowed[] = {
    /* the ways in, the vendor's own stage before the customer's, and the window that is opened beforehand */
    "- review review notify",
    "- requested pending notify",
    "- permitted active arm unlock look",
    "- granted approved",
    "- preapproved active arm unlock look",
    "- script-started active arm unlock",
    /* waiting for a decision: whoever waits is told of everything that a person does */
    "review reviewed pending notify wake",
    "review denied denied closing wake",
    "review expired expired closing wake",
    "review withdrawn withdrawn closing wake",
    "review undecidable undecidable closing wake",
    "review message review wake tell",
    "review emergency active notify wake arm unlock look",
    "review rebooted review",
    "pending voted pending wake",
    "pending approved approved wake",
    "pending denied denied closing wake",
    "pending expired expired closing wake",
    "pending withdrawn withdrawn closing wake",
    "pending undecidable undecidable closing wake",
    "pending message pending wake tell",
    "pending emergency active notify wake arm unlock look",
    "pending rebooted pending",
    /* decided, not begun; a request for more time never begins but is added to the access it is for */
    "approved begun active wake arm unlock look",
    "approved added completed",
    "approved lapsed lapsed closing wake",
    "approved withdrawn withdrawn closing wake",
    "approved stopped ending closing wake reap",
    "approved message approved wake tell",
    "approved rebooted approved",
    /* access */
    "active opened active",
    "active closed active closing",
    "active warned active warn",
    "active extended active arm warn",
    "active paused paused closing arm freeze wake",
    "active frozen paused closing arm freeze wake",
    "active message active tell",
    "active unit-failed active tell",
    "active script-ended ending closing wake reap",
    "active acknowledged active",
    "active rebooted active arm",
    "active time-over ending closing wake reap",
    "active handed-back ending closing wake reap",
    "active stopped ending closing wake reap",
    "paused closed paused closing",
    "paused resumed active arm thaw wake",
    "paused frozen paused closing arm wake",
    "paused extended paused arm",
    "paused message paused tell",
    "paused unit-failed paused tell",
    "paused acknowledged paused",
    "paused rebooted paused arm",
    "paused time-over ending closing wake reap",
    "paused handed-back ending closing wake reap",
    "paused stopped ending closing wake reap",
    /* the end: left by a receipt alone */
    "ending closed ending closing",
    "ending stuck ending closing",
    "ending left-behind ending closing",
    "ending no-report ending closing",
    "ending unit-failed ending closing tell",
    "ending script-ended ending closing",
    "ending acknowledged ending",
    "ending stopped ending closing reap",
    "ending completed completed closing disarm",
    "ending ended ended closing disarm",
    "ending revoked revoked closing disarm",
    /* an emergency that is over may still have to be seen */
    "completed acknowledged completed",
    "ended acknowledged ended",
    "revoked acknowledged revoked",
};

static const struct { const char *name; unsigned bit; } effect_names[] = {
    { "closing", LB_EFFECT_CLOSING }, { "notify", LB_EFFECT_NOTIFY }, { "wake", LB_EFFECT_WAKE },
    { "arm", LB_EFFECT_ARM },         { "warn", LB_EFFECT_WARN },     { "reap", LB_EFFECT_REAP },
    { "disarm", LB_EFFECT_DISARM },   { "tell", LB_EFFECT_TELL },     { "unlock", LB_EFFECT_UNLOCK },
    { "look", LB_EFFECT_LOOK },         { "freeze", LB_EFFECT_FREEZE }, { "thaw", LB_EFFECT_THAW },
};

static unsigned effects_from(char *words)
{
    unsigned effects = 0;

    for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        size_t i = 0;

        while (i < LB_ELEMENTS(effect_names) && strcmp(effect_names[i].name, w) != 0)
            i++;
        assert_true(i < LB_ELEMENTS(effect_names));
        effects |= effect_names[i].bit;
    }
    return effects;
}

static int state_from(const char *name)
{
    for (int state = LB_STATE_REVIEW; state < LB_STATE_MAX_; state++)
        if (strcmp(lb_state_names[state], name) == 0)
            return state;
    assert_string_equal(name, "-");
    return LB_STATE_NONE;
}

/* The written table's word about a cell. */
static struct lb_transition expected(int state, int kind)
{
    char from[16], event[16], to[16], rest[64], line[96];

    for (size_t i = 0; i < LB_ELEMENTS(allowed); i++) {
        *rest = '\0';
        snprintf(line, sizeof(line), "%s", allowed[i]);
        assert_true(sscanf(line, "%15s %15s %15s %63[a-z ]", from, event, to, rest) >= 3);
        if (state_from(from) == state && lb_event_kind_from_name(event) == kind)
            return (struct lb_transition){ state_from(to), effects_from(rest) };
    }
    return (struct lb_transition){ 0 };
}

/* One that no event of this kind contradicts. */
static struct lb_request *fitting_request(int state, int kind)
{
    struct lb_request *r = sample_request(state);

    if (r && kind == LB_EVENT_ADDED)
        r->extends = strdup("MORE-0001");
    if (r && kind == LB_EVENT_ACKNOWLEDGED)
        r->basis = LB_BASIS_EMERGENCY;
    if (r && kind == LB_EVENT_SCRIPT_ENDED)
        r->script.command = strdup("sha256:abcd");
    if (r && kind == LB_EVENT_EMERGENCY)
        r->terms.emergency = true;
    if (r && kind == LB_EVENT_FROZEN) {
        r->basis = LB_BASIS_APPROVAL;
        r->terms.on_end = LB_ON_END_FREEZE;
        r->terms.freeze = 10 * MINUTE;
        r->not_after.wall = SAMPLE_WALL + MINUTE;
    }
    return r;
}

static void assert_cell(int state, int kind)
{
    const struct lb_transition want = expected(state, kind);
    struct lb_request *r = fitting_request(state, kind);
    struct lb_event e = sample_event(kind, HOUR);
    LB_FREE char *before = sample_text(r), *checked = NULL, *after = NULL;
    int next = -7, error = 0;
    unsigned effects = 0x5555;

    if (kind == LB_EVENT_OPENED)
        e.pid = 4002;
    error = lb_lifecycle_check(r, state, &e, &next, &effects);
    checked = sample_text(r);
    assert_string_equal(before, checked);
    if (want.next == LB_STATE_NONE) {
        assert_int_equal(error, -EPERM);
        assert_int_equal(next, -7);
        assert_int_equal(effects, 0x5555);
        assert_int_equal(lb_lifecycle_apply(&r, &e), -EPERM);
        after = sample_text(r);
        assert_string_equal(before, after);
    } else {
        assert_int_equal(error, 0);
        assert_int_equal(next, want.next);
        assert_int_equal(effects, want.effects);
        assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
        assert_int_equal(r->state, want.next);
    }
    lb_request_free(r);
}

static void test_every_cell(void **state)
{
    size_t seen = 0;

    (void)state;
    for (int from = 0; from < LB_STATE_MAX_; from++)
        for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
            const struct lb_transition cell = lb_lifecycle_step(from, kind), want = expected(from, kind);

            if (cell.next != want.next || cell.effects != want.effects)
                print_error("%s + %s: %s (%x), not %s (%x)\n", lb_state_names[from], lb_event_names[kind],
                            lb_state_names[cell.next], cell.effects, lb_state_names[want.next], want.effects);
            assert_int_equal(cell.next, want.next);
            assert_int_equal(cell.effects, want.effects);
            if (sample_ways[from][0] || from == LB_STATE_NONE)
                assert_cell(from, kind);
            seen += want.next != LB_STATE_NONE;
        }
    assert_int_equal(seen, LB_ELEMENTS(allowed));
}

static void test_out_of_range(void **state)
{
    static const int wrong[][2] = { { -1, LB_EVENT_REQUESTED }, { LB_STATE_MAX_, LB_EVENT_REQUESTED },
                                    { 0, LB_EVENT_NONE },       { 0, -1 },
                                    { 0, LB_EVENT_REFUSED },    { 0, LB_EVENT_MAX_ } };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++)
        assert_int_equal(lb_lifecycle_step(wrong[i][0], wrong[i][1]).next, LB_STATE_NONE);
}

/* What every table of this kind must keep of a step, whatever is in it. */
static void assert_shape(int from, int kind, struct lb_transition t)
{
    bool ends = !lb_state_is_open(t.next) || t.next == LB_STATE_ENDING || t.next == LB_STATE_PAUSED;

    assert_true(from == LB_STATE_NONE || lb_state_is_open(from) || t.next == from); /* closed stays closed */
    if (ends && t.next != from && kind != LB_EVENT_ADDED) /* nothing was open that it closes */
        assert_true(t.effects & LB_EFFECT_CLOSING);
    if (t.effects & LB_EFFECT_CLOSING)
        assert_true(ends || kind == LB_EVENT_CLOSED); /* the end of a session waits for no disk, either */
    if (t.next == LB_STATE_ENDING && from != LB_STATE_ENDING)
        assert_true(t.effects & LB_EFFECT_REAP);
    if (t.next == LB_STATE_ACTIVE && !lb_state_is_access(from))
        assert_int_equal(~t.effects & (LB_EFFECT_ARM | LB_EFFECT_UNLOCK), 0);
    if (t.next == LB_STATE_ACTIVE && !lb_state_is_access(from) && kind != LB_EVENT_SCRIPT_STARTED)
        assert_true(t.effects & LB_EFFECT_LOOK);
    if (from == LB_STATE_ENDING && t.next != LB_STATE_ENDING)
        assert_true(t.effects & LB_EFFECT_DISARM);
    if (lb_state_is_waiting(from) && t.next != from)
        assert_true(t.effects & LB_EFFECT_WAKE);
    if (t.next == LB_STATE_ACTIVE && lb_state_is_waiting(from)) /* past the approvers: they are told, without fail */
        assert_true(kind == LB_EVENT_EMERGENCY && (t.effects & LB_EFFECT_NOTIFY));
    if (!lb_state_is_open(from))
        assert_true(from == LB_STATE_NONE || kind == LB_EVENT_ACKNOWLEDGED);
}

static void test_shape(void **state)
{
    (void)state;
    for (int from = 0; from < LB_STATE_MAX_; from++)
        for (int kind = 1; kind < LB_EVENT_REQUEST_MAX_; kind++)
            if (lb_lifecycle[from][kind].next != LB_STATE_NONE)
                assert_shape(from, kind, lb_lifecycle[from][kind]);
}

/* --- contradictions ----------------------------------------------------------------------------------------------- */

static void assert_refused(struct lb_request *r, const struct lb_event *e)
{
    LB_FREE char *before = sample_text(r), *after = NULL;
    int next = -7;
    unsigned effects = 0x5555;

    assert_int_equal(lb_lifecycle_check(r, r ? r->state : 0, e, &next, &effects), -EINVAL);
    assert_int_equal(next, -7);
    assert_int_equal(effects, 0x5555);
    assert_int_equal(lb_lifecycle_apply(&r, e), -EINVAL);
    after = sample_text(r);
    assert_string_equal(before, after);
}

static void test_contradictions(void **state)
{
    static const int receipts[] = { LB_EVENT_COMPLETED, LB_EVENT_ENDED, LB_EVENT_REVOKED };
    struct lb_request *active = sample_request(LB_STATE_ACTIVE), *ending = sample_request(LB_STATE_ENDING);
    struct lb_event e = sample_event(LB_EVENT_OPENED, HOUR);

    (void)state;
    assert_refused(active, &e); /* the same leader twice */
    e.kind = LB_EVENT_CLOSED;
    e.pid_started++; /* another process with the same number */
    assert_refused(active, &e);
    e = sample_event(LB_EVENT_WARNED, HOUR);
    e.request = "00000000";
    assert_refused(active, &e);
    e.request = NULL;
    assert_refused(active, &e);
    e.kind = LB_EVENT_REQUESTED;
    assert_refused(NULL, &e);
    for (size_t i = 0; i < LB_ELEMENTS(receipts); i++) {
        e = sample_event(receipts[i], HOUR);
        e.left = 1;
        assert_refused(ending, &e);
        e.left = -1;
        assert_refused(ending, &e);
    }
    lb_request_free(active);
    lb_request_free(ending);
}

/* Where no request of the wrong sort gets through, by check or by apply. */
static void assert_refused_and_free(struct lb_request *r, int kind)
{
    const struct lb_event e = sample_event(kind, HOUR);

    assert_refused(r, &e);
    lb_request_free(r);
}

static void test_emergency_only_where_the_rule_allows(void **state)
{
    static const int states[] = { LB_STATE_REVIEW, LB_STATE_PENDING };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(states); i++) {
        struct lb_request *more_time = fitting_request(states[i], LB_EVENT_EMERGENCY);

        more_time->extends = strdup("MORE-0001"); /* no access, so no emergency one, either */
        assert_refused_and_free(more_time, LB_EVENT_EMERGENCY);
        assert_refused_and_free(sample_request(states[i]), LB_EVENT_EMERGENCY);
    }
}

static void test_more_time_is_no_access(void **state)
{
    (void)state;
    assert_refused_and_free(fitting_request(LB_STATE_APPROVED, LB_EVENT_ADDED), LB_EVENT_BEGUN);
    assert_refused_and_free(sample_request(LB_STATE_APPROVED), LB_EVENT_ADDED);
}

static void test_extension_within_bounds(void **state)
{
    static const struct { int64_t duration, left; } wrong[] = {
        { 8 * HOUR + 1, HOUR }, { 0, HOUR }, { -1, HOUR }, { HOUR, 0 }, { HOUR, -1 }, { INT64_MAX, HOUR } };
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_EXTENDED, HOUR);

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        e.duration = wrong[i].duration;
        e.left_usec = wrong[i].left;
        assert_refused(r, &e);
    }
    e.duration = 5 * HOUR;
    e.left_usec = HOUR;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    e.duration = 3 * HOUR + 1; /* each alone would do, not both */
    assert_refused(r, &e);
    e.duration = 3 * HOUR;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_int_equal(r->duration, r->terms.max_duration);
    e.duration = 1;
    assert_refused(r, &e);
    lb_request_free(r);
    r = sample_request(LB_STATE_ACTIVE);
    e = sample_event(LB_EVENT_EXTENDED, 4 * HOUR + 2 * LB_USEC_PER_SEC); /* its time is over, said or not */
    assert_refused(r, &e);
    lb_request_free(r);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- what events change ------------------------------------------------------------------------------------------- */

static void apply(struct lb_request **r, struct lb_event e)
{
    assert_int_equal(lb_lifecycle_apply(r, &e), 0);
}

static void test_begin(void **state)
{
    const struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);
    struct lb_request *r = sample_request(LB_STATE_PENDING);

    (void)state;
    assert_string_equal(r->id, e.request);
    assert_string_equal(r->host, e.host);
    assert_string_equal(r->account, e.account);
    assert_string_equal(r->engineer, e.engineer);
    assert_string_equal(r->key, e.key);
    assert_string_equal(r->service, e.service);
    assert_string_equal(r->scope, e.scope);
    assert_string_equal(r->rhost, e.rhost);
    assert_string_equal(r->tty, e.tty);
    assert_string_equal(r->ticket, e.ticket);
    assert_string_equal(r->reason, e.reason);
    assert_string_equal(r->rule, e.rule);
    assert_string_equal(r->entitled[0], "root");
    assert_int_equal(r->uid, e.uid);
    assert_int_equal(r->basis, LB_BASIS_APPROVAL);
    assert_int_equal(r->requested_at, SAMPLE_WALL);
    assert_int_equal(r->duration, 4 * HOUR);
    assert_int_equal(r->terms.max_sessions, 10);
    assert_int_equal(r->decide_by.wall, SAMPLE_WALL + 12 * HOUR);
    assert_int_equal(r->decide_by.boot, SAMPLE_BOOT + 12 * HOUR);
    assert_int_equal(r->closed_at, 0);
    lb_request_free(r);
}

static void test_decision_shortens(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_APPROVED, HOUR);
    const struct lb_approval *a;

    (void)state;
    e.duration = 2 * HOUR;
    e.note = "only this disk";
    apply(&r, e);
    assert_int_equal(r->duration, 2 * HOUR);
    assert_int_equal(r->use_by.wall, SAMPLE_WALL + 25 * HOUR); /* from the approval on, not from the request */
    assert_int_equal(r->approvals.n, 1);
    a = r->approvals.items;
    assert_string_equal(a->approver, "bob");
    assert_string_equal(a->decision, "approve");
    assert_string_equal(a->evidence, "host");
    assert_string_equal(a->note, "only this disk");
    assert_int_equal(a->at, SAMPLE_WALL + HOUR);
    e = sample_event(LB_EVENT_BEGUN, 2 * HOUR);
    e.duration = 0;
    apply(&r, e);
    assert_int_equal(r->not_before, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 4 * HOUR);
    assert_int_equal(r->not_after.boot, SAMPLE_BOOT + 4 * HOUR);
    lb_request_free(r);
}

static void test_denial_is_recorded(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_DENIED);
    const struct lb_approval *a = r->approvals.items;

    (void)state;
    assert_int_equal(r->approvals.n, 1);
    assert_string_equal(a->decision, "deny");
    assert_int_equal(r->closed_at, SAMPLE_WALL + LB_USEC_PER_SEC);
    lb_request_free(r);
}

static void test_sessions(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_OPENED, HOUR);
    const struct lb_session *s;

    (void)state;
    e.pid = 5000;
    e.foreign = true;
    apply(&r, e);
    assert_int_equal(r->sessions.n, 2);
    assert_int_equal(lb_request_open_sessions(r), 2);
    s = r->sessions.items;
    assert_false(s[0].foreign);
    assert_true(s[1].foreign);
    assert_int_equal(s[1].session, 12);
    assert_string_equal(s[1].service, "sshd");
    e = sample_event(LB_EVENT_CLOSED, 2 * HOUR);
    apply(&r, e);
    s = r->sessions.items;
    assert_int_equal(s[0].closed_at, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(lb_request_open_sessions(r), 1);
    assert_null(lb_request_session(r, 4001, 88000));
    assert_non_null(lb_request_session(r, 5000, 88000));
    apply(&r, sample_event(LB_EVENT_TIME_OVER, 3 * HOUR));
    assert_int_equal(lb_request_open_sessions(r), 1); /* not before the receipt */
    apply(&r, sample_event(LB_EVENT_ENDED, 4 * HOUR));
    assert_int_equal(lb_request_open_sessions(r), 0);
    s = r->sessions.items;
    assert_int_equal(s[0].closed_at, SAMPLE_WALL + 2 * HOUR); /* the receipt changes no earlier end */
    lb_request_free(r);
}

static void test_first_word_of_the_end_stands(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_TIME_OVER, HOUR);

    (void)state;
    e.by = "clock";
    apply(&r, e);
    apply(&r, sample_event(LB_EVENT_STOPPED, 2 * HOUR));
    assert_string_equal(r->end.reason, "time-over");
    assert_string_equal(r->end.by, "clock");
    assert_int_equal(r->end.at, SAMPLE_WALL + HOUR);
    e = sample_event(LB_EVENT_STUCK, 3 * HOUR);
    e.left = 2;
    apply(&r, e);
    assert_int_equal(r->state, LB_STATE_ENDING);
    assert_int_equal(r->end.left, 2);
    apply(&r, sample_event(LB_EVENT_ENDED, 4 * HOUR));
    assert_int_equal(r->end.left, 0);
    assert_int_equal(r->end.killed, 3);
    assert_int_equal(r->end.ms, 9);
    lb_request_free(r);
}

static void test_reboot(void **state)
{
    static const int states[] = { LB_STATE_PENDING, LB_STATE_APPROVED, LB_STATE_ACTIVE };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(states); i++) {
        struct lb_request *r = sample_request(states[i]);
        struct lb_event e = sample_event(LB_EVENT_REBOOTED, 2 * HOUR);
        const struct lb_deadline *d[] = { &r->decide_by, &r->use_by, &r->not_after };

        e.time.boot = 9 * LB_USEC_PER_SEC;
        e.time.boot_id = 78;
        apply(&r, e);
        for (size_t k = 0; k < r->sessions.n; k++) /* their numbers are others' now */
            assert_int_equal(((struct lb_session *)r->sessions.items)[k].session, LB_SESSION_GONE);
        assert_int_equal(r->state, states[i]);
        assert_int_equal(d[i]->wall, SAMPLE_WALL + 3 * HOUR);
        assert_int_equal(d[i]->boot, 9 * LB_USEC_PER_SEC + HOUR);
        assert_int_equal(d[i]->boot_id, 78);
        assert_int_equal(lb_request_open_sessions(r), 0);
        lb_request_free(r);
    }
}

static void test_extension(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    const int64_t end = 2 * LB_USEC_PER_SEC + 4 * HOUR;
    struct lb_event e = sample_event(LB_EVENT_EXTENDED, 3 * HOUR);

    (void)state;
    apply(&r, sample_event(LB_EVENT_WARNED, HOUR));
    assert_int_equal(r->warned, 15 * MINUTE);
    e.duration = 2 * HOUR;
    e.left_usec = end + 2 * HOUR - 3 * HOUR;
    apply(&r, e);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + end + 2 * HOUR);
    assert_int_equal(r->not_after.boot, SAMPLE_BOOT + end + 2 * HOUR);
    assert_int_equal(r->duration, 6 * HOUR);
    assert_int_equal(r->warned, 0); /* warned again before the new end */
    assert_int_equal(r->turn, 1);
    assert_int_equal(r->approvals.n, 2);
    assert_int_equal(lb_request_open_sessions(r), 1); /* nothing happens to the sessions */
    lb_request_free(r);
}

/* The end moves by what was granted at most, whatever the event says is left; a moved clock gives nothing. */
static void test_extension_is_no_longer_than_granted(void **state)
{
    static const int64_t jumps[] = { 0, -1000 * HOUR };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(jumps); i++) {
        struct lb_request *r = sample_request(LB_STATE_ACTIVE);
        struct lb_event e = sample_event(LB_EVENT_EXTENDED, HOUR);

        e.time.wall += jumps[i];
        e.duration = 2 * HOUR;
        e.left_usec = 100 * HOUR;
        apply(&r, e);
        assert_int_equal(r->not_after.boot, SAMPLE_BOOT + 2 * LB_USEC_PER_SEC + 6 * HOUR);
        assert_int_equal(lb_deadline_left(&r->not_after, &e.time), 5 * HOUR + 2 * LB_USEC_PER_SEC);
        lb_request_free(r);
    }
}

static void test_reboot_gives_no_time(void **state)
{
    static const int states[] = { LB_STATE_PENDING, LB_STATE_APPROVED, LB_STATE_ACTIVE };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(states); i++) {
        struct lb_request *r = sample_request(states[i]);
        const struct lb_deadline before[] = { r->decide_by, r->use_by, r->not_after };
        const struct lb_deadline *after[] = { &r->decide_by, &r->use_by, &r->not_after };
        struct lb_event e = sample_event(LB_EVENT_REBOOTED, 2 * HOUR);

        e.time.boot_id = 78;
        e.left_usec = 1000 * HOUR;
        apply(&r, e);
        assert_int_equal(after[i]->wall, before[i].wall);
        lb_request_free(r);
    }
}

/* Neither the first event nor the one that begins it makes access longer than its bound. */
static void test_no_longer_than_the_bound(void **state)
{
    static const int ways_in[] = { LB_EVENT_REQUESTED, LB_EVENT_REVIEW, LB_EVENT_PERMITTED, LB_EVENT_PREAPPROVED,
                                   LB_EVENT_GRANTED };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(ways_in); i++) {
        struct lb_event e = sample_event(ways_in[i], 0);
        struct lb_request *r = NULL;

        e.duration = 13 * HOUR;
        apply(&r, e);
        assert_int_equal(r->duration, 12 * HOUR);
        if (r->state == LB_STATE_ACTIVE)
            assert_int_equal(r->not_after.wall, SAMPLE_WALL + 12 * HOUR);
        lb_request_free(r);
    }
    struct lb_request *r = sample_request(LB_STATE_APPROVED);
    struct lb_event e = sample_event(LB_EVENT_BEGUN, HOUR);
    e.duration = 5 * HOUR; /* four were approved */
    apply(&r, e);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 5 * HOUR);
    assert_int_equal(r->duration, 4 * HOUR);
    lb_request_free(r);
}

/* --- frozen ------------------------------------------------------------------------------------------------------- */

#define BEGUN (2 * LB_USEC_PER_SEC) /* after SAMPLE_WALL, in sample_request(LB_STATE_ACTIVE), which has four hours */

static struct lb_event hold_event(int64_t after, int64_t most)
{
    struct lb_event e = sample_event(LB_EVENT_PAUSED, after);

    e.hold = true;
    e.duration = most;
    return e;
}

/* Without hold its time runs on, and so does the clock. */
static void test_pause(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    const struct lb_deadline end = r->not_after;
    struct lb_event e = sample_event(LB_EVENT_PAUSED, HOUR);

    (void)state;
    e.note = "what is that?";
    apply(&r, e);
    assert_memory_equal(&r->not_after, &end, sizeof(end));
    assert_int_equal(r->turn, 0);
    assert_int_equal(r->pause.at, SAMPLE_WALL + HOUR);
    assert_string_equal(r->pause.by, "bob");
    assert_string_equal(r->pause.note, "what is that?");
    apply(&r, sample_event(LB_EVENT_RESUMED, 2 * HOUR));
    assert_memory_equal(&r->not_after, &end, sizeof(end));
    assert_int_equal(r->pause.at, 0);
    assert_null(r->pause.by);
    apply(&r, sample_event(LB_EVENT_PAUSED, 3 * HOUR));
    e = sample_event(LB_EVENT_RESUMED, 4 * HOUR + BEGUN); /* its time is over, said or not */
    assert_refused(r, &e);
    lb_request_free(r);
}

/* With hold what was left is there again; what the event says is left gives nothing more. */
static void test_hold(void **state)
{
    static const int64_t says[] = { HOUR, 3 * HOUR, 100 * HOUR };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(says); i++) {
        struct lb_request *r = sample_request(LB_STATE_ACTIVE);
        struct lb_event e = sample_event(LB_EVENT_RESUMED, BEGUN + HOUR + 20 * MINUTE);

        apply(&r, hold_event(BEGUN + HOUR, 30 * MINUTE));
        assert_int_equal(r->not_after.wall, SAMPLE_WALL + BEGUN + HOUR + 30 * MINUTE);
        assert_int_equal(r->pause.left, 3 * HOUR);
        assert_int_equal(r->turn, 1);
        e.left_usec = says[i];
        apply(&r, e);
        assert_int_equal(r->not_after.boot - e.time.boot, least(says[i], 3 * HOUR));
        assert_int_equal(r->not_after.wall - e.time.wall, least(says[i], 3 * HOUR));
        assert_int_equal(r->held, 20 * MINUTE);
        assert_int_equal(r->turn, 2);
        lb_request_free(r);
    }
}

/* However often, in all it is held for as long as the rule lets it last; and never without an end. */
static void test_hold_within_bounds(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = hold_event(HOUR, 0), resumed = sample_event(LB_EVENT_RESUMED, 9 * HOUR);

    (void)state;
    assert_refused(r, &e);
    e = hold_event(4 * HOUR + BEGUN, HOUR); /* nothing is left that could be held */
    assert_refused(r, &e);
    apply(&r, hold_event(HOUR, 1000 * HOUR));
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 13 * HOUR);
    apply(&r, resumed);
    assert_int_equal(r->held, 8 * HOUR);
    apply(&r, hold_event(9 * HOUR + MINUTE, 5 * HOUR));
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 13 * HOUR + MINUTE);
    resumed = sample_event(LB_EVENT_RESUMED, 13 * HOUR + MINUTE);
    assert_refused(r, &resumed); /* that pause is over, and so is the access */
    resumed.time = sample_time(13 * HOUR + MINUTE - 1);
    resumed.left_usec = 0;
    assert_refused(r, &resumed);
    resumed.left_usec = MINUTE;
    apply(&r, resumed);
    e = hold_event(13 * HOUR + MINUTE, HOUR);
    apply(&r, e);
    assert_int_equal(r->held, 12 * HOUR); /* a microsecond of it was left */
    lb_request_free(r);
}

/* One that is frozen when its time is over. */
static struct lb_request *at_end(int64_t freeze)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_FROZEN, 4 * HOUR + BEGUN);

    r->terms.on_end = LB_ON_END_FREEZE;
    r->terms.freeze = freeze;
    e.by = LB_BY_CLOCK;
    e.duration = HOUR;
    apply(&r, e);
    return r;
}

static void test_frozen_at_its_end(void **state)
{
    struct lb_request *r = at_end(10 * MINUTE);
    struct lb_event e = sample_event(LB_EVENT_EXTENDED, 4 * HOUR + 5 * MINUTE);
    int64_t warning;

    (void)state;
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + BEGUN + 4 * HOUR + 10 * MINUTE);
    assert_true(lb_request_is_at_end(r));
    struct lb_time then = sample_time(BEGUN + 4 * HOUR + 10 * MINUTE);
    assert_int_equal(lb_request_due(r, &then, &warning), LB_EVENT_TIME_OVER);
    e.duration = 2 * HOUR;
    apply(&r, e);
    assert_false(lb_request_is_at_end(r));
    e = sample_event(LB_EVENT_RESUMED, 4 * HOUR + 6 * MINUTE);
    e.left_usec = 2 * HOUR;
    apply(&r, e);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 6 * HOUR + 6 * MINUTE);
    assert_int_equal(r->duration, 6 * HOUR);
    assert_int_equal(r->held, 0); /* no approver's time */
    assert_int_equal(lb_request_due(r, &then, &warning), LB_EVENT_NONE);
    lb_request_free(r);
}

/* Resumed without more time it has none, whatever the event says. */
static void test_no_time_out_of_nothing(void **state)
{
    struct lb_request *r = at_end(10 * MINUTE);
    struct lb_event e = sample_event(LB_EVENT_RESUMED, 4 * HOUR + 5 * MINUTE);

    (void)state;
    e.left_usec = 9 * HOUR;
    apply(&r, e);
    assert_true(lb_deadline_due(&r->not_after, &e.time));
    lb_request_free(r);
}

/* What an approver has paused is frozen already when its time is over, and stays his. */
static void test_paused_until_its_end(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_FROZEN, 4 * HOUR + BEGUN);
    struct lb_time then = e.time;
    int64_t warning;

    (void)state;
    r->terms.on_end = LB_ON_END_FREEZE;
    r->terms.freeze = 10 * MINUTE;
    apply(&r, sample_event(LB_EVENT_PAUSED, HOUR));
    assert_int_equal(lb_request_due(r, &then, &warning), LB_EVENT_FROZEN);
    e.by = LB_BY_CLOCK;
    apply(&r, e);
    assert_string_equal(r->pause.by, "bob");
    assert_int_equal(r->pause.at, SAMPLE_WALL + HOUR);
    assert_true(lb_request_is_at_end(r));
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 4 * HOUR + BEGUN + 10 * MINUTE);
    lb_request_free(r);
}

/* Frozen only where it could go on, and not before its time is over. */
static void test_what_does_not_freeze(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct lb_request *r = sample_request(LB_STATE_ACTIVE);
        struct lb_event e = sample_event(LB_EVENT_FROZEN, 4 * HOUR + (i == 0 ? 0 : BEGUN));
        struct lb_time then = sample_time(4 * HOUR + BEGUN);
        int64_t warning;

        r->terms.on_end = i == 1 ? LB_ON_END_KILL : LB_ON_END_FREEZE;
        r->terms.freeze = 10 * MINUTE;
        r->basis = i == 2 ? LB_BASIS_PERMIT : r->basis;
        r->duration = i == 3 ? r->terms.max_duration : r->duration;
        r->sessions.n = i == 4 ? 0 : r->sessions.n;
        if (i < 5)
            assert_refused(r, &e);
        else
            apply(&r, e); /* nothing is wrong with this one */
        if (i > 0 && i < 5)
            assert_int_equal(lb_request_due(r, &then, &warning), LB_EVENT_TIME_OVER);
        r->sessions.n = 1;
        lb_request_free(r);
    }
}

/* --- votes -------------------------------------------------------------------------------------------------------- */

static void vote(struct lb_request **r, int kind, int64_t after, int64_t duration, int64_t from)
{
    struct lb_event e = sample_event(kind, after);

    e.duration = duration;
    e.not_before = from ? SAMPLE_WALL + from : 0;
    apply(r, e);
}

/* What one has made shorter or later, no other makes longer or earlier. */
static void test_each_yes_only_takes_away(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_REVIEW);

    (void)state;
    vote(&r, LB_EVENT_REVIEWED, MINUTE, 3 * HOUR, 2 * HOUR);
    assert_int_equal(r->state, LB_STATE_PENDING);
    assert_int_equal(r->duration, 3 * HOUR);
    vote(&r, LB_EVENT_VOTED, 2 * MINUTE, 2 * HOUR, 0);
    vote(&r, LB_EVENT_VOTED, 3 * MINUTE, 4 * HOUR, 1 * HOUR);
    vote(&r, LB_EVENT_APPROVED, 4 * MINUTE, 0, 0);
    assert_int_equal(r->duration, 2 * HOUR);
    assert_int_equal(r->not_before, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(r->begin_at.wall, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(r->begin_at.boot, SAMPLE_BOOT + 2 * HOUR);
    assert_int_equal(r->use_by.wall, SAMPLE_WALL + 26 * HOUR);
    assert_int_equal(r->approvals.n, 4);
    lb_request_free(r);
}

/* A start that has passed when the last one says yes puts nothing off. */
static void test_start_in_the_past(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);

    (void)state;
    vote(&r, LB_EVENT_VOTED, MINUTE, 0, HOUR);
    vote(&r, LB_EVENT_APPROVED, 2 * HOUR, 0, 0);
    assert_int_equal(r->begin_at.wall, 0);
    assert_int_equal(r->use_by.wall, SAMPLE_WALL + 26 * HOUR);
    lb_request_free(r);
}

/* What nobody has put off begins under any clock. */
static void test_clock_back_keeps_nobody_out(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_APPROVED);
    struct lb_event e = sample_event(LB_EVENT_BEGUN, MINUTE);

    (void)state;
    e.time.wall -= 10000 * HOUR;
    assert_true(lb_request_may_begin(r, &e.time));
    apply(&r, e);
    lb_request_free(r);
}

/* The wall clock was put ahead between two votes: what the first has put off stays so. */
static void test_start_under_a_moved_clock(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_APPROVED, MINUTE);

    (void)state;
    vote(&r, LB_EVENT_VOTED, 0, 0, 2 * HOUR);
    e.time.wall += 10 * HOUR;
    apply(&r, e);
    assert_int_equal(r->begin_at.wall, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(r->begin_at.boot, SAMPLE_BOOT + 2 * HOUR);
    assert_int_equal(r->use_by.boot, SAMPLE_BOOT + 26 * HOUR);
    e = sample_event(LB_EVENT_BEGUN, 2 * HOUR - 1);
    e.time.wall += 10 * HOUR;
    assert_refused(r, &e);
    e.time.boot++;
    apply(&r, e);
    lb_request_free(r);
}

/* After a reboot the boot clock's part begins anew, from what there was still to wait for. */
static void test_start_after_a_reboot(void **state)
{
    static const int states[] = { LB_STATE_PENDING, LB_STATE_APPROVED };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(states); i++) {
        struct lb_request *r = sample_request(LB_STATE_PENDING);
        struct lb_event e = sample_event(LB_EVENT_REBOOTED, HOUR), begun = sample_event(LB_EVENT_BEGUN, 2 * HOUR);

        vote(&r, states[i] == LB_STATE_PENDING ? LB_EVENT_VOTED : LB_EVENT_APPROVED, 0, 0, 2 * HOUR);
        e.time.boot = 9 * LB_USEC_PER_SEC;
        e.time.boot_id = 78;
        e.left_usec = 20 * HOUR;
        e.wait_usec = HOUR;
        apply(&r, e);
        assert_int_equal(r->begin_at.wall, SAMPLE_WALL + 2 * HOUR);
        assert_int_equal(r->begin_at.boot, 9 * LB_USEC_PER_SEC + HOUR);
        assert_int_equal(r->begin_at.boot_id, 78);
        begun.time.boot_id = 78;
        begun.time.boot = e.time.boot + HOUR - 1;
        if (states[i] == LB_STATE_APPROVED)
            assert_refused(r, &begun);
        lb_request_free(r);
    }
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

/* The report is taken as it is, once, and only where nothing runs any more; that there is none is a report, too. */
static void test_one_report(void **state)
{
    struct lb_change change = { "unit", "/etc/systemd/system/x.service", "added", "mode 0644, uid 0, gid 0" };
    struct lb_event report = sample_event(LB_EVENT_LEFT_BEHIND, HOUR), none = sample_event(LB_EVENT_NO_REPORT, HOUR);
    struct lb_request *r = sample_request(LB_STATE_ENDING);

    (void)state;
    report.count = 7;
    report.changes = (struct lb_list){ &change, 1 };
    none.note = "nobody could look";
    apply(&r, report);
    assert_int_equal(r->left_behind.count, 7);
    assert_int_equal(r->left_behind.at, report.time.wall);
    assert_int_equal(r->left_behind.changes.n, 1);
    assert_string_equal(((struct lb_change *)r->left_behind.changes.items)->name, change.name);
    assert_ptr_not_equal(((struct lb_change *)r->left_behind.changes.items)->name, change.name);
    assert_refused(r, &report);
    assert_refused(r, &none);
    lb_request_free(r);
    r = sample_request(LB_STATE_ENDING);
    apply(&r, none);
    assert_string_equal(r->left_behind.problem, "nobody could look");
    assert_refused(r, &report);
    lb_request_free(r);
}

static struct lb_request *window_from(int64_t from, int64_t duration)
{
    struct lb_event e = sample_event(LB_EVENT_GRANTED, 0);
    struct lb_request *r = NULL;

    e.basis = LB_BASIS_PREAPPROVED;
    e.engineer = NULL;
    e.duration = duration;
    e.not_before = from ? SAMPLE_WALL + from : 0;
    apply(&r, e);
    return r;
}

static void test_window(void **state)
{
    struct lb_request *r = window_from(2 * HOUR, 4 * HOUR);
    const struct lb_approval *a = r->approvals.items;

    (void)state;
    assert_int_equal(r->state, LB_STATE_APPROVED);
    assert_int_equal(r->approvals.n, 1);
    assert_string_equal(a->approver, "bob");
    assert_string_equal(a->decision, "approve");
    assert_int_equal(r->begin_at.wall, SAMPLE_WALL + 2 * HOUR);
    assert_int_equal(r->use_by.wall, SAMPLE_WALL + 6 * HOUR); /* then it is over, opened or not */
    apply(&r, sample_event(LB_EVENT_BEGUN, 2 * HOUR));
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 6 * HOUR);
    lb_request_free(r);
}

/* The host was off when it should have opened: it closes when it was said all the same. */
static void test_window_that_opens_late(void **state)
{
    struct lb_request *r = window_from(2 * HOUR, 4 * HOUR);

    (void)state;
    apply(&r, sample_event(LB_EVENT_BEGUN, 5 * HOUR));
    assert_int_equal(r->not_before, SAMPLE_WALL + 5 * HOUR);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 6 * HOUR);
    assert_int_equal(r->not_after.boot, SAMPLE_BOOT + 6 * HOUR);
    lb_request_free(r);
}

static void test_login_by_a_window(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_PREAPPROVED, HOUR);
    struct lb_request *r = NULL;

    (void)state;
    e.basis = LB_BASIS_PREAPPROVED;
    e.duration = 2 * HOUR;
    apply(&r, e);
    assert_int_equal(r->state, LB_STATE_ACTIVE);
    assert_int_equal(r->basis, LB_BASIS_PREAPPROVED);
    assert_string_equal(r->grant, "GRNT-0001");
    assert_int_equal(r->not_before, SAMPLE_WALL + HOUR);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 3 * HOUR);
    lb_request_free(r);
}

/* --- break-glass -------------------------------------------------------------------------------------------------- */

static struct lb_request *emergency_from(int from)
{
    struct lb_request *r = sample_request(from);
    struct lb_event e = sample_event(LB_EVENT_EMERGENCY, HOUR);

    r->terms.emergency = true;
    r->terms.emergency_duration = 30 * MINUTE;
    e.duration = 11 * HOUR;
    apply(&r, e);
    return r;
}

static void test_emergency(void **state)
{
    static const int states[] = { LB_STATE_REVIEW, LB_STATE_PENDING };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(states); i++) {
        struct lb_request *r = emergency_from(states[i]);

        assert_int_equal(r->state, LB_STATE_ACTIVE);
        assert_int_equal(r->basis, LB_BASIS_EMERGENCY);
        assert_int_equal(r->duration, 30 * MINUTE); /* the rule's, whatever the event says */
        assert_int_equal(r->not_before, SAMPLE_WALL + HOUR);
        assert_int_equal(r->not_after.wall, SAMPLE_WALL + HOUR + 30 * MINUTE);
        assert_int_equal(r->acknowledged_at, 0);
        assert_int_equal(r->approvals.n, 0);
        lb_request_free(r);
    }
}

/* Led on from an emergency's beginning to where it may be seen. */
static const struct { int state, way[3]; } seen_in[] = {
    { LB_STATE_ACTIVE, { 0 } },
    { LB_STATE_PAUSED, { LB_EVENT_PAUSED } },
    { LB_STATE_ENDING, { LB_EVENT_TIME_OVER } },
    { LB_STATE_COMPLETED, { LB_EVENT_HANDED_BACK, LB_EVENT_COMPLETED } },
    { LB_STATE_ENDED, { LB_EVENT_TIME_OVER, LB_EVENT_ENDED } },
    { LB_STATE_REVOKED, { LB_EVENT_STOPPED, LB_EVENT_REVOKED } },
};

static void test_acknowledged_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(seen_in); i++) {
        struct lb_request *r = emergency_from(LB_STATE_PENDING);
        struct lb_event seen = sample_event(LB_EVENT_ACKNOWLEDGED, 3 * HOUR);
        const struct lb_approval *a;
        int64_t closed_at;

        for (size_t k = 0; k < 3 && seen_in[i].way[k]; k++)
            apply(&r, sample_event(seen_in[i].way[k], 2 * HOUR));
        closed_at = r->closed_at;
        apply(&r, seen);
        assert_int_equal(r->state, seen_in[i].state);
        assert_int_equal(r->acknowledged_at, SAMPLE_WALL + 3 * HOUR);
        assert_int_equal(r->closed_at, closed_at);
        assert_int_equal(closed_at, lb_state_is_open(r->state) ? 0 : SAMPLE_WALL + 2 * HOUR);
        a = r->approvals.items;
        assert_int_equal(r->approvals.n, 1);
        assert_string_equal(a->decision, "acknowledge");
        assert_string_equal(a->approver, "bob");
        assert_refused(r, &seen); /* one has; it stays his */
        lb_request_free(r);
    }
}

static void test_nothing_to_acknowledge(void **state)
{
    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(seen_in); i++)
        assert_refused_and_free(sample_request(seen_in[i].state), LB_EVENT_ACKNOWLEDGED);
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

static struct lb_request *running_script(void)
{
    static char *arguments[] = { "--unit", "x", NULL };
    struct lb_event e = sample_event(LB_EVENT_SCRIPT_STARTED, 0);
    struct lb_request *r = NULL;

    e.arguments = arguments;
    apply(&r, e);
    return r;
}

static void test_script(void **state)
{
    struct lb_request *r = running_script();
    struct lb_event e = sample_event(LB_EVENT_SCRIPT_ENDED, HOUR);

    (void)state;
    assert_int_equal(r->state, LB_STATE_ACTIVE);
    assert_int_equal(r->not_after.wall, SAMPLE_WALL + 4 * HOUR);
    assert_true(lb_request_is_script(r));
    assert_string_equal(r->script.name, "check.sh");
    assert_string_equal(r->script.command, "sha256:abcd");
    assert_string_equal(r->script.user, "diagnose");
    assert_string_equal(r->script.arguments[1], "x");
    e.exit_status = 3;
    e.bytes = 17;
    e.output = "sha256:ef";
    e.note = "as it is";
    apply(&r, e);
    assert_int_equal(r->state, LB_STATE_ENDING);
    assert_int_equal(r->script.ended_at, SAMPLE_WALL + HOUR);
    assert_int_equal(r->script.exit_status, 3);
    assert_int_equal(r->script.bytes, 17);
    assert_string_equal(r->script.output, "sha256:ef");
    assert_string_equal(r->script.note, "as it is");
    assert_string_equal(r->end.reason, "script-ended");
    assert_refused(r, &e); /* it ends once */
    lb_request_free(r);
}

/* It has no sessions, nothing of it stands still, and it is no login's, whatever the login calls itself. */
static void test_a_script_is_for_no_login(void **state)
{
    struct lb_request *r = running_script();

    (void)state;
    assert_false(lb_request_is_for(r, r->account, r->engineer, r->key, r->scope));
    lb_request_free(r);
    assert_refused_and_free(running_script(), LB_EVENT_OPENED);
    assert_refused_and_free(running_script(), LB_EVENT_PAUSED);
    assert_refused_and_free(sample_request(LB_STATE_ACTIVE), LB_EVENT_SCRIPT_ENDED);
}

/* Stopped from outside: the first word stands, the script's end is told all the same. */
static void test_script_that_is_stopped(void **state)
{
    struct lb_request *r = running_script();

    (void)state;
    apply(&r, sample_event(LB_EVENT_STOPPED, HOUR));
    apply(&r, sample_event(LB_EVENT_SCRIPT_ENDED, HOUR));
    assert_int_equal(r->state, LB_STATE_ENDING);
    assert_string_equal(r->end.reason, "stopped");
    assert_int_equal(r->script.ended_at, SAMPLE_WALL + HOUR);
    lb_request_free(r);
}

/* What was said when it was stopped is kept with its end; what is said later is not. */
static void test_note_of_the_end(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_STOPPED, HOUR);

    (void)state;
    e.note = "wrong host";
    apply(&r, e);
    e.note = "I said so";
    apply(&r, e);
    apply(&r, sample_event(LB_EVENT_REVOKED, 2 * HOUR));
    assert_string_equal(r->end.note, "wrong host");
    lb_request_free(r);
}

static void test_unit_failed_is_a_message(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_ACTIVE);
    struct lb_event e = sample_event(LB_EVENT_UNIT_FAILED, HOUR);
    const struct lb_message *m;

    (void)state;
    e.note = "data.mount could not be started (failed)";
    e.from = "the gatekeeper";
    apply(&r, e);
    m = r->messages.items;
    assert_int_equal(r->messages.n, 1);
    assert_string_equal(m->from, "the gatekeeper");
    assert_string_equal(m->text, e.note);
    assert_int_equal(r->state, LB_STATE_ACTIVE); /* the access goes on without it */
    lb_request_free(r);
}

static void test_messages(void **state)
{
    struct lb_request *r = sample_request(LB_STATE_PENDING);
    struct lb_event e = sample_event(LB_EVENT_MESSAGE, HOUR);
    const struct lb_message *m;

    (void)state;
    e.note = "which disk?";
    apply(&r, e);
    m = r->messages.items;
    assert_int_equal(r->messages.n, 1);
    assert_string_equal(m->from, "bob");
    assert_string_equal(m->text, "which disk?");
    assert_int_equal(m->at, SAMPLE_WALL + HOUR);
    lb_request_free(r);
}

/* --- a million steps ---------------------------------------------------------------------------------------------- */

/* What the promises need to know of a history, kept apart from the request. */
struct history {
    struct lb_request *r;
    bool granted;               /* somebody or a rule let it in */
    int64_t begun_at;
    int64_t end_wall, end_boot; /* what the events have allowed at most */
    int64_t duration;           /* the time that was given in all */
    int64_t used, held, stood;  /* µs that it ran, was held by approvers, and stood still for any reason */
    int64_t left;               /* while it stands still: what it has of its time */
    int64_t frozen, resumed, holds; /* how often, in all histories */
    int closed; /* the final state, once there is one */
    int64_t now;
};

#define EMERGENCY_DURATION (50 * MINUTE)
#define FREEZE (40 * MINUTE)

static bool is_first(int kind)
{
    return lb_lifecycle_step(LB_STATE_NONE, kind).next != LB_STATE_NONE;
}

static bool grants(int kind)
{
    return kind == LB_EVENT_APPROVED || kind == LB_EVENT_PERMITTED || kind == LB_EVENT_PREAPPROVED ||
           kind == LB_EVENT_SCRIPT_STARTED || kind == LB_EVENT_EMERGENCY || kind == LB_EVENT_GRANTED;
}

static bool shortens(int kind)
{
    return grants(kind) || kind == LB_EVENT_VOTED || kind == LB_EVENT_REVIEWED || kind == LB_EVENT_BEGUN;
}

static void bound(struct history *h, const struct lb_event *e, int64_t span)
{
    h->end_wall = e->time.wall + span;
    h->end_boot = e->time.boot + span;
}

/* What an event says is left counts only as far as it gives no more than `more`; what was due before is due now. */
static void renew(struct history *h, const struct lb_event *e, int64_t more)
{
    int64_t left = h->end_wall + more - e->time.wall;

    bound(h, e, least(left > 0 ? left : 0, e->left_usec));
}

static void follow(struct history *h, const struct lb_event *e)
{
    h->granted |= grants(e->kind);
    if (is_first(e->kind))
        h->duration = least(e->duration, e->terms.max_duration);
    else if (e->kind == LB_EVENT_EMERGENCY)
        h->duration = EMERGENCY_DURATION;
    if (e->duration > 0 && shortens(e->kind))
        h->duration = least(h->duration, e->duration);
    if (h->r->state == LB_STATE_ACTIVE && !h->begun_at) {
        h->begun_at = e->time.wall;
        bound(h, e, h->duration);
    }
    if (e->kind == LB_EVENT_EXTENDED)
        h->duration += e->duration;
    if (e->kind == LB_EVENT_EXTENDED && !h->r->pause.hold)
        renew(h, e, e->duration);
    else if (e->kind == LB_EVENT_EXTENDED)
        h->left += e->duration;
    if (e->kind == LB_EVENT_REBOOTED && h->begun_at)
        renew(h, e, 0);
    if (e->kind == LB_EVENT_PAUSED && e->hold) {
        h->left = h->end_wall - e->time.wall;
        bound(h, e, least(e->duration, h->r->terms.max_duration - h->held));
        h->holds++;
    }
    if (e->kind == LB_EVENT_FROZEN) {
        h->left = 0;
        bound(h, e, FREEZE);
        h->frozen++;
    }
}

/* Time passes for a request as it was before the event. */
static void pass(struct history *h, int64_t since)
{
    const struct lb_request *r = h->r;
    int64_t end = r ? least(h->now, r->not_after.wall - SAMPLE_WALL) : 0, ran = end > since ? end - since : 0;

    if (!r)
        return;
    if (r->state == LB_STATE_ACTIVE)
        h->used += ran;
    if (r->state == LB_STATE_PAUSED && r->pause.hold)
        h->stood += h->now - since;
    if (r->state == LB_STATE_PAUSED && r->pause.charged)
        h->held += ran;
}

/* An access never runs for longer than it was given, which is never more than the rule allows; and never stands still
 * without a clock. */
static void assert_times(const struct history *h)
{
    const struct lb_request *r = h->r;
    const struct lb_time now = sample_time(h->now);
    int64_t left = lb_deadline_left(&r->not_after, &now);

    assert_true(h->duration <= r->terms.max_duration);
    assert_true(h->used <= h->duration);
    assert_true(h->held <= r->terms.max_duration);
    if (r->state == LB_STATE_ACTIVE)
        assert_true(left <= h->duration - h->used);
    if (r->state == LB_STATE_ACTIVE && left > 0)
        assert_true(r->not_after.wall <= h->begun_at + r->terms.max_duration + h->stood);
    if (r->state == LB_STATE_PAUSED)
        assert_true(left <= r->terms.max_duration);
}

static void assert_promises(const struct history *h)
{
    const struct lb_request *r = h->r;
    bool receipt = r->state == LB_STATE_COMPLETED || r->state == LB_STATE_ENDED || r->state == LB_STATE_REVOKED;

    if (lb_state_is_access(r->state) || r->state == LB_STATE_ENDING || receipt)
        assert_true(h->granted);
    if (lb_state_is_access(r->state)) {
        assert_true(r->not_after.wall <= h->end_wall && r->not_after.boot <= h->end_boot);
        assert_times(h);
        assert_int_equal(r->not_after.boot_id, 77);
        assert_null(r->extends);
    }
    if (receipt && !r->extends)
        assert_true(r->end.left == 0 && r->end.reason && lb_request_open_sessions(r) == 0);
    if (r->acknowledged_at)
        assert_int_equal(r->basis, LB_BASIS_EMERGENCY);
    assert_int_equal(r->closed_at != 0, !lb_state_is_open(r->state));
}

static struct lb_event random_event(uint64_t *seed, struct history *h)
{
    struct lb_event e = sample_event(1 + (int)sample_below(seed, LB_EVENT_REQUEST_MAX_ - 1), 0);

    h->now += sample_below(seed, 20 * MINUTE);
    e.time = sample_time(h->now);
    e.pid = 1 + sample_below(seed, 4);
    e.left = sample_below(seed, 3) - 1;
    e.duration = sample_below(seed, 4) || is_first(e.kind) ? sample_below(seed, 14 * HOUR) : 0;
    e.left_usec = sample_below(seed, 20 * HOUR);
    e.warning = (1 + sample_below(seed, 15)) * MINUTE;
    e.not_before = sample_below(seed, 4) ? 0 : e.time.wall + sample_below(seed, 5 * HOUR);
    if ((e.kind == LB_EVENT_REQUESTED || e.kind == LB_EVENT_REVIEW) && sample_below(seed, 8) == 0)
        e.extends = "MORE-0001";
    e.terms.emergency = sample_below(seed, 2);
    e.terms.emergency_duration = EMERGENCY_DURATION;
    e.hold = sample_below(seed, 2);
    e.terms.on_end = sample_below(seed, 4) ? LB_ON_END_FREEZE : LB_ON_END_KILL;
    e.terms.freeze = FREEZE;
    if (e.kind == LB_EVENT_FROZEN || sample_below(seed, 4) == 0)
        e.duration = FREEZE;
    return e;
}

static void random_step(uint64_t *seed, struct history *h)
{
    int64_t since = h->now;
    const struct lb_event e = random_event(seed, h);
    int before = h->r ? h->r->state : LB_STATE_NONE;
    struct lb_pause pause = h->r ? h->r->pause : (struct lb_pause){ 0 };
    int error;

    pass(h, since);
    error = lb_lifecycle_apply(&h->r, &e);
    if (error == 0) {
        if (e.kind == LB_EVENT_RESUMED && pause.hold) {
            bound(h, &e, h->left);
            h->resumed++;
        }
        assert_int_not_equal(lb_lifecycle_step(before, e.kind).next, LB_STATE_NONE);
        assert_true(h->closed == LB_STATE_NONE || e.kind == LB_EVENT_ACKNOWLEDGED);
        follow(h, &e);
        h->closed = lb_state_is_open(h->r->state) ? LB_STATE_NONE : h->r->state;
    } else if (h->r) {
        assert_int_equal(h->r->state, before);
    }
    if (h->r)
        assert_promises(h);
    if (h->closed)
        assert_int_equal(h->r->state, h->closed);
}

static void test_random_histories(void **state)
{
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    struct history h = { 0 };
    size_t ended = 0;

    (void)state;
    for (size_t i = 0; i < STEPS; i++) {
        random_step(&seed, &h);
        if (!h.closed || sample_below(&seed, 10)) /* some more knocks at a closed one */
            continue;
        ended++;
        lb_request_free(h.r);
        h = (struct history){ .frozen = h.frozen, .resumed = h.resumed, .holds = h.holds };
    }
    lb_request_free(h.r);
    assert_true(ended > STEPS / 1000);
    assert_true(h.frozen > STEPS / 10000 && h.resumed > STEPS / 10000 && h.holds > STEPS / 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_emergency_only_where_the_rule_allows),
        cmocka_unit_test(test_more_time_is_no_access),
        cmocka_unit_test(test_extension_within_bounds),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_decision_shortens),
        cmocka_unit_test(test_denial_is_recorded),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_first_word_of_the_end_stands),
        cmocka_unit_test(test_note_of_the_end),
        cmocka_unit_test(test_reboot),
        cmocka_unit_test(test_extension),
        cmocka_unit_test(test_extension_is_no_longer_than_granted),
        cmocka_unit_test(test_reboot_gives_no_time),
        cmocka_unit_test(test_no_longer_than_the_bound),
        cmocka_unit_test(test_each_yes_only_takes_away),
        cmocka_unit_test(test_start_in_the_past),
        cmocka_unit_test(test_clock_back_keeps_nobody_out),
        cmocka_unit_test(test_start_under_a_moved_clock),
        cmocka_unit_test(test_start_after_a_reboot),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_window_that_opens_late),
        cmocka_unit_test(test_login_by_a_window),
        cmocka_unit_test(test_emergency),
        cmocka_unit_test(test_acknowledged_once),
        cmocka_unit_test(test_nothing_to_acknowledge),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_a_script_is_for_no_login),
        cmocka_unit_test(test_script_that_is_stopped),
        cmocka_unit_test(test_unit_failed_is_a_message),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_one_report),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_within_bounds),
        cmocka_unit_test(test_frozen_at_its_end),
        cmocka_unit_test(test_no_time_out_of_nothing),
        cmocka_unit_test(test_paused_until_its_end),
        cmocka_unit_test(test_what_does_not_freeze),
        cmocka_unit_test(test_random_histories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
