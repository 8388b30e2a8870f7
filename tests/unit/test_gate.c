/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate with everything but people: a log in a new directory, an event loop, and a clock and a disk that do what the
 * test says. The leaders of sessions are children of the test's own.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <systemd/sd-id128.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <time.h>

#include <cmocka.h>

#include "lockboxd/clock.h"
#include "lockboxd/gate.h"
#include "lockboxd/proc.h"
#include "tests/unit/bad_disk.h"
#include "tests/unit/directory.h"
#include "tests/unit/samples.h"

#define AUDIT_UNSET INT64_C(4294967295) /* never swept: no process of this machine is of such a session */
#define YEAR (INT64_C(8766) * HOUR)

/* --- a machine of the test's own -------------------------------------------------------------------------------------- */

static struct {
    int64_t passed; /* µs by which both clocks are ahead */
    int64_t jumped; /* µs by which the wall clock is, in addition */
    uint64_t boot;
} machine;

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int r = (int)syscall(SYS_clock_gettime, id, ts);
    int64_t ahead = machine.passed + (id == CLOCK_REALTIME ? machine.jumped : 0), usec;

    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_BOOTTIME)) {
        usec = ts->tv_sec * LB_USEC_PER_SEC + ts->tv_nsec / 1000 + ahead;
        *ts = (struct timespec){ usec / LB_USEC_PER_SEC, usec % LB_USEC_PER_SEC * 1000 };
    }
    return r;
}

int sd_id128_get_boot(sd_id128_t *ret)
{
    *ret = (sd_id128_t){ .qwords = { 1000 + machine.boot, 0 } };
    return 0;
}

/* The journal of the machine that the test runs on is none of its business. */
int sd_journal_sendv(const struct iovec *items, int n)
{
    (void)items, (void)n;
    return 0;
}

static char directory[64], state_directory[96], policy_directory[96];
static const char *policies[] = { policy_directory, NULL };

struct fixture {
    sd_event *event;
    struct lb_gate *gate;
    int64_t reserve;
};

static void put_policy(const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/10-all.policy", policy_directory);
    f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void go_up(struct fixture *f)
{
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(lb_gate_new(f->event, &f->gate), 0);
    f->gate->host = strdup("appliance");
    f->gate->state_directory = strdup(state_directory);
    f->gate->runtime_directory = strdup(directory);
    f->gate->policy_directories = policies;
    f->gate->reserve = f->reserve;
    assert_int_equal(lb_gate_start(f->gate), 0);
}

/* As if by kill -9: nothing is said, nothing is flushed. */
static void go_down(struct fixture *f)
{
    f->gate = lb_gate_free(f->gate);
    f->event = sd_event_unref(f->event);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    memset(&bad_disk, 0, sizeof(bad_disk));
    memset(&machine, 0, sizeof(machine));
    strcpy(directory, "/tmp/lockbox-gate-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(state_directory, sizeof(state_directory), "%s/state", directory);
    snprintf(policy_directory, sizeof(policy_directory), "%s/policy.d", directory);
    if (mkdir(state_directory, 0700) || mkdir(policy_directory, 0700))
        return -1;
    put_policy("[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=root\n");
    *state = f;
    go_up(f);
    return lb_gate_problem(f->gate) ? -1 : 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    go_down(f);
    free(f);
    memset(&bad_disk, 0, sizeof(bad_disk));
    directory_remove(directory);
    return 0;
}

/* Runs what is due now. */
static void settle(struct fixture *f)
{
    while (sd_event_run(f->event, 0) > 0)
        ;
}

/* Lets time pass, in steps, so that what is due in between happens in its order. */
static void pass(struct fixture *f, int64_t usec)
{
    int64_t step = usec / 50 + 1;

    for (int64_t end = machine.passed + usec; machine.passed < end;) {
        machine.passed += end - machine.passed < step ? end - machine.passed : step;
        settle(f);
    }
}

/* --- requests --------------------------------------------------------------------------------------------------------- */

/* An event with contents of its own, as the gate takes it. */
static struct lb_event own(struct lb_event e)
{
    struct lb_event copy;

    assert_int_equal(lb_event_copy(&copy, &e), 0);
    return copy;
}

static struct lb_event new_event(int kind, const char *id)
{
    struct lb_event e = sample_event(kind, 0);

    e.request = (char *)id;
    return e;
}

static struct lb_live *new_request(struct fixture *f, struct lb_event e)
{
    struct lb_live *live = NULL;

    e = own(e);
    assert_int_equal(lb_gate_new_request(f->gate, &e, &live), 0);
    assert_non_null(live);
    return live;
}

/* Just the kind, by bob. */
static int step(struct lb_live *live, int kind)
{
    struct lb_event e = { .kind = kind, .by = strdup("bob"), .approver = strdup("bob") };

    return lb_gate_step(live, &e);
}

/* An access that runs since now. */
static struct lb_live *new_access(struct fixture *f, const char *id)
{
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, id));

    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    assert_int_equal(step(live, LB_EVENT_BEGUN), 0);
    return live;
}

/* --- what is on disk -------------------------------------------------------------------------------------------------- */

struct story {
    int64_t seq;
    char hash[LB_HASH_MAX];
    char text[4096]; /* "event and the last of its request's ID; " */
};

static int tell(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct story *s = userdata;
    char prev[LB_HASH_MAX];
    size_t n = strlen(s->text);

    assert_int_equal(lb_chain_decode(json, &e, prev), 0);
    assert_int_equal(seq, s->seq + 1);
    assert_string_equal(prev, s->hash);
    s->seq = seq;
    memcpy(s->hash, hash, LB_HASH_MAX);
    if (e.request)
        snprintf(s->text + n, sizeof(s->text) - n, "%s %c; ", lb_event_names[e.kind], e.request[8]);
    return 0;
}

/* The whole log as somebody else reads it: an event and the last character of its request's ID, each. */
static void assert_story(const char *wanted)
{
    struct story s = { .hash = LB_CHAIN_GENESIS };
    struct lb_store *store = NULL;

    assert_int_equal(lb_store_open(state_directory, true, 0, &store), 0);
    assert_int_equal(lb_store_events(store, 1, NULL, 0, tell, &s), 0);
    lb_store_close(store);
    assert_string_equal(s.text, wanted);
}

static int state_on_disk(const char *id)
{
    struct lb_store *store = NULL;
    struct lb_request *r = NULL;
    int state = LB_STATE_NONE;

    assert_int_equal(lb_store_open(state_directory, true, 0, &store), 0);
    if (lb_store_load(store, id, &r) == 0)
        state = r->state;
    lb_request_free(r);
    lb_store_close(store);
    return state;
}

/* --- waiters ---------------------------------------------------------------------------------------------------------- */

struct waiter {
    struct lb_waiter waiter;
    int woken;
    int memory, disk; /* the request's state when it was woken */
};

static void on_wake(struct lb_waiter *w)
{
    struct waiter *me = (struct waiter *)w;

    me->woken++;
    me->memory = w->live->request->state;
    me->disk = state_on_disk(w->live->request->id);
    lb_gate_unpark(w);
}

static void park(struct waiter *w, struct lb_live *live)
{
    *w = (struct waiter){ .waiter = { .wake = on_wake } };
    lb_gate_park(live, &w->waiter);
}

/* --- commit, then act ------------------------------------------------------------------------------------------------- */

static void test_commit_before_effect(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    struct waiter first, second, gone;

    park(&first, live);
    park(&gone, live);
    park(&second, live);
    lb_gate_unpark(&gone.waiter);
    lb_gate_unpark(&gone.waiter); /* once more does no harm */
    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    assert_int_equal(first.woken, 1);
    assert_int_equal(second.woken, 1);
    assert_int_equal(gone.woken, 0);
    assert_int_equal(first.memory, LB_STATE_APPROVED);
    assert_int_equal(first.disk, LB_STATE_APPROVED);
    assert_int_equal(live->changed, lb_store_last(f->gate->store, NULL));
    assert_null(live->waiters);
    assert_story("requested 1; approved 1; ");
}

static void on_wake_wait_on(struct lb_waiter *w)
{
    ((struct waiter *)w)->woken++;
}

/* Who still waits when the request goes is let go. */
static void test_nobody_waits_for_what_is_gone(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    struct waiter w;

    park(&w, live);
    w.waiter.wake = on_wake_wait_on;
    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    assert_int_equal(w.woken, 1);
    assert_ptr_equal(live->waiters, &w.waiter);
    assert_int_equal(step(live, LB_EVENT_WITHDRAWN), 0);
    assert_int_equal(w.woken, 2);
    assert_null(w.waiter.self);
}

static int64_t committed;

static void on_committed(void *userdata, int64_t seq)
{
    (void)userdata;
    assert_true(seq > committed);
    committed = seq;
}

static void test_followers_hear_of_each_commit(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live;

    committed = lb_store_last(f->gate->store, NULL);
    f->gate->committed = on_committed;
    live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    assert_int_equal(committed, lb_store_last(f->gate->store, NULL));
    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    assert_int_equal(committed, lb_store_last(f->gate->store, NULL));
}

static void test_two_events_in_one_commit(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    struct lb_event events[] = { { .kind = LB_EVENT_APPROVED, .approver = strdup("bob") }, lb_gate_begun() };
    struct lb_event bad[] = { { .kind = LB_EVENT_WARNED }, { .kind = LB_EVENT_APPROVED } };
    struct waiter w;

    park(&w, live);
    assert_int_equal(lb_gate_steps(live, events, 2), 0);
    assert_int_equal(w.disk, LB_STATE_ACTIVE);
    assert_int_equal(lb_gate_steps(live, bad, 2), -EPERM);
    assert_int_equal(live->request->state, LB_STATE_ACTIVE);
    assert_int_equal(live->request->warned, 0); /* none of them */
    assert_story("requested 1; approved 1; begun 1; illegal 1; ");
}

static void test_illegal_is_audited_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    LB_FREE char *before = sample_text(live->request), *after = NULL;
    struct waiter w;

    park(&w, live);
    assert_int_equal(step(live, LB_EVENT_BEGUN), -EPERM);
    after = sample_text(live->request);
    assert_string_equal(before, after);
    assert_int_equal(w.woken, 0);
    assert_story("requested 1; illegal 1; ");
    assert_int_equal(state_on_disk("AAAA-AAA1"), LB_STATE_PENDING);
}

static void test_ids(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *a = NULL, *b = NULL;

    assert_int_equal(lb_gate_make_id(f->gate, &a), 0);
    assert_int_equal(lb_gate_make_id(f->gate, &b), 0);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 9);
    assert_int_equal(a[4], '-');
}

/* --- a disk that fails ------------------------------------------------------------------------------------------------ */

static void test_nothing_opens_on_a_bad_disk(void **state)
{
    static const int errors[] = { ENOSPC, EIO };
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1")), *other = NULL;

    for (size_t i = 0; i < LB_ELEMENTS(errors); i++) {
        struct lb_event e = own(new_event(LB_EVENT_PERMITTED, "AAAA-AAA2"));
        LB_FREE char *before = sample_text(live->request), *after = NULL;
        struct waiter w;

        park(&w, live);
        bad_disk.error = errors[i];
        assert_true(step(live, LB_EVENT_APPROVED) < 0);
        assert_true(lb_gate_new_request(f->gate, &e, &other) < 0);
        after = sample_text(live->request);
        assert_string_equal(before, after);
        assert_null(other);
        assert_int_equal(f->gate->n_live, 1);
        assert_int_equal(w.woken, 0);
        pass(f, 5 * LB_USEC_PER_SEC);
        assert_non_null(lb_gate_problem(f->gate)); /* not well again because nobody asked */
        bad_disk.error = 0;
        pass(f, 5 * LB_USEC_PER_SEC);
        assert_null(lb_gate_problem(f->gate));
        lb_gate_unpark(&w.waiter);
    }
    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    assert_story("requested 1; approved 1; ");
}

static void test_closing_waits_for_no_disk(void **state)
{
    struct fixture *f = *state;
    struct lb_live *a = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    struct lb_live *b = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"));
    struct lb_live *c = new_access(f, "AAAA-AAA3");
    struct waiter wa, wc;

    park(&wa, a);
    park(&wc, c);
    bad_disk.error = ENOSPC;
    assert_int_equal(step(c, LB_EVENT_STOPPED), 0);
    assert_int_equal(step(a, LB_EVENT_DENIED), 0);
    assert_int_equal(step(b, LB_EVENT_WITHDRAWN), 0);
    assert_int_equal(wa.memory, LB_STATE_DENIED);
    assert_int_equal(wa.disk, LB_STATE_PENDING);
    assert_int_equal(wc.memory, LB_STATE_ENDING);
    assert_int_equal(f->gate->n_live, 1);
    pass(f, 10 * LB_USEC_PER_SEC); /* reaped, and the receipt waits like the rest */
    assert_int_equal(f->gate->n_live, 0);
    assert_non_null(lb_gate_problem(f->gate));
    assert_story("requested 1; requested 2; requested 3; approved 3; begun 3; ");
    bad_disk.error = 0;
    pass(f, 5 * LB_USEC_PER_SEC);
    assert_null(lb_gate_problem(f->gate));
    assert_story("requested 1; requested 2; requested 3; approved 3; begun 3; stopped 3; denied 1; withdrawn 2; revoked 3; ");
}

/* On a full disk the reserve is given up for what closes, and for nothing else. */
static void test_reserve_is_for_closing(void **state)
{
    struct fixture *f = *state;
    struct lb_live *a, *b;
    char reserve[128];

    go_down(f);
    f->reserve = 1024 * 1024;
    go_up(f);
    a = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    b = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"));
    snprintf(reserve, sizeof(reserve), "%s/reserve", state_directory);
    assert_int_equal(access(reserve, F_OK), 0);
    bad_disk.ballast = reserve;
    assert_int_equal(step(b, LB_EVENT_APPROVED), -ENOSPC);
    assert_int_equal(step(a, LB_EVENT_DENIED), 0);
    assert_story("requested 1; requested 2; denied 1; ");
    bad_disk.ballast = NULL;
}

/* What was kept is written before anything that came after it. */
static void test_order_is_kept(void **state)
{
    struct fixture *f = *state;
    struct lb_live *a = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));

    bad_disk.error = EIO;
    assert_int_equal(step(a, LB_EVENT_DENIED), 0);
    bad_disk.error = 0;
    new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2")); /* before the retry */
    assert_story("requested 1; denied 1; requested 2; ");
    assert_null(lb_gate_problem(f->gate));
}

/* A warning that cannot be recorded must not cost the end its timer. */
static void test_end_on_time_with_a_bad_disk(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");

    pass(f, 3 * HOUR);
    bad_disk.error = ENOSPC;
    pass(f, 59 * MINUTE);
    assert_int_equal(live->request->state, LB_STATE_ACTIVE);
    pass(f, 2 * MINUTE);
    assert_int_equal(f->gate->n_live, 0);
    bad_disk.error = 0;
    pass(f, 10 * LB_USEC_PER_SEC);
    assert_story("requested 1; approved 1; begun 1; time-over 1; ended 1; ");
}

static void test_directory_removed(void **state)
{
    struct fixture *f = *state;
    struct lb_live *a = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    struct lb_live *b = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"));

    directory_remove(state_directory);
    assert_true(step(a, LB_EVENT_APPROVED) < 0); /* into a file that nobody will ever read */
    assert_int_equal(a->request->state, LB_STATE_PENDING);
    assert_non_null(lb_gate_problem(f->gate));
    assert_int_equal(step(b, LB_EVENT_DENIED), 0);
    assert_int_equal(f->gate->n_live, 1);
    pass(f, 10 * LB_USEC_PER_SEC);
    assert_non_null(lb_gate_problem(f->gate));
}

static void put_garbage(const char *path)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("not a database. ", file);
    fclose(file);
}

/* Nothing opens on a damaged log; when it is whole again the gate goes on where it was. */
static void test_damaged_log_at_start(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = own(new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"));
    struct lb_live *live = NULL;
    char aside[128], path[128];

    snprintf(path, sizeof(path), "%s/lockbox.db", state_directory);
    snprintf(aside, sizeof(aside), "%s/aside", directory);
    new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    go_down(f);
    assert_int_equal(rename(state_directory, aside), 0);
    assert_int_equal(mkdir(state_directory, 0700), 0);
    put_garbage(path);
    go_up(f);
    assert_non_null(strstr(lb_gate_problem(f->gate), "damaged"));
    assert_int_equal(f->gate->n_live, 0);
    assert_true(lb_gate_new_request(f->gate, &e, &live) < 0);
    assert_null(live);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(aside, state_directory), 0);
    pass(f, 5 * LB_USEC_PER_SEC);
    assert_null(lb_gate_problem(f->gate));
    assert_non_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_story("requested 1; ");
}

/* --- time ------------------------------------------------------------------------------------------------------------- */

static void test_deadlines_in_order(void **state)
{
    static const int64_t after[] = { 30 * MINUTE, 10 * MINUTE, 20 * MINUTE };
    struct fixture *f = *state;

    for (size_t i = 0; i < LB_ELEMENTS(after); i++) {
        char id[16];
        struct lb_event e;

        snprintf(id, sizeof(id), "AAAA-AAA%zu", i + 1);
        e = new_event(LB_EVENT_REQUESTED, id);
        e.terms.expire_after = after[i];
        new_request(f, e);
    }
    pass(f, 9 * MINUTE);
    assert_int_equal(f->gate->n_live, 3);
    pass(f, HOUR);
    assert_int_equal(f->gate->n_live, 0);
    assert_story("requested 1; requested 2; requested 3; expired 2; expired 3; expired 1; ");
}

static void test_approved_and_never_used(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));

    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    pass(f, 23 * HOUR);
    assert_int_equal(f->gate->n_live, 1);
    pass(f, 2 * HOUR);
    assert_story("requested 1; approved 1; lapsed 1; ");
}

static void test_warned_then_ended(void **state)
{
    struct fixture *f = *state;

    new_access(f, "AAAA-AAA1");
    pass(f, 3 * HOUR + 44 * MINUTE);
    assert_story("requested 1; approved 1; begun 1; ");
    pass(f, 2 * MINUTE);
    assert_story("requested 1; approved 1; begun 1; warned 1; ");
    pass(f, 14 * MINUTE + LB_USEC_PER_SEC);
    pass(f, 10 * LB_USEC_PER_SEC);
    assert_story("requested 1; approved 1; begun 1; warned 1; warned 1; warned 1; time-over 1; ended 1; ");
    assert_int_equal(f->gate->n_live, 0);
}

static void test_clock_put_back(void **state)
{
    struct fixture *f = *state;

    new_access(f, "AAAA-AAA1");
    pass(f, HOUR);
    machine.jumped = -10 * YEAR;
    pass(f, 3 * HOUR - MINUTE);
    assert_int_equal(f->gate->n_live, 1);
    pass(f, 2 * MINUTE);
    assert_int_equal(f->gate->n_live, 0);
}

static void test_clock_put_ahead(void **state)
{
    struct fixture *f = *state;

    new_access(f, "AAAA-AAA1");
    machine.jumped = 10 * YEAR;
    pass(f, 10 * LB_USEC_PER_SEC);
    assert_int_equal(f->gate->n_live, 0);
    assert_story("requested 1; approved 1; begun 1; time-over 1; ended 1; ");
}

/* A deadline of zero, as of a clock that begins in 1970, is due and not absent. */
static void test_zero_is_due(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");

    live->request->not_after.wall = live->request->not_after.boot = 0;
    lb_gate_arm(live);
    pass(f, LB_USEC_PER_SEC);
    assert_int_equal(f->gate->n_live, 0);
    assert_story("requested 1; approved 1; begun 1; time-over 1; ended 1; ");
}

/* --- the daemon goes and comes ---------------------------------------------------------------------------------------- */

static void test_the_same_live_set_after_a_restart(void **state)
{
    static const char *const ids[] = { "AAAA-AAA1", "AAAA-AAA2", "AAAA-AAA3", "AAAA-AAA4" };
    struct fixture *f = *state;
    struct lb_live *live;
    char *before[LB_ELEMENTS(ids)];

    new_request(f, new_event(LB_EVENT_REQUESTED, ids[0]));
    live = new_request(f, new_event(LB_EVENT_REQUESTED, ids[1]));
    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    new_access(f, ids[2]);
    live = new_access(f, ids[3]);
    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA5"));
    assert_int_equal(step(live, LB_EVENT_DENIED), 0);
    for (size_t i = 0; i < LB_ELEMENTS(ids); i++)
        before[i] = sample_text(lb_gate_find(f->gate, ids[i])->request);
    go_down(f);
    go_up(f);
    assert_int_equal(f->gate->n_live, LB_ELEMENTS(ids));
    for (size_t i = 0; i < LB_ELEMENTS(ids); i++) {
        LB_FREE char *after = sample_text(lb_gate_find(f->gate, ids[i])->request);

        assert_string_equal(before[i], after);
        free(before[i]);
    }
    pass(f, 4 * HOUR + MINUTE); /* and the timers stand again */
    assert_null(lb_gate_find(f->gate, ids[2]));
    assert_null(lb_gate_find(f->gate, ids[3]));
    assert_non_null(lb_gate_find(f->gate, ids[0]));
}

static void test_what_should_have_ended_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA1");

    e.terms.expire_after = HOUR;
    new_request(f, e);
    new_access(f, "AAAA-AAA2");
    new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA3"));
    go_down(f);
    machine.passed += 5 * HOUR;
    go_up(f);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA2")->request->state, LB_STATE_ENDING);
    pass(f, LB_USEC_PER_SEC);
    assert_int_equal(f->gate->n_live, 1);
    assert_non_null(lb_gate_find(f->gate, "AAAA-AAA3"));
}

/* An end that was under way goes on, and has its receipt. */
static void test_ending_goes_on(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");

    assert_int_equal(step(live, LB_EVENT_HANDED_BACK), 0);
    go_down(f);
    go_up(f);
    pass(f, LB_USEC_PER_SEC);
    assert_story("requested 1; approved 1; begun 1; handed-back 1; completed 1; ");
}

static void reboot(struct fixture *f, int64_t off, int64_t jump)
{
    go_down(f);
    machine.boot++;
    machine.passed += off;
    machine.jumped += jump;
    go_up(f);
}

static void test_reboot_ends_access(void **state)
{
    struct fixture *f = *state;

    new_access(f, "AAAA-AAA1");
    new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"));
    reboot(f, MINUTE, 0);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->state, LB_STATE_ENDING);
    assert_string_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->end.by, "reboot");
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA2")->request->state, LB_STATE_PENDING);
    pass(f, LB_USEC_PER_SEC);
    assert_int_equal(f->gate->n_live, 1);
}

/* Any event will do for that. */
static void note_the_time(struct fixture *f)
{
    struct lb_event e = { .kind = LB_EVENT_REFUSED, .account = strdup("root"), .note = strdup("for a test") };

    assert_int_equal(lb_gate_note(f->gate, &e), 0);
}

/* OnReboot=keep, under clocks that were moved while nobody looked: the end never comes later. */
static void test_reboot_kept_is_never_longer(void **state)
{
    static const int64_t jumps[] = { -10 * YEAR, -HOUR, 0, HOUR };
    struct fixture *f = *state;

    for (size_t i = 0; i < LB_ELEMENTS(jumps); i++) {
        char id[] = { 'A', 'A', 'A', 'A', '-', 'A', 'A', 'A', (char)('1' + (char)i), '\0' };
        struct lb_event e = new_event(LB_EVENT_PERMITTED, id);
        struct lb_time now;
        struct lb_live *live;

        e.terms.on_reboot = LB_ON_REBOOT_KEEP;
        new_request(f, e);
        pass(f, 2 * HOUR);
        note_the_time(f);
        reboot(f, 30 * MINUTE, jumps[i]);
        live = lb_gate_find(f->gate, e.request);
        assert_int_equal(live->request->state, LB_STATE_ACTIVE);
        now = lb_clock_now();
        assert_true(lb_deadline_left(&live->request->not_after, &now) <= 2 * HOUR);
        pass(f, 2 * HOUR + MINUTE);
        assert_null(lb_gate_find(f->gate, e.request));
    }
}

/* --- sessions and the end --------------------------------------------------------------------------------------------- */

/* A child that does nothing until it is killed, as the leader of a session under the access. */
static pid_t open_session(struct lb_live *live)
{
    struct lb_event e = { .kind = LB_EVENT_OPENED, .session = AUDIT_UNSET, .service = strdup("sshd") };
    struct lb_proc_stat st;
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(lb_proc_stat(pid, &st), 0);
    e.pid = pid;
    e.pid_started = st.started;
    assert_int_equal(lb_gate_step(live, &e), 0);
    assert_int_equal(lb_sessions_watch(live->gate->sessions, live->request->id, pid, st.started), 0);
    return pid;
}

static void assert_killed(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_leader_that_goes_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);

    assert_int_equal(lb_request_open_sessions(live->request), 1);
    kill(pid, SIGKILL);
    while (lb_request_open_sessions(live->request) > 0)
        assert_true(sd_event_run(f->event, 10 * LB_USEC_PER_SEC) > 0);
    assert_killed(pid);
    assert_story("requested 1; approved 1; begun 1; opened 1; closed 1; ");
}

static void test_revoked_with_a_receipt(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);
    struct lb_request *r = NULL;

    assert_int_equal(step(live, LB_EVENT_STOPPED), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* killed before step() came back */
    while (f->gate->n_live > 0) {
        machine.passed += 10000;
        settle(f);
    }
    assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA1", &r), 0);
    assert_int_equal(r->state, LB_STATE_REVOKED);
    assert_int_equal(r->end.left, 0);
    assert_true(r->end.killed >= 1);
    assert_string_equal(r->end.by, "bob");
    assert_int_equal(lb_request_open_sessions(r), 0);
    lb_request_free(r);
}

/* With the disk full from before the end: the same receipt, later. */
static void test_receipt_keeps_its_count_on_a_bad_disk(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);
    struct lb_request *r = NULL;

    bad_disk.error = ENOSPC;
    assert_int_equal(step(live, LB_EVENT_STOPPED), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    pass(f, 5 * LB_USEC_PER_SEC);
    bad_disk.error = 0;
    pass(f, 10 * LB_USEC_PER_SEC);
    assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA1", &r), 0);
    assert_int_equal(r->state, LB_STATE_REVOKED);
    assert_true(r->end.killed >= 1);
    lb_request_free(r);
}

/* The daemon was away when a leader went. */
static void test_leader_that_went_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live), other = open_session(live);

    go_down(f);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    go_up(f);
    live = lb_gate_find(f->gate, "AAAA-AAA1");
    assert_int_equal(lb_request_open_sessions(live->request), 1);
    assert_non_null(lb_request_session(live->request, other, ((struct lb_session *)live->request->sessions.items)[1].pid_started));
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
}

/* --- one engineer at a time ------------------------------------------------------------------------------------------- */

static void test_exclusive(void **state)
{
    struct fixture *f = *state;
    struct lb_live *first = new_access(f, "AAAA-AAA1"), *second;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA2");
    struct waiter w;

    assert_null(lb_gate_blocker(first));
    e.engineer = "colleague@vendor.example";
    second = new_request(f, e);
    assert_int_equal(step(second, LB_EVENT_APPROVED), 0);
    assert_ptr_equal(lb_gate_blocker(second), first);
    park(&w, second);
    assert_int_equal(step(first, LB_EVENT_HANDED_BACK), 0);
    assert_ptr_equal(lb_gate_blocker(second), first); /* until nothing of it is left */
    pass(f, LB_USEC_PER_SEC);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_int_equal(second->request->state, LB_STATE_ACTIVE);
    assert_int_equal(w.memory, LB_STATE_ACTIVE);
    assert_story("requested 1; approved 1; begun 1; requested 2; approved 2; handed-back 1; completed 1; begun 2; ");
}

static void test_shared(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = new_event(LB_EVENT_PERMITTED, "AAAA-AAA1");
    struct lb_live *second;

    e.terms.exclusive = false;
    new_request(f, e);
    e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA2");
    e.engineer = "colleague@vendor.example";
    e.terms.exclusive = false;
    second = new_request(f, e);
    assert_null(lb_gate_blocker(second));
    e.request = "AAAA-AAA3";
    e.terms.exclusive = true;
    assert_non_null(lb_gate_blocker(new_request(f, e)));
    e.request = "AAAA-AAA4";
    e.account = "another";
    assert_null(lb_gate_blocker(new_request(f, e)));
    e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA5"); /* the engineer's own second one */
    assert_null(lb_gate_blocker(new_request(f, e)));
    e.request = "AAAA-AAA6";
    e.key = "SHA256:xyz"; /* the same name, another key */
    assert_non_null(lb_gate_blocker(new_request(f, e)));
}

/* --- policy ----------------------------------------------------------------------------------------------------------- */

static void test_bad_policy_keeps_the_last_good_one(void **state)
{
    struct fixture *f = *state;
    struct lb_ruleset *good = f->gate->policy;

    put_policy("[Rule]\nAktion=permit\n");
    assert_int_equal(lb_gate_reload(f->gate), -EINVAL);
    assert_ptr_equal(f->gate->policy, good);
    assert_non_null(strstr(f->gate->policy_error, "10-all.policy:2: "));
    assert_null(lb_gate_problem(f->gate));
    put_policy("[Match]\nAccount=*\n[Rule]\nAction=deny\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_null(f->gate->policy_error);
}

static void test_no_good_policy_closes_the_gate(void **state)
{
    struct fixture *f = *state;

    go_down(f);
    put_policy("[Rule]\nAktion=permit\n");
    go_up(f);
    assert_non_null(lb_gate_problem(f->gate));
    put_policy("[Rule]\nAction=permit\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_null(lb_gate_problem(f->gate));
}

static void test_undecidable(void **state)
{
    struct fixture *f = *state;

    new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    new_access(f, "AAAA-AAA2");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_int_equal(f->gate->n_live, 2);
    put_policy("[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=nobody-of-that-name\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_non_null(lb_gate_find(f->gate, "AAAA-AAA2")); /* what was decided stands */
    assert_story("requested 1; requested 2; approved 2; begun 2; undecidable 1; ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_commit_before_effect),
        TEST(test_nobody_waits_for_what_is_gone),
        TEST(test_followers_hear_of_each_commit),
        TEST(test_two_events_in_one_commit),
        TEST(test_illegal_is_audited_and_changes_nothing),
        TEST(test_ids),
        TEST(test_nothing_opens_on_a_bad_disk),
        TEST(test_closing_waits_for_no_disk),
        TEST(test_reserve_is_for_closing),
        TEST(test_order_is_kept),
        TEST(test_end_on_time_with_a_bad_disk),
        TEST(test_directory_removed),
        TEST(test_damaged_log_at_start),
        TEST(test_deadlines_in_order),
        TEST(test_approved_and_never_used),
        TEST(test_warned_then_ended),
        TEST(test_clock_put_back),
        TEST(test_clock_put_ahead),
        TEST(test_zero_is_due),
        TEST(test_the_same_live_set_after_a_restart),
        TEST(test_what_should_have_ended_meanwhile),
        TEST(test_ending_goes_on),
        TEST(test_reboot_ends_access),
        TEST(test_reboot_kept_is_never_longer),
        TEST(test_leader_that_goes_is_noticed),
        TEST(test_revoked_with_a_receipt),
        TEST(test_receipt_keeps_its_count_on_a_bad_disk),
        TEST(test_leader_that_went_meanwhile),
        TEST(test_exclusive),
        TEST(test_shared),
        TEST(test_bad_policy_keeps_the_last_good_one),
        TEST(test_no_good_policy_closes_the_gate),
        TEST(test_undecidable),
    };

    bad_disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
