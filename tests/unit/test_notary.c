/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints as the daemon makes them, with the real ssh-keygen: when, of what, and what is done where it cannot. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <cmocka.h>

#include "lockboxd/countersign.h"
#include "lockboxd/notary.h"
#include "lockboxd/signer.h"
#include "policy/checkpoint.h"
#include "tests/unit/keygen.h"
#include "tests/unit/quiet_journal.h"
#include "tests/unit/samples.h"

#define DAY (24 * HOUR)

/* --- a machine of the test's own ---------------------------------------------------------------------------------- */

static int64_t passed;   /* µs by which both clocks are ahead */
static int64_t wall_set; /* … and by which the wall clock was set */

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int r = (int)syscall(SYS_clock_gettime, id, ts);

    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_BOOTTIME)) {
        int64_t usec =
            ts->tv_sec * LB_USEC_PER_SEC + ts->tv_nsec / 1000 + passed + (id == CLOCK_REALTIME ? wall_set : 0);

        *ts = (struct timespec){ usec / LB_USEC_PER_SEC, usec % LB_USEC_PER_SEC * 1000 };
    }
    return r;
}

static char directory[64], state_directory[96], signers_path[96], key_path[128];
static const char *no_policies[] = { NULL };

struct fixture {
    sd_event *event;
    struct lb_gate *gate;
    struct lb_notary *notary;
};

static void go_up(struct fixture *f)
{
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(lb_gate_new(f->event, &f->gate), 0);
    f->gate->host = strdup("appliance");
    f->gate->state_directory = strdup(state_directory);
    f->gate->runtime_directory = strdup(directory);
    f->gate->policy_directories = no_policies;
    f->gate->approvers_path = f->gate->signers_path = signers_path; /* nobody is there to decide */
    assert_int_equal(lb_gate_start(f->gate), 0);
    assert_int_equal(lb_notary_new(f->gate, &f->notary), 0);
}

/* As if by kill -9. */
static void go_down(struct fixture *f)
{
    f->notary = lb_notary_free(f->notary);
    f->gate = lb_gate_free(f->gate);
    quiet_journal_await();
    f->event = sd_event_unref(f->event);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    passed = wall_set = 0;
    strcpy(directory, "/tmp/lockbox-notary-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(state_directory, sizeof(state_directory), "%s/state", directory);
    snprintf(signers_path, sizeof(signers_path), "%s/allowed_signers", directory);
    snprintf(key_path, sizeof(key_path), "%s/" LB_NOTARY_KEY, state_directory);
    if (mkdir(state_directory, 0700))
        return -1;
    *state = f;
    go_up(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    go_down(f);
    free(f);
    directory_remove(directory);
    return 0;
}

/* Runs the loop until it is so. The kernel knows nothing of time that has passed here: the loop has to look itself. */
#define AWAIT(f, condition)                                    \
    do {                                                       \
        for (int tries = 0; !(condition); tries++) {           \
            assert_true(tries < 3000);                         \
            assert_true(sd_event_run((f)->event, 10000) >= 0); \
        }                                                      \
    } while (0)

/* Runs what is due, and what comes of it at once, without time passing. */
static void settle(struct fixture *f)
{
    while (sd_event_run(f->event, 100000) > 0)
        ;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

struct log {
    struct lb_event last; /* of the kind */
    int kind;
    int64_t n;
};

static int take(void *userdata, int64_t seq, const char *hash, const char *json)
{
    struct log *log = userdata;
    struct lb_event e = { 0 };

    (void)seq, (void)hash;
    assert_int_equal(lb_chain_decode(json, &e, NULL), 0);
    if (e.kind != log->kind) {
        lb_event_clear(&e);
        return 0;
    }
    lb_event_clear(&log->last);
    log->last = e;
    log->n++;
    return 0;
}

/* How many there are, and the last of them, which is to be cleared. */
static struct log read_log(struct fixture *f, int kind)
{
    struct log log = { .kind = kind };

    assert_int_equal(lb_store_events(f->gate->store, 1, NULL, 0, take, &log), 0);
    return log;
}

static int64_t count(struct fixture *f)
{
    struct log log = read_log(f, LB_EVENT_CHECKPOINT);

    lb_event_clear(&log.last);
    return log.n;
}

/* What happens besides. */
static void happen(struct fixture *f, int kind)
{
    struct lb_event e = { .kind = kind };

    e.note = strdup("x");
    assert_int_equal(lb_gate_note(f->gate, &e), 0);
}

/* A receipt that the log has, and nobody told the notary of. */
static void end_unseen(struct fixture *f)
{
    struct lb_event e = sample_event(LB_EVENT_ENDED, 0);

    e.state = LB_STATE_ENDED;
    assert_int_equal(lb_store_append(f->gate->store, &e, 1), 0);
}

/* The newest checkpoint is of a log with that many events, and its signature is good. */
static void on_verified(void *userdata, const char *key, const char *problem)
{
    char **ret = userdata;

    *ret = key ? strdup(key) : NULL;
    if (!key)
        fail_msg("%s", problem);
}

static void assert_good(struct fixture *f, const struct lb_event *e)
{
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = { 0 };
    LB_FREE char *path = NULL, *line = NULL, *error = NULL, *key = NULL;
    struct lb_signer *signer = NULL;

    assert_int_equal(lb_checkpoint_parse(e->statement, &c), 0);
    assert_int_equal(c.events, e->count);
    assert_true(c.events < e->seq);
    assert_true(asprintf(&path, "%s/signers", directory) > 0);
    assert_true(asprintf(&line, "appliance namespaces=\"lockbox-checkpoint\" %s\n", lb_notary_key(f->notary)) > 0);
    write_text(path, line);
    assert_int_equal(lb_signer_new(f->event, &(struct lb_signer_call){ path, LB_CHECKPOINT_NAMESPACE, "appliance",
                                   e->statement, e->signature }, on_verified, &key, &signer, &error), 0);
    AWAIT(f, key);
    assert_string_equal(key, e->signer);
    lb_signer_free(signer);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

struct asked {
    struct lb_notary_wait wait;
    bool answered;
    int64_t seq;
    char *problem, *statement;
};

static void on_answer(struct lb_notary_wait *wait, const struct lb_notary_result *r)
{
    struct asked *a = (struct asked *)wait;

    assert_false(a->answered);
    assert_null(wait->self);
    a->answered = true;
    a->seq = r->seq;
    a->problem = lb_dup(r->problem);
    a->statement = lb_dup(r->statement);
}

static void ask(struct fixture *f, struct asked *a)
{
    *a = (struct asked){ .wait.done = on_answer };
    lb_notary_ask(f->notary, &a->wait);
}

static void asked_clear(struct asked *a)
{
    free(a->problem);
    free(a->statement);
}

#define ASKED LB_CLEANUP(asked_clear) struct asked

static void checkpoint(struct fixture *f)
{
    ASKED a;

    ask(f, &a);
    AWAIT(f, a.answered);
    assert_null(a.problem);
}

/* --- when --------------------------------------------------------------------------------------------------------- */

static void test_the_key(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    LB_FREE char *key = NULL, *public = NULL;

    AWAIT(f, lb_notary_key(f->notary));
    assert_int_equal(stat(key_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    key = strdup(lb_notary_key(f->notary));
    settle(f);
    assert_int_equal(count(f), 0); /* nothing has happened yet */
    assert_true(asprintf(&public, "%s.pub", key_path) > 0);
    for (int i = 0; i < 2; i++) { /* it stays, and its public half is made again */
        go_down(f);
        if (i == 1)
            assert_int_equal(unlink(public), 0);
        go_up(f);
        AWAIT(f, lb_notary_key(f->notary));
        assert_string_equal(lb_notary_key(f->notary), key);
        assert_int_equal(access(public, F_OK), 0);
    }
}

/* A key that was never finished is none. */
static void test_half_a_key(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *half = NULL;

    go_down(f);
    assert_true(asprintf(&half, "%s.new", key_path) > 0);
    fclose(fopen(half, "w"));
    unlink(key_path);
    go_up(f);
    AWAIT(f, lb_notary_key(f->notary));
    assert_int_equal(access(half, F_OK), -1);
    checkpoint(f);
}

static void test_after_an_end(void **state)
{
    struct fixture *f = *state;
    struct log log;

    happen(f, LB_EVENT_REFUSED);
    lb_notary_ended(f->notary, "7F3K-9QXM");
    AWAIT(f, count(f) == 1);
    log = read_log(f, LB_EVENT_CHECKPOINT);
    assert_non_null(strstr(log.last.statement, "\nHost: appliance\n"));
    assert_non_null(strstr(log.last.statement, "\nAccess: 7F3K-9QXM\n"));
    assert_int_equal(log.last.count, log.last.seq - 1);
    assert_null(log.last.request);
    assert_good(f, &log.last);
    lb_event_clear(&log.last);
}

/* Many at once make few: one that begins at once, and one for all the rest. */
static void test_many_ends(void **state)
{
    struct fixture *f = *state;
    struct log log;

    AWAIT(f, lb_notary_key(f->notary));
    lb_notary_ended(f->notary, "7F3K-9QXM");
    for (int i = 0; i < 50; i++) {
        sd_event_run(f->event, 1000);
        happen(f, LB_EVENT_REFUSED);
        lb_notary_ended(f->notary, "7F3K-9QXN");
    }
    passed += 2 * LB_USEC_PER_SEC;
    AWAIT(f, count(f) == 2);
    passed += 2 * LB_USEC_PER_SEC;
    settle(f);
    log = read_log(f, LB_EVENT_CHECKPOINT);
    assert_int_equal(log.n, 2);
    assert_int_equal(log.last.count, log.last.seq - 1);
    assert_non_null(strstr(log.last.statement, "7F3K-9QXN"));
    lb_event_clear(&log.last);
}

/* Who asks while one is being signed gets another, of the log as it was when he asked. */
static void test_on_demand(void **state)
{
    struct fixture *f = *state;
    ASKED first, second, third;
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = { 0 };
    int64_t last;

    AWAIT(f, lb_notary_key(f->notary));
    ask(f, &first);
    happen(f, LB_EVENT_REFUSED);
    last = lb_store_last(f->gate->store, NULL);
    ask(f, &second);
    ask(f, &third);
    AWAIT(f, first.answered);
    assert_false(second.answered);
    AWAIT(f, second.answered);
    assert_true(third.answered);
    assert_int_equal(second.seq, third.seq);
    assert_true(second.seq > first.seq);
    assert_int_equal(lb_checkpoint_parse(second.statement, &c), 0);
    assert_true(c.events >= last);
    assert_int_equal(count(f), 2);
}

static void test_who_hangs_up(void **state)
{
    struct fixture *f = *state;
    ASKED a, b;

    ask(f, &a);
    ask(f, &b);
    lb_notary_forget(&a.wait);
    lb_notary_forget(&a.wait);
    AWAIT(f, b.answered);
    assert_false(a.answered);
    ask(f, &a);
    tear_down(state);
    assert_false(a.answered);
    set_up(state);
}

static void test_once_a_day(void **state)
{
    struct fixture *f = *state;

    AWAIT(f, lb_notary_key(f->notary));
    settle(f);
    passed += DAY - MINUTE;
    settle(f);
    assert_int_equal(count(f), 0);
    passed += 2 * MINUTE;
    AWAIT(f, count(f) == 1);
    passed += DAY - MINUTE;
    settle(f);
    assert_int_equal(count(f), 1);
    passed += 2 * MINUTE;
    AWAIT(f, count(f) == 2);
}

/* A clock that was years ahead and is right again: the days are counted on. */
static void test_a_clock_that_was_ahead(void **state)
{
    struct fixture *f = *state;

    wall_set = 3 * 365 * DAY;
    checkpoint(f);
    wall_set = 0;
    passed += DAY + MINUTE;
    AWAIT(f, count(f) == 2);
    passed += DAY + MINUTE;
    AWAIT(f, count(f) == 3);
}

/* After a start: where a day has passed meanwhile, or the end of an access was not signed any more; not else. */
static void test_after_a_start(void **state)
{
    struct fixture *f = *state;
    int64_t seq, time, again;

    checkpoint(f);
    seq = lb_notary_last(f->notary, &time);
    go_down(f);
    go_up(f);
    settle(f);
    assert_int_equal(count(f), 1);
    assert_int_equal(lb_notary_last(f->notary, &again), seq);
    assert_true(again >= time - LB_USEC_PER_SEC && again <= time);
    end_unseen(f);
    go_down(f);
    go_up(f);
    AWAIT(f, count(f) == 2);
    go_down(f);
    passed += DAY + MINUTE;
    go_up(f);
    AWAIT(f, count(f) == 3);
}

/* --- what goes wrong ---------------------------------------------------------------------------------------------- */

static void write_key(const char *bytes)
{
    unlink(key_path);
    write_text(key_path, bytes);
    chmod(key_path, 0600);
}

/* It is told, nothing else stops, and it is tried again by itself. */
static void test_no_signature(void **state)
{
    struct fixture *f = *state;
    ASKED a, b;
    int64_t time;

    checkpoint(f);
    write_key("this is no key\n");
    ask(f, &a);
    AWAIT(f, a.answered);
    assert_non_null(strstr(a.problem, "ssh-keygen cannot sign"));
    assert_string_equal(lb_notary_problem(f->notary), a.problem);
    assert_null(lb_gate_problem(f->gate));
    happen(f, LB_EVENT_REFUSED);
    lb_notary_ended(f->notary, "7F3K-9QXM");
    passed += MINUTE;
    settle(f);
    assert_int_equal(count(f), 1);
    unlink(key_path); /* a new one is made */
    passed += 2 * MINUTE;
    AWAIT(f, count(f) == 2);
    assert_null(lb_notary_problem(f->notary));
    assert_true(lb_notary_last(f->notary, &time) > 2);
    ask(f, &b);
    AWAIT(f, b.answered);
    assert_null(b.problem);
}

/* A log that lacks what happened is not signed. */
static void test_unsaved(void **state)
{
    struct fixture *f = *state;
    struct lb_event e = sample_event(LB_EVENT_TIME_OVER, 0);
    ASKED a;

    AWAIT(f, lb_notary_key(f->notary));
    assert_int_equal(lb_gate_keep(f->gate, &e), 0);
    ask(f, &a);
    assert_true(a.answered);
    assert_non_null(strstr(a.problem, "not whole"));
    assert_int_equal(count(f), 0);
}

/* --- countersigned ------------------------------------------------------------------------------------------------ */

/* bob's key, and his signature over the text. */
static char *sign(const char *text, const char *namespace)
{
    char key[128], path[128];

    snprintf(key, sizeof(key), "%s/bob", directory);
    snprintf(path, sizeof(path), "%s/text", directory);
    if (access(key, F_OK) < 0) {
        LB_FREE char *public = make_key(key, "ed25519"), *line = NULL;

        assert_true(asprintf(&line, "bob %s", public) > 0);
        write_text(signers_path, line);
        chmod(signers_path, 0644);
    }
    write_text(path, text);
    return sign_file(key, namespace, path);
}

struct taken {
    struct lb_countersign *c;
    bool done;
    int outcome;
    int64_t seq;
    char text[512];
};

static void on_countersigned(void *userdata, int outcome, int64_t seq, const char *text)
{
    struct taken *t = userdata;

    assert_false(t->done);
    *t = (struct taken){ .c = t->c, .done = true, .outcome = outcome, .seq = seq };
    snprintf(t->text, sizeof(t->text), "%s", text);
}

static struct taken hand_in(struct fixture *f, const char *text, const char *signature, const char *name)
{
    struct taken t = { 0 };

    lb_countersign_new(f->gate, text, signature, name, on_countersigned, &t, &t.c);
    AWAIT(f, t.done);
    t.c = lb_countersign_free(t.c);
    return t;
}

static void test_countersigned(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = NULL;
    struct taken t, again;
    struct log log;
    ASKED a;

    ask(f, &a);
    AWAIT(f, a.answered);
    signature = sign(a.statement, LB_CHECKPOINT_NAMESPACE);
    t = hand_in(f, a.statement, signature, "bob");
    assert_int_equal(t.outcome, LB_COUNTERSIGNED_DONE);
    log = read_log(f, LB_EVENT_COUNTERSIGNED);
    assert_int_equal(log.last.seq, t.seq);
    assert_string_equal(log.last.approver, "bob");
    assert_string_equal(log.last.statement, a.statement);
    assert_string_equal(log.last.signature, signature);
    assert_string_equal(log.last.signer, t.text);
    lb_event_clear(&log.last);
    again = hand_in(f, a.statement, signature, "bob");
    assert_int_equal(again.outcome, LB_COUNTERSIGNED_DONE);
    assert_int_equal(again.seq, t.seq);
    log = read_log(f, LB_EVENT_COUNTERSIGNED);
    lb_event_clear(&log.last);
    assert_int_equal(log.n, 1);
}

static void test_not_countersigned(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *good = NULL, *consent = NULL, *signature = NULL, *cut = NULL, *moved = NULL, *anew = NULL;
    struct log log;
    char *c;
    ASKED a;

    ask(f, &a);
    AWAIT(f, a.answered);
    good = sign(a.statement, LB_CHECKPOINT_NAMESPACE);
    consent = sign(a.statement, LB_SIGNER_NAMESPACE);
    assert_int_equal(hand_in(f, a.statement, consent, "bob").outcome, LB_COUNTERSIGNED_NOT_HIS);
    assert_int_equal(hand_in(f, a.statement, good, "carol").outcome, LB_COUNTERSIGNED_NOT_HIS);
    assert_int_equal(hand_in(f, a.statement, "", "bob").outcome, LB_COUNTERSIGNED_NOT_HIS);
    assert_int_equal(hand_in(f, "Lockbox checkpoint\n", good, "bob").outcome, LB_COUNTERSIGNED_INVALID);
    /* of another log, whatever the signature */
    cut = strdup(a.statement);
    memcpy(strstr(cut, "Events: ") + strlen("Events: "), "9", 1);
    signature = sign(cut, LB_CHECKPOINT_NAMESPACE);
    assert_non_null(strstr(hand_in(f, cut, signature, "bob").text, "end is cut off"));
    anew = strdup(a.statement);
    c = strstr(anew, "Hash: ") + strlen("Hash: ");
    *c = *c == '0' ? '1' : '0';
    assert_non_null(strstr(hand_in(f, anew, signature, "bob").text, "written anew"));
    moved = strdup(a.statement);
    memcpy(strstr(moved, "appliance"), "elsewhere", strlen("elsewhere"));
    assert_int_equal(hand_in(f, moved, signature, "bob").outcome, LB_COUNTERSIGNED_INVALID);
    log = read_log(f, LB_EVENT_COUNTERSIGNED);
    assert_int_equal(log.n, 0);
}

/* Where one key is trusted for any name, the name that goes into the log is one. */
static void test_nobodys_name(void **state)
{
    static const char *const names[] = {
        "", "bob\nand carol", "bob with RSA key SHA256:x", "\xE2\x80\xAE" "bob", "bo\033b",
    };
    struct fixture *f = *state;
    LB_FREE char *good = NULL;
    char public[128];
    ASKED a;
    FILE *from, *to;

    ask(f, &a);
    AWAIT(f, a.answered);
    good = sign(a.statement, LB_CHECKPOINT_NAMESPACE);
    snprintf(public, sizeof(public), "%s/bob.pub", directory);
    from = fopen(public, "r");
    to = fopen(signers_path, "w");
    fputs("* ", to);
    for (int c; (c = fgetc(from)) != EOF;)
        fputc(c, to);
    fclose(from);
    fclose(to);
    for (size_t i = 0; i < LB_ELEMENTS(names); i++)
        assert_int_equal(hand_in(f, a.statement, good, names[i]).outcome, LB_COUNTERSIGNED_NOT_HIS);
    assert_int_equal(hand_in(f, a.statement, good, "ann@customer.example").outcome, LB_COUNTERSIGNED_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_key), TEST(test_half_a_key), TEST(test_after_an_end), TEST(test_many_ends), TEST(test_on_demand),
        TEST(test_who_hangs_up), TEST(test_once_a_day), TEST(test_a_clock_that_was_ahead),
        TEST(test_after_a_start), TEST(test_no_signature),
        TEST(test_unsaved), TEST(test_countersigned), TEST(test_not_countersigned), TEST(test_nobodys_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
