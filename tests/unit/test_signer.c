/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures by the real ssh-keygen: whose is good, and everything else that is not; and how many a minute. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lockboxd/pace.h"
#include "lockboxd/signer.h"
#include "lockboxd/signers.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "tests/unit/keygen.h"

#define TEXT "Lockbox consent, version 1\nDecision: approve\n"

struct fixture {
    char directory[64], signers[128], revoked[128], text[128];
    char *public[2]; /* of the keys 0 and 1 */
    const char *principal; /* NULL: whose key it is */
    int64_t patience;
    sd_event *event;
    char *key, *problem;
    bool done;
};

static char *path_of(const struct fixture *f, const char *name)
{
    char *path;

    assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
    return path;
}

/* The security key in software, where it was built: beside this program's directory. */
static void plug_in(void)
{
    char self[PATH_MAX] = "";
    LB_FREE char *provider = NULL;

    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    for (int i = 0; i < 2; i++)
        *strrchr(self, '/') = '\0';
    assert_true(asprintf(&provider, "%s/sk_provider.so", self) > 0);
    setenv("SSH_SK_PROVIDER", provider, 1);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    plug_in();

    strcpy(f->directory, "/tmp/lockbox-signer-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->signers, sizeof(f->signers), "%s/allowed_signers", f->directory);
    snprintf(f->revoked, sizeof(f->revoked), "%s/revoked_signers", f->directory);
    snprintf(f->text, sizeof(f->text), "%s/text", f->directory);
    write_text(f->text, TEXT);
    for (int i = 0; i < 2; i++) {
        LB_FREE char *path = path_of(f, i ? "one" : "zero");

        f->public[i] = make_key(path, i ? "ecdsa" : "ed25519");
    }
    assert_true(sd_event_new(&f->event) >= 0);
    f->principal = "bob";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sd_event_unref(f->event);
    directory_remove(f->directory);
    free(f->public[0]);
    free(f->public[1]);
    free(f->key);
    free(f->problem);
    free(f);
    return 0;
}

static char *sign(const struct fixture *f, const char *key, const char *namespace)
{
    LB_FREE char *path = path_of(f, key);

    return sign_file(path, namespace, f->text);
}

static void trust(const struct fixture *f, const char *principal, int key)
{
    LB_FREE char *line = NULL;

    assert_true(asprintf(&line, "%s %s", principal, f->public[key]) > 0);
    write_text(f->signers, line);
    assert_int_equal(chmod(f->signers, 0644), 0);
}

static void on_done(void *userdata, const char *key, const char *problem)
{
    struct fixture *f = userdata;

    assert_false(f->done);
    f->done = true;
    f->key = lb_dup(key);
    f->problem = lb_dup(problem);
}

/* "" if it is bob's signature, else the problem. Borrowed. */
static const char *verify(struct fixture *f, const char *text, const char *signature)
{
    const struct lb_signer_call call = { f->signers, LB_SIGNER_NAMESPACE, f->principal, text, signature, f->patience };
    struct lb_signer *s = NULL;
    LB_FREE char *error = NULL;

    free(LB_TAKE(f->key));
    free(LB_TAKE(f->problem));
    f->done = false;
    assert_int_equal(lb_signer_new(f->event, &call, on_done, f, &s, &error), 0);
    while (!f->done)
        assert_true(sd_event_run(f->event, 20 * LB_USEC_PER_SEC) > 0);
    lb_signer_free(s);
    assert_true(!f->key == (f->problem != NULL));
    return f->problem ? f->problem : "";
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void test_good(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *zero = sign(f, "zero", "lockbox-consent"), *one = sign(f, "one", "lockbox-consent");

    trust(f, "bob namespaces=\"lockbox-consent\"", 0);
    assert_string_equal(verify(f, TEXT, zero), "");
    assert_int_equal(strncmp(f->key, "ED25519 SHA256:", 15), 0);
    assert_int_equal(strlen(f->key), 15 + 43);
    assert_has(verify(f, TEXT, one), "no key of that name");
    trust(f, "bob,carol", 1);
    assert_string_equal(verify(f, TEXT, one), "");
    assert_int_equal(strncmp(f->key, "ECDSA SHA256:", 13), 0);
}

static void trust_line(const struct fixture *f, const char *options, const char *public)
{
    LB_FREE char *line = NULL;

    assert_true(asprintf(&line, "%s %s", options, public) > 0);
    write_text(f->signers, line);
    assert_int_equal(chmod(f->signers, 0644), 0);
}

/* The kinds of keys that a customer may have, those of a security key (in software) among them; and how long each is in
 * one line, as a prompt would have to take it. */
static void test_kinds(void **state)
{
    static const struct { const char *kind, *signer; size_t least, most; } kinds[] = {
        { "ed25519", "ED25519 SHA256:", 248, 248 }, { "ecdsa", "ECDSA SHA256:", 336, 344 },
        { "ed25519-sk", "ED25519-SK SHA256:", 304, 304 }, { "ecdsa-sk", "ECDSA-SK SHA256:", 392, 400 },
        { "rsa", "RSA SHA256:", 1152, 1152 },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < LB_ELEMENTS(kinds); i++) {
        LB_FREE char *path = path_of(f, kinds[i].kind), *public = make_key(path, kinds[i].kind), *signature = NULL;
        size_t length = 0;

        signature = sign(f, kinds[i].kind, "lockbox-consent");
        trust_line(f, "bob", public);
        assert_string_equal(verify(f, TEXT, signature), "");
        assert_int_equal(strncmp(f->key, kinds[i].signer, strlen(kinds[i].signer)), 0);
        assert_has(verify(f, TEXT "x", signature), "incorrect signature");
        for (const char *line = strchr(signature, '\n') + 1; *line != '-'; line = strchr(line, '\n') + 1)
            length += strcspn(line, "\n");
        assert_in_range(length, kinds[i].least, kinds[i].most);
    }
}

/* A certificate's principal counts where the file trusts its authority for that name, and not else. */
static void test_certificate(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *authority = path_of(f, "one"), *public = path_of(f, "zero.pub"), *path = path_of(f, "zero-cert.pub");
    LB_FREE char *signature = NULL;

    spawn("ssh-keygen", "-q", "-s", authority, "-I", "id", "-n", "bob", "-V", "-1h:+1h", public, NULL);
    signature = sign_file(path, "lockbox-consent", f->text);
    trust_line(f, "bob,carol cert-authority", f->public[1]);
    assert_string_equal(verify(f, TEXT, signature), "");
    assert_int_equal(strncmp(f->key, "ED25519-CERT SHA256:", 20), 0);
    f->principal = "carol";
    assert_true(*verify(f, TEXT, signature));
    f->principal = "bob";
    trust_line(f, "bob", f->public[1]);
    assert_true(*verify(f, TEXT, signature));
    trust_line(f, "bob cert-authority", f->public[0]);
    assert_true(*verify(f, TEXT, signature));
}

/* Whose key it is, as the file says it, whatever the text. */
static void test_whose(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent"), *another = sign(f, "one", "lockbox-consent");

    f->principal = NULL;
    trust(f, "bob,c*", 0);
    assert_string_equal(verify(f, NULL, signature), "");
    assert_true(lb_signers_mean(f->key, "bob") && lb_signers_mean(f->key, "carol"));
    assert_false(lb_signers_mean(f->key, "dora"));
    assert_has(verify(f, NULL, another), "rincipal");
    assert_true(*verify(f, NULL, "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"));
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *names = NULL;

    assert_null(lb_signers_read(f->signers));
    assert_null(lb_signers_read(NULL));
    write_text(f->signers, "# bob ssh-ed25519 AAAA\n\n  bob,!bobby namespaces=\"x\" ssh-ed25519 AAAA\n"
                           "\"carol,d*\" ssh-ed25519 AAAA\n");
    chmod(f->signers, 0644);
    names = lb_signers_read(f->signers);
    assert_string_equal(names, "bob,!bobby\ncarol,d*\n");
    assert_true(lb_signers_mean(names, "bob") && lb_signers_mean(names, "carol") && lb_signers_mean(names, "dora"));
    assert_false(lb_signers_mean(names, "bobby") || lb_signers_mean(names, "carolus") || lb_signers_mean(names, ""));
    assert_false(lb_signers_mean("b*,!bob\n", "bob") || lb_signers_mean("", "bob") || lb_signers_mean(",\n", "bob"));
    chmod(f->signers, 0666); /* what anybody can write names nobody */
    assert_null(lb_signers_read(f->signers));
}

static pid_t find_child(void)
{
    LB_FREE char *path = NULL;
    FILE *file;
    int pid = 0;

    assert_true(asprintf(&path, "/proc/self/task/%d/children", (int)getpid()) > 0);
    file = fopen(path, "r");
    assert_true(file && fscanf(file, "%d", &pid) == 1);
    fclose(file);
    return pid;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    ++*(int *)userdata;
    return 0;
}

/* A ssh-keygen that does not go on is ended when its time is over; the loop has not waited for it. */
static void test_hanging(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent"), *error = NULL;
    const struct lb_signer_call call = { f->signers, LB_SIGNER_NAMESPACE, "bob", TEXT, signature, LB_USEC_PER_SEC / 5 };
    struct lb_signer *s = NULL;
    sd_event_source *tick = NULL;
    int ticks = 0;
    pid_t child;

    trust(f, "bob", 0);
    assert_int_equal(lb_signer_new(f->event, &call, on_done, f, &s, &error), 0);
    child = find_child();
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_true(sd_event_add_time_relative(f->event, &tick, CLOCK_MONOTONIC, 1000, 1, on_tick, &ticks) >= 0);
    while (!f->done)
        assert_true(sd_event_run(f->event, 20 * LB_USEC_PER_SEC) > 0);
    assert_int_equal(ticks, 1);
    assert_null(f->key);
    assert_has(f->problem, "did not answer in time");
    assert_int_equal(kill(child, 0), -1);
    assert_int_equal(errno, ESRCH);
    lb_signer_free(s);
    sd_event_source_unref(tick);
}

static void test_another_text(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent");

    trust(f, "bob", 0);
    assert_has(verify(f, TEXT "\n", signature), "incorrect signature");
    assert_has(verify(f, "", signature), "incorrect signature");
}

static void test_another_namespace(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "file");

    trust(f, "bob", 0);
    assert_has(verify(f, TEXT, signature), "namespace does not match");
    signature[0] = '\0';
    assert_has(verify(f, TEXT, signature), "parse signature");
    assert_has(verify(f, TEXT, "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"), "ignature");
}

/* Who may choose his name chooses no key with it. */
static void test_a_name_that_goes_on(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent"), *own = NULL;

    trust(f, "*@customer.example", 0);
    f->principal = "ann@customer.example";
    assert_string_equal(verify(f, TEXT, signature), "");
    own = strdup(f->key);
    f->principal = "ann with RSA key SHA256:of-somebody-else @customer.example";
    assert_string_equal(verify(f, TEXT, signature), "");
    assert_string_equal(f->key, own);
}

static void test_principal(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent");

    trust(f, "carol", 0);
    assert_true(*verify(f, TEXT, signature));
    trust(f, "bobby", 0);
    assert_true(*verify(f, TEXT, signature));
    write_text(f->signers, "");
    assert_true(*verify(f, TEXT, signature));
    trust(f, "bob namespaces=\"git\"", 0);
    assert_true(*verify(f, TEXT, signature));
}

static void test_validity(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent");

    trust(f, "bob valid-before=\"20200101\"", 0);
    assert_has(verify(f, TEXT, signature), "key has expired");
    assert_null(strstr(f->problem, "/proc/"));
    trust(f, "bob valid-after=\"20990101\"", 0);
    assert_has(verify(f, TEXT, signature), "not yet valid");
    trust(f, "bob valid-after=\"20200101\",valid-before=\"20990101\"", 0);
    assert_string_equal(verify(f, TEXT, signature), "");
}

static void test_revoked(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent"), *public = path_of(f, "zero.pub");

    trust(f, "bob", 0);
    spawn("ssh-keygen", "-q", "-k", "-f", f->revoked, public, NULL);
    assert_has(verify(f, TEXT, signature), "revoked");
    write_text(f->revoked, f->public[0]);
    assert_has(verify(f, TEXT, signature), "revoked");
    write_text(f->revoked, f->public[1]);
    assert_string_equal(verify(f, TEXT, signature), "");
}

/* Files that others could have written say nothing, and neither do those that are not there. */
static void test_files(void **state)
{
    struct fixture *f = *state;
    const struct lb_signer_call call = { f->signers, LB_SIGNER_NAMESPACE, "bob", TEXT, "" };
    const struct { const char *path; mode_t mode; int wanted; } cases[] = {
        { f->signers, 0666, -EACCES }, { f->signers, 0664, -EACCES }, { f->revoked, 0646, -EACCES },
    };
    struct lb_signer *s = NULL;
    LB_FREE char *missing = NULL, *folder = NULL;

    assert_int_equal(lb_signer_new(f->event, &call, on_done, f, &s, &missing), -ENOENT);
    assert_has(missing, "names no keys yet");
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        LB_FREE char *error = NULL;

        trust(f, "bob", 0);
        write_text(f->revoked, "");
        chmod(cases[i].path, cases[i].mode);
        assert_int_equal(lb_signer_new(f->event, &call, on_done, f, &s, &error), cases[i].wanted);
        assert_has(error, cases[i].path);
        assert_has(error, "root alone can write");
        chmod(f->revoked, 0644);
    }
    unlink(f->signers);
    assert_int_equal(mkdir(f->signers, 0755), 0);
    assert_int_equal(lb_signer_new(f->event, &call, on_done, f, &s, &folder), -EACCES);
    assert_null(s);
}

/* Who hangs up is not answered, and no process is left. */
static void test_given_up(void **state)
{
    struct fixture *f = *state;
    LB_FREE char *signature = sign(f, "zero", "lockbox-consent"), *error = NULL;
    const struct lb_signer_call call = { f->signers, LB_SIGNER_NAMESPACE, "bob", TEXT, signature };
    struct lb_signer *s = NULL;

    trust(f, "bob", 0);
    assert_int_equal(lb_signer_new(f->event, &call, on_done, f, &s, &error), 0);
    assert_null(lb_signer_free(s));
    assert_int_equal(sd_event_run(f->event, 0), 0);
    assert_false(f->done);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_null(lb_signer_free(NULL));
}

static void test_pace(void **state)
{
    struct lb_pace p = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(lb_pace_take(&p, 1000, i, 3));
    assert_false(lb_pace_take(&p, 1000, 59 * LB_USEC_PER_SEC, 3));
    assert_true(lb_pace_take(&p, 1001, 59 * LB_USEC_PER_SEC, 3));
    assert_true(lb_pace_take(&p, 1000, 60 * LB_USEC_PER_SEC, 3)); /* his minute is over */
    assert_int_equal(p.minutes.n, 2);
    assert_true(lb_pace_take(&p, 1002, 500 * LB_USEC_PER_SEC, 3)); /* and those of the others */
    assert_int_equal(p.minutes.n, 1);
    lb_pace_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hanging, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_that_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_principal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_validity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
        cmocka_unit_test(test_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
