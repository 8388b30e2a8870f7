/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor on hosts that are not this one: the stacks of Debian, Fedora and openSUSE as they ship them (tests/doctor),
 * with our lines, and with all that can take those lines' effect away. Run from the top of the sources.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "directory.h"
#include "lockboxd/inspect/doctor/doctor.h"
#include "lockboxd/inspect/doctor/pam_walk.h"
#include "lockboxd/inspect/doctor/sshd.h"
#include "lockboxd/inspect/doctor/sshd_config.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "policy/base.h"

enum lines { SHIPPED, OURS };

/* How our lines get into what a distribution ships. What is not in /etc/pam.d is copied there; su-l of openSUSE is
 * made to include su, as it does elsewhere. */
#define ADD "pam_setup add "
#define SCOPE "; sed -i 's/pam_lockbox.so/& scope=root/' etc/pam.d/polkit-1"
#define TO_ETC(services) "for s in " services "; do cp -n usr/lib/pam.d/$s etc/pam.d/; done; "
#define DEBIAN ADD "sshd login sudo sudo-i su cron atd other"

static const struct {
    const char *distribution, *line;
} set_ups[] = {
    { "debian12", DEBIAN },
    { "debian13", DEBIAN },
    { "fedora", TO_ETC("polkit-1") ADD "sshd login remote sudo sudo-i su crond atd gdm-password polkit-1" SCOPE },
    { "opensuse",
      TO_ETC("sshd login remote sudo sudo-i su su-l crond polkit-1")
      "for s in account session; do sed -i \"s/^$s  *include  *common.*/$s include su/\" etc/pam.d/su-l; done; "
      "sed -i '/^account *sufficient/d' etc/pam.d/su-l; "
      ADD "sshd login remote sudo sudo-i su crond polkit-1" SCOPE },
};

static char prepared[] = "/tmp/lockbox-doctor-XXXXXX"; /* what each distribution ships, and beside it with our lines */
static char root[] = "/tmp/lockbox-doctor-XXXXXX";     /* the host of a case */

/* Runs a line of the shell in a directory. */
static void run_in(const char *directory, const char *line)
{
    LB_FREE char *command = NULL;

    assert_true(asprintf(&command, "top=$PWD; prepared=%s; cd %s || exit 1; set -e; "
                         "pam_setup() { \"$top/packaging/pam/pam-setup\" --root . --snippets "
                         "\"$top/packaging/pam/snippets\" \"$@\" >/dev/null; }; %s", prepared, directory, line) >= 0);
    assert_int_equal(system(command), 0);
}

static void run(const char *line)
{
    run_in(root, line);
}

/* Each has two gated accounts, and the module. */
static int prepare(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(prepared));
    for (size_t i = 0; i < LB_ELEMENTS(set_ups); i++) {
        LB_FREE char *line = NULL;
        assert_true(asprintf(&line, "mkdir %s-0; cd %s-0; cp -a \"$top/tests/doctor/%s/.\" .; "
                             "mkdir -p usr/lib/security usr/sbin; : >usr/lib/security/pam_lockbox.so; : "
      ">usr/sbin/sshd; printf '%%s:/h:/bin/sh\\n' root:x:0:0: eng:x:1000:1000: eng2:x:1001:77: bob:x:1002:1002: "
                             ">etc/passwd; printf '%%s\\n' root:x:0: lockbox-gated:x:77:eng docker:x:78:bob "
                             ">etc/group; cp -a . ../%s-1; cd ../%s-1; "
                             "%s", set_ups[i].distribution, set_ups[i].distribution,
                             set_ups[i].distribution, set_ups[i].distribution, set_ups[i].distribution,
                             set_ups[i].line) >= 0);
        run_in(prepared, line);
    }
    return 0;
}

static int tidy_up(void **state)
{
    (void)state;
    directory_remove(prepared);
    return 0;
}

static void make_host(const char *distribution, enum lines lines, const char *line)
{
    LB_FREE char *copy = NULL;

    strcpy(root + strlen(root) - 6, "XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_true(asprintf(&copy, "cp -a $prepared/%s-%d/. .; %s", distribution, lines, line ? line : ":") >= 0);
    run(copy);
}

static void remove_host(void)
{
    directory_remove(root);
}

/* The line that a finding names, as it stands in its file. */
static void read_line(const struct lb_finding *f, char *buf, size_t size)
{
    LB_FREE char *path = NULL;
    FILE *file = NULL;

    assert_true(asprintf(&path, "%s%s", root, f->file) >= 0);
    file = fopen(path, "re");
    assert_non_null(file);
    for (int64_t i = 0; i < f->line; i++)
        assert_non_null(fgets(buf, (int)size, file));
    fclose(file);
}

static const char *const verdict_names[] = { "hole", "warning", "ok" };

/* "way verdict; …" of all that is not good, each way once. */
static char *troubles(const struct lb_doctor *d)
{
    const struct lb_finding *f = d->findings.items;
    char *text = NULL, *last = "";
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    for (size_t i = 0; i < d->findings.n; i++) {
        if (f[i].verdict == LB_WAY_OK || strcmp(last, f[i].way) == 0)
            continue;
        fprintf(out, "%s%s %s", ftell(out) ? "; " : "", f[i].way, verdict_names[f[i].verdict]);
        last = f[i].way;
    }
    fclose(out);
    return text;
}

/* --- the stacks --------------------------------------------------------------------------------------------------- */

struct stack_case {
    const char *distribution;
    enum lines lines;
    const char *line;     /* what is done to it */
    const char *expected; /* what troubles() says */
    const char *fault;    /* is in the line that the first of them names; NULL: it names none */
};

#define BEFORE(type, file, new) "sed -i '0,/^" type "/s//" new "\\n&/' etc/pam.d/" file
#define LAST(type, file)                                                                          \
    "l=$(grep '^" type ".*lockbox' etc/pam.d/" file "); sed -i '/^" type ".*lockbox/d' etc/pam.d/" file \
    "; echo \"$l\" >>etc/pam.d/" file

#define DEBIAN_SHIPPED                                                                                 \
    "pam: atd hole; pam: cron hole; pam: login hole; pam: other warning; pam: sshd hole; pam: su hole; " \
    "pam: su-l hole; pam: sudo hole; pam: sudo-i hole"

static const struct stack_case stack_cases[] = {
    /* as shipped */
    { "debian12", SHIPPED, NULL, DEBIAN_SHIPPED, NULL },
    { "debian13", SHIPPED, NULL, DEBIAN_SHIPPED, NULL },
    { "fedora", SHIPPED, NULL, "pam: atd hole; pam: crond hole; pam: gdm-password hole; pam: login hole; "
      "pam: polkit-1 hole; pam: remote hole; pam: sshd hole; pam: su hole; pam: su-l hole; pam: sudo hole; pam: "
      "sudo-i hole", NULL },
    { "opensuse", SHIPPED, NULL, "pam: crond hole; pam: login hole; pam: polkit-1 hole; pam: remote hole; pam: sshd "
      "hole; pam: su hole; pam: su-l hole; pam: sudo hole; pam: sudo-i hole", NULL },
    /* with our lines */
    { "debian12", OURS, NULL, "", NULL },
    { "debian13", OURS, NULL, "", NULL },
    { "fedora", OURS, NULL, "", NULL },
    { "opensuse", OURS, NULL, "", NULL },
    /* something before ours that lets in */
    { "debian12", OURS, BEFORE("account", "sshd", "account sufficient pam_localuser.so"), "pam: sshd hole",
      "pam_localuser" },
    { "debian12", OURS, BEFORE("account", "sshd", "Account [success=done default=ignore] pam_access.so"),
      "pam: sshd hole", "pam_access" },
    { "debian12", OURS, BEFORE("account", "sshd", "account [success=1 default=ignore] pam_access.so"),
      "pam: sshd hole", "pam_access" },
    { "debian12", OURS, BEFORE("account", "sshd", "account [ default = bad  success=1 ] pam_access.so"),
      "pam: sshd hole", "pam_access" },
    { "debian12", OURS, BEFORE("account", "sshd", "account \\\\\\n  sufficient \\\\\\n  pam_localuser.so"),
      "pam: sshd hole", "account" },
    { "debian12", OURS, "echo 'account sufficient pam_localuser.so' >etc/pam.d/mine; "
      BEFORE("account", "login", "account include mine"), "pam: login hole", "pam_localuser" },
    { "debian12", OURS, "echo 'account sufficient pam_localuser.so' >etc/pam.d/mine; "
      BEFORE("account", "login", "@include mine"), "pam: login hole", "pam_localuser" },
    { "fedora", OURS, LAST("account", "sshd"), "pam: sshd hole", "pam_localuser" },
    { "fedora", OURS, LAST("account", "su"), "pam: su hole; pam: su-l hole", "pam_succeed_if" },
    { "opensuse", OURS, LAST("account", "su"), "pam: su hole; pam: su-l hole", "pam_rootok" },
    /* with an expired password, that is changed then, common-account ends at once */
    { "debian12", OURS, LAST("account", "sshd"), "pam: sshd hole", "pam_unix" },
    /* a failure that says that the password has expired is what libpam returns, whatever comes after it */
    { "debian12", OURS, BEFORE("account", "sshd", "account [success=ok ignore=ignore default=bad] pam_sss.so"),
      "pam: sshd hole", "pam_sss" },
    /* something before ours that cannot */
    { "debian12", OURS, BEFORE("account", "sshd", "account required pam_access.so"), "", NULL },
    { "debian12", OURS, BEFORE("account", "sshd", "account requisite pam_access.so"), "", NULL },
    { "debian12", OURS, BEFORE("account", "sshd", "account optional pam_access.so"), "", NULL },
    { "debian12", OURS, BEFORE("account", "sshd", "account [success=2 default=bad] pam_deny.so"), "", NULL },
    { "debian12", OURS, BEFORE("account", "sshd", "# account sufficient pam_permit.so"), "", NULL },
    { "debian12", OURS, "echo 'account sufficient pam_localuser.so' >etc/pam.d/mine; "
      BEFORE("account", "login", "account substack mine"), "", NULL }, /* ends the substack alone */
    { "debian12", OURS, "echo 'account [success=1 default=ignore] pam_access.so' >etc/pam.d/mine; "
      BEFORE("account", "login", "account substack mine"), "", NULL }, /* a jump out of it fails */
    { "fedora", OURS, "sed -i '/pam_localuser\\|issystem/d' etc/pam.d/password-auth; " LAST("account", "sshd"),
      "pam: sshd hole", "pam_sss" },
    { "fedora", OURS,
      "sed -i '/pam_localuser\\|issystem\\|pam_sss/d' etc/pam.d/password-auth; " LAST("account", "sshd"), "",
      NULL }, /* nothing of it ends the stage */
    /* ours, but not heard */
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/account optional pam_lockbox/' etc/pam.d/sshd",
      "pam: sshd hole", "pam_lockbox" },
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/account sufficient pam_lockbox/' etc/pam.d/sshd",
      "pam: sshd hole", "pam_lockbox" },
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/account [perm_denied=die default=ignore] "
      "pam_lockbox/' etc/pam.d/sshd", "pam: sshd hole", "pam_lockbox" },
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/account [authinfo_unavail=ignore default=die] "
      "pam_lockbox/' etc/pam.d/sshd", "pam: sshd hole", "pam_lockbox" }, /* with the daemon down he is let in */
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/-account [module_unknown=ignore default=die] "
      "pam_lockbox/' etc/pam.d/sshd", "pam: sshd hole", "pam_lockbox" }, /* and without the module */
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/account required pam_lockbox/' etc/pam.d/sshd", "",
      NULL },
    { "debian12", OURS, "sed -i 's/^account requisite pam_lockbox/account required pam_lockbox/; "
      "s/^account *required *pam_nologin.*/account [success=reset default=bad] pam_nologin.so/' etc/pam.d/sshd",
      "pam: sshd hole", "pam_nologin" }, /* forgets the refusal */
    /* sessions */
    { "debian12", OURS, "sed -i '/^session.*pam_lockbox/d' etc/pam.d/sshd", "pam: sshd hole", NULL },
    { "debian12", OURS, BEFORE("session", "sshd", "session sufficient pam_access.so"), "pam: sshd hole",
      "pam_access" },
    { "debian12", OURS, LAST("session", "login"), "pam: login hole", "pam_lockbox" },
    { "debian12", OURS, "l=$(grep '^session.*lockbox' etc/pam.d/sshd); sed -i '/^session.*lockbox/d' etc/pam.d/sshd; "
      "sed -i \"0,/^session/s//$l\\n&/\" etc/pam.d/sshd", "pam: sshd warning", "pam_lockbox" },
    { "debian12", OURS, "sed -i '/pam_loginuid/d' etc/pam.d/sshd", "pam: sshd warning", NULL },
    { "debian12", OURS, "sed -i '/pam_systemd/d' etc/pam.d/common-session", "pam: login warning; pam: sshd warning",
      NULL },
    /* who is gated, and other arguments */
    { "debian12", OURS, "sed -i '/^account/s/pam_lockbox.so/& users=bob/' etc/pam.d/login", "pam: atd hole; pam: cron "
      "hole; pam: login hole; pam: other hole; pam: sshd hole; pam: su hole; pam: su-l hole; pam: sudo hole; pam: "
      "sudo-i hole", "pam_lockbox" },
    { "debian12", OURS, "sed -i '/^account/s/pam_lockbox.so/& groups=docker/' etc/pam.d/login", "pam: atd hole; "
      "pam: cron hole; pam: login hole; pam: other hole; pam: sshd hole; pam: su hole; pam: su-l hole; pam: sudo hole; "
      "pam: sudo-i hole", "pam_lockbox" },
    { "debian12", OURS, "sed -i 's/pam_lockbox.so/& users=eng,eng2 groups=/' etc/pam.d/*", "", NULL },
    { "debian12", OURS, "sed -i '/^account/s/pam_lockbox.so/& groups=/' etc/pam.d/login", "pam: login hole",
      "pam_lockbox" },
    { "debian12", OURS, "sed -i '/^account/s/pam_lockbox.so/& debug/' etc/pam.d/login", "pam: login warning",
      "pam_lockbox" },
    { "debian12", OURS, "sed -i 's/ scope=root//' etc/pam.d/sudo", "pam: sudo warning", "pam_lockbox" },
    /* services */
    { "debian12", OURS, "cp etc/pam.d/common-account etc/pam.d/vsftpd", "pam: vsftpd hole", NULL },
    { "debian12", OURS, "cp etc/pam.d/common-account etc/pam.d/vsftpd.dpkg-new", "", NULL },
    { "debian12", OURS, "printf 'account required pam_deny.so\\n' >etc/pam.d/vsftpd", "", NULL },
    { "debian12", OURS, "printf 'auth required pam_unix.so\\n' >etc/pam.d/vsftpd", "pam: vsftpd warning",
      NULL }, /* comes to other, which has no pam_loginuid */
    { "debian12", OURS, "pam_setup remove other; printf 'auth required pam_unix.so\\n' >etc/pam.d/vsftpd",
      "pam: other warning; pam: vsftpd hole", NULL },
    { "debian12", OURS, "pam_setup remove cron; echo bob >etc/cron.allow", "", NULL },
    { "debian12", OURS, "pam_setup remove cron; printf 'eng\\neng2\\n' >etc/cron.deny", "", NULL },
    { "debian12", OURS, "pam_setup remove cron; echo eng >etc/cron.deny", "pam: cron hole", NULL },
    { "debian12", OURS, "pam_setup remove cron; echo bob >etc/cron.allow; mkdir -p var/spool/cron/crontabs; "
      ": >var/spool/cron/crontabs/eng2", "pam: cron hole", NULL },
    { "debian12", OURS, ": >etc/pam.d/sshd; printf '@include common-account\\n' >usr/lib/pam.d/sshd", "pam: sshd "
      "warning",
      NULL }, /* the empty file counts, and all comes to other */
    { "debian12", OURS, "rm etc/pam.d/sshd; printf '@include common-account\\n' >usr/lib/pam.d/sshd", "pam: sshd hole",
      NULL },
    { "debian12", OURS, "rm etc/pam.d/sshd; mkdir etc/pam.d/sshd", "pam: sshd hole", NULL },
    { "debian12", OURS, "echo '@include loop' >etc/pam.d/loop; sed -i '1i @include loop' etc/pam.d/sshd",
      "", NULL }, /* refuses everybody */
    { "debian12", OURS, "sed -i 's/:77:eng$/:7:/' etc/group", "accounts warning", NULL },
};

static void check_stack(const struct stack_case *c)
{
    struct lb_doctor d = { 0 };
    const struct lb_finding *f = NULL;
    LB_FREE char *text = NULL;
    char line[512] = "";

    make_host(c->distribution, c->lines, c->line);
    assert_int_equal(lb_doctor_start(&d, root), 0);
    lb_doctor_pam(&d);
    assert_int_equal(d.r, 0);
    text = troubles(&d);
    if (strcmp(text, c->expected) != 0)
        fail_msg("%s, %s:\n  %s\n  expected: %s", c->distribution, c->line ? c->line : "as shipped", text, c->expected);
    f = d.findings.items;
    while (*c->expected && f->verdict == LB_WAY_OK)
        f++;
    if (*c->expected && c->fault) {
        assert_true(f->line > 0);
        read_line(f, line, sizeof(line));
        if (!strstr(line, c->fault))
            fail_msg("%s: %s:%d is to blame, not %s", c->line, f->file, (int)f->line, c->fault);
    } else if (*c->expected) {
        assert_int_equal(f->line, 0);
    }
    lb_doctor_end(&d);
    remove_host();
}

static void test_stacks(void **state)
{
    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(stack_cases); i++)
        check_stack(&stack_cases[i]);
}

/* --- sshd --------------------------------------------------------------------------------------------------------- */

struct sshd_case {
    const char *old, *new;      /* what `sshd -T` says instead; NULL: nothing else */
    const char *expected;       /* troubles() */
    const char *text;           /* is in the text of some finding */
};

#define PEOPLE_T "port 22\nusepam yes\nlogingracetime 120\nmaxstartups 200:30:400\nkbdinteractiveauthentication yes\n" \
                 "authenticationmethods publickey,keyboard-interactive\npersourcepenalties crash:90.0 authfail:0.0\n"

static const struct sshd_case sshd_cases[] = {
    { NULL, NULL, "", "asks, and waits: eng, eng2" },
    { "usepam yes\n", "usepam no\n", "sshd hole", "no login passes the gate" },
    { "usepam yes\n", "", "sshd hole", "no login passes the gate" },
    { "usepam yes\n", "usepam yes\npamservicename mine\n", "sshd hole", "asks the PAM service mine" },
    { "logingracetime 120\n", "logingracetime 90\n", "sshd warning", "ends a login after 90 s" },
    { "logingracetime 120\n", "logingracetime 91\n", "", "asks" },
    { "logingracetime 120\n", "logingracetime 0\n", "", "asks" },
    { "maxstartups 200", "maxstartups 10", "sshd warning", "MaxStartups 10:30:400" },
    { "authfail:0.0", "authfail:5.0", "sshd warning", "lock their address out" },
    { "authfail:0.0", "authfail:5.0\npersourcepenaltyexemptlist 192.0.2.0/24", "", "asks" },
    { "authfail:0.0", "authfail:5.0\npersourcepenaltyexemptlist none", "sshd warning", "lock their address out" },
    { "kbdinteractiveauthentication yes", "kbdinteractiveauthentication no", "sshd, port 22 warning; sshd warning",
      "eng, eng2 cannot log in" },
    { "authenticationmethods publickey,keyboard-interactive", "authenticationmethods publickey", "sshd warning",
      "lets in by an open access only: eng, eng2" },
    { "authenticationmethods publickey,keyboard-interactive", "authenticationmethods any", "", "asks, and waits" },
};

static char *replace(const char *text, const char *old, const char *new)
{
    const char *at = old ? strstr(text, old) : NULL;
    char *result = NULL;

    assert_true(at || !old);
    if (!at)
        return strdup(text);
    assert_true(asprintf(&result, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) >= 0);
    return result;
}

static int answer(void *userdata, const struct lb_sshd *sshd, const char *account, int port, char **ret_text,
                  char **ret_error)
{
    (void)sshd, (void)account, (void)port, (void)ret_error;
    *ret_text = strdup(userdata);
    return *ret_text ? 0 : -ENOMEM;
}

static int refuse(void *userdata, const struct lb_sshd *sshd, const char *account, int port, char **ret_text,
                  char **ret_error)
{
    (void)sshd, (void)account, (void)port, (void)ret_text;
    *ret_error = strdup(userdata);
    return *ret_error ? 0 : -ENOMEM;
}

static bool some_text_has(const struct lb_doctor *d, const char *part)
{
    const struct lb_finding *f = d->findings.items;

    for (size_t i = 0; i < d->findings.n; i++)
        if (strstr(f[i].text, part))
            return true;
    return false;
}

static void check_sshd(lb_sshd_ask *ask, const char *said, const char *expected, const char *part)
{
    const struct lb_sshd sshd = { (char *)"/usr/sbin/sshd", NULL, (char *)"sshd" };
    struct lb_doctor d = { 0 };
    LB_FREE char *text = NULL;

    assert_int_equal(lb_doctor_start(&d, root), 0);
    lb_doctor_pam(&d);
    lb_sshd_examine(&d, &sshd, ask, (void *)said);
    assert_int_equal(d.r, 0);
    text = troubles(&d);
    assert_string_equal(text, expected);
    assert_true(some_text_has(&d, part));
    lb_doctor_end(&d);
}

static void test_sshd(void **state)
{
    (void)state;
    make_host("debian12", OURS, NULL);
    for (size_t i = 0; i < LB_ELEMENTS(sshd_cases); i++) {
        LB_FREE char *said = replace(PEOPLE_T, sshd_cases[i].old, sshd_cases[i].new);
        check_sshd(answer, said, sshd_cases[i].expected, sshd_cases[i].text);
    }
    check_sshd(refuse, "/etc/ssh/sshd_config: line 3: Bad configuration option: UsePam3", "sshd hole", "line 3: Bad");
    remove_host();
}

static void test_sshd_place(void **state)
{
    struct lb_host host = { .root = root };
    char *file = NULL;
    unsigned line = 0;

    (void)state;
    make_host("debian12", SHIPPED, "mkdir -p etc/ssh/sshd_config.d; printf '\\n  usepam=no\\n' "
        ">etc/ssh/sshd_config.d/20-x.conf; printf 'Port 22\\n' >etc/ssh/sshd_config.d/10-x.conf");
    assert_true(lb_sshd_place(&host, "/etc/ssh/sshd_config", "UsePAM", &file,
        &line)); /* before the one of the main file */
    assert_string_equal(file, "/etc/ssh/sshd_config.d/20-x.conf");
    assert_int_equal(line, 2);
    free(file);
    assert_false(lb_sshd_place(&host, "/etc/ssh/sshd_config", "MaxStartups", &file, &line));
    assert_int_equal(lb_sshd_seconds("1h30m"), 5400);
    assert_int_equal(lb_sshd_seconds("120"), 120);
    assert_int_equal(lb_sshd_seconds("2x"), -1);
    remove_host();
}

static void expect_instances(const char *line, const char *expected)
{
    struct lb_doctor d = { 0 };
    struct lb_list instances = { 0 };
    const struct lb_sshd *sshd = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    make_host("debian12", SHIPPED, line);
    assert_int_equal(lb_doctor_start(&d, root), 0);
    assert_int_equal(lb_sshd_instances(&d, &instances), 0);
    sshd = instances.items;
    for (size_t i = 0; i < instances.n; i++)
        fprintf(out, "%s%s", i ? "; " : "", sshd[i].way);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    lb_sshd_instances_free(&instances);
    lb_doctor_end(&d);
    remove_host();
}

#define UNIT(name, text) "mkdir -p etc/systemd/system; printf '" text "' >etc/systemd/system/" name "; "
#define WANT(name) "mkdir -p etc/systemd/system/x.wants; ln -s ../" name " etc/systemd/system/x.wants/; "

static void test_sshd_instances(void **state)
{
    (void)state;
    expect_instances(NULL, "sshd");
    expect_instances(UNIT("ssh.service", "[Service]\\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\\n") WANT("ssh.service"),
        "sshd");
    expect_instances(UNIT("b.service", "[Service]\\nExecStart=-/usr/sbin/sshd -D \\\\\\n -f /etc/b -oUsePAM=no\\n"),
        "sshd");
    expect_instances(UNIT("b.service", "[Service]\\nExecStart=-/usr/sbin/sshd -D \\\\\\n -f /etc/b -oUsePAM=no\\n")
                     WANT("b.service"), "sshd; sshd -f /etc/b -o UsePAM=no");
    expect_instances(UNIT("b@.service", "[Service]\\nExecStart=-/usr/sbin/sshd -i -f /etc/b\\n")
                     UNIT("b.socket", "[Socket]\\nListenStream=2200\\nAccept=yes\\n") WANT("b.socket"),
                     "sshd; sshd -f /etc/b");
    expect_instances(UNIT("o.service", "[Service]\\nExecStart=/opt/ssh/sshd -D\\n") WANT("o.service"),
                     "sshd; /opt/ssh/sshd");
    expect_instances("mkdir -p run/systemd/generator; printf '[Service]\\nExecStart=-/usr/sbin/sshd -i -o "
                     "\"AuthorizedKeysFile ${CREDENTIALS_DIRECTORY}/k\" -o \"UsePAM no\"\\n' "
      ">run/systemd/generator/v@.service",
                     "sshd; sshd -o UsePAM no");
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

struct other_case {
    void (*check)(struct lb_doctor *d);
    const char *line, *expected, *fault;
};

#define SUDOERS(text) "printf '" text "\\n' >>etc/sudoers"
#define GETTY(line) UNIT("getty@.service", "[Service]\\nExecStart=-/sbin/agetty --noclear %%%%I $TERM\\n") \
                    "mkdir -p etc/systemd/system/getty@.service.d; printf '[Service]\\nExecStart=\\n" line \
                    "\\n' >etc/systemd/system/getty@.service.d/x.conf"

static const struct other_case other_cases[] = {
    { lb_doctor_sudo, NULL, "", NULL },
    { lb_doctor_sudo, SUDOERS("Defaults !pam_acct_mgmt"), "sudoers hole", "!pam_acct_mgmt" },
    { lb_doctor_sudo, SUDOERS("Defaults:eng env_reset, ! pam_session"), "sudoers hole", "! pam_session" },
    { lb_doctor_sudo, SUDOERS("Defaults pam_acct_mgmt"), "", NULL },
    { lb_doctor_sudo, SUDOERS("Defaults !!pam_acct_mgmt"), "", NULL },
    { lb_doctor_sudo, SUDOERS("# Defaults !pam_acct_mgmt"), "", NULL },
    { lb_doctor_sudo, SUDOERS("Defaults badpass_message = \"no, !pam_session\""), "", NULL },
    { lb_doctor_sudo, SUDOERS("Defaults \\\\\\n  !pam_acct_mgmt"), "sudoers hole", "Defaults" },
    { lb_doctor_sudo, SUDOERS("Defaults pam_service=su"), "", NULL },
    { lb_doctor_sudo, SUDOERS("Defaults pam_login_service = \"mine\""), "sudoers hole", "mine" },
    { lb_doctor_sudo, "mkdir -p etc/sudoers.d; echo 'Defaults !pam_acct_mgmt' >etc/sudoers.d/x", "sudoers hole",
      "!pam" },
    { lb_doctor_sudo, "mkdir -p etc/sudoers.d; echo 'Defaults !pam_acct_mgmt' >etc/sudoers.d/x.bak", "", NULL },
    { lb_doctor_sudo, SUDOERS("@include more") "; echo 'Defaults>root !pam_session' >etc/more", "sudoers hole",
      "!pam" },
    { lb_doctor_sudo, "echo 'sudoers: files sss' >etc/nsswitch.conf", "sudoers warning", "sss" },
    { lb_doctor_console, GETTY("ExecStart=-/sbin/agetty %%%%I"), "", NULL },
    { lb_doctor_console, GETTY("ExecStart=-/sbin/agetty -a eng %%%%I"), "", NULL },
    { lb_doctor_console, GETTY("ExecStart=-/sbin/agetty --autologin root %%%%I"), "console: getty@.service hole",
      "autologin" },
    { lb_doctor_console, GETTY("ExecStart=-/sbin/agetty -abob %%%%I"), "console: getty@.service hole", "-abob" },
    { lb_doctor_console, GETTY("ExecStart=-/sbin/agetty -n -l /bin/sh %%%%I"), "console: getty@.service hole",
      "/bin/sh" },
    { lb_doctor_console, GETTY("ExecStart=-/sbin/agetty --login-program=/bin/login %%%%I"), "", NULL },
    { lb_doctor_console, UNIT("debug-shell.service", "[Service]\\nExecStart=/bin/bash\\n"), "", NULL },
    { lb_doctor_console, UNIT("debug-shell.service", "[Service]\\nExecStart=/bin/bash\\n") WANT("debug-shell.service"),
      "console: debug-shell.service hole", "bash" },
    { lb_doctor_console, UNIT("backup.service", "[Service]\\nExecStart=/bin/bash /root/backup\\n")
      WANT("backup.service"),
      "", NULL },
    { lb_doctor_console, "mkdir -p boot/grub; echo 'menuentry x {}' >boot/grub/grub.cfg",
      "console: boot loader warning", NULL },
    { lb_doctor_console, "mkdir -p boot/grub; printf 'set superusers=\"a\"\\npassword_pbkdf2 a x\\n' "
      ">boot/grub/grub.cfg", "",
      NULL },
    { lb_doctor_other_doors, UNIT("d.service", "[Service]\\nExecStart=/usr/sbin/dropbear -F\\n"), "", NULL },
    { lb_doctor_other_doors, UNIT("d.service", "[Service]\\nExecStart=/usr/sbin/dropbear -F\\n") WANT("d.service"),
      "dropbear hole", "dropbear" },
    { lb_doctor_accounts, NULL, "logind warning", NULL }, /* the tree has no logind */
    { lb_doctor_accounts, "mkdir -p var/lib/systemd/linger; : >var/lib/systemd/linger/eng2",
      "account: eng2 hole; logind warning", NULL },
    { lb_doctor_accounts, "mkdir -p var/lib/systemd/linger; : >var/lib/systemd/linger/bob", "logind warning", NULL },
    { lb_doctor_accounts, "sed -i 's/^docker.*/&,eng/' etc/group", "account: eng hole; logind warning", NULL },
    { lb_doctor_accounts, "echo 'twin:x:1001:5::/h:/bin/sh' >>etc/passwd", "account: eng2 hole; logind warning", NULL },
};

static void check_other(const struct other_case *c)
{
    struct lb_doctor d = { 0 };
    const struct lb_finding *f = NULL;
    LB_FREE char *text = NULL;
    char line[512] = "";
    size_t first = 0;

    make_host("debian12", OURS, c->line);
    assert_int_equal(lb_doctor_start(&d, root), 0);
    lb_doctor_pam(&d);
    first = d.findings.n;
    c->check(&d);
    assert_int_equal(d.r, 0);
    text = troubles(&d);
    if (strcmp(text, c->expected) != 0)
        fail_msg("%s:\n  %s\n  expected: %s", c->line, text, c->expected);
    if (c->fault) {
        f = (const struct lb_finding *)d.findings.items + first;
        while (f->verdict == LB_WAY_OK)
            f++;
        read_line(f, line, sizeof(line));
        assert_non_null(strstr(line, c->fault));
    }
    lb_doctor_end(&d);
    remove_host();
}

static void test_other_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(other_cases); i++)
        check_other(&other_cases[i]);
}

/* A root's links lead to places inside of it. */
static void test_links_stay_inside(void **state)
{
    struct lb_host host = { .root = root };
    LB_FREE char *text = NULL, *other = NULL;

    (void)state;
    make_host("opensuse", SHIPPED, "echo inside >etc/target; ln -s /etc/target etc/link; ln -s ../../../../etc/target "
        "etc/far");
    assert_int_equal(lb_host_read(&host, "/etc/link", &text), 0);
    assert_string_equal(text, "inside\n");
    assert_int_equal(lb_host_read(&host, "/etc/far", &other), 0);
    assert_string_equal(other, "inside\n");
    assert_int_equal(lb_host_read(&host, "/etc/none", &other), -ENOENT);
    remove_host();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stacks),        cmocka_unit_test(test_sshd),         cmocka_unit_test(test_sshd_place),
        cmocka_unit_test(test_sshd_instances), cmocka_unit_test(test_other_checks),
      cmocka_unit_test(test_links_stay_inside),
    };

    return cmocka_run_group_tests(tests, prepare, tidy_up);
}
