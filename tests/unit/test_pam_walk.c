/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor's reading of stacks against libpam itself: random stacks, with random answers of their modules. Whatever
 * libpam lets in although pam_lockbox refused, the walk has to call a hole; and what it calls one, libpam lets in for
 * some answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <security/pam_appl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "directory.h"
#include "lockboxd/inspect/doctor/pam_walk.h"
#include "policy/base.h"

#define STACKS 150
#define TRIES 60
#define FILES 3
#define LINES_MAX 3

static const char *const controls[] = {
    "required", "requisite", "optional", "sufficient", "[success=1 default=ignore]", "[success=2 default=ignore]",
    "[success=ok new_authtok_reqd=ok ignore=ignore default=bad]", "[success=done new_authtok_reqd=done default=die]",
    "[success=reset default=bad]", "[default=done]", "[success=bad perm_denied=ok default=ignore]",
};
static const char *const codes[] = { "success", "success", "ignore", "perm_denied", "new_authtok_reqd" };
static const char *const refusals[] = { "perm_denied", "authinfo_unavail" };
static const char *const files[FILES] = { "svc", "one", "two" };

enum what { MODULE, OURS, INCLUDE, SUBSTACK };

/* The lines of a file: what stays, while the modules' answers change. */
struct sketch {
    enum what what;
    unsigned control, file;
};

struct sketches {
    struct sketch lines[FILES][LINES_MAX];
    unsigned n[FILES];
};

static char root[] = "/tmp/lockbox-walk-XXXXXX";
static char confdir[64], ours[64];
static unsigned seed = 1;

static unsigned random_below(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

#define ANY(list) (list)[random_below(LB_ELEMENTS(list))]

static struct sketches draw(void)
{
    struct sketches s = { 0 };

    for (unsigned f = 0; f < FILES; f++) {
        s.n[f] = 1 + random_below(LINES_MAX);
        for (unsigned i = 0; i < s.n[f]; i++) {
            unsigned dice = random_below(8);
            s.lines[f][i] = (struct sketch){ dice == 0 ? OURS : f + 1 == FILES || dice > 3 ? MODULE :
                                             dice == 1 ? INCLUDE : SUBSTACK, random_below(LB_ELEMENTS(controls)),
                                             f + 1 };
        }
    }
    return s;
}

static void write_files(const struct sketches *s)
{
    for (unsigned f = 0; f < FILES; f++) {
        char path[128];
        FILE *file = NULL;
        snprintf(path, sizeof(path), "%s/%s", confdir, files[f]);
        file = fopen(path, "we");
        assert_non_null(file);
        for (unsigned i = 0; i < s->n[f]; i++) {
            const struct sketch *l = &s->lines[f][i];
            if (l->what == MODULE || l->what == OURS)
                fprintf(file, "account %s %s acct=%s\n", controls[l->control], l->what == OURS ? ours : "pam_debug.so",
                        l->what == OURS ? ANY(refusals) : ANY(codes));
            else
                fprintf(file, "account %s %s/%s\n", l->what == INCLUDE ? "include" : "substack", confdir,
                        files[l->file]);
        }
        assert_int_equal(fclose(file), 0);
    }
}

static bool lets_in(void)
{
    static const struct pam_conv conversation = { 0 };
    pam_handle_t *pamh = NULL;
    int r = pam_start_confdir("svc", "root", &conversation, confdir, &pamh);

    assert_int_equal(r, PAM_SUCCESS);
    r = pam_acct_mgmt(pamh, 0);
    pam_end(pamh, r);
    return r == PAM_SUCCESS || r == PAM_NEW_AUTHTOK_REQD;
}

static enum lb_pam_pass walk(void)
{
    const struct lb_host host = { .root = "" };
    LB_FREE char *service = NULL;
    const struct lb_pam_line *at = NULL;
    struct lb_list stack = { 0 };
    enum lb_pam_pass pass = LB_PAM_ABSENT;

    assert_true(asprintf(&service, "%s/svc", confdir) >= 0);
    assert_int_equal(lb_pam_stack_read(&host, service, LB_PAM_ACCOUNT, true, &stack), 0);
    assert_int_equal(lb_pam_walk(&stack, LB_PAM_ACCOUNT, &pass, &at), 0);
    assert_int_equal(!at, pass == LB_PAM_ABSENT || pass == LB_PAM_PASSES);
    lb_pam_stack_free(&stack);
    return pass;
}

static int make_root(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(confdir, sizeof(confdir), "%s/pam.d", root); /* named whole in includes, too: libpam 1.5 looks in /etc */
    assert_int_equal(mkdir(confdir, 0700), 0);
    snprintf(ours, sizeof(ours), "%s/pam_lockbox.so", root); /* one that answers what it is told to */
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    directory_remove(root);
    return 0;
}

static void find_debug_module(char *path, size_t size)
{
    static const char *const places[] = { "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
                                          "/usr/lib" };

    for (size_t i = 0; i < LB_ELEMENTS(places); i++) {
        snprintf(path, size, "%s/security/pam_debug.so", places[i]);
        if (access(path, R_OK) == 0)
            return;
    }
    fail_msg("pam_debug.so, which is part of Linux-PAM, is not installed");
}

static void test_random_stacks(void **state)
{
    char module[128];
    unsigned holes = 0, shown = 0, kept = 0;

    (void)state;
    find_debug_module(module, sizeof(module));
    assert_int_equal(symlink(module, ours), 0);
    for (unsigned i = 0; i < STACKS; i++) {
        struct sketches s = draw();
        bool in = false;
        enum lb_pam_pass pass = LB_PAM_PASSES;
        write_files(&s);
        pass = walk();
        for (unsigned n = 0; !in && n < TRIES; n++) {
            write_files(&s);
            in = lets_in();
        }
        if (in && pass == LB_PAM_PASSES)
            fail_msg("stack %u: libpam lets in, and the walk found no way", i);
        holes += pass != LB_PAM_PASSES;
        shown += in;
        kept += !in && pass == LB_PAM_PASSES;
    }
    print_message("%u holes, %u of them shown by libpam, %u stacks without one\n", holes, shown, kept);
    assert_true(kept > STACKS / 20);          /* it does not call everything a hole, */
    assert_true(shown * 100 >= holes * 95);   /* and what it does, libpam nearly always shows by chance */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_stacks, make_root, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
