/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures by the real ssh-keygen: whose is good, and everything else that is not; and how many a minute. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lockboxd/pace.h"
#include "lockboxd/signer.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "tests/unit/directory.h"

#define TEXT "Lockbox consent, version 1\nDecision: approve\n"

struct fixture {
    char directory[64], signers[128], revoked[128], text[128];
    char *public[2]; /* of the keys 0 and 1 */
    sd_event *event;
    char *key, *problem;
    bool done;
};

extern char **environ;

static void run(const char *first, ...)
{
    char *argv[16] = { (char *)first };
    size_t n = 1;
    int status;
    pid_t pid;
    va_list args;

    va_start(args, first);
    while (n < LB_ELEMENTS(argv) && (argv[n] = va_arg(args, char *)))
        n++;
    va_end(args);
    assert_int_equal(posix_spawnp(&pid, first, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static char *path_of(const struct fixture *f, const char *name)
{
    char *path;

    assert_true(asprintf(&path, "%s/%s", f->directory, name) > 0);
    return path;
}

static char *read_text(const char *path)
{
    char *text = calloc(1, 8192);
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->directory, "/tmp/lockbox-signer-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->signers, sizeof(f->signers), "%s/allowed_signers", f->directory);
    snprintf(f->revoked, sizeof(f->revoked), "%s/revoked_signers", f->directory);
    snprintf(f->text, sizeof(f->text), "%s/text", f->directory);
    write_text(f->text, TEXT);
    for (int i = 0; i < 2; i++) {
        LB_FREE char *path = path_of(f, i ? "one" : "zero"), *public = path_of(f, i ? "one.pub" : "zero.pub");

        run("ssh-keygen", "-q", "-t", i ? "ecdsa" : "ed25519", "-N", "", "-C", "", "-f", path, NULL);
        f->public[i] = read_text(public);
    }
    assert_true(sd_event_new(&f->event) >= 0);
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
    LB_FREE char *path = path_of(f, key), *signature = path_of(f, "text.sig");

    unlink(signature);
    run("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", path, f->text, NULL);
    return read_text(signature);
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
    const struct lb_signer_call call = { f->signers, LB_SIGNER_NAMESPACE, "bob", text, signature };
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
    run("ssh-keygen", "-q", "-k", "-f", f->revoked, public, NULL);
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
        cmocka_unit_test_setup_teardown(test_another_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_principal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_validity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
        cmocka_unit_test(test_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
