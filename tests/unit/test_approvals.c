/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may decide and what a yes does; and the core's promises, kept over a million random steps of people, clocks and
 * reboots: no access without the full quorum of entitled, different people, none before its time, none later than any
 * bound, no event lost, and an illegal one changes nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policy/approvals.h"
#include "tests/unit/samples.h"

#if defined(__SANITIZE_ADDRESS__)
#define STEPS 200000
#else
#define STEPS 1500000
#endif

/* --- one request by hand ------------------------------------------------------------------------------------------ */

/* Two of three customers decide, after one of two of the vendor's; cat is among both. */
static struct lb_request *request_in(int kind)
{
    static char *reviewers[] = { "vic", "cat", NULL }, *entitled[] = { "ann", "ben", "cat", NULL };
    struct lb_event e = sample_event(kind, 0);
    struct lb_request *r = NULL;

    e.reviewers = reviewers;
    e.entitled = entitled;
    e.terms.quorum = 2;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    return r;
}

static void decide(struct lb_request **r, const char *name, const char *stage, int kind)
{
    struct lb_event e = sample_event(kind, HOUR);

    e.approver = (char *)name;
    e.stage = (char *)stage;
    assert_int_equal(lb_lifecycle_apply(r, &e), 0);
}

static void assert_problem(const struct lb_request *r, const char *name, const char *stage, bool approve,
                           const char *wanted)
{
    const char *problem = lb_approvals_problem(r, name, stage, approve);

    assert_string_equal(problem ? problem : "", wanted);
}

static void test_a_signed_yes(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REQUESTED);
    struct lb_event e = sample_event(LB_EVENT_VOTED, HOUR);

    (void)state;
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    e.approver = (char *)"ben";
    e.evidence = (char *)LB_EVIDENCE_SIGNATURE;
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_false(lb_approvals_signed(r, "ann", "customer"));
    assert_true(lb_approvals_signed(r, "ben", "customer"));
    assert_false(lb_approvals_signed(r, "ben", "internal"));
    assert_false(lb_approvals_signed(r, "cat", "customer"));
    lb_request_free(r);
}

#define NOT_NAMED "you are not one of the approvers named for this request"
#define BOTH_STAGES "nobody decides in both stages"
#define TWICE "you have approved it already; another approver is needed"

static void test_only_who_is_named(void **state)
{
    static const char *const strangers[] = { "dan", "", "Ann", "ann ", "an", "vic" };
    struct lb_request *r = request_in(LB_EVENT_REQUESTED);

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(strangers); i++) {
        assert_problem(r, strangers[i], "customer", true, NOT_NAMED);
        assert_problem(r, strangers[i], "customer", false, NOT_NAMED);
    }
    assert_problem(r, "ann", "customer", true, "");
    assert_problem(r, "ann", "customer", false, "");
    assert_problem(r, "ann", "internal", true, NOT_NAMED);
    assert_problem(r, "vic", "internal", true, "");
    lb_strings_free(LB_TAKE(r->entitled));
    assert_problem(r, "ann", "customer", true, NOT_NAMED);
    lb_request_free(r);
}

static void test_nobody_twice(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REQUESTED);

    (void)state;
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    assert_problem(r, "ann", "customer", true, TWICE);
    assert_problem(r, "ann", "customer", false, ""); /* she may think better of it */
    assert_problem(r, "ben", "customer", true, "");
    lb_request_free(r);
}

static void test_nobody_in_both_stages(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REVIEW);

    (void)state;
    assert_problem(r, "cat", "internal", true, "");
    decide(&r, "cat", "internal", LB_EVENT_REVIEWED);
    assert_problem(r, "cat", "customer", true, BOTH_STAGES);
    assert_problem(r, "cat", "customer", false, BOTH_STAGES);
    assert_problem(r, "ann", "customer", true, "");
    lb_request_free(r);
}

static bool is_not(void *userdata, const char *name)
{
    return strcmp(userdata, name) != 0;
}

/* Those of everybody but one. */
static int64_t votes(const struct lb_request *r, const char *stage, const char *gone)
{
    return lb_approvals_votes(r, stage, is_not, (void *)gone);
}

static void test_votes_are_of_different_people(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REVIEW);

    (void)state;
    decide(&r, "vic", "internal", LB_EVENT_REVIEWED);
    assert_int_equal(votes(r, "internal", ""), 1);
    assert_int_equal(votes(r, "customer", ""), 0); /* the vendor's yes is none of the customer's */
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    assert_int_equal(votes(r, "customer", ""), 1);
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    assert_int_equal(votes(r, "customer", ""), 1);
    decide(&r, "dan", "customer", LB_EVENT_VOTED); /* named by nobody */
    assert_int_equal(votes(r, "customer", ""), 1);
    decide(&r, "ben", "customer", LB_EVENT_VOTED);
    assert_int_equal(votes(r, "customer", ""), 2);
    decide(&r, "cat", "customer", LB_EVENT_DENIED);
    assert_int_equal(votes(r, "customer", ""), 2); /* a no is no vote */
    lb_request_free(r);
}

/* And comes again with it. */
static void test_a_yes_goes_with_the_right_to_it(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REQUESTED);

    (void)state;
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    decide(&r, "ben", "customer", LB_EVENT_VOTED);
    assert_int_equal(votes(r, "customer", "ann"), 1);
    assert_int_equal(votes(r, "customer", "ben"), 1);
    assert_int_equal(votes(r, "customer", "cat"), 2);
    lb_request_free(r);
}

/* The vendor's stage is over with its yes. */
static void test_who_reviewed(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REVIEW);

    (void)state;
    assert_null(lb_approvals_reviewer(r));
    decide(&r, "cat", "internal", LB_EVENT_REVIEWED);
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    assert_string_equal(lb_approvals_reviewer(r), "cat");
    lb_request_free(r);
}

static void test_what_a_yes_does(void **state)
{
    struct lb_request *r = request_in(LB_EVENT_REVIEW);

    (void)state;
    assert_int_equal(lb_approvals_kind(r, votes(r, "customer", "")), LB_EVENT_REVIEWED);
    decide(&r, "vic", "internal", LB_EVENT_REVIEWED);
    assert_int_equal(lb_approvals_kind(r, votes(r, "customer", "")), LB_EVENT_VOTED);
    decide(&r, "ann", "customer", LB_EVENT_VOTED);
    assert_int_equal(lb_approvals_kind(r, votes(r, "customer", "")), LB_EVENT_APPROVED);
    assert_int_equal(lb_approvals_kind(r, votes(r, "customer", "ann")), LB_EVENT_VOTED);
    lb_request_free(r);
    for (int s = LB_STATE_APPROVED; s < LB_STATE_MAX_; s++) {
        r = sample_request(s);
        assert_int_equal(lb_lifecycle_step(s, lb_approvals_kind(r, 0)).next, LB_STATE_NONE); /* too late for a yes */
        lb_request_free(r);
    }
}

/* --- a world ------------------------------------------------------------------------------------------------------ */

static char *const people[] = { "ann", "ben", "cat", "dan", "eve", "fay" };
#define PEOPLE LB_ELEMENTS(people)
#define EVENTS_MAX 400

/* One request in a world whose clocks may be moved, and what the promises have to know of it, kept apart from it: who
 * said yes is a bit for each of the people, and time is what has truly passed. */
struct world {
    uint64_t *seed;
    struct lb_request *r;
    struct lb_event events[EVENTS_MAX]; /* all that were accepted */
    size_t n;
    char *reviewers[PEOPLE + 1], *entitled[PEOPLE + 1];
    unsigned may_review, may_approve, reviewed, approved, lost; /* lost: the right to decide, for now */
    struct lb_terms terms;
    int64_t passed, booted, boots; /* since the beginning; when, and how often, it was started again */
    int64_t moved;                 /* what the wall clock was moved by */
    int64_t duration, from, begun_at, end, window_end;
};

static struct {
    size_t steps, refused, quorums, both_stages, emergencies, extensions, reboots, late_starts, windows, lost, over;
} seen;

static int64_t below(struct world *w, int64_t limit)
{
    return sample_below(w->seed, limit);
}

static struct lb_time now_in(const struct world *w)
{
    return (struct lb_time){ SAMPLE_WALL + w->passed + w->moved, SAMPLE_BOOT + w->passed - w->booted, 77 + w->boots };
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- the promises ------------------------------------------------------------------------------------------------- */

/* The full quorum of entitled, different people; nobody in both stages. */
static void assert_consent(const struct world *w)
{
    bool internal = w->events[0].kind == LB_EVENT_REVIEW;

    assert_true(__builtin_popcount(w->approved) >= w->terms.quorum);
    assert_int_equal(w->approved & ~w->may_approve, 0);
    assert_int_equal(w->reviewed & ~w->may_review, 0);
    assert_int_equal(w->approved & w->reviewed, 0);
    assert_int_equal(w->reviewed != 0, internal);
}

static void assert_promises(const struct world *w)
{
    const struct lb_request *r = w->r;
    const struct lb_time now = now_in(w);

    if (r->basis == LB_BASIS_APPROVAL && (lb_state_is_access(r->state) || r->state == LB_STATE_APPROVED))
        assert_consent(w);
    if (r->basis == LB_BASIS_EMERGENCY)
        assert_true(w->terms.emergency);
    if (!lb_state_is_access(r->state))
        return;
    assert_null(r->extends);
    assert_true(w->end <= w->begun_at + w->terms.max_duration);
    assert_true(lb_deadline_left(&r->not_after, &now) <= (w->end > w->passed ? w->end - w->passed : 0));
    if (r->basis != LB_BASIS_EMERGENCY) /* whatever was done to the clocks */
        assert_true(w->begun_at >= w->from);
}

/* The log tells the whole of it: what an illegal event had changed, or a legal one lost, would show here. */
static void assert_told(const struct world *w)
{
    LB_FREE char *text = sample_text(w->r), *told = NULL;
    struct lb_request *again = NULL;

    for (size_t i = 0; i < w->n; i++)
        assert_int_equal(lb_lifecycle_apply(&again, &w->events[i]), 0);
    told = sample_text(again);
    assert_string_equal(text, told);
    lb_request_free(again);
}

/* --- what happens ------------------------------------------------------------------------------------------------- */

/* How a beginning bounds the end: by the least of what was asked, voted and allowed. */
static void begin(struct world *w, const struct lb_event *e)
{
    w->begun_at = w->passed;
    if (e->kind == LB_EVENT_EMERGENCY)
        w->duration = w->terms.emergency_duration;
    if (e->duration > 0)
        w->duration = least(w->duration, e->duration);
    w->end = least(w->passed + w->duration, w->window_end);
    seen.emergencies += e->kind == LB_EVENT_EMERGENCY;
    seen.late_starts += w->from > 0;
    seen.windows += w->window_end != LB_NEVER;
    seen.both_stages += w->reviewed && w->approved;
    seen.quorums += __builtin_popcount(w->approved) > 1;
}

/* One event comes in. True if it was accepted. */
static bool come(struct world *w, struct lb_event e)
{
    const struct lb_request before = w->r ? *w->r : (struct lb_request){ 0 };

    e.time = now_in(w);
    if (lb_lifecycle_apply(&w->r, &e) < 0) {
        seen.refused++;
        assert_true(w->r ? memcmp(&before, w->r, sizeof(before)) == 0 : w->n == 0);
        return false;
    }
    assert_int_not_equal(lb_lifecycle_step(before.state, e.kind).next, LB_STATE_NONE);
    assert_int_equal(lb_lifecycle_step(before.state, e.kind).next, w->r->state);
    assert_true(w->n < EVENTS_MAX);
    w->events[w->n++] = e;
    if (w->r->state == LB_STATE_ACTIVE && !lb_state_is_access(before.state))
        begin(w, &e);
    if (e.kind == LB_EVENT_EXTENDED)
        w->end += e.duration;
    seen.extensions += e.kind == LB_EVENT_EXTENDED;
    return true;
}

static void start_of(struct world *w, const struct lb_event *e)
{
    int64_t from = e->not_before - SAMPLE_WALL - w->moved;

    if (e->not_before && from > w->from)
        w->from = from;
}

/* As the host would say it. */
static bool is_still(void *userdata, const char *name)
{
    const struct world *w = userdata;

    for (size_t i = 0; i < PEOPLE; i++)
        if (strcmp(people[i], name) == 0)
            return !(w->lost & 1U << i);
    return false;
}

/* The last yes is the last one only with enough others whose right to it stands. */
static void assert_counted(const struct world *w, int kind)
{
    int approved = __builtin_popcount(w->approved & ~w->lost);

    assert_true(kind != LB_EVENT_APPROVED || approved >= w->terms.quorum);
    assert_true(kind != LB_EVENT_VOTED || approved < w->terms.quorum);
    seen.lost += kind == LB_EVENT_VOTED && __builtin_popcount(w->approved) >= w->terms.quorum;
}

/* Somebody says yes or no, as far as he may: which is known here by the bits alone. */
static void decide_at_random(struct world *w, struct lb_event e)
{
    bool review = w->r->state == LB_STATE_REVIEW, yes = below(w, 6) != 0;
    unsigned who = (unsigned)below(w, PEOPLE), bit = 1U << who;
    unsigned may = review ? w->may_review : w->may_approve, *said = review ? &w->reviewed : &w->approved;
    bool may_now = (may & bit) && !(!review && (w->reviewed & bit)) && !(yes && (*said & bit));

    e.approver = people[who];
    e.stage = review ? "internal" : "customer";
    assert_int_equal(lb_approvals_problem(w->r, e.approver, e.stage, yes) == NULL, may_now);
    if (!may_now || (w->lost & bit))
        return;
    e.kind = yes ? lb_approvals_kind(w->r, lb_approvals_votes(w->r, "customer", is_still, w)) : LB_EVENT_DENIED;
    e.not_before = below(w, 4) ? 0 : SAMPLE_WALL + w->passed + w->moved + below(w, 5 * HOUR);
    e.duration = below(w, 3) ? 1 + below(w, 13 * HOUR) : 0;
    if (yes) {
        *said |= bit;
        w->duration = e.duration ? least(w->duration, e.duration) : w->duration;
        start_of(w, &e);
        assert_counted(w, e.kind);
    }
    assert_true(come(w, e));
}

/* What time demands, as the timers would. */
static void let_time_act(struct world *w)
{
    for (;;) {
        struct lb_event e = sample_event(LB_EVENT_NONE, 0);
        const struct lb_time now = now_in(w);

        e.kind = lb_request_due(w->r, &now, &e.warning);
        e.duration = 0;
        if (e.kind == LB_EVENT_NONE)
            return;
        assert_true(come(w, e));
    }
}

/* The host is started again; what is left is reckoned as after a real one. */
static void restart(struct world *w, struct lb_event e)
{
    const struct lb_request *r = w->r;
    const struct lb_time last = now_in(w);
    const struct lb_deadline d = lb_state_is_waiting(r->state)        ? r->decide_by
                                 : r->state == LB_STATE_APPROVED ? r->use_by
                                                                 : r->not_after;
    struct lb_time now;

    if (below(w, 4))
        return;
    w->boots++;
    w->booted = w->passed;
    now = now_in(w);
    e.wait_usec = lb_deadline_wait_after_reboot(&r->begin_at, &last, &now);
    e.left_usec = below(w, 4) ? lb_deadline_left_after_reboot(&d, &last, &now) : lb_deadline_left(&d, &last);
    if (lb_state_is_open(r->state) && r->state != LB_STATE_ENDING)
        assert_true(come(w, e));
    seen.reboots++;
}

/* Events of every kind, in any state. What people decide comes so only where it is illegal: elsewhere the gate asks
 * before. */
static void come_at_random(struct world *w, struct lb_event e)
{
    bool legal = lb_lifecycle_step(w->r->state, e.kind).next != LB_STATE_NONE;
    bool yes = e.kind == LB_EVENT_REVIEWED || e.kind == LB_EVENT_VOTED || e.kind == LB_EVENT_APPROVED;

    if (legal && (yes || e.kind == LB_EVENT_DENIED))
        return;
    if (e.kind == LB_EVENT_REBOOTED) {
        restart(w, e);
        return;
    }
    if (legal && !lb_state_is_open(lb_lifecycle_step(w->r->state, e.kind).next) && below(w, 3))
        return; /* else few would live to see anything */
    come(w, e);
}

/* Any kind, and more often one that the state allows. */
static int random_kind(struct world *w)
{
    int kind = 1 + (int)below(w, LB_EVENT_REQUEST_MAX_ - 1);

    for (int64_t tries = below(w, 2) * 10; tries > 0; tries--)
        if (lb_lifecycle_step(w->r->state, kind).next == LB_STATE_NONE)
            kind = 1 + (int)below(w, LB_EVENT_REQUEST_MAX_ - 1);
    return kind;
}

static struct lb_event random_event(struct world *w)
{
    struct lb_event e = sample_event(random_kind(w), 0);

    e.pid = 1 + below(w, 4);
    e.left = below(w, 3) - 1;
    e.duration = below(w, 3) ? below(w, below(w, 2) ? 9 * HOUR : HOUR) : 0;
    e.left_usec = below(w, 2) ? below(w, 20 * HOUR) : INT64_MAX / 2;
    e.warning = (1 + below(w, 15)) * MINUTE;
    e.note = "a note";
    return e;
}

/* --- its beginning ------------------------------------------------------------------------------------------------ */

static unsigned random_people(struct world *w, char **list)
{
    unsigned bits = (unsigned)below(w, 1 << PEOPLE);
    size_t n = 0;

    for (size_t i = 0; i < PEOPLE; i++)
        if (bits & 1U << i)
            list[n++] = people[i];
    list[n] = NULL;
    return bits;
}

static void make_terms(struct world *w)
{
    w->terms = sample_event(LB_EVENT_REQUESTED, 0).terms;
    w->terms.quorum = 1 + below(w, 3);
    w->terms.max_duration = HOUR + below(w, 12 * HOUR);
    w->terms.use_by = HOUR + below(w, 24 * HOUR);
    w->terms.starts = (int)below(w, 2);
    w->terms.emergency = below(w, 3) == 0;
    w->terms.emergency_duration = 1 + below(w, HOUR);
}

/* Most ask; some come by a rule, by a window or are one. */
static void begin_world(struct world *w)
{
    static const int kinds[] = { LB_EVENT_REQUESTED, LB_EVENT_REQUESTED, LB_EVENT_REQUESTED, LB_EVENT_REVIEW,
                                 LB_EVENT_REVIEW,    LB_EVENT_REVIEW,    LB_EVENT_PERMITTED, LB_EVENT_PREAPPROVED,
                                 LB_EVENT_GRANTED };
    struct lb_event e = sample_event(kinds[below(w, LB_ELEMENTS(kinds))], 0);

    make_terms(w);
    e.terms = w->terms;
    w->may_review = random_people(w, w->reviewers);
    w->may_approve = random_people(w, w->entitled);
    e.reviewers = w->reviewers;
    e.entitled = w->entitled;
    e.basis = e.kind == LB_EVENT_PERMITTED                                        ? LB_BASIS_PERMIT
              : e.kind == LB_EVENT_PREAPPROVED || e.kind == LB_EVENT_GRANTED ? LB_BASIS_PREAPPROVED
                                                                                 : LB_BASIS_APPROVAL;
    e.duration = 1 + below(w, 14 * HOUR);
    w->duration = least(e.duration, w->terms.max_duration);
    if (e.basis == LB_BASIS_APPROVAL && below(w, 8) == 0)
        e.extends = "MORE-0001";
    if (e.kind == LB_EVENT_GRANTED && below(w, 2))
        e.not_before = SAMPLE_WALL + below(w, 5 * HOUR);
    start_of(w, &e);
    w->window_end = e.kind == LB_EVENT_GRANTED ? w->from + w->duration : LB_NEVER;
    assert_true(come(w, e));
}

static void step(struct world *w)
{
    w->passed += below(w, 3) ? below(w, 10 * MINUTE) : below(w, 2 * HOUR);
    if (below(w, 100) == 0)
        w->moved += (below(w, 3) - 1) * below(w, below(w, 3) ? 3 * HOUR : 100000 * HOUR);
    if (below(w, 10) == 0)
        w->lost ^= 1U << below(w, PEOPLE);
    if (below(w, 10)) /* the daemon may be late */
        let_time_act(w);
    if (lb_state_is_waiting(w->r->state) && below(w, 2))
        decide_at_random(w, random_event(w));
    else
        come_at_random(w, random_event(w));
    assert_promises(w);
    seen.steps++;
}

static void test_random_worlds(void **state)
{
    uint64_t seed = UINT64_C(0x2545F4914F6CDD1D);

    (void)state;
    while (seen.steps < STEPS) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->seed = &seed;
        begin_world(w);
        for (int after = 5; after > 0 && w->n < EVENTS_MAX - 20; after -= !lb_state_is_open(w->r->state))
            step(w); /* some more knocks at a closed one */
        assert_told(w);
        seen.over += !lb_state_is_open(w->r->state);
        lb_request_free(w->r);
        free(w);
    }
    assert_true(seen.refused > STEPS / 10);
    assert_true(seen.over > STEPS / 200);
    const size_t rare[] = { seen.quorums, seen.both_stages, seen.emergencies, seen.extensions, seen.reboots,
                            seen.late_starts, seen.windows, seen.lost };
    for (size_t i = 0; i < LB_ELEMENTS(rare); i++)
        if (rare[i] < STEPS / 5000)
            fail_msg("of sort %zu there were only %zu", i, rare[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signed_yes),
        cmocka_unit_test(test_only_who_is_named),
        cmocka_unit_test(test_nobody_twice),
        cmocka_unit_test(test_nobody_in_both_stages),
        cmocka_unit_test(test_votes_are_of_different_people),
        cmocka_unit_test(test_a_yes_goes_with_the_right_to_it),
        cmocka_unit_test(test_who_reviewed),
        cmocka_unit_test(test_what_a_yes_does),
        cmocka_unit_test(test_random_worlds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
