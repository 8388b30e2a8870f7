/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The gate with everything but people: a log in a new directory, an event loop, and a clock and a disk that do what the
 * test says. The leaders of sessions are children of the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include <cmocka.h>

#include "lockboxd/clock.h"
#include "lockboxd/decide.h"
#include "lockboxd/effects.h"
#include "lockboxd/freezer.h"
#include "lockboxd/gate.h"
#include "lockboxd/login.h"
#include "lockboxd/pause.h"
#include "lockboxd/policy_files.h"
#include "lockboxd/proc.h"
#include "lockboxd/refusals.h"
#include "tests/unit/bad_disk.h"
#include "tests/unit/directory.h"
#include "tests/unit/fake_pid1.h"
#include "tests/unit/quiet_journal.h"
#include "tests/unit/samples.h"

#define AUDIT_UNSET INT64_C(4294967295) /* never swept: no process of this machine is of such a session */
#define YEAR (INT64_C(8766) * HOUR)

/* --- a machine of the test's own ---------------------------------------------------------------------------------- */

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

static char directory[64], state_directory[96], policy_directory[96], approvers_path[96];
static const char *policies[] = { policy_directory, NULL };

struct fixture {
    sd_event *event;
    struct lb_gate *gate;
    int64_t reserve;
};

static void put_policy(const char *text)
{
    directory_write(policy_directory, "10-all.policy", text);
}

static void go_up(struct fixture *f)
{
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(lb_gate_new(f->event, &f->gate), 0);
    f->gate->host = strdup("appliance");
    f->gate->state_directory = strdup(state_directory);
    f->gate->runtime_directory = strdup(directory);
    f->gate->policy_directories = policies;
    f->gate->approvers_path = approvers_path;
    f->gate->reserve = f->reserve;
    assert_int_equal(lb_gate_start(f->gate), 0);
}

/* As if by kill -9: nothing is said, nothing is flushed. */
static void go_down(struct fixture *f)
{
    f->gate = lb_gate_free(f->gate);
    fake_pid1_clear();
    quiet_journal_await();
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
    snprintf(approvers_path, sizeof(approvers_path), "%s/approvers.conf", directory); /* there is none */
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

/* From now on there is a PID 1 to ask. */
static void hire_pid1(struct fixture *f)
{
    fake_pid1.event = f->event;
    assert_int_equal(lb_systemd_new(f->event, state_directory, directory, &f->gate->systemd), 0);
}

static void assert_asked_pid1(const char *wanted)
{
    assert_string_equal(fake_pid1.said, wanted);
    fake_pid1.said[0] = '\0';
}

/* What is said on standard error goes into a file until words_said() takes it. */
static int words_start(void)
{
    char path[128];
    int was = dup(STDERR_FILENO), fd;

    snprintf(path, sizeof(path), "%s/words", directory);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(was >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
    return was;
}

static void words_said(int was, char ret[static 1024])
{
    ssize_t n;

    fflush(stderr);
    n = pread(STDERR_FILENO, ret, 1023, 0);
    ret[n < 0 ? 0 : n] = '\0';
    dup2(was, STDERR_FILENO);
    close(was);
}

/* The same, past an end: it takes the reaper some rounds. */
static void pass_end(struct fixture *f, int64_t usec)
{
    pass(f, usec);
    pass(f, 2 * LB_USEC_PER_SEC);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

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

/* --- what is on disk ---------------------------------------------------------------------------------------------- */

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

/* --- waiters ------------------------------------------------------------------------------------------------------ */

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

/* --- commit, then act --------------------------------------------------------------------------------------------- */

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

/* --- a disk that fails -------------------------------------------------------------------------------------------- */

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
    assert_story(
        "requested 1; requested 2; requested 3; approved 3; begun 3; stopped 3; denied 1; withdrawn 2; revoked 3; ");
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

/* What a name of the host's brings along that is no text keeps no end out of the log. */
static void test_what_cannot_be_encoded_is_exchanged(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    struct lb_live *pending = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"));
    struct lb_event e = { .kind = LB_EVENT_STOPPED, .by = strdup("m\xfcller"), .approver = strdup("\xff") };
    struct lb_event denied = { .kind = LB_EVENT_DENIED, .approver = strdup("bob\xc3") };
    struct lb_event asks = new_event(LB_EVENT_REQUESTED, "AAAA-AAA3");
    char *odd[] = { "m\xfcller", "root", NULL };

    assert_int_equal(lb_gate_step(live, &e), 0);
    assert_string_equal(live->request->end.by, "m\xEF\xBF\xBDller");
    assert_int_equal(lb_gate_step(pending, &denied), 0);
    assert_int_equal(f->gate->unsaved.n, 0);
    assert_null(lb_gate_problem(f->gate));
    asks.entitled = odd;
    live = new_request(f, asks);
    assert_string_equal(live->request->entitled[0], "m\xEF\xBF\xBDller"); /* who has no right by that */
    assert_string_equal(live->request->entitled[1], "root");
    pass(f, 5 * LB_USEC_PER_SEC);
    assert_story("requested 1; approved 1; begun 1; requested 2; stopped 1; denied 2; requested 3; revoked 1; ");
}

/* The loop is over then: that nothing is tried again is right, and no lack of memory. */
static void test_clean_stop_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    char words[1024];
    int was;

    bad_disk.error = ENOSPC;
    assert_int_equal(step(live, LB_EVENT_DENIED), 0);
    sd_event_exit(f->event, 0);
    assert_int_equal(sd_event_loop(f->event), 0);
    was = words_start();
    lb_gate_stop(f->gate);
    words_said(was, words);
    assert_non_null(strstr(words, "Not recorded: stopping"));
    assert_null(strstr(words, "not tried again"));
    go_down(f);
    bad_disk.error = 0;
    go_up(f);
    pass(f, 5 * LB_USEC_PER_SEC);
    assert_story("requested 1; denied 1; ");
}

/* --- time --------------------------------------------------------------------------------------------------------- */

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

/* Whatever waits or runs, whenever the clock is moved, with a restart or without: nothing outlives its true time. */
static void test_jumps_never_extend(void **state)
{
    static const int64_t jumps[] = { -10 * YEAR, -24 * HOUR, -MINUTE, 0, MINUTE, 24 * HOUR, 10 * YEAR };
    static const struct { int events[3]; int64_t span; } lives[] = {
        { { LB_EVENT_REQUESTED }, 12 * HOUR },                                  /* ExpireAfter= */
        { { LB_EVENT_REQUESTED, LB_EVENT_APPROVED }, 24 * HOUR },               /* UseBy= */
        { { LB_EVENT_REQUESTED, LB_EVENT_APPROVED, LB_EVENT_BEGUN }, 4 * HOUR } /* Duration= */
    };
    struct fixture *f = *state;
    char id[16];

    for (size_t i = 0; i < LB_ELEMENTS(jumps) * LB_ELEMENTS(lives) * 2; i++) {
        const int *events = lives[i / 2 % LB_ELEMENTS(lives)].events;
        int64_t span = lives[i / 2 % LB_ELEMENTS(lives)].span, jump = jumps[i / 2 / LB_ELEMENTS(lives)];
        struct lb_live *live;
        struct lb_event e;

        machine.jumped = 0;
        snprintf(id, sizeof(id), "AAAA-AA%02zu", i);
        e = new_event(events[0], id);
        e.terms.starts = LB_STARTS_LOGIN; /* else a restart lets an approved one begin */
        live = new_request(f, e);
        for (size_t k = 1; k < 3 && events[k]; k++)
            assert_int_equal(step(live, events[k]), 0);
        pass(f, MINUTE);
        machine.jumped = jump;
        if (i % 2) {
            go_down(f);
            go_up(f);
        }
        pass_end(f, span - 2 * MINUTE);
        assert_int_equal(f->gate->n_live, jump <= 0 ? 1 : 0); /* put back it is not shortened either */
        pass_end(f, MINUTE);
        assert_int_equal(f->gate->n_live, 0);
    }
}

/* Of a flood the log has the first, and how many more there were. */
static void test_refusals_are_counted(void **state)
{
    struct fixture *f = *state;
    int64_t before = lb_store_last(f->gate->store, NULL);

    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 1000; i++) {
            struct lb_event e = { .kind = LB_EVENT_REFUSED, .account = strdup("root"), .note = strdup("for a test") };

            lb_refusals_note(f->gate, &e);
        }
        assert_int_equal(lb_store_last(f->gate->store, NULL), before + round * 21 - 1);
        pass(f, 11 * MINUTE);
        assert_int_equal(lb_store_last(f->gate->store, NULL), before + round * 21);
    }
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

/* --- the daemon goes and comes ------------------------------------------------------------------------------------ */

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
    pass_end(f, 4 * HOUR + MINUTE); /* and the timers stand again */
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
        pass_end(f, 2 * HOUR + MINUTE);
        assert_null(lb_gate_find(f->gate, e.request));
    }
}

/* --- sessions and the end ----------------------------------------------------------------------------------------- */

/* A child that does nothing until it is killed, as the leader of a session under the access. */
static pid_t open_session(struct lb_live *live)
{
    struct lb_event e = { .kind = LB_EVENT_OPENED, .session = AUDIT_UNSET, .service = strdup("sshd") };
    struct lb_proc_stat st;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it outlives no test that failed */
        for (;;)
            pause();
    }
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

/* Nothing is left, and the host is being looked at: to press on, or to start again, makes nothing of the count
 * unsaid. */
static void test_pressed_on(void **state)
{
    for (int restarts = 0; restarts < 2; restarts++) {
        struct fixture *f = *state;
        struct lb_request *r = NULL;
        struct lb_live *live;
        pid_t pid;

        hire_pid1(f);
        live = new_access(f, "AAAA-AAA1");
        pid = open_session(live);
        assert_int_equal(step(live, LB_EVENT_STOPPED), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (live->reaper) {
            machine.passed += 1000;
            sd_event_run(f->event, 1000);
        }
        assert_non_null(live->behind);
        if (restarts) {
            go_down(f);
            go_up(f);
        } else
            assert_int_equal(step(live, LB_EVENT_STOPPED), 0);
        while (f->gate->n_live > 0) {
            machine.passed += 10000;
            settle(f);
        }
        assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA1", &r), 0);
        assert_true(r->end.killed >= 1);
        lb_request_free(r);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
    }
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
    assert_non_null(
        lb_request_session(live->request, other, ((struct lb_session *)live->request->sessions.items)[1].pid_started));
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
}

/* --- one engineer at a time --------------------------------------------------------------------------------------- */

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

/* --- a later start ------------------------------------------------------------------------------------------------ */

/* Approved by bob, not to begin before `from` from now. */
static struct lb_live *new_later(struct fixture *f, struct lb_event first, int64_t from)
{
    struct lb_live *live = new_request(f, first);
    struct lb_event e = { .kind = LB_EVENT_APPROVED, .approver = strdup("bob") };

    e.not_before = lb_clock_now().wall + from;
    assert_int_equal(lb_gate_step(live, &e), 0);
    return live;
}

static void test_later_start_begins_by_the_clock(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_later(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"), 2 * HOUR);
    int64_t from = live->request->begin_at.wall;
    struct waiter w;

    pass(f, 2 * HOUR - MINUTE);
    assert_int_equal(live->request->state, LB_STATE_APPROVED);
    park(&w, live);
    pass(f, MINUTE + LB_USEC_PER_SEC);
    assert_int_equal(live->request->state, LB_STATE_ACTIVE);
    assert_true(live->request->not_before >= from && live->request->not_before < from + MINUTE);
    assert_int_equal(w.disk, LB_STATE_ACTIVE);
    pass(f, 4 * HOUR - 20 * MINUTE);
    pass(f, 21 * MINUTE);
    assert_story("requested 1; approved 1; begun 1; warned 1; warned 1; warned 1; time-over 1; ended 1; ");
}

/* Where it begins with the first login the clock begins nothing, but says that it may. */
static void test_later_start_with_a_login(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA1");
    struct lb_live *live;
    struct waiter w;

    e.terms.starts = LB_STARTS_LOGIN;
    live = new_later(f, e, 2 * HOUR);
    park(&w, live);
    pass(f, 2 * HOUR - MINUTE);
    assert_int_equal(w.woken, 0);
    pass(f, 2 * MINUTE);
    assert_int_equal(w.woken, 1);
    assert_int_equal(w.memory, LB_STATE_APPROVED);
    pass(f, 24 * HOUR);
    assert_story("requested 1; approved 1; lapsed 1; ");
}

static void test_later_start_after_a_restart(void **state)
{
    struct fixture *f = *state;

    new_later(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"), 2 * HOUR);
    new_later(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA2"), 4 * HOUR);
    go_down(f);
    machine.passed += 3 * HOUR;
    go_up(f);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->state, LB_STATE_ACTIVE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA2")->request->state, LB_STATE_APPROVED);
    pass(f, HOUR + MINUTE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA2")->request->state, LB_STATE_ACTIVE);
    assert_story("requested 1; approved 1; requested 2; approved 2; begun 1; begun 2; ");
}

static struct lb_event window_event(const char *id, int64_t from)
{
    struct lb_event e = new_event(LB_EVENT_GRANTED, id);

    e.basis = LB_BASIS_PREAPPROVED;
    e.engineer = e.key = NULL;
    e.not_before = from ? lb_clock_now().wall + from : 0;
    return e;
}

/* Whatever is done to the wall clock meanwhile: an access and a window, both to begin in two hours, begin when both
 * clocks say so. */
static void assert_begins(struct fixture *f, int64_t jump, int64_t after, bool restarted)
{
    struct lb_live *window = new_request(f, window_event("AAAA-AAA2", 2 * HOUR));

    new_later(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"), 2 * HOUR);
    assert_int_equal(window->request->state, LB_STATE_APPROVED);
    machine.jumped += jump;
    if (restarted) {
        note_the_time(f);
        reboot(f, 0, 0);
    }
    pass(f, after - MINUTE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->state, LB_STATE_APPROVED);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA2")->request->state, LB_STATE_APPROVED);
    pass(f, 2 * MINUTE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->state, LB_STATE_ACTIVE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA2")->request->state, LB_STATE_ACTIVE);
}

static void test_clock_ahead_begins_nothing_early(void **state)
{
    assert_begins(*state, 3 * HOUR, 2 * HOUR, false);
}

static void test_clock_ahead_begins_nothing_early_after_a_reboot(void **state)
{
    assert_begins(*state, 3 * HOUR, 2 * HOUR, true);
}

static void test_clock_back_begins_late(void **state)
{
    assert_begins(*state, -HOUR, 3 * HOUR, false);
}

static void test_clock_back_begins_late_after_a_reboot(void **state)
{
    assert_begins(*state, -HOUR, 3 * HOUR, true);
}

/* So far ahead that its end has come first: it is over unused. */
static void test_clock_far_ahead_lapses(void **state)
{
    struct fixture *f = *state;

    new_later(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"), 2 * HOUR);
    new_request(f, window_event("AAAA-AAA2", 2 * HOUR));
    machine.jumped = 10 * YEAR;
    pass(f, MINUTE);
    assert_int_equal(f->gate->n_live, 0);
}

/* The host was off for a part of the time: that part has passed. */
static void test_later_start_after_a_reboot(void **state)
{
    struct fixture *f = *state;

    new_later(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"), 2 * HOUR);
    reboot(f, HOUR, 0);
    pass(f, HOUR - MINUTE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->state, LB_STATE_APPROVED);
    pass(f, 2 * MINUTE);
    assert_int_equal(lb_gate_find(f->gate, "AAAA-AAA1")->request->state, LB_STATE_ACTIVE);
}

/* Its time has come while somebody else is in: it begins when he has gone, in full length. */
static void test_later_start_waits_for_its_turn(void **state)
{
    struct fixture *f = *state;
    struct lb_live *first = new_access(f, "AAAA-AAA1"), *second;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA2");
    struct lb_time now;

    e.engineer = "colleague@vendor.example";
    second = new_later(f, e, HOUR);
    pass(f, 2 * HOUR);
    assert_int_equal(second->request->state, LB_STATE_APPROVED);
    assert_ptr_equal(lb_gate_blocker(second), first);
    pass_end(f, 2 * HOUR + MINUTE);
    assert_int_equal(second->request->state, LB_STATE_ACTIVE);
    now = lb_clock_now();
    assert_true(lb_deadline_left(&second->request->not_after, &now) > 4 * HOUR - 3 * MINUTE);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
}

/* Somebody else's end before one's own time begins nothing. */
static void test_an_end_begins_nothing_early(void **state)
{
    struct fixture *f = *state;
    struct lb_live *first = new_access(f, "AAAA-AAA1"), *second;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA2");

    e.engineer = "colleague@vendor.example";
    second = new_later(f, e, 2 * HOUR);
    assert_int_equal(step(first, LB_EVENT_HANDED_BACK), 0);
    pass(f, HOUR);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_int_equal(second->request->state, LB_STATE_APPROVED);
    pass(f, HOUR + MINUTE);
    assert_int_equal(second->request->state, LB_STATE_ACTIVE);
}

/* --- people ------------------------------------------------------------------------------------------------------- */

#define THREE_PEOPLE "[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=root daemon bin\n"

/* Somebody at a login of his own, who goes by the name of an account that every host has. */
static struct lb_person person(const char *name)
{
    return (struct lb_person){ .peer = { .uid = 65534, .pid = getpid(), .session = 5 }, .account = "nobody",
                               .name = (char *)name };
}

static void assert_decided(struct fixture *f, lb_decide_verb *verb, const char *id, const char *name,
                           struct lb_decision d, int refusal)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };
    const struct lb_person p = person(name);
    struct lb_live *live = lb_gate_find(f->gate, id);

    assert_non_null(live);
    verb(live, &p, &d, &o);
    if (o.refusal != refusal)
        print_error("%s: %s\n", name, o.reason);
    assert_int_equal(o.refusal, refusal);
}

static void assert_state(struct fixture *f, const char *id, int state)
{
    assert_string_equal(lb_state_names[lb_gate_find(f->gate, id)->request->state], lb_state_names[state]);
    assert_int_equal(state_on_disk(id), state);
}

/* A request that several of root, daemon and bin decide, after `reviewer` if there is one. */
static struct lb_live *new_question(struct fixture *f, const char *id, int quorum, const char *reviewer)
{
    static char *three[] = { "root", "daemon", "bin", NULL };
    char *reviewers[] = { (char *)reviewer, NULL };
    struct lb_event e = new_event(reviewer ? LB_EVENT_REVIEW : LB_EVENT_REQUESTED, id);

    e.entitled = e.terms.customer = three;
    e.reviewers = e.terms.internal = reviewer ? reviewers : NULL;
    e.terms.quorum = quorum;
    put_policy(THREE_PEOPLE);
    assert_int_equal(lb_gate_reload(f->gate), 0);
    return new_request(f, e);
}

#define YES lb_decide_approve
#define NO lb_decide_deny
#define DONE LB_REFUSAL_NONE
#define MAY_NOT LB_REFUSAL_NOT_PERMITTED
#define PLAIN ((struct lb_decision){ 0 })

static void test_quorum_of_two(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_question(f, "AAAA-AAA1", 2, NULL);

    assert_decided(f, YES, "AAAA-AAA1", "sys", PLAIN, MAY_NOT);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", (struct lb_decision){ .duration = 2 * HOUR }, DONE);
    assert_state(f, "AAAA-AAA1", LB_STATE_PENDING);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, MAY_NOT); /* nobody counts twice */
    assert_state(f, "AAAA-AAA1", LB_STATE_PENDING);
    assert_decided(f, YES, "AAAA-AAA1", "bin", (struct lb_decision){ .duration = 3 * HOUR }, DONE);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
    assert_int_equal(live->request->duration, 2 * HOUR); /* what the first made shorter stays so */
    assert_int_equal(live->request->approvals.n, 2);
    assert_decided(f, YES, "AAAA-AAA1", "root", PLAIN, LB_REFUSAL_NOT_POSSIBLE);
    assert_story("requested 1; voted 1; approved 1; begun 1; illegal 1; ");
}

static void test_one_no_ends_it(void **state)
{
    struct fixture *f = *state;

    new_question(f, "AAAA-AAA1", 2, NULL);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, DONE);
    assert_decided(f, NO, "AAAA-AAA1", "daemon", PLAIN, DONE); /* thinks better of it */
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_story("requested 1; voted 1; denied 1; ");
}

/* The first of two wants it later: the second one's yes does not hurry it. */
static void test_later_start_of_the_first_voter(void **state)
{
    struct fixture *f = *state;
    struct lb_decision later = { .from = lb_clock_now().wall + 2 * HOUR };

    new_question(f, "AAAA-AAA1", 2, NULL);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", later, DONE);
    assert_decided(f, YES, "AAAA-AAA1", "bin", PLAIN, DONE);
    assert_state(f, "AAAA-AAA1", LB_STATE_APPROVED);
    pass(f, 2 * HOUR - MINUTE);
    assert_state(f, "AAAA-AAA1", LB_STATE_APPROVED);
    pass(f, 2 * MINUTE);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
}

/* A yes goes with the right to it: the quorum is of people who have it when the last one says yes. */
static void test_a_yes_of_one_who_lost_his_right(void **state)
{
    struct fixture *f = *state;

    new_question(f, "AAAA-AAA1", 2, NULL);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, DONE);
    put_policy("[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=root bin\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_decided(f, YES, "AAAA-AAA1", "bin", PLAIN, DONE);
    assert_state(f, "AAAA-AAA1", LB_STATE_PENDING);
    assert_decided(f, YES, "AAAA-AAA1", "root", PLAIN, DONE);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
    assert_story("requested 1; voted 1; voted 1; approved 1; begun 1; ");
}

/* Too few remain: at a reload, or noticed by a yes where the host's groups say so. */
static void test_too_few_remain(void **state)
{
    struct fixture *f = *state;
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };
    const struct lb_person bin = person("bin");
    struct lb_ruleset *set;

    new_question(f, "AAAA-AAA1", 2, NULL);
    new_question(f, "AAAA-AAA2", 2, NULL);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, DONE);
    put_policy("[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=bin\n");
    assert_int_equal(lb_policy_files_load(policies, &set, &o.reason), 0);
    lb_ruleset_free(f->gate->policy);
    f->gate->policy = set; /* nobody has told the gate: it looks when somebody decides */
    lb_decide_approve(lb_gate_find(f->gate, "AAAA-AAA1"), &bin, &PLAIN, &o);
    assert_int_equal(o.refusal, LB_REFUSAL_NONE);
    assert_non_null(strstr(o.reason, "too few"));
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_non_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_story("requested 1; requested 2; voted 1; voted 1; undecidable 1; undecidable 2; ");
}

/* What the vendor's approver decided is done, whatever becomes of him; and he does not count for the customer. */
static void test_reviewer_who_lost_his_right(void **state)
{
    struct fixture *f = *state;

    new_question(f, "AAAA-AAA1", 2, "daemon");
    put_policy(THREE_PEOPLE "Internal=daemon\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, DONE);
    put_policy(THREE_PEOPLE "Internal=sys\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_state(f, "AAAA-AAA1", LB_STATE_PENDING);
    assert_decided(f, YES, "AAAA-AAA1", "bin", PLAIN, DONE);
    put_policy("[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=daemon bin\n");
    assert_int_equal(lb_gate_reload(f->gate), 0); /* two are named, and one of them has decided for the vendor */
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_story("review 1; reviewed 1; voted 1; undecidable 1; ");
}

static void test_review_then_customer(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_question(f, "AAAA-AAA1", 1, "daemon");
    struct waiter w;

    put_policy(THREE_PEOPLE "Internal=daemon\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    park(&w, live);
    assert_decided(f, YES, "AAAA-AAA1", "bin", PLAIN, MAY_NOT); /* not yet the customer's turn */
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, DONE);
    assert_int_equal(w.memory, LB_STATE_PENDING);
    assert_state(f, "AAAA-AAA1", LB_STATE_PENDING);
    assert_decided(f, YES, "AAAA-AAA1", "daemon", PLAIN, MAY_NOT); /* named for both, decides in one */
    assert_decided(f, NO, "AAAA-AAA1", "daemon", PLAIN, MAY_NOT);
    assert_decided(f, YES, "AAAA-AAA1", "bin", PLAIN, DONE);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
    assert_story("review 1; reviewed 1; approved 1; begun 1; ");
}

static void test_review_denied(void **state)
{
    struct fixture *f = *state;

    new_question(f, "AAAA-AAA1", 1, "daemon");
    put_policy(THREE_PEOPLE "Internal=daemon\n");
    assert_int_equal(lb_gate_reload(f->gate), 0);
    assert_decided(f, NO, "AAAA-AAA1", "daemon", PLAIN, DONE);
    assert_story("review 1; denied 1; ");
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

/* A login inside it. */
static struct lb_live *new_child(struct fixture *f, const char *id, const char *window, int64_t duration)
{
    struct lb_event e = new_event(LB_EVENT_PREAPPROVED, id);

    e.basis = LB_BASIS_PREAPPROVED;
    e.grant = (char *)window;
    e.duration = duration;
    return new_request(f, e);
}

static void test_window_opens_and_closes_by_the_clock(void **state)
{
    struct fixture *f = *state;
    struct lb_live *window = new_request(f, window_event("AAAA-AAA1", HOUR));

    assert_string_equal(window->request->engineer ? window->request->engineer : "", "");
    pass(f, HOUR - MINUTE);
    assert_state(f, "AAAA-AAA1", LB_STATE_APPROVED);
    pass(f, 2 * MINUTE);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
    new_child(f, "AAAA-AAA2", "AAAA-AAA1", HOUR);
    pass_end(f, HOUR + MINUTE);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE); /* a login's end is not the window's */
    pass(f, 3 * HOUR - 20 * MINUTE);
    pass(f, 20 * MINUTE);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_story("granted 1; begun 1; preapproved 2; warned 2; warned 2; warned 2; time-over 2; ended 2; warned 1; "
                 "warned 1; warned 1; time-over 1; ended 1; ");
}

/* Nobody's access keeps a window shut: it would close later than was said, or never open. */
static void test_window_opens_whoever_is_in(void **state)
{
    struct fixture *f = *state;
    struct lb_live *window;

    new_access(f, "AAAA-AAA1");
    window = new_request(f, window_event("AAAA-AAA2", HOUR));
    assert_null(lb_gate_blocker(window));
    pass(f, HOUR + MINUTE);
    assert_state(f, "AAAA-AAA2", LB_STATE_ACTIVE);
    assert_null(lb_gate_blocker(lb_gate_find(f->gate, "AAAA-AAA1"))); /* and it keeps nobody out */
}

static void test_window_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct lb_live *window;
    struct lb_time now;

    new_request(f, window_event("AAAA-AAA1", HOUR));
    new_request(f, window_event("AAAA-AAA2", 0));
    go_down(f);
    machine.passed += 4 * HOUR + MINUTE; /* the first should be open since three hours, the second one be over */
    go_up(f);
    window = lb_gate_find(f->gate, "AAAA-AAA1");
    assert_int_equal(window->request->state, LB_STATE_ACTIVE);
    now = lb_clock_now();
    assert_true(lb_deadline_left(&window->request->not_after, &now) <= HOUR);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_story("granted 1; granted 2; begun 1; lapsed 2; ");
}

static void test_window_taken_back_with_who_came_by_it(void **state)
{
    struct fixture *f = *state;
    struct lb_person root = person("root");
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };
    struct lb_live *window = new_request(f, window_event("AAAA-AAA1", 0));
    struct lb_event e;
    pid_t pid;

    assert_int_equal(step(window, LB_EVENT_BEGUN), 0);
    pid = open_session(new_child(f, "AAAA-AAA2", "AAAA-AAA1", HOUR));
    e = new_event(LB_EVENT_PERMITTED, "AAAA-AAA3"); /* came by a rule */
    new_request(f, e);
    root.root = true;
    lb_decide_revoke(window, &root, &PLAIN, &o);
    assert_int_equal(o.refusal, LB_REFUSAL_NONE);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_killed(pid);
    assert_int_equal(f->gate->n_live, 1);
    assert_non_null(lb_gate_find(f->gate, "AAAA-AAA3"));
    assert_int_equal(state_on_disk("AAAA-AAA2"), LB_STATE_REVOKED);
}

/* --- more time ---------------------------------------------------------------------------------------------------- */

/* A request for two hours more of an access. */
static struct lb_live *new_extension(struct fixture *f, const char *id, const char *access)
{
    struct lb_event e = new_event(LB_EVENT_REQUESTED, id);

    e.extends = (char *)access;
    e.duration = 2 * HOUR;
    return new_request(f, e);
}

/* As the last yes does it. */
static int extend(struct lb_live *linked, struct lb_live *access, int64_t duration)
{
    struct lb_time now = lb_clock_now();
    struct lb_event events[] = { { .kind = LB_EVENT_APPROVED, .approver = strdup("bob"), .duration = duration },
                                 { .kind = LB_EVENT_ADDED, .extends = strdup(access->request->id) } };
    struct lb_event extended = { .kind = LB_EVENT_EXTENDED, .approver = strdup("bob"), .duration = duration };

    extended.left_usec = lb_deadline_left(&access->request->not_after, &now) + duration;
    return lb_gate_extend(linked, events, 2, access, &extended, 1);
}

static void test_extension(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access = new_access(f, "AAAA-AAA1"), *linked;
    int64_t end = access->request->not_after.wall;
    pid_t pid = open_session(access);

    pass(f, 3 * HOUR + 50 * MINUTE);
    linked = new_extension(f, "AAAA-AAA2", "AAAA-AAA1");
    committed = lb_store_last(f->gate->store, NULL);
    f->gate->committed = on_committed;
    assert_int_equal(extend(linked, access, 2 * HOUR), 0);
    assert_int_equal(committed, lb_store_last(f->gate->store, NULL)); /* who follows has heard of it */
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_int_equal(state_on_disk("AAAA-AAA2"), LB_STATE_COMPLETED);
    assert_true(access->request->not_after.wall <= end + 2 * HOUR);
    assert_true(access->request->not_after.wall > end + 2 * HOUR - LB_USEC_PER_SEC);
    pass(f, HOUR);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* still running past its first end */
    assert_story("requested 1; approved 1; begun 1; opened 1; warned 1; requested 2; approved 2; added 2; "
                 "extended 1; ");
    pass(f, HOUR - 10 * MINUTE);
    pass(f, 19 * MINUTE);
    assert_int_equal(access->request->warned, MINUTE); /* warned again, before the new end */
    pass_end(f, 2 * MINUTE);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_killed(pid);
}

static void test_extension_by_two_people(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access = new_access(f, "AAAA-AAA1"), *linked = new_question(f, "AAAA-AAA2", 2, NULL);
    int64_t end = access->request->not_after.wall;

    linked->request->extends = strdup("AAAA-AAA1"); /* as its first event would have it */
    assert_decided(f, YES, "AAAA-AAA2", "bin", (struct lb_decision){ .duration = HOUR }, DONE);
    assert_int_equal(access->request->not_after.wall, end);
    assert_decided(f, YES, "AAAA-AAA2", "daemon", PLAIN, DONE);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_true(access->request->not_after.wall > end + HOUR - LB_USEC_PER_SEC);
    assert_true(access->request->not_after.wall <= end + HOUR);
    assert_int_equal(access->request->duration, 5 * HOUR);
}

/* The one commit fails, or is refused: neither of the two is changed. */
static void assert_not_extended(struct fixture *f, struct lb_live *linked, struct lb_live *access, int64_t duration,
                                int error)
{
    LB_FREE char *before = sample_text(access->request), *linked_before = sample_text(linked->request);
    LB_FREE char *after = NULL, *linked_after = NULL;
    struct waiter w;

    park(&w, linked);
    assert_int_equal(extend(linked, access, duration), error);
    after = sample_text(access->request);
    linked_after = sample_text(linked->request);
    assert_string_equal(before, after);
    assert_string_equal(linked_before, linked_after);
    assert_int_equal(w.woken, 0);
    assert_int_equal(state_on_disk(linked->request->id), LB_STATE_PENDING);
    assert_int_equal(f->gate->n_live, 2);
    lb_gate_unpark(&w.waiter);
}

static void test_extension_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access = new_access(f, "AAAA-AAA1"), *linked = new_extension(f, "AAAA-AAA2", "AAAA-AAA1");

    assert_not_extended(f, linked, access, 9 * HOUR, -EINVAL); /* beyond the rule's MaxDuration= */
    bad_disk.error = ENOSPC;
    assert_not_extended(f, linked, access, 2 * HOUR, -ENOSPC);
    bad_disk.error = 0;
    assert_story("requested 1; approved 1; begun 1; requested 2; ");
    assert_int_equal(extend(linked, access, 2 * HOUR), 0);
    assert_story("requested 1; approved 1; begun 1; requested 2; approved 2; added 2; extended 1; ");
}

/* An illegal one is audited, whichever of the two it is for; and nothing has changed. */
static void test_illegal_extension_is_audited(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access = new_access(f, "AAAA-AAA1"), *linked = new_extension(f, "AAAA-AAA2", "AAAA-AAA1");
    int64_t end = access->request->not_after.wall;

    assert_int_equal(extend(access, access, HOUR), -EPERM); /* "approved" for what is active */
    assert_story("requested 1; approved 1; begun 1; requested 2; illegal 1; ");
    assert_int_equal(access->request->not_after.wall, end);
    assert_int_equal(step(access, LB_EVENT_HANDED_BACK), 0);
    linked = new_extension(f, "AAAA-AAA3", "AAAA-AAA1");
    assert_int_equal(extend(linked, access, HOUR), -EPERM);
    assert_int_equal(linked->request->state, LB_STATE_PENDING);
    assert_story("requested 1; approved 1; begun 1; requested 2; illegal 1; handed-back 1; expired 2; requested 3; "
                 "illegal 1; ");
}

/* In a process of its own, that is killed in the middle of one of its changes of the disk. True if it came through. */
static bool extend_and_die(struct fixture *f, long lives)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        go_up(f);
        bad_disk.lives = lives;
        _exit(extend(lb_gate_find(f->gate, "AAAA-AAA2"), lb_gate_find(f->gate, "AAAA-AAA1"), 2 * HOUR) != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return status == 0;
}

/* Killed at the first change of the disk, at the second …: what is on it afterwards is the whole of it or nothing. */
static void test_extension_torn_nowhere(void **state)
{
    struct fixture *f = *state;
    bool whole = false;
    long lives;

    for (lives = 1; !whole; lives++) {
        const struct lb_request *access;

        new_access(f, "AAAA-AAA1");
        new_extension(f, "AAAA-AAA2", "AAAA-AAA1");
        go_down(f);
        whole = extend_and_die(f, lives);
        go_up(f);
        access = lb_gate_find(f->gate, "AAAA-AAA1")->request;
        assert_int_equal(access->turn == 0, lb_gate_find(f->gate, "AAAA-AAA2") != NULL);
        assert_int_equal(access->duration, (4 + 2 * access->turn) * HOUR);
        assert_true(!whole || access->turn == 1);
        go_down(f);
        directory_remove(state_directory);
        assert_int_equal(mkdir(state_directory, 0700), 0);
        go_up(f);
    }
    assert_true(lives > 4);
}

/* More time for what is over is not to be had: nobody is asked for it any longer. */
static void test_extension_goes_with_its_access(void **state)
{
    static const int ends[] = { LB_EVENT_STOPPED, LB_EVENT_HANDED_BACK, LB_EVENT_NONE };
    struct fixture *f = *state;

    for (size_t i = 0; i < LB_ELEMENTS(ends); i++) {
        char id[] = "AAAA-AAA1", more[] = "AAAA-AAB1", other[] = "AAAA-AAC1";
        struct lb_live *access;

        id[8] = more[8] = other[8] = (char)('1' + (char)i);
        access = new_access(f, id);
        new_extension(f, more, id);
        new_extension(f, other, "ZZZZ-ZZZ1"); /* for another access */
        if (ends[i])
            assert_int_equal(step(access, ends[i]), 0);
        else
            pass(f, 4 * HOUR + MINUTE);
        assert_null(lb_gate_find(f->gate, more));
        assert_int_equal(state_on_disk(more), LB_STATE_EXPIRED);
        assert_int_equal(lb_gate_find(f->gate, other)->request->state, LB_STATE_PENDING);
        pass(f, 2 * LB_USEC_PER_SEC);
    }
}

static void test_extension_goes_with_an_access_that_ended_meanwhile(void **state)
{
    struct fixture *f = *state;

    new_access(f, "AAAA-AAA1");
    new_extension(f, "AAAA-AAA2", "AAAA-AAA1");
    new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA3"));
    go_down(f);
    machine.passed += 5 * HOUR;
    go_up(f);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_non_null(lb_gate_find(f->gate, "AAAA-AAA3"));
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_story("requested 1; approved 1; begun 1; requested 2; requested 3; time-over 1; expired 2; ended 1; ");
}

/* --- PID 1 -------------------------------------------------------------------------------------------------------- */

/* The engineer is told of the new end when PID 1 has taken it on, and not before. */
static void test_announced_when_pid1_has_it(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access;

    hire_pid1(f);
    access = new_access(f, "AAAA-AAA1");
    settle(f);
    assert_asked_pid1("StartTransientUnit lockbox-end-AAAA-AAA1.timer; ");
    assert_null(access->arming);
    fake_pid1.holds = true;
    assert_int_equal(extend(new_extension(f, "AAAA-AAA2", "AAAA-AAA1"), access, HOUR), 0);
    settle(f);
    assert_asked_pid1("StartTransientUnit lockbox-end-AAAA-AAA1-1.timer; ");
    assert_true(access->arming && access->announce); /* it waits */
    fake_pid1_let_go();
    settle(f);
    assert_true(!access->arming && !access->announce);
}

/* PID 1 that refuses, or is away, changes nothing about the end: it is told, and the log says who alone holds it. */
static void test_announced_without_pid1(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access;
    int64_t end;
    char words[1024];
    int was;

    hire_pid1(f);
    access = new_access(f, "AAAA-AAA1");
    settle(f);
    fake_pid1.refuses = "not today";
    was = words_start();
    assert_int_equal(extend(new_extension(f, "AAAA-AAA2", "AAAA-AAA1"), access, HOUR), 0);
    assert_true(access->announce);
    settle(f);
    words_said(was, words);
    assert_non_null(strstr(words, "<1>PID 1 has no deadline of its own for AAAA-AAA1"));
    assert_non_null(strstr(words, "not today"));
    assert_true(!access->arming && !access->announce);
    end = access->request->not_after.wall;
    fake_pid1_clear(); /* the bus goes away, and is not there to be connected to anew */
    settle(f);
    was = words_start();
    assert_int_equal(extend(new_extension(f, "AAAA-AAA3", "AAAA-AAA1"), access, HOUR), 0);
    words_said(was, words);
    assert_non_null(strstr(words, "<1>PID 1 has no deadline of its own for AAAA-AAA1"));
    assert_true(!access->arming && !access->announce);
    assert_true(access->request->not_after.wall > end + HOUR - LB_USEC_PER_SEC);
    pass_end(f, 7 * HOUR);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
}

/* Answered when nobody asks any more. */
static void test_pid1_answers_too_late(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access;

    hire_pid1(f);
    fake_pid1.holds = true;
    access = new_access(f, "AAAA-AAA1");
    settle(f);
    assert_non_null(access->arming);
    assert_int_equal(step(access, LB_EVENT_STOPPED), 0);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    fake_pid1_let_go();
    settle(f);
}

static char *two_units[] = { "a.mount", "b.service", NULL };

/* A window alone starts and stops nothing; the first who comes through it unlocks, and the last to go locks. */
static void test_units_of_a_window(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = window_event("AAAA-AAA1", 0);
    struct lb_live *window, *first, *second;

    hire_pid1(f);
    e.terms.units = two_units;
    window = new_request(f, e);
    assert_int_equal(step(window, LB_EVENT_BEGUN), 0);
    settle(f);
    assert_asked_pid1("StartTransientUnit lockbox-end-AAAA-AAA1.timer; ");
    e = new_event(LB_EVENT_PREAPPROVED, "AAAA-AAA2");
    e.basis = LB_BASIS_PREAPPROVED;
    e.grant = "AAAA-AAA1";
    e.terms.units = two_units;
    first = new_request(f, e);
    settle(f);
    assert_asked_pid1("StartTransientUnit lockbox-end-AAAA-AAA2.timer; StartUnit a.mount; StartUnit b.service; ");
    e.request = "AAAA-AAA3";
    second = new_request(f, e);
    assert_int_equal(step(first, LB_EVENT_HANDED_BACK), 0);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_null(strstr(fake_pid1.said, "StopUnit a.mount")); /* the second one is still in */
    fake_pid1.said[0] = '\0';
    assert_int_equal(step(second, LB_EVENT_HANDED_BACK), 0);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_non_null(strstr(fake_pid1.said, "StopUnit b.service; StopUnit a.mount; "));
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE); /* open still, and locked */
    fake_pid1.said[0] = '\0';
    assert_int_equal(step(window, LB_EVENT_STOPPED), 0);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA1"));
    assert_null(strstr(fake_pid1.said, "a.mount"));
}

/* --- logins ------------------------------------------------------------------------------------------------------- */

typedef int login_verb(struct lb_gate *gate, const struct lb_peer *peer, const struct lb_login *login,
                       const struct lb_words *words, struct lb_answer *ret, struct lb_live **ret_live);
static login_verb *const login_verbs[] = { lb_login_begin, lb_login_request };

/* Root wants in, for a ticket, and has proven nothing. */
static struct lb_live *log_in(struct fixture *f, login_verb *verb, const char *ticket, struct lb_answer *ret)
{
    const struct lb_peer peer = { .pid = getpid(), .session = AUDIT_UNSET, .loginuid = AUDIT_UNSET };
    const struct lb_login login = { .account = "root", .service = verb == lb_login_begin ? "sshd" : "lockboxctl",
                                    .scope = "login", .rhost = "192.0.2.7" };
    const struct lb_words words = { .ticket = (char *)ticket, .reason = "disk is full", .duration = "2h" };
    struct lb_live *live = NULL;

    lb_answer_clear(ret);
    assert_int_equal(verb(f->gate, &peer, &login, &words, ret, &live), 0);
    return live;
}

static const struct lb_request *made_by(struct fixture *f, const struct lb_answer *a)
{
    struct lb_live *live = lb_gate_find(f->gate, a->request);

    assert_non_null(live);
    return live->request;
}

static struct lb_live *new_window(struct fixture *f, int64_t from)
{
    struct lb_event e = window_event("AAAA-AAA1", from);

    put_policy(THREE_PEOPLE);
    assert_int_equal(lb_gate_reload(f->gate), 0);
    e.approver = "daemon";
    return new_request(f, e);
}

static void test_login_through_a_window(void **state)
{
    struct fixture *f = *state;
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };

    for (size_t i = 0; i < LB_ELEMENTS(login_verbs); i++) {
        struct lb_live *window = new_window(f, 0);
        const struct lb_request *mine;

        assert_int_equal(step(window, LB_EVENT_BEGUN), 0);
        pass(f, 3 * HOUR); /* one is left of four */
        log_in(f, login_verbs[i], "CASE-1234", &a);
        assert_int_equal(a.verdict, LB_ANSWER_ALLOWED);
        mine = made_by(f, &a);
        assert_int_equal(mine->state, LB_STATE_ACTIVE);
        assert_int_equal(mine->basis, LB_BASIS_PREAPPROVED);
        assert_string_equal(mine->grant, "AAAA-AAA1");
        assert_string_equal(mine->ticket, "CASE-1234");
        assert_true(mine->duration <= HOUR);
        assert_true(mine->not_after.wall <= window->request->not_after.wall + LB_USEC_PER_SEC);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
        f = *state;
    }
}

enum { OTHER_TICKET, NOT_YET_OPEN, APPROVER_GONE, TAKEN_BACK };

/* Whoever has no window waits like everybody. */
static void test_login_past_a_window(void **state)
{
    struct fixture *f = *state;
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };

    for (int why = OTHER_TICKET; why <= TAKEN_BACK; why++)
        for (size_t i = 0; i < LB_ELEMENTS(login_verbs); i++) {
            struct lb_live *window = new_window(f, why == NOT_YET_OPEN ? HOUR : 0);

            if (why != NOT_YET_OPEN)
                assert_int_equal(step(window, LB_EVENT_BEGUN), 0);
            if (why == APPROVER_GONE) {
                put_policy("[Match]\nAccount=*\n[Rule]\nAction=require-approval\n[Approval]\nCustomer=bin\n");
                assert_int_equal(lb_gate_reload(f->gate), 0);
            } else if (why == TAKEN_BACK) {
                assert_int_equal(step(window, LB_EVENT_STOPPED), 0);
            }
            log_in(f, login_verbs[i], why == OTHER_TICKET ? "CASE-9" : "CASE-1234", &a);
            assert_int_equal(a.verdict, LB_ANSWER_WAITING);
            assert_int_equal(made_by(f, &a)->state, LB_STATE_PENDING);
            assert_null(made_by(f, &a)->grant);
            tear_down(state);
            assert_int_equal(set_up(state), 0);
            f = *state;
        }
}

/* Another engineer is in by it already. */
static void test_window_lets_in_one_engineer_at_a_time(void **state)
{
    struct fixture *f = *state;
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };

    assert_int_equal(step(new_window(f, 0), LB_EVENT_BEGUN), 0);
    new_child(f, "AAAA-AAA2", "AAAA-AAA1", HOUR);
    for (size_t i = 0; i < LB_ELEMENTS(login_verbs); i++) {
        assert_null(log_in(f, login_verbs[i], "CASE-1234", &a));
        assert_int_equal(a.verdict, LB_ANSWER_DENIED);
        assert_non_null(strstr(a.message, "in use by eng@vendor.example"));
    }
    assert_int_equal(f->gate->n_live, 2);
}

/* --- frozen ------------------------------------------------------------------------------------------------------- */

static bool is_still(pid_t pid)
{
    struct lb_proc_stat st;

    assert_int_equal(lb_proc_stat(pid, &st), 0);
    return st.state == 'T';
}

static bool is_listed(const char *id)
{
    return lb_freezer_is_frozen(directory, id);
}

static void assert_frozen(pid_t pid, bool frozen)
{
    assert_int_equal(is_still(pid), frozen);
    assert_int_equal(is_listed("AAAA-AAA1"), frozen);
}

/* An access with a session, which stands still by bob's word. */
static struct lb_live *new_paused(struct fixture *f, pid_t *ret_pid)
{
    struct lb_live *live = new_access(f, "AAAA-AAA1");

    *ret_pid = open_session(live);
    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    pass(f, LB_USEC_PER_SEC);
    assert_frozen(*ret_pid, true);
    return live;
}

/* Held, with half an hour left of its time, for a quarter at most. */
static int hold(struct lb_live *live)
{
    struct lb_event e = { .kind = LB_EVENT_PAUSED, .by = strdup("bob"), .hold = true, .duration = 15 * MINUTE };

    return lb_gate_step(live, &e);
}

static int resume(struct lb_live *live)
{
    struct lb_event e = { .kind = LB_EVENT_RESUMED, .by = strdup("bob"), .left_usec = 12 * HOUR };

    return lb_gate_step(live, &e);
}

/* Committed first; frozen a moment later, in which the last words are read, and then whoever waits hears of it. */
static void test_paused_and_resumed(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);
    struct waiter w;

    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    assert_int_equal(state_on_disk("AAAA-AAA1"), LB_STATE_PAUSED);
    assert_true(lb_pause_is_under_way(live));
    assert_frozen(pid, false);
    park(&w, live);
    pass(f, LB_USEC_PER_SEC);
    assert_frozen(pid, true);
    assert_int_equal(w.woken, 1);
    assert_false(lb_pause_is_under_way(live));
    assert_int_equal(resume(live), 0);
    assert_frozen(pid, false);
    assert_story("requested 1; approved 1; begun 1; opened 1; paused 1; resumed 1; ");
}

static void test_resumed_before_it_was_frozen(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);

    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    assert_int_equal(resume(live), 0);
    pass(f, LB_USEC_PER_SEC);
    assert_frozen(pid, false);
}

/* A door that closes waits for no disk. */
static void test_paused_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);

    bad_disk.error = ENOSPC;
    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    pass(f, LB_USEC_PER_SEC);
    assert_frozen(pid, true);
    assert_true(resume(live) < 0); /* what opens waits for it */
    pass(f, LB_USEC_PER_SEC);
    assert_frozen(pid, true);
    go_down(f);
    bad_disk.error = 0;
    go_up(f);
    pass(f, 5 * LB_USEC_PER_SEC);
    assert_frozen(pid, true);
    assert_int_equal(resume(lb_gate_find(f->gate, "AAAA-AAA1")), 0);
    assert_frozen(pid, false);
    assert_int_equal(state_on_disk("AAAA-AAA1"), LB_STATE_ACTIVE);
}

/* What cannot be frozen is told to who waits for it, and tried on. */
static void test_cannot_be_frozen(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);
    char path[128];
    struct waiter w;

    snprintf(path, sizeof(path), "%s/frozen", directory);
    put_garbage(path); /* a file where the directory should be */
    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    park(&w, live);
    pass(f, LB_USEC_PER_SEC / 2);
    assert_false(is_still(pid));
    assert_int_equal(w.woken, 1);
    assert_true(live->freeze_error < 0);
    assert_int_equal(unlink(path), 0);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_frozen(pid, true);
    assert_int_equal(live->freeze_error, 0);
}

/* Killed between the commit and the freeze, and after it: what the log says is frozen is frozen. */
static void test_paused_and_killed(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);

    assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
    for (int i = 0; i < 2; i++) {
        go_down(f);
        assert_frozen(pid, i > 0);
        go_up(f);
        pass(f, LB_USEC_PER_SEC); /* where the machine is slow it takes more than one try */
        assert_frozen(pid, true);
        assert_state(f, "AAAA-AAA1", LB_STATE_PAUSED);
    }
    assert_int_equal(resume(lb_gate_find(f->gate, "AAAA-AAA1")), 0);
    assert_frozen(pid, false);
}

/* Killed between the commit and the thaw: what the log says goes on goes on. */
static void test_resumed_and_killed(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = own(new_event(LB_EVENT_RESUMED, "AAAA-AAA1"));
    pid_t pid;

    new_paused(f, &pid);
    e.time = lb_clock_now();
    e.state = LB_STATE_ACTIVE;
    assert_int_equal(lb_store_append(f->gate->store, &e, 1), 0);
    lb_event_clear(&e);
    go_down(f);
    assert_frozen(pid, true);
    go_up(f);
    assert_frozen(pid, false);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
}

/* What is frozen for no reason that the log knows is thawed at start. */
static void test_frozen_for_no_reason(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);
    struct lb_reap_target target = lb_effects_target(live);
    char path[128];
    int r;

    do /* where the machine is slow */
        r = lb_freezer_freeze(directory, "AAAA-AAA1", &target);
    while (r == -EINPROGRESS);
    assert_int_equal(r, 0);
    snprintf(path, sizeof(path), "%s/frozen/AAAA-AAA9", directory); /* not even its access is known */
    fclose(fopen(path, "we"));
    assert_true(is_listed("AAAA-AAA9"));
    go_down(f);
    assert_frozen(pid, true);
    go_up(f);
    assert_frozen(pid, false);
    assert_false(is_listed("AAAA-AAA9"));
}

/* The end comes to what is frozen as well, and leaves nothing frozen behind. */
static void test_ended_while_paused(void **state)
{
    static const struct { int kind; int64_t after; const char *by; } ends[] = {
        { LB_EVENT_STOPPED, 0, "bob" }, { LB_EVENT_HANDED_BACK, 0, "bob" }, { 0, 4 * HOUR, "clock" } };
    struct fixture *f = *state;

    for (size_t i = 0; i < LB_ELEMENTS(ends); i++) {
        char id[] = "AAAA-AAA1";
        struct lb_live *live;
        struct lb_request *r = NULL;
        pid_t pid;

        id[8] = (char)('1' + i);
        live = new_access(f, id);
        pid = open_session(live);
        assert_int_equal(step(live, LB_EVENT_PAUSED), 0);
        pass(f, LB_USEC_PER_SEC);
        if (ends[i].kind)
            assert_int_equal(step(live, ends[i].kind), 0);
        pass_end(f, ends[i].after + LB_USEC_PER_SEC);
        assert_killed(pid);
        assert_false(is_listed(id));
        assert_null(lb_gate_find(f->gate, id));
        assert_int_equal(lb_store_load(f->gate->store, id, &r), 0);
        assert_string_equal(r->end.by, ends[i].by);
        lb_request_free(r);
    }
}

/* Its time stands still, whatever time that is; and the pause has an end of its own, also while nobody looks. */
static void test_held(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    pid_t pid = open_session(live);
    struct lb_time now;
    struct lb_request *r = NULL;

    pass(f, 4 * HOUR - 10 * MINUTE);
    assert_int_equal(hold(live), 0);
    pass(f, 14 * MINUTE);
    assert_frozen(pid, true);
    assert_int_equal(resume(live), 0);
    now = lb_clock_now();
    assert_in_range(lb_deadline_left(&live->request->not_after, &now), 10 * MINUTE - LB_USEC_PER_SEC, 10 * MINUTE);
    pass(f, 9 * MINUTE);
    assert_int_equal(live->request->state, LB_STATE_ACTIVE);
    assert_int_equal(hold(live), 0);
    pass(f, LB_USEC_PER_SEC);
    go_down(f);
    machine.passed += 15 * MINUTE;
    go_up(f);
    pass(f, 2 * LB_USEC_PER_SEC);
    assert_killed(pid);
    assert_false(is_listed("AAAA-AAA1"));
    assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA1", &r), 0);
    assert_string_equal(r->end.by, "pause");
    lb_request_free(r);
}

/* OnEnd=freeze: of two accesses the one that gets more time goes on, and the other one ends when that is over as
 * well. */
static void test_frozen_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct lb_live *access[2];
    pid_t pid[2];

    for (int i = 0; i < 2; i++) {
        struct lb_event e = new_event(LB_EVENT_REQUESTED, i == 0 ? "AAAA-AAA1" : "AAAA-AAA2");

        e.terms.on_end = LB_ON_END_FREEZE;
        e.terms.freeze = 10 * MINUTE;
        access[i] = new_request(f, e);
        assert_int_equal(step(access[i], LB_EVENT_APPROVED), 0);
        assert_int_equal(step(access[i], LB_EVENT_BEGUN), 0);
        pid[i] = open_session(access[i]);
    }
    pass(f, 4 * HOUR + MINUTE);
    pass(f, LB_USEC_PER_SEC);
    for (int i = 0; i < 2; i++)
        assert_true(is_still(pid[i]) && lb_request_is_at_end(access[i]->request));
    go_down(f);
    go_up(f);
    access[0] = lb_gate_find(f->gate, "AAAA-AAA1");
    put_policy(THREE_PEOPLE);
    assert_int_equal(lb_gate_reload(f->gate), 0);
    new_extension(f, "AAAA-AAA3", "AAAA-AAA1");
    assert_decided(f, YES, "AAAA-AAA3", "root", PLAIN, DONE);
    assert_frozen(pid[0], false);
    assert_state(f, "AAAA-AAA1", LB_STATE_ACTIVE);
    assert_int_equal(access[0]->request->duration, 6 * HOUR);
    assert_int_equal(state_on_disk("AAAA-AAA3"), LB_STATE_COMPLETED);
    assert_true(is_still(pid[1]));
    pass_end(f, 10 * MINUTE);
    assert_killed(pid[1]);
    assert_false(is_listed("AAAA-AAA2"));
    assert_frozen(pid[0], false);
}

/* Nothing that is at its end goes on by a word alone; and what an approver paused does not by more time alone. */
static void test_who_lets_it_go_on(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA1");
    struct lb_live *live;
    pid_t pid;

    e.terms.on_end = LB_ON_END_FREEZE;
    e.terms.freeze = 10 * MINUTE;
    live = new_request(f, e);
    assert_int_equal(step(live, LB_EVENT_APPROVED), 0);
    assert_int_equal(step(live, LB_EVENT_BEGUN), 0);
    pid = open_session(live);
    assert_decided(f, lb_decide_resume, "AAAA-AAA1", "root", PLAIN, LB_REFUSAL_NOT_POSSIBLE);
    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "daemon", PLAIN, MAY_NOT);
    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "root", ((struct lb_decision){ .duration = HOUR }),
                   LB_REFUSAL_INVALID);
    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "root", PLAIN, DONE);
    assert_decided(f, lb_decide_resume, "AAAA-AAA1", "daemon", PLAIN, MAY_NOT);
    pass(f, 4 * HOUR + MINUTE);
    assert_true(lb_request_is_at_end(live->request));
    assert_decided(f, lb_decide_resume, "AAAA-AAA1", "root", PLAIN, LB_REFUSAL_NOT_POSSIBLE);
    new_extension(f, "AAAA-AAA2", "AAAA-AAA1");
    assert_decided(f, YES, "AAAA-AAA2", "root", PLAIN, DONE);
    assert_frozen(pid, true);
    assert_decided(f, lb_decide_resume, "AAAA-AAA1", "root", PLAIN, DONE);
    assert_frozen(pid, false);
}

/* The longest that it is held in all is what the rule lets it last: the last pause is cut to that. */
static void test_hold_is_clamped(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_access(f, "AAAA-AAA1");
    struct lb_decision d = { .hold = true };

    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "root", d, DONE);
    assert_int_equal(live->request->pause.charged, HOUR); /* where nothing was said */
    assert_decided(f, lb_decide_resume, "AAAA-AAA1", "root", PLAIN, DONE);
    d.duration = 100 * HOUR;
    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "root", d, DONE);
    assert_in_range(live->request->pause.charged, 12 * HOUR - LB_USEC_PER_SEC, 12 * HOUR);
    pass(f, 12 * HOUR - 2 * LB_USEC_PER_SEC);
    assert_decided(f, lb_decide_resume, "AAAA-AAA1", "root", PLAIN, DONE);
    live->request->held = 12 * HOUR;
    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "root", d, LB_REFUSAL_NOT_POSSIBLE);
    assert_decided(f, lb_decide_pause, "AAAA-AAA1", "root", PLAIN, DONE);
}

/* --- break-glass -------------------------------------------------------------------------------------------------- */

static struct lb_live *new_emergency(struct fixture *f, const char *id)
{
    struct lb_event e = new_event(LB_EVENT_REQUESTED, id);
    struct lb_live *live;

    e.terms.emergency = true;
    e.terms.emergency_duration = HOUR;
    live = new_request(f, e);
    assert_int_equal(step(live, LB_EVENT_EMERGENCY), 0);
    return live;
}

static void assert_unseen(struct fixture *f, bool unseen)
{
    LB_FREE char *id = NULL;

    assert_int_equal(lb_store_unseen(f->gate->store, "root", &id), unseen);
}

static void test_emergency(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_request(f, new_event(LB_EVENT_REQUESTED, "AAAA-AAA1"));
    struct waiter w;

    park(&w, live);
    assert_int_equal(step(live, LB_EVENT_EMERGENCY), -EINVAL); /* the rule has none */
    assert_int_equal(w.woken, 0);
    lb_gate_unpark(&w.waiter);
    assert_unseen(f, false);
    live = new_emergency(f, "AAAA-AAA2");
    assert_int_equal(live->request->state, LB_STATE_ACTIVE);
    assert_unseen(f, true);
    pass_end(f, HOUR + MINUTE);
    assert_null(lb_gate_find(f->gate, "AAAA-AAA2"));
    assert_unseen(f, true); /* over, and still not seen */
    go_down(f);
    go_up(f);
    assert_unseen(f, true);
}

static void test_acknowledged_while_it_runs(void **state)
{
    struct fixture *f = *state;
    struct lb_live *live = new_emergency(f, "AAAA-AAA1");

    assert_int_equal(step(live, LB_EVENT_ACKNOWLEDGED), 0);
    assert_unseen(f, false);
    assert_int_equal(step(live, LB_EVENT_ACKNOWLEDGED), -EINVAL);
    assert_int_equal(live->request->state, LB_STATE_ACTIVE);
    pass(f, HOUR + MINUTE);
    assert_unseen(f, false);
}

/* Until somebody has seen it the account's next request is refused, also through a window. */
static void test_unseen_emergency_refuses_the_next_request(void **state)
{
    struct fixture *f = *state;
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };
    struct lb_request *r = NULL;

    assert_int_equal(step(new_window(f, 0), LB_EVENT_BEGUN), 0);
    new_emergency(f, "AAAA-AAA2");
    pass_end(f, HOUR + MINUTE);
    assert_int_equal(f->gate->n_live, 1);
    for (size_t i = 0; i < LB_ELEMENTS(login_verbs); i++) {
        assert_null(log_in(f, login_verbs[i], "CASE-9", &a));
        assert_int_equal(a.verdict, LB_ANSWER_DENIED);
        assert_non_null(strstr(a.message, "lockboxctl acknowledge AAAA-AAA2"));
        log_in(f, login_verbs[i], "CASE-1234", &a);
        assert_int_equal(a.verdict, LB_ANSWER_DENIED);
    }
    assert_int_equal(f->gate->n_live, 1);
    assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA2", &r), 0);
    assert_int_equal(step(lb_gate_add(f->gate, r), LB_EVENT_ACKNOWLEDGED), 0);
    log_in(f, lb_login_begin, "CASE-9", &a);
    assert_int_equal(a.verdict, LB_ANSWER_WAITING);
}

/* For that one event a request that is over is live again, and then gone as before. */
static void test_acknowledged_when_it_is_over(void **state)
{
    struct fixture *f = *state;
    struct lb_request *r = NULL;
    struct lb_live *live;
    int64_t closed_at;

    new_emergency(f, "AAAA-AAA1");
    pass_end(f, HOUR + MINUTE);
    assert_int_equal(f->gate->n_live, 0);
    for (int round = 0; round < 2; round++) { /* the second time there is nothing to see any more */
        assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA1", &r), 0);
        closed_at = r->closed_at;
        live = lb_gate_add(f->gate, r);
        assert_int_equal(step(live, LB_EVENT_ACKNOWLEDGED), round ? -EINVAL : 0);
        if (round)
            lb_gate_drop(live);
        assert_int_equal(f->gate->n_live, 0);
        assert_unseen(f, false);
    }
    assert_int_equal(lb_store_load(f->gate->store, "AAAA-AAA1", &r), 0);
    assert_int_equal(r->state, LB_STATE_ENDED);
    assert_int_equal(r->closed_at, closed_at);
    assert_true(r->acknowledged_at > closed_at);
    lb_request_free(r);
    go_down(f);
    go_up(f);
    assert_int_equal(f->gate->n_live, 0);
    assert_unseen(f, false);
}

/* On a full disk nothing opens, an emergency neither. */
static void test_no_emergency_on_a_bad_disk(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = new_event(LB_EVENT_REQUESTED, "AAAA-AAA1");
    struct lb_live *live;

    e.terms.emergency = true;
    live = new_request(f, e);
    bad_disk.error = ENOSPC;
    assert_int_equal(step(live, LB_EVENT_EMERGENCY), -ENOSPC);
    assert_int_equal(live->request->state, LB_STATE_PENDING);
    bad_disk.error = 0;
}

/* --- policy ------------------------------------------------------------------------------------------------------- */

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
        TEST(test_what_cannot_be_encoded_is_exchanged),
        TEST(test_clean_stop_on_a_full_disk),
        TEST(test_directory_removed),
        TEST(test_damaged_log_at_start),
        TEST(test_deadlines_in_order),
        TEST(test_approved_and_never_used),
        TEST(test_warned_then_ended),
        TEST(test_clock_put_back),
        TEST(test_clock_put_ahead),
        TEST(test_jumps_never_extend),
        TEST(test_refusals_are_counted),
        TEST(test_zero_is_due),
        TEST(test_the_same_live_set_after_a_restart),
        TEST(test_what_should_have_ended_meanwhile),
        TEST(test_ending_goes_on),
        TEST(test_reboot_ends_access),
        TEST(test_reboot_kept_is_never_longer),
        TEST(test_leader_that_goes_is_noticed),
        TEST(test_revoked_with_a_receipt),
        TEST(test_pressed_on),
        TEST(test_receipt_keeps_its_count_on_a_bad_disk),
        TEST(test_leader_that_went_meanwhile),
        TEST(test_exclusive),
        TEST(test_shared),
        TEST(test_later_start_begins_by_the_clock),
        TEST(test_later_start_with_a_login),
        TEST(test_later_start_after_a_restart),
        TEST(test_clock_ahead_begins_nothing_early),
        TEST(test_clock_ahead_begins_nothing_early_after_a_reboot),
        TEST(test_clock_back_begins_late),
        TEST(test_clock_back_begins_late_after_a_reboot),
        TEST(test_clock_far_ahead_lapses),
        TEST(test_later_start_after_a_reboot),
        TEST(test_later_start_waits_for_its_turn),
        TEST(test_an_end_begins_nothing_early),
        TEST(test_quorum_of_two),
        TEST(test_one_no_ends_it),
        TEST(test_later_start_of_the_first_voter),
        TEST(test_a_yes_of_one_who_lost_his_right),
        TEST(test_too_few_remain),
        TEST(test_reviewer_who_lost_his_right),
        TEST(test_review_then_customer),
        TEST(test_review_denied),
        TEST(test_window_opens_and_closes_by_the_clock),
        TEST(test_window_opens_whoever_is_in),
        TEST(test_window_after_a_restart),
        TEST(test_window_taken_back_with_who_came_by_it),
        TEST(test_extension),
        TEST(test_extension_by_two_people),
        TEST(test_extension_all_or_nothing),
        TEST(test_illegal_extension_is_audited),
        TEST(test_extension_torn_nowhere),
        TEST(test_extension_goes_with_its_access),
        TEST(test_extension_goes_with_an_access_that_ended_meanwhile),
        TEST(test_announced_when_pid1_has_it),
        TEST(test_announced_without_pid1),
        TEST(test_pid1_answers_too_late),
        TEST(test_units_of_a_window),
        TEST(test_login_through_a_window),
        TEST(test_login_past_a_window),
        TEST(test_window_lets_in_one_engineer_at_a_time),
        TEST(test_paused_and_resumed),
        TEST(test_resumed_before_it_was_frozen),
        TEST(test_paused_on_a_full_disk),
        TEST(test_cannot_be_frozen),
        TEST(test_paused_and_killed),
        TEST(test_resumed_and_killed),
        TEST(test_frozen_for_no_reason),
        TEST(test_ended_while_paused),
        TEST(test_held),
        TEST(test_frozen_at_the_end),
        TEST(test_who_lets_it_go_on),
        TEST(test_hold_is_clamped),
        TEST(test_emergency),
        TEST(test_acknowledged_while_it_runs),
        TEST(test_unseen_emergency_refuses_the_next_request),
        TEST(test_acknowledged_when_it_is_over),
        TEST(test_no_emergency_on_a_bad_disk),
        TEST(test_bad_policy_keeps_the_last_good_one),
        TEST(test_no_good_policy_closes_the_gate),
        TEST(test_undecidable),
    };

    bad_disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
