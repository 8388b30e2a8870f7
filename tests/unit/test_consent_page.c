/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The example of lockbox-consent(7) is a real one: the text is what is made, the signature is good by the line
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lockboxd/pasted.h"
#include "lockboxd/signer.h"
#include "policy/statement.h"
#include "tests/unit/directory.h"
#include "tests/unit/samples.h"

#define PAGE "packaging/man/lockbox-consent.7"

static char *read_page(void)
{
    FILE *f = fopen(PAGE, "r");
    char *text = calloc(1, 64 * 1024);

    assert_non_null(f);
    assert_true(fread(text, 1, 64 * 1024 - 1, f) > 0);
    fclose(f);
    return text;
}

/* From the line that begins so to the end of its display; owned. */
static char *cut(const char *page, const char *begin)
{
    LB_FREE char *wanted = NULL;
    const char *at;

    assert_true(asprintf(&wanted, "\n%s", begin) > 0);
    at = strstr(page, wanted);
    assert_non_null(at);
    assert_non_null(strstr(at, "\n.Ed\n"));
    return strndup(at + 1, (size_t)(strstr(at, "\n.Ed\n") - at));
}

static void test_text(void **state)
{
    LB_FREE char *page = read_page(), *text = cut(page, "Lockbox consent, version"), *made = NULL;
    LB_CLEANUP(lb_statement_clear) struct lb_statement s = { 0 };
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);
    struct lb_request *r = NULL;

    (void)state;
    e.account = (char *)"support";
    e.engineer = (char *)"jane@vendor.example";
    e.key = (char *)"certificate CA SHA256:FUPept5yyp95t/HEmHe0lxQ0hyuAVcb7Ry8XacrqGnM";
    e.ticket = (char *)"CASE-4711";
    e.reason = (char *)"database does not start";
    e.nonce = (char *)"c7569c4b56326ace9bb1cf3282fc9269";
    assert_int_equal(lb_lifecycle_apply(&r, &e), 0);
    assert_int_equal(lb_statement_parse(text, &s), 0);
    assert_int_equal(
        lb_statement_make(&s, r, "customer", "f5833f6ced3ca3923f7f9b7ec8d186d017d87b18cb1b7cbe3c5726469e382274", &made),
        0);
    assert_string_equal(text, made);
    lb_request_free(r);
}

struct verdict {
    bool done, good;
};

static void on_done(void *userdata, const char *key, const char *problem)
{
    (void)problem;
    *(struct verdict *)userdata = (struct verdict){ true, key && strncmp(key, "ED25519 SHA256:", 15) == 0 };
}

static void test_signature(void **state)
{
    LB_FREE char *page = read_page(), *text = cut(page, "Lockbox consent, version");
    LB_FREE char *signature = cut(page, "-----BEGIN SSH"), *line = cut(page, "bob namespaces="), *path = NULL,
        *error = NULL;
    char directory[] = "/tmp/lockbox-page-XXXXXX";
    struct verdict verdict = { 0 };
    struct lb_signer *signer = NULL;
    sd_event *event = NULL;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(directory));
    assert_true(asprintf(&path, "%s/allowed_signers", directory) > 0);
    f = fopen(path, "w");
    assert_true(f && fputs(line, f) >= 0 && fclose(f) == 0 && chmod(path, 0644) == 0);
    const struct lb_signer_call call = { path, LB_SIGNER_NAMESPACE, "bob", text, signature };
    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(lb_signer_new(event, &call, on_done, &verdict, &signer, &error), 0);
    while (!verdict.done)
        assert_true(sd_event_run(event, 20 * LB_USEC_PER_SEC) > 0);
    assert_true(verdict.good);
    lb_signer_free(signer);
    sd_event_unref(event);
    directory_remove(directory);
}

/* What is pasted of it comes to the same file. */
static void test_one_line(void **state)
{
    LB_FREE char *page = read_page(), *signature = cut(page, "-----BEGIN SSH"), *one = calloc(1, 8192);
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted p = { 0 };
    size_t n = 0;

    (void)state;
    for (const char *line = strchr(signature, '\n') + 1; *line != '-'; line = strchr(line, '\n') + 1, n = strlen(one))
        strncpy(one + n, line, strcspn(line, "\n"));
    assert_int_equal(strlen(one), 248);
    assert_int_equal(lb_pasted_parse(one, false, &p), 0);
    assert_string_equal(p.signature, signature);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_signature), cmocka_unit_test(test_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
