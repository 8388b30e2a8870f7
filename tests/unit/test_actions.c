/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The example table of actions, walked row by row. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/rules_parse.h"
#include "policy/shadow.h"

#define FOLDER "policy/examples/actions/"

static const struct {
    const char *scope;
    int action;
    const char *file;
} table[] = {
    { "login", LB_ACTION_PERMIT, "10-login.policy" },
    { "list-clusters", LB_ACTION_PERMIT, "20-list-clusters.policy" },
    { "get-cluster", LB_ACTION_PERMIT, "21-get-cluster.policy" },
    { "list-resources", LB_ACTION_PERMIT, "22-list-resources.policy" },
    { "put-cluster", LB_ACTION_PERMIT, "23-put-cluster.policy" },
    { "upgrade-cluster", LB_ACTION_PERMIT, "24-upgrade-cluster.policy" },
    { "redeploy-vm", LB_ACTION_PERMIT, "25-redeploy-vm.policy" },
    { "delete-object-soft", LB_ACTION_PERMIT, "26-delete-object-soft.policy" },
    { "list-objects", LB_ACTION_REQUIRE, "40-list-objects.policy" },
    { "create-object", LB_ACTION_REQUIRE, "41-create-object.policy" },
    { "update-object", LB_ACTION_REQUIRE, "42-update-object.policy" },
    { "delete-object", LB_ACTION_REQUIRE, "43-delete-object.policy" },
    { "get-serial-console", LB_ACTION_REQUIRE, "44-get-serial-console.policy" },
    { "read-secrets", LB_ACTION_DENY, "60-read-secrets.policy" },
    { "root", LB_ACTION_DENY, "90-nothing-else.policy" },
};

static char *content(const char *path)
{
    char *text = calloc(1, 16384);
    FILE *in = fopen(path, "r");

    assert_non_null(text);
    assert_non_null(in);
    assert_true(fread(text, 1, 16383, in) > 0);
    assert_int_equal(fclose(in), 0);
    return text;
}

static int load(void **state)
{
    struct lb_policy_text files[LB_ELEMENTS(table) + 1] = {};
    LB_FREE char *error = NULL;
    glob_t found;

    assert_int_equal(glob(FOLDER "*.policy", 0, NULL, &found), 0); /* in name order */
    assert_int_equal(found.gl_pathc, LB_ELEMENTS(table));
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *text = content(found.gl_pathv[i]);

        files[i] = (struct lb_policy_text){ found.gl_pathv[i], text, strlen(text) };
    }
    if (lb_rules_parse(files, found.gl_pathc, (struct lb_ruleset **)state, &error) < 0)
        fail_msg("%s", error);
    for (size_t i = 0; i < found.gl_pathc; i++)
        free((char *)files[i].text);
    globfree(&found);
    return 0;
}

static int unload(void **state)
{
    *state = lb_ruleset_free(*state);
    return 0;
}

static void test_every_action(void **state)
{
    for (size_t i = 0; i < LB_ELEMENTS(table); i++) {
        const struct lb_facts facts = {
            .account = "support", .service = "lockboxctl", .scope = table[i].scope, .proof = LB_PROOF_CERTIFICATE,
        };
        struct lb_verdict verdict = lb_rules_decide(*state, &facts);

        if (verdict.action != table[i].action || !lb_streq(verdict.rule ? verdict.rule->file : "", table[i].file))
            fail_msg("%s: %s", table[i].scope, verdict.rule ? verdict.rule->file : "no rule");
        assert_non_null(verdict.rule->description); /* it is what the approver reads */
        if (verdict.action == LB_ACTION_REQUIRE)
            assert_int_equal(verdict.terms->ticket, LB_NEED_REQUIRED);
    }
}

static void test_who_is_not_proven_or_not_meant(void **state)
{
    struct lb_facts facts = { .account = "support", .service = "sshd", .scope = "login", .proof = LB_PROOF_PLAIN };

    assert_int_equal(lb_rules_decide(*state, &facts).action, LB_ACTION_DENY);
    facts.account = "other"; /* of whom these rules say nothing */
    assert_null(lb_rules_decide(*state, &facts).rule);
}

static void tell_hidden(void *userdata, const struct lb_rule *rule, const struct lb_rule *by)
{
    (void)userdata;
    fail_msg("%s is hidden by %s", rule->file, by->file);
}

static void test_no_rule_is_hidden(void **state)
{
    lb_rules_shadowed(*state, tell_hidden, NULL);
}

/* What people read says the same. */
static void test_the_table_for_people(void **state)
{
    static const char *const words[] = {
        [LB_ACTION_DENY] = "**refused**", [LB_ACTION_REQUIRE] = "**yes**", [LB_ACTION_PERMIT] = "no",
    };
    LB_FREE char *text = content(FOLDER "README.md");

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(table); i++) {
        LB_FREE char *begin = NULL;
        LB_FREE char *end = NULL;
        const char *row, *rule;
        bool other = strcmp(table[i].scope, "root") == 0;

        assert_true(asprintf(&begin, "\n| %s%s%s ", other ? "" : "`", other ? "any other" : table[i].scope,
                             other ? "" : "`") > 0);
        assert_true(asprintf(&end, " | %s | `%s` |\n", words[table[i].action], table[i].file) > 0);
        rule = strstr(text, end);
        if (!rule)
            fail_msg("no row%s", end);
        row = memrchr(text, '\n', (size_t)(rule - text));
        if (strncmp(row, begin, strlen(begin)) != 0)
            fail_msg("not%s", begin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_action),
        cmocka_unit_test(test_who_is_not_proven_or_not_meant),
        cmocka_unit_test(test_no_rule_is_hidden),
        cmocka_unit_test(test_the_table_for_people),
    };
    return cmocka_run_group_tests_name("actions", tests, load, unload);
}
