/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the prompt shows to be signed, and takes: with a gate, a log, two people who have keys, and the real
 * ssh-keygen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/clock.h"
#include "lockboxd/paste.h"
#include "lockboxd/proc.h"
#include "tests/unit/keygen.h"
#include "tests/unit/quiet_journal.h"
#include "tests/unit/samples.h"

static char directory[64], state_directory[96], policy_directory[96], approvers_path[96], signers_path[96];
static const char *policies[] = { policy_directory, NULL };

struct fixture {
    sd_event *event;
    struct lb_gate *gate;
    struct lb_live *live;
    struct lb_paste *paste;
    bool done;
    struct lb_outcome outcome;
    char *approver;
};

static char *inside(const char *name)
{
    char *path;

    assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
    return path;
}

static void write_inside(const char *name, const char *text)
{
    LB_FREE char *path = inside(name);

    write_text(path, text);
    assert_int_equal(chmod(path, 0644), 0);
}

static char *new_key(const char *name)
{
    LB_FREE char *path = inside(name);

    return make_key(path, "ed25519");
}

static struct lb_live *ask(struct fixture *f, int kind, const char *id)
{
    static char *customers[] = { "bob", "carol", NULL }, *vendors[] = { "dm", NULL };
    struct lb_event e = sample_event(kind, 0), copy;
    struct lb_live *live = NULL;

    e.time = lb_clock_now();
    e.request = (char *)id;
    e.nonce = (char *)"00112233445566778899aabbccddeeff";
    e.terms.customer = e.entitled = customers;
    e.terms.starts = LB_STARTS_LOGIN; /* a yes begins nothing here */
    if (kind == LB_EVENT_REVIEW)
        e.terms.internal = e.reviewers = vendors;
    assert_int_equal(lb_event_copy(&copy, &e), 0);
    assert_int_equal(lb_gate_new_request(f->gate, &copy, &live), 0);
    return live;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    LB_FREE char *bob = NULL, *carol = NULL, *lines = NULL;

    strcpy(directory, "/tmp/lockbox-paste-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(state_directory, sizeof(state_directory), "%s/state", directory);
    snprintf(policy_directory, sizeof(policy_directory), "%s/policy.d", directory);
    snprintf(approvers_path, sizeof(approvers_path), "%s/approvers.conf", directory);
    snprintf(signers_path, sizeof(signers_path), "%s/allowed_signers", directory);
    assert_int_equal(mkdir(state_directory, 0700) | mkdir(policy_directory, 0700), 0);
    write_inside("policy.d/10.policy",
                 "[Rule]\nAction=require-approval\n[Approval]\nCustomer=bob carol\nInternal=dm\n");
    write_inside("approvers.conf", "[bob]\nGroups=board\n[carol]\nGroups=board\n[dm]\nGroups=duty\n");
    bob = new_key("bob");
    carol = new_key("carol");
    assert_true(asprintf(&lines, "bob %sc* %s", bob, carol) > 0);
    write_inside("allowed_signers", lines);
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(lb_gate_new(f->event, &f->gate), 0);
    f->gate->host = strdup("appliance");
    f->gate->state_directory = strdup(state_directory);
    f->gate->runtime_directory = strdup(directory);
    f->gate->policy_directories = policies;
    f->gate->approvers_path = approvers_path;
    f->gate->signers_path = signers_path;
    assert_int_equal(lb_gate_start(f->gate), 0);
    assert_null(lb_gate_problem(f->gate));
    f->live = ask(f, LB_EVENT_REQUESTED, "7F3K-9QXM");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    lb_paste_free(f->paste);
    lb_outcome_clear(&f->outcome);
    free(f->approver);
    lb_gate_free(f->gate);
    sd_event_unref(f->event);
    directory_remove(directory);
    free(f);
    return 0;
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

/* Owned. */
static char *show(struct fixture *f, const char *line, int64_t columns)
{
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = { 0 };
    struct lb_answer a = { .verdict = LB_ANSWER_WAITING };

    assert_int_equal(lb_pasted_parse(line, false, &p), 0);
    lb_paste_show(f->live, &p, columns, &a);
    assert_int_equal(a.verdict, LB_ANSWER_WAITING);
    return a.message;
}

static void assert_shows(struct fixture *f, const char *line, const char *part)
{
    LB_FREE char *shown = show(f, line, 0);

    if (!strstr(shown, part))
        fail_msg("\"%s\" is not in \"%s\"", part, shown);
}

static void test_who(void **state)
{
    struct fixture *f = *state;

    assert_true(lb_paste_is_offered(f->live));
    assert_shows(f, "!sign", "Who signs? One of: bob, carol. Such as: !sign bob");
    assert_shows(f, "!qr 2h", "Such as: !qr bob");
    assert_shows(f, "!sign dm", "Nothing to sign: dm cannot approve it now; bob, carol can.");
    assert_shows(f, "!sign bob", "\nApprover: bob\n");
    write_inside("allowed_signers", "carol ssh-ed25519 AAAA\n"); /* of several the one with a key */
    assert_shows(f, "!sign", "\nApprover: carol\n");
    unlink(signers_path);
    assert_false(lb_paste_is_offered(f->live));
    f->live->request->terms.evidence = LB_EVIDENCE_SIGNED;
    assert_true(lb_paste_is_offered(f->live));
    f->live = ask(f, LB_EVENT_REVIEW, "8F3K-9QXM");
    assert_shows(f, "!sign", "\nApprover: dm\nStage: internal\n");
    assert_shows(f, "!sign bob", "bob cannot approve it now; dm can");
}

/* The words before the signature bring back the duration that was shown, to the second. */
static void test_words(void **state)
{
    static const char *const cases[][3] = {
        { "!sign bob", "Duration: 4h (14400 s)", "later login: bob SIGNATURE" },
        { "!sign bob 2h", "Duration: 2h (7200 s)", "later login: bob 2h SIGNATURE" },
        { "!sign bob 1h 1min", "Duration: 1h 1min (3660 s)", "later login: bob 1h 1min SIGNATURE" },
        { "!sign bob 3661", "Duration: 1h 1min (3661 s)", "later login: bob 3661s SIGNATURE" },
        { "!sign bob 4h", "Duration: 4h (14400 s)", "later login: bob SIGNATURE" },
        { "!sign bob 10d", "Duration: 4h (14400 s)", "later login: bob SIGNATURE" },
    };

    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        assert_shows(*state, cases[i][0], cases[i][1]);
        assert_shows(*state, cases[i][0], cases[i][2]);
    }
}

static void test_code(void **state)
{
    LB_FREE char *wide = show(*state, "!sign bob", 300), *narrow = show(*state, "!sign bob", 40);
    LB_FREE char *asked = show(*state, "!qr bob 2h", 0);

    assert_true(strstr(wide, "█") && strstr(wide, "Lockbox consent") && !strstr(wide, "!qr"));
    assert_true(!strstr(narrow, "█") && strstr(narrow, "As a QR code: !qr bob"));
    assert_true(strstr(asked, "█") && strstr(asked, "one line: bob 2h SIGNATURE") && !strstr(asked, "Nonce"));
}

/* --- what is taken ------------------------------------------------------------------------------------------------ */

/* The text among what is shown for this line, signed; in one line, owned. */
static char *sign(struct fixture *f, const char *line, const char *key)
{
    LB_FREE char *shown = show(f, line, 0), *path = inside("text"), *private = inside(key), *armoured = NULL;
    char *begin = strstr(shown, "Lockbox consent"), *one = calloc(1, 1024);

    assert_non_null(begin);
    strstr(begin, "\n\n")[1] = '\0';
    write_text(path, begin);
    armoured = sign_file(private, "lockbox-consent", path);
    for (char *at = strchr(armoured, '\n') + 1; *at != '-'; at = strchr(at, '\n') + 1)
        strncat(one, at, strcspn(at, "\n"));
    return one;
}

static void on_done(void *userdata, const char *request, const char *approver, struct lb_outcome *o)
{
    struct fixture *f = userdata;

    assert_false(f->done);
    assert_string_equal(request, f->live->request->id);
    f->done = true;
    f->approver = lb_dup(approver);
    f->outcome = *o;
    *o = (struct lb_outcome){ 0 };
    f->paste = lb_paste_free(f->paste);
}

static void begin(struct fixture *f, const char *before, const char *signature)
{
    static const struct lb_peer peer = { .session = LB_AUDIT_UNSET, .loginuid = LB_AUDIT_UNSET };
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = { 0 };
    LB_FREE char *line = NULL;

    lb_outcome_clear(&f->outcome);
    free(LB_TAKE(f->approver));
    f->done = false;
    assert_true(asprintf(&line, "%s%s", before, signature) > 0);
    assert_int_equal(lb_pasted_parse(line, false, &p), 0);
    assert_int_equal(p.kind, LB_PASTED_SIGNATURE);
    lb_paste_take(f->live, &peer, &p, on_done, f, &f->outcome, &f->paste);
    assert_true(!f->paste == (f->outcome.refusal != 0));
}

/* "" if it is taken, else why not. Borrowed. */
static const char *take(struct fixture *f, const char *before, const char *signature)
{
    begin(f, before, signature);
    while (f->paste)
        assert_true(sd_event_run(f->event, 20 * LB_USEC_PER_SEC) > 0);
    return f->outcome.refusal ? f->outcome.reason : "";
}

static void assert_refused(struct fixture *f, const char *before, const char *signature, const char *why)
{
    const char *reason = take(f, before, signature);

    if (!strstr(reason, why))
        fail_msg("\"%s\" is not in \"%s\"", why, reason);
    assert_int_equal(f->live->request->state, LB_STATE_PENDING);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *bob = sign(f, "!sign bob", "bob"), *shorter = sign(f, "!sign bob 2h", "bob"),
        *stranger = new_key("x");

    free(LB_TAKE(stranger));
    stranger = sign(f, "!sign bob", "x");
    assert_refused(f, "", stranger, "nobody has this key in ");
    assert_refused(f, "bob ", stranger, "no signature of bob");
    assert_refused(f, "carol ", bob, "no signature of carol");
    assert_refused(f, "dm ", bob, "dm cannot approve it now; bob, carol can");
    assert_refused(f, "2h ", bob, "incorrect signature");
    assert_refused(f, "", shorter, "incorrect signature");
    assert_refused(f, "bob 1h ", shorter, "incorrect signature");
    f->live = ask(f, LB_EVENT_REQUESTED, "8F3K-9QXM"); /* another request */
    assert_refused(f, "bob ", bob, "incorrect signature");
    write_inside("allowed_signers", "");
    assert_refused(f, "bob ", bob, "no signature of bob");
    assert_refused(f, "", bob, "nobody has this key");
    unlink(signers_path);
    assert_refused(f, "bob ", bob, "names no keys yet");
    assert_refused(f, "", bob, "names no keys yet");
}

static void test_taken(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *carol = sign(f, "!sign carol 1h", "carol");

    assert_string_equal(take(f, "1h ", carol), ""); /* by a pattern of the file */
    assert_string_equal(f->approver, "carol");
    assert_int_equal(f->live->request->state, LB_STATE_APPROVED);
    assert_int_equal(f->live->request->duration, HOUR);
    assert_string_equal(((struct lb_approval *)f->live->request->approvals.items)->evidence, LB_EVIDENCE_SIGNATURE);
    assert_non_null(strstr(take(f, "carol 1h ", carol), "the request is approved")); /* once */
    assert_shows(f, "!sign bob", "Nothing to sign: the request is approved.");
    assert_false(lb_paste_is_offered(f->live));
}

/* Who hangs up decides nothing, at either step; no process is left, and nobody is called. */
static void test_given_up(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *bob = sign(f, "!sign bob", "bob");

    for (int steps = 0; steps < 2; steps++)
        for (int named = 0; named < 2; named++) {
            begin(f, named ? "bob " : "", bob);
            if (steps && !named) /* found, and being verified */
                while (f->paste && f->live->request->state == LB_STATE_PENDING && !sd_event_run(f->event, 100000))
                    ;
            f->paste = lb_paste_free(f->paste);
            sd_event_run(f->event, 0);
            assert_false(f->done);
            assert_int_equal(f->live->request->state, LB_STATE_PENDING);
            assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
