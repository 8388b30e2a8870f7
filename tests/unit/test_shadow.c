/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules that never decide: found where one earlier rule hides them, and never a false alarm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/shadow.h"
#include "tests/unit/random_rules.h"

static void write_row(void *userdata, const struct lb_rule *rule, const struct lb_rule *by)
{
    fprintf(userdata, "%s<%s ", rule->file, by->file);
}

/* Rules a, b, c … with these [Match] sections and actions → "b<a ". */
static char *shadows(const char *const (*rules)[2], size_t n)
{
    struct lb_policy_text files[4] = {};
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;
    char *text = NULL, *out_text = NULL;
    size_t size;
    FILE *out = open_memstream(&out_text, &size);

    for (size_t i = 0; i < n; i++) {
        static const char *const paths[] = { "a", "b", "c", "d" };
        bool script = strstr(rules[i][0], "Command=") != NULL;

        assert_true(asprintf(&text, "[Match]\n%s\n[Rule]\nAction=%s\n%s", rules[i][0], rules[i][1],
                             script ? "[Run]\nUser=u\n" : "") > 0);
        files[i] = (struct lb_policy_text){ paths[i], text, strlen(text) };
    }
    if (lb_rules_parse(files, n, &set, &error) < 0)
        fail_msg("%s", error);
    lb_rules_shadowed(set, write_row, out);
    assert_int_equal(fclose(out), 0);
    lb_ruleset_free(set);
    for (size_t i = 0; i < n; i++)
        free((char *)files[i].text);
    return out_text;
}

static void test_one_over_another(void **state)
{
    static const struct {
        const char *wide, *narrow;
        bool hidden;
    } cases[] = {
        { "", "", true }, { "", "Account=a", true }, { "Account=a", "", false },
        { "Account=a", "Account=a", true }, { "Account=a", "Account=b", false }, { "Account=a b", "Account=b", true },
        { "Account=a b", "Account=b  a", true }, { "Account=a", "Account=a b", false },
        { "Account=a*", "Account=abc", true }, { "Account=a*", "Account=ab*", true },
        { "Account=ab*", "Account=a*", false }, { "Account=a*", "Account=ab*c", true },
        { "Account=a*c", "Account=ab*bc", true }, { "Account=a*c", "Account=ab*", false },
        { "Account=*", "Account=a[bc]d?", true }, { "Account=*", "Account=@g", false },
        { "Account=*", "", false }, { "Account=a?c", "Account=abc", true }, { "Account=a?c", "Account=a?c", true },
        { "Account=a?c", "Account=a*", false }, { "Account=@g h", "Account=@g", true },
        { "Account=@g", "Account=@h", false }, { "Account=@g", "Account=g", false },
        { "Account=!a", "Account=!a", true }, { "Account=!a", "Account=!a !b", true },
        { "Account=!a !b", "Account=!a", false }, { "Account=!a", "Account=b", false }, /* it does, but is missed */
        { "Account=* !a", "Account=b* !a", true }, { "Account=* !a", "Account=b* !a*", true },
        { "Account=* !a*", "Account=b* !a", false }, { "Account=*", "Account=!a", false },
        { "Account=a !b", "Account=a !b", true }, { "Account=a", "Account=a !b", true },
        { "Account=a\nService=su", "Account=a", false }, { "Account=a", "Account=a\nService=su", true },
        { "Scope=l*", "Scope=login", true }, { "Scope=login", "Service=login", false },
        { "RemoteHost=192.0.2.0/24", "RemoteHost=192.0.2.7", true },
        { "RemoteHost=192.0.2.0/24", "RemoteHost=192.0.2.0/25 192.0.2.128/25", true },
        { "RemoteHost=192.0.2.0/25", "RemoteHost=192.0.2.0/24", false },
        { "RemoteHost=0.0.0.0/0 ::/0 local", "RemoteHost=!192.0.2.1", false },
        { "RemoteHost=0.0.0.0/0 ::/0 local", "", false }, /* a host that is known by name */
        { "RemoteHost=::/0", "RemoteHost=192.0.2.1", false }, { "RemoteHost=local", "RemoteHost=local", true },
        { "Key=any", "", true }, { "Key=any", "Key=plain", true }, { "Key=any !plain", "", false },
        { "Key=any !plain", "Key=certificate", false }, { "Key=any plain", "Key=!plain", true },
        { "Key=certificate", "Key=hardware", false }, { "Key=plain", "Key=any", false },
        { "Time=Mon..Fri", "Time=Tue 08:00-09:00", true }, { "Time=Mon..Fri", "Time=Fri 22:00-06:00", false },
        { "Time=Mon..Sun", "", false }, { "Time=!Sat..Sun", "Time=Mon..Fri", true },
        { "Identity=*@v", "Identity=a@v", true }, { "Identity=*", "Identity=!a", false },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        const char *const rules[][2] = { { cases[i].wide, "deny" }, { cases[i].narrow, "require-approval" } };
        LB_FREE char *found = shadows(rules, 2);

        if (strcmp(found, cases[i].hidden ? "b<a " : "") != 0)
            fail_msg("%s over %s: %s", cases[i].wide, cases[i].narrow, found);
    }
}

static void test_scripts(void **state)
{
    static const struct {
        const char *rules[3][2];
        const char *found;
    } cases[] = {
        /* what permits logins is no answer for scripts, so these come to the rule behind it */
        { { { "", "permit" }, { "Command=" DIGEST_A, "permit" } }, "" },
        { { { "", "permit" }, { "Account=x", "deny" }, { "Command=" DIGEST_A, "permit" } }, "" },
        { { { "", "permit" }, { "Account=x", "permit" }, { "Command=" DIGEST_A, "permit" } }, "b<a " },
        /* where no script can run, only logins count */
        { { { "", "permit" }, { "", "deny" } }, "b<a " },
        { { { "", "deny" }, { "Command=" DIGEST_A, "permit" } }, "b<a " },
        { { { "Command=" DIGEST_A, "permit" }, { "", "deny" } }, "" },
        { { { "Command=" DIGEST_A " " DIGEST_B, "permit" }, { "Command=" DIGEST_B, "permit" } }, "b<a " },
        { { { "Command=" DIGEST_B, "permit" }, { "Command=" DIGEST_A " " DIGEST_B, "permit" } }, "" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        LB_FREE char *found = shadows(cases[i].rules, cases[i].rules[2][0] ? 3 : 2);

        if (strcmp(found, cases[i].found) != 0)
            fail_msg("%zu: %s", i, found);
    }
}

static void test_the_first_that_hides_is_named(void **state)
{
    static const char *const rules[][2] = {
        { "Account=x", "deny" }, { "Account=a*", "deny" }, { "Account=ab*", "deny" }, { "Account=abc", "deny" },
    };
    LB_FREE char *found = shadows(rules, 4);

    (void)state;
    assert_string_equal(found, "c<b d<b ");
}

/* --- never a false alarm ------------------------------------------------------------------------------------------ */

static void mark(void *userdata, const struct lb_rule *rule, const struct lb_rule *by)
{
    assert_true(by < rule);
    *(const struct lb_rule **)userdata = rule;
}

static void test_what_is_hidden_never_decides(void **state)
{
    size_t hidden = 0;

    (void)state;
    for (size_t round = 0; round < 4000; round++) {
        struct lb_ruleset *set = random_rules(2 + draw(6), round % 2);
        const struct lb_rule *last = NULL; /* of those that are hidden */

        lb_rules_shadowed(set, mark, &last);
        hidden += last != NULL;
        for (size_t i = 0; last && i < 300; i++) {
            bool scripts = false;
            char *groups[4];

            for (size_t j = 0; j < set->n; j++)
                scripts |= set->rules[j].match[LB_MATCH_COMMAND] != NULL;
            struct lb_facts facts = random_facts(scripts, groups);
            assert_ptr_not_equal(lb_rules_decide(set, &facts).rule, last);
        }
        lb_ruleset_free(set);
    }
    assert_in_range(hidden, 500, 3500); /* both occurred often */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_over_another),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_the_first_that_hides_is_named),
        cmocka_unit_test(test_what_is_hidden_never_decides),
    };
    return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
