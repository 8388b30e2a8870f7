/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Facts and rules: who decides, and why. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "policy/base.h"
#include "policy/rules.h"
#include "policy/rules_parse.h"

static struct lb_ruleset *rules(const struct lb_policy_text *files, size_t n)
{
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    if (lb_rules_parse(files, n, &set, &error) != 0)
        fail_msg("%s", error);
    return set;
}

#define FILE_(name, content) { name, content, sizeof(content) - 1 }

static const struct lb_policy_text files[] = {
    FILE_("/etc/p/10-outside.policy", "[Match]\nRemoteHost=0.0.0.0/0 ::/0 !192.0.2.0/24\n[Rule]\nAction=deny\n"),
    FILE_("/etc/p/20-batch.policy", "[Match]\nAccount=batch @robots\nKey=certificate\nIdentity=*@vendor.example\n"
          "[Rule]\nAction=permit\n[Access]\nDuration=1h\n"),
    FILE_("/etc/p/30-su.policy", "[Match]\nService=su s*\n[Rule]\nAction=require-approval\n[Access]\nDuration=2h\n"),
    FILE_("/etc/p/40-scope.policy", "[Match]\nService=*\nScope=root\n[Rule]\nAction=deny\n"),
};

static void check(const struct lb_ruleset *set, const struct lb_facts *facts, int action, const char *file, bool named)
{
    struct lb_verdict v = lb_rules_decide(set, facts);

    assert_int_equal(v.action, action);
    assert_string_equal(v.rule ? v.rule->file : "", file);
    assert_int_equal(v.service_named, named);
    assert_ptr_equal(v.terms, v.rule ? &v.rule->terms : set ? &set->defaults : NULL);
}

static void test_the_first_that_fits_decides(void **state)
{
    struct lb_ruleset *set = rules(files, LB_ELEMENTS(files));
    char *robots[] = { (char[]){ "robots" }, NULL };
    struct lb_facts f = { .account = "eng", .service = "sshd", .scope = "login", .rhost = "198.51.100.9" };

    (void)state;
    check(set, &f, LB_ACTION_DENY, "10-outside.policy", false);
    f.rhost = "192.0.2.9";
    check(set, &f, LB_ACTION_REQUIRE, "30-su.policy", false);
    f.service = "su";
    check(set, &f, LB_ACTION_REQUIRE, "30-su.policy", true);
    f.service = "login";
    check(set, &f, LB_ACTION_REQUIRE, "", false);
    f.scope = "root";
    check(set, &f, LB_ACTION_DENY, "40-scope.policy", false);

    f = (struct lb_facts){ .account = "batch", .service = "cron", .proof = LB_PROOF_CERTIFICATE,
                           .identity = "ci@vendor.example" };
    check(set, &f, LB_ACTION_PERMIT, "20-batch.policy", false);
    f.account = "eng";
    check(set, &f, LB_ACTION_REQUIRE, "", false);
    f.groups = robots;
    check(set, &f, LB_ACTION_PERMIT, "20-batch.policy", false);
    f.identity = "ci@other.example";
    check(set, &f, LB_ACTION_REQUIRE, "", false);
    f.identity = NULL;
    check(set, &f, LB_ACTION_REQUIRE, "", false);
    f.proof = LB_PROOF_PLAIN;
    f.identity = "ci@vendor.example";
    check(set, &f, LB_ACTION_REQUIRE, "", false);
    lb_ruleset_free(set);
}

static void test_without_a_set_the_door_is_closed(void **state)
{
    struct lb_verdict v = lb_rules_decide(NULL, &(struct lb_facts){ .account = "eng" });

    (void)state;
    assert_int_equal(v.action, LB_ACTION_DENY);
    assert_null(v.rule);
    assert_null(v.terms);
}

static void test_an_empty_set_asks_for_approval(void **state)
{
    struct lb_ruleset *set = rules(NULL, 0);
    struct lb_verdict v = lb_rules_decide(set, &(struct lb_facts){});

    (void)state;
    assert_int_equal(v.action, LB_ACTION_REQUIRE);
    assert_null(v.rule);
    assert_string_equal(v.terms->customer[0], "@lockbox-approvers");
    lb_ruleset_free(set);
}

#define DIGEST "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define RUN "[Run]\nUser=backup\n"

static void test_scripts_are_permitted_by_name_only(void **state)
{
    static const struct lb_policy_text some[] = {
        FILE_("/p/10-never.policy", "[Match]\nAccount=mallory\n[Rule]\nAction=deny\n"),
        FILE_("/p/20-in.policy", "[Match]\nAccount=*\n[Rule]\nAction=permit\n"),
        FILE_("/p/30-script.policy", "[Match]\nCommand=" DIGEST "\n[Rule]\nAction=permit\n" RUN),
    };
    struct lb_ruleset *set = rules(some, LB_ELEMENTS(some));
    struct lb_facts f = { .account = "eng" };

    (void)state;
    check(set, &f, LB_ACTION_PERMIT, "20-in.policy", false);
    f.command = DIGEST;
    check(set, &f, LB_ACTION_PERMIT, "30-script.policy", false);
    assert_string_equal(lb_rules_decide(set, &f).rule->run.user, "backup");
    f.command = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be04";
    check(set, &f, LB_ACTION_REQUIRE, "", false);
    f.account = "mallory";
    check(set, &f, LB_ACTION_DENY, "10-never.policy", false);
    lb_ruleset_free(set);

    set = rules(some + 2, 1);
    f = (struct lb_facts){ .account = "eng", .command = "" };
    check(set, &f, LB_ACTION_REQUIRE, "", false); /* the rule is for no login */
    lb_ruleset_free(set);
}

static void test_time(void **state)
{
    static const struct lb_policy_text some[] = {
        FILE_("/p/10-work.policy", "[Match]\nTime=Mon..Fri 08:00-18:00\n[Rule]\nAction=permit\n"),
        FILE_("/p/20-not-sunday.policy", "[Match]\nTime=!Sun\n[Rule]\nAction=require-approval\n"),
        FILE_("/p/90-rest.policy", "[Rule]\nAction=deny\n"),
    };
    static const struct {
        int weekday, minute, action;
        const char *file;
    } cases[] = {
        { 0, 8 * 60, LB_ACTION_PERMIT, "10-work.policy" }, { 4, 18 * 60 - 1, LB_ACTION_PERMIT, "10-work.policy" },
        { 4, 18 * 60, LB_ACTION_REQUIRE, "20-not-sunday.policy" },
        { 5, 600, LB_ACTION_REQUIRE, "20-not-sunday.policy" },
        { 6, 600, LB_ACTION_DENY, "90-rest.policy" }, { -1, 600, LB_ACTION_DENY, "90-rest.policy" },
        { 0, -1, LB_ACTION_DENY, "90-rest.policy" },
    };
    struct lb_ruleset *set = rules(some, LB_ELEMENTS(some));

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_facts f = { .account = "eng", .weekday = cases[i].weekday, .minute = cases[i].minute };

        check(set, &f, cases[i].action, cases[i].file, false);
    }
    lb_ruleset_free(set);
}

static void test_a_set_without_an_index(void **state)
{
    struct lb_ruleset *set = rules(files, LB_ELEMENTS(files));
    struct lb_ruleset two = { set->rules + 2, 2, set->defaults };
    LB_FREE const char **groups = lb_rules_groups(&(struct lb_ruleset){ set->rules, 2 });

    (void)state;
    check(&two, &(struct lb_facts){ .service = "su", .scope = "root" }, LB_ACTION_REQUIRE, "30-su.policy", true);
    check(&two, &(struct lb_facts){ .service = "x", .scope = "root" }, LB_ACTION_DENY, "40-scope.policy", false);
    assert_string_equal(groups[0], "robots");
    assert_null(groups[1]);
    lb_ruleset_free(set);
}

static void write_row(void *userdata, const struct lb_rule *rule, const char *key, const char *pattern)
{
    assert_int_equal(!key, !pattern);
    fprintf(userdata, "%s %s %s\n", rule->file, key ? key : "-", pattern ? pattern : "-");
}

static char *explain(const struct lb_ruleset *set, const struct lb_facts *facts)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    lb_rules_explain(set, facts, write_row, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_explain(void **state)
{
    struct lb_ruleset *set = rules(files, LB_ELEMENTS(files));
    LB_FREE char *decided = explain(set, &(struct lb_facts){ .account = "batch", .service = "sshd",
                                                            .rhost = "192.0.2.1" });
    LB_FREE char *undecided = explain(set, &(struct lb_facts){ .account = "x", .service = "login", .scope = "login" });
    LB_FREE char *nothing = explain(NULL, &(struct lb_facts){});

    (void)state;
    assert_string_equal(decided, "10-outside.policy RemoteHost 0.0.0.0/0 ::/0 !192.0.2.0/24\n"
                                 "20-batch.policy Key certificate\n30-su.policy - -\n");
    assert_string_equal(undecided, "10-outside.policy RemoteHost 0.0.0.0/0 ::/0 !192.0.2.0/24\n"
                                   "20-batch.policy Account batch @robots\n30-su.policy Service su s*\n"
                                   "40-scope.policy Scope root\n");
    assert_string_equal(nothing, "");
    lb_ruleset_free(set);

    static const struct lb_policy_text in[] = { FILE_("in", "[Match]\nAccount=a\n[Rule]\nAction=permit\n") };
    set = rules(in, 1);
    LB_FREE char *script = explain(set, &(struct lb_facts){ .account = "a", .command = DIGEST });
    assert_string_equal(script, "in Command \n"); /* it names none */
    lb_ruleset_free(set);
}

static void test_groups_are_named_once(void **state)
{
    static const struct lb_policy_text some[] = {
        FILE_("a", "[Match]\nAccount=@one !@two x\n[Rule]\nAction=deny\n"),
        FILE_("b", "[Rule]\nAction=deny\n"),
        FILE_("c", "[Match]\nAccount=@two @three @one\n[Rule]\nAction=deny\n"),
    };
    struct lb_ruleset *set = rules(some, LB_ELEMENTS(some));
    LB_FREE const char **groups = lb_rules_groups(set);
    LB_FREE const char **none = lb_rules_groups(NULL);

    (void)state;
    assert_string_equal(groups[0], "one");
    assert_string_equal(groups[1], "three");
    assert_string_equal(groups[2], "two");
    assert_null(groups[3]);
    assert_null(none[0]);
    lb_ruleset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_that_fits_decides),
        cmocka_unit_test(test_without_a_set_the_door_is_closed),
        cmocka_unit_test(test_an_empty_set_asks_for_approval),
        cmocka_unit_test(test_scripts_are_permitted_by_name_only),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_a_set_without_an_index),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_groups_are_named_once),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
