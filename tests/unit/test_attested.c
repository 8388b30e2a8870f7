/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints as lockboxctl audit verify sees them: what they say has to be so, and the host's key has signed the
 * newest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/store.h"
#include "policy/checkpoint.h"
#include "tests/unit/keygen.h"
#include "tests/unit/run_ctl.h"
#include "tests/unit/samples.h"

static char directory[64];
static struct lb_store *store;

/* Borrowed until the fourth call from now. */
static const char *path_of(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static char *sign(const char *text, const char *key)
{
    write_text(path_of("text"), text);
    return sign_file(path_of(key), LB_CHECKPOINT_NAMESPACE, path_of("text"));
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static void append(int kind, const char *note)
{
    struct lb_event e = { .kind = kind, .time = sample_time(0), .host = "appliance", .note = (char *)note };

    assert_int_equal(lb_store_append(store, &e, 1), 0);
}

/* What a daemon would write, or somebody who changes one member of it. */
struct sample {
    int kind;
    int64_t events;   /* 0: all there are */
    const char *hash; /* NULL: of the last */
    const char *key;  /* NULL: the host's */
    int64_t more;     /* in count */
};

static void attest(const struct sample *s)
{
    int64_t events = s->events ? s->events : lb_store_last(store, NULL);
    struct lb_checkpoint c = { (char *)"appliance", events, (char *)(s->hash ? s->hash : lb_store_last_hash(store)),
                               SAMPLE_WALL, NULL };
    struct lb_event e = { .kind = s->kind ? s->kind : LB_EVENT_CHECKPOINT, .time = sample_time(0), .host = "appliance",
                          .count = events + s->more, .signer = "ED25519 SHA256:x" };
    LB_FREE char *statement = NULL, *signature = NULL;

    assert_int_equal(lb_checkpoint_make(&c, &statement), 0);
    e.statement = statement;
    e.signature = signature = sign(statement, s->key ? s->key : "checkpoint_key");
    assert_int_equal(lb_store_append(store, &e, 1), 0);
}

static void begin_anew(void)
{
    store = lb_store_close(store);
    unlink(path_of("lockbox.db"));
    assert_int_equal(lb_store_open(directory, false, 0, &store), 0);
}

/* 1 to 3, checkpoint 4, 5 and 6, checkpoint 7, 8. */
static int set_up(void **state)
{
    static const char *const keys[] = { "checkpoint_key", "other" };

    (void)state;
    strcpy(directory, "/tmp/lockbox-attested-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    for (size_t i = 0; i < LB_ELEMENTS(keys); i++)
        free(make_key(path_of(keys[i]), "ed25519"));
    begin_anew();
    for (int i = 0; i < 3; i++)
        append(LB_EVENT_REFUSED, "x");
    attest(&(struct sample){ 0 });
    append(LB_EVENT_REFUSED, "x");
    append(LB_EVENT_REFUSED, "x");
    attest(&(struct sample){ 0 });
    append(LB_EVENT_REFUSED, "x");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store = lb_store_close(store);
    directory_remove(directory);
    return 0;
}

/* --- the command -------------------------------------------------------------------------------------------------- */

#define ARGV(...) (const char *[]){ "lockboxctl", "audit", "verify", directory, __VA_ARGS__, NULL }

static json_t *verify(const char **argv, int status)
{
    LB_FREE char *out = NULL, *err = NULL;
    json_t *said;
    int r = run_ctl(argv, NULL, &out, &err);

    if (r != status)
        fail_msg("%d: %s%s", r, out, err);
    said = json_loads(out, 0, NULL);
    assert_non_null(said);
    return said;
}

static void expect_flaw(const char *flaw, int64_t seq)
{
    LB_JSON json_t *said = verify(ARGV("--json"), LB_EXIT_FAILED);
    const json_t *first = json_object_get(said, "first");

    assert_string_equal(lb_ctl_string(first, "flaw"), flaw);
    assert_int_equal(lb_ctl_int(first, "seq"), seq);
}

static void expect_signature(const char **argv, int status, const char *signature)
{
    LB_JSON json_t *said = verify(argv, status);
    const json_t *checkpoint = json_object_get(said, "checkpoint");

    assert_string_equal(lb_ctl_string(checkpoint, "signature"), signature);
    assert_int_equal(lb_ctl_int(checkpoint, "seq"), 7);
    assert_int_equal(lb_ctl_int(checkpoint, "events"), 6);
    assert_string_equal(lb_ctl_string(checkpoint, "time"), "2026-09-21T14:13:20Z");
    assert_int_equal(json_is_true(json_object_get(said, "whole")), status == LB_EXIT_DONE);
}

/* --- what is found ------------------------------------------------------------------------------------------------ */

static void test_good(void **state)
{
    LB_FREE char *out = NULL, *err = NULL, *public = read_text(path_of("checkpoint_key.pub")), *line = NULL,
        *other = NULL;

    (void)state;
    expect_signature(ARGV("--json"), LB_EXIT_DONE, "good");
    assert_int_equal(run_ctl(ARGV(NULL), NULL, &out, &err), LB_EXIT_DONE);
    assert_non_null(strstr(out, "Last checkpoint: event 6, "));
    assert_non_null(strstr(out, ", signature good.\n"));
    expect_signature(ARGV("--json", "--key", path_of("checkpoint_key.pub")), LB_EXIT_DONE, "good");
    assert_true(asprintf(&line, "appliance namespaces=\"lockbox-checkpoint\" %s", public) > 0);
    write_text(path_of("signers"), line);
    expect_signature(ARGV("--json", "--key", path_of("signers")), LB_EXIT_DONE, "good");
    assert_true(asprintf(&other, "elsewhere namespaces=\"lockbox-checkpoint\" %s", public) > 0);
    write_text(path_of("signers"), other);
    expect_signature(ARGV("--json", "--key", path_of("signers")), LB_EXIT_FAILED, "bad");
    rename(path_of("checkpoint_key.pub"), path_of("away"));
    expect_signature(ARGV("--json"), LB_EXIT_DONE, "not checked");
}

static void test_another_key(void **state)
{
    LB_FREE char *out = NULL, *err = NULL;

    (void)state;
    expect_signature(ARGV("--json", "--key", path_of("other.pub")), LB_EXIT_FAILED, "bad");
    attest(&(struct sample){ .key = "other" });
    assert_int_equal(run_ctl(ARGV(NULL), NULL, &out, &err), LB_EXIT_FAILED);
    assert_non_null(strstr(err, "the checkpoint that is event 9 was not signed by the host's key"));
    assert_non_null(strstr(out, "Last checkpoint: event 8, "));
}

/* The chain is made anew from event 2 on, with every hash, and the checkpoints that there were are put back into it. */
static void test_rewritten(void **state)
{
    char hash[LB_HASH_MAX];

    (void)state;
    snprintf(hash, sizeof(hash), "%s", lb_store_last_hash(store));
    begin_anew();
    append(LB_EVENT_REFUSED, "x");
    append(LB_EVENT_REFUSED, "something else");
    append(LB_EVENT_REFUSED, "x");
    attest(&(struct sample){ .hash = hash });
    append(LB_EVENT_REFUSED, "x");
    expect_flaw("rewritten", 3);
}

static void test_a_countersignature_tells_too(void **state)
{
    (void)state;
    attest(&(struct sample){ .kind = LB_EVENT_COUNTERSIGNED, .key = "other" });
    expect_signature(ARGV("--json"), LB_EXIT_DONE, "good");
    attest(&(struct sample){ .kind = LB_EVENT_COUNTERSIGNED, .events = 2, .key = "other" });
    expect_flaw("rewritten", 2);
}

static void test_forged(void **state)
{
    const struct sample wrong[] = { { .events = 9 }, { .events = 100 }, { .more = 1 }, { .more = -1 } };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        LB_FREE char *out = NULL, *err = NULL;

        tear_down(NULL);
        set_up(NULL);
        attest(&wrong[i]);
        append(LB_EVENT_REFUSED, "x");
        expect_flaw("forged", 9);
        assert_int_equal(run_ctl(ARGV(NULL), NULL, &out, &err), LB_EXIT_FAILED);
        assert_non_null(strstr(err, "event 9 is no checkpoint of this log"));
    }
}

static void test_no_text(void **state)
{
    struct lb_event e = { .kind = LB_EVENT_CHECKPOINT, .time = sample_time(0), .host = "appliance", .count = 8,
                          .statement = "Lockbox checkpoint\n\"\\", .signature = "x" };

    (void)state;
    assert_int_equal(lb_store_append(store, &e, 1), 0);
    expect_flaw("forged", 9);
    e.statement = NULL;
    begin_anew();
    append(LB_EVENT_REFUSED, "x");
    assert_int_equal(lb_store_append(store, &e, 1), 0);
    expect_flaw("forged", 2);
}

/* Who kept one sees that the end is cut off, or that what he kept is not there any more. */
static void test_kept(void **state)
{
    LB_FREE char *signature = NULL, *out = NULL, *err = NULL;
    struct lb_checkpoint c = { (char *)"appliance", 8, (char *)lb_store_last_hash(store), SAMPLE_WALL, NULL };
    char *text = NULL, kept[4096];

    (void)state;
    assert_int_equal(lb_checkpoint_make(&c, &text), 0);
    signature = sign(text, "checkpoint_key");
    write_text(path_of("kept"), text);
    snprintf(kept, sizeof(kept), "%s%s", text, signature);
    write_text(path_of("both"), kept);
    free(text);
    json_decref(verify(ARGV("--json", "--known", path_of("kept")), LB_EXIT_DONE));
    json_decref(verify(ARGV("--json", "--known", path_of("both")), LB_EXIT_DONE));
    begin_anew();
    for (int i = 0; i < 3; i++)
        append(LB_EVENT_REFUSED, "x");
    assert_int_equal(run_ctl(ARGV("--known", path_of("both")), NULL, &out, &err), LB_EXIT_FAILED);
    assert_non_null(strstr(err, "events 4 to 8 are missing: the end is cut off"));
    for (int i = 3; i < 9; i++)
        append(LB_EVENT_REFUSED, "x");
    free(LB_TAKE(out));
    free(LB_TAKE(err));
    assert_int_equal(run_ctl(ARGV("--known", path_of("both")), NULL, &out, &err), LB_EXIT_FAILED);
    assert_non_null(strstr(err, "event 8 is not the one that is known"));
    assert_non_null(strstr(out, "There is no checkpoint in it."));
    free(LB_TAKE(out));
    free(LB_TAKE(err));
    assert_int_equal(run_ctl(ARGV("--known", path_of("checkpoint_key.pub")), NULL, &out, &err), LB_EXIT_FAILED);
    assert_non_null(strstr(err, "is no checkpoint"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good), TEST(test_another_key), TEST(test_rewritten), TEST(test_a_countersignature_tells_too),
        TEST(test_forged), TEST(test_no_text), TEST(test_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
