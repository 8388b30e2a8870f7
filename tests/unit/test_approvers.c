/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* approvers.conf: who decides under which name, and what no name, account or address can be. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "policy/approvers.h"
#include "policy/base.h"

#define APPROVERS LB_CLEANUP(approvers_freep) struct lb_approvers

static void approvers_freep(struct lb_approvers **a)
{
    lb_approvers_free(*a);
}

static struct lb_approvers *parse(const char *text)
{
    struct lb_approvers *a = NULL;
    char *error = NULL;

    assert_int_equal(lb_approvers_parse("f", text, strlen(text), &a, &error), 0);
    assert_null(error);
    return a;
}

/* Refused, with these mistakes, and nothing handed out. */
static void refuse(const char *text, const char *mistakes)
{
    struct lb_approvers *untouched = (struct lb_approvers *)&untouched, *a = untouched;
    LB_FREE char *error = NULL;

    assert_int_equal(lb_approvers_parse("f", text, strlen(text), &a, &error), -EINVAL);
    assert_ptr_equal(a, untouched);
    assert_string_equal(error, mistakes);
}

static const char people[] =
    "# The customer's people\n"
    "[bob]\n"
    "User=bob.builder\n"
    "Mail=bob@customer.example  Bob.B+lockbox@mail.customer.example ; two\n"
    "Groups=operators duty\n"
    "\n"
    "[carol]           ; by signature alone\n"
    "Mail=carol@customer.example\n"
    "\n"
    "[dave]\n"
    "User=DOMAIN\\dave\n"
    "Groups=\n";

static void test_reads_people(void **state)
{
    APPROVERS *a = parse(people);
    const struct lb_approver *bob = lb_approvers_find(a, "bob"), *carol = lb_approvers_find(a, "carol");

    (void)state;
    assert_int_equal(a->people.n, 3);
    assert_string_equal(bob->user, "bob.builder");
    assert_string_equal(bob->mail[0], "bob@customer.example");
    assert_string_equal(bob->mail[1], "Bob.B+lockbox@mail.customer.example");
    assert_null(bob->mail[2]);
    assert_null(carol->user);
    assert_null(carol->groups);
    assert_string_equal(lb_approvers_find(a, "dave")->user, "DOMAIN\\dave");
    assert_null(lb_approvers_find(a, "Bob"));
    assert_null(lb_approvers_find(a, "bob.builder"));
    assert_null(lb_approvers_find(a, ""));
    assert_true(lb_approvers_in_group(a, "bob", "duty"));
    assert_false(lb_approvers_in_group(a, "bob", "dut"));
    assert_false(lb_approvers_in_group(a, "carol", "duty"));
    assert_false(lb_approvers_in_group(a, "nobody", "duty"));
}

static void test_nobody_is_named(void **state)
{
    APPROVERS *empty = parse("; nobody yet\n");
    const struct lb_approvers *const files[] = { empty, NULL };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(files); i++) {
        assert_null(lb_approvers_find(files[i], "bob"));
        assert_false(lb_approvers_in_group(files[i], "bob", "operators"));
        assert_string_equal(lb_approvers_name_of(files[i], "bob"), "bob");
    }
    assert_null(lb_approvers_free(NULL));
}

/* Separation of duty rests on it: one account, one name; and nobody's name is to be had by an account of that name. */
static void test_an_account_decides_under_one_name(void **state)
{
    APPROVERS *a = parse("[bob]\nUser=builder\n[carol]\n[dave]\nUser=dave\n[erin]\nUser=bob\n");

    (void)state;
    assert_string_equal(lb_approvers_name_of(a, "builder"), "bob");
    assert_string_equal(lb_approvers_name_of(a, "bob"), "erin");
    assert_string_equal(lb_approvers_name_of(a, "dave"), "dave");
    assert_null(lb_approvers_name_of(a, "carol"));
    assert_null(lb_approvers_name_of(a, "erin"));
    assert_string_equal(lb_approvers_name_of(a, "frank"), "frank");
    assert_string_equal(lb_approvers_name_of(a, "Dave"), "Dave");
}

static void test_unknown_keys_are_refused(void **state)
{
    (void)state;
    refuse("[bob]\nMails=bob@x.example\n", "f:2: unknown key Mails= in [bob] (did you mean Mail=?)\n");
    refuse("[bob]\nKeyfile=/x\n", "f:2: unknown key Keyfile= in [bob]\n");
    refuse("User=bob\n", "f:1: User= comes before any [Section]\n");
    refuse("[bob]\nUser: bob\n", "f:2: an assignment is written Key=value (User=…)\n");
}

static void test_names_that_are_none(void **state)
{
    static const char *const bad[] = {
        "b b", "-bob", ".bob", "bob@x", "1000", "bob,carol", "b*", "b\xC3\xB6" "b", "a/b",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        LB_FREE char *text = NULL, *mistake = NULL;
        assert_true(asprintf(&text, "[%s]\n", bad[i]) > 0);
        assert_true(asprintf(&mistake, "f:1: [%s]: a person's name is made of letters, digits, _ . and -, and begins "
                             "with a letter; it is the principal in allowed_signers, too\n", bad[i]) > 0);
        refuse(text, mistake);
    }
}

static void test_the_longest_name(void **state)
{
    char text[300] = "[", longer[300] = "[";
    LB_FREE char *error = NULL;
    struct lb_approvers *none = NULL;

    (void)state;
    memset(text + 1, 'a', 256);
    strcpy(text + 257, "]\n");
    memset(longer + 1, 'a', 257);
    strcpy(longer + 258, "]\n");
    lb_approvers_free(parse(text));
    assert_int_equal(lb_approvers_parse("f", longer, strlen(longer), &none, &error), -EINVAL);
    assert_non_null(strstr(error, "at most 256 bytes"));
}

static void test_accounts_that_are_none(void **state)
{
    (void)state;
    refuse("[bob]\nUser=\n", "f:2: User= is empty; without an account on this host leave it out\n");
    refuse("[bob]\nUser=1000\n", "f:2: User=1000 is no account name\n");
    refuse("[bob]\nUser=-x\n", "f:2: User=-x is no account name\n");
    refuse("[bob]\nUser=bob builder\n", "f:2: User=bob builder is no account name\n");
    refuse("[bob]\nUser=@operators\n", "f:2: User=@operators is no account name\n");
}

static void test_one_account_is_one_person(void **state)
{
    (void)state;
    refuse("[bob]\nUser=b\n[carol]\nUser=c\n[dave]\nUser=b\n",
           "f:6: User=b is [bob] already; one person, one account\n");
}

/* Also what stands under the second one is told of, and belongs to nobody else. */
static void test_one_section_a_person(void **state)
{
    (void)state;
    refuse("[bob]\nUser=b\n[carol]\nUser=c\n[bob]\nGroups=@x\n",
           "f:5: [bob] is there twice, first on line 1; a file has each section once\n"
           "f:6: Groups=: @x is no group name; write it without @\n");
    refuse("[bob]\n[carol]\nUser=c\n[bob]\nUser=b\n",
           "f:4: [bob] is there twice, first on line 1; a file has each section once\n");
    refuse("[bob]\n[carol]\nGroups=x\n[bob]\nGroups=x\n",
           "f:4: [bob] is there twice, first on line 1; a file has each section once\n");
    refuse("[bob]\nUser=a\nUser=b\n", "f:3: User= is there twice, first on line 2; put all of it on one line\n");
}

static void test_groups(void **state)
{
    APPROVERS *a = parse("[bob]\nGroups=\toperators\t domain\\duty  a.b-c_d \n");

    (void)state;
    assert_true(lb_approvers_in_group(a, "bob", "domain\\duty"));
    assert_true(lb_approvers_in_group(a, "bob", "a.b-c_d"));
    assert_false(lb_approvers_in_group(a, "bob", ""));
    refuse("[bob]\nGroups=operators, duty\n",
           "f:2: Groups=: operators, is no group name; several are separated by spaces alone\n");
    refuse("[bob]\nGroups=duty @operators 10\n",
           "f:2: Groups=: @operators is no group name; write it without @\n"
           "f:2: Groups=: 10 is no group name\n");
    refuse("[bob]\nGroups=duty operators duty\n", "f:2: Groups=: duty is there twice\n");
}

static void test_addresses(void **state)
{
    static const char *const good[] = {
        "a@b", "bob.builder+x@mail-1.customer.example", "o'neil@x.example", "1@2.example",
    };
    static const char *const bad[] = {
        "bob", "@x.example", "bob@", "a@b@c", "<bob@x>", "bob@x;y@z", "\"b b\"@x", "bob(x)@y", "bo\\b@x", "a:b@x",
        "-oQ/tmp@x", "bob@-x", "bob@x..y", "bob@.x", "bob@x.", "bob@x_y", "bob@[192.0.2.1]", "b\xC3\xB6" "b@x.example",
        "bob@c\xD1\x83stomer.example", "bob@x/y", "b..b@x", ".b@x", "b.@x", "|sh@x",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(good); i++) {
        LB_FREE char *text = NULL;
        assert_true(asprintf(&text, "[bob]\nMail=%s\n", good[i]) > 0);
        APPROVERS *a = parse(text);
        assert_string_equal(lb_approvers_find(a, "bob")->mail[0], good[i]);
    }
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++) {
        LB_FREE char *text = NULL, *error = NULL;
        struct lb_approvers *none = NULL;
        assert_true(asprintf(&text, "[bob]\nMail=%s\n", bad[i]) > 0);
        assert_int_equal(lb_approvers_parse("f", text, strlen(text), &none, &error), -EINVAL);
        assert_true(strncmp(error, "f:2: Mail=: ", strlen("f:2: Mail=: ")) == 0);
        assert_non_null(strstr(error, " is no mail address"));
    }
    refuse("[bob]\nMail=bob@x, b@y\n",
           "f:2: Mail=: bob@x, is no mail address; several are separated by spaces alone\n");
    refuse("[bob]\nMail=a@b a@b\n", "f:2: Mail=: a@b is there twice\n");
    refuse("[bob]\nMail=bob@x\r\nGroups=x\n", "f:2: the line ends in CR LF; end it in LF alone\n");
}

/* What is left of a reading that came to no end is freed: for the sanitizers, on every prefix of a good file. */
static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t size = 0; size < strlen(people); size++) {
        struct lb_approvers *a = NULL;
        LB_FREE char *error = NULL;
        int r = lb_approvers_parse("f", people, size, &a, &error);
        assert_true(r == 0 ? a && !error : r == -EINVAL && !a && *error);
        lb_approvers_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_people),
        cmocka_unit_test(test_nobody_is_named),
        cmocka_unit_test(test_an_account_decides_under_one_name),
        cmocka_unit_test(test_unknown_keys_are_refused),
        cmocka_unit_test(test_names_that_are_none),
        cmocka_unit_test(test_the_longest_name),
        cmocka_unit_test(test_accounts_that_are_none),
        cmocka_unit_test(test_one_account_is_one_person),
        cmocka_unit_test(test_one_section_a_person),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
