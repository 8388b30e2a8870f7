/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `policy explain` prints as the terms is a policy that says the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "lockboxd/ctl/terms.h"
#include "policy/base.h"
#include "policy/rules_parse.h"

/* Every key that may have another value than its default, with another value. */
static const char other[] =
    "[Request]\nTicket=required\nTicketPattern=CASE-[0-9]{4,}\nTicketURL=https://support.example/cases/%t\n"
    "Reason=optional\nExpireAfter=4d\nMaxPending=2\n"
    "[Approval]\nCustomer=@customers bob\n"
    "[Access]\nDuration=1h 30min\nMaxDuration=6h\nStarts=login\nUseBy=45min\nWarn=30min 10min 2min\nOnReboot=keep\n"
    "MaxSessions=3\nExclusive=no\n";

static struct lb_ruleset *parse(const char *terms)
{
    char text[2048], *error = NULL;
    struct lb_ruleset *set = NULL;

    snprintf(text, sizeof(text), "[Rule]\nAction=require-approval\n%s", terms);
    assert_int_equal(lb_rules_parse(&(struct lb_policy_text){ "test", text, strlen(text) }, 1, &set, &error), 0);
    assert_null(error);
    return set;
}

static void expect_same(const struct lb_terms *terms)
{
    LB_FREE char *text = lb_terms_text(terms), *again = NULL;
    struct lb_ruleset *set = NULL;

    assert_non_null(text);
    set = parse(text);
    again = lb_terms_text(&set->rules[0].terms);
    assert_string_equal(again, text);
    assert_memory_equal(set->rules[0].terms.warn, terms->warn, sizeof(terms->warn));
    assert_int_equal(set->rules[0].terms.duration, terms->duration);
    lb_ruleset_free(set);
}

static void test_defaults_come_back(void **state)
{
    struct lb_terms terms;

    (void)state;
    assert_int_equal(lb_terms_defaults(&terms), 0);
    expect_same(&terms);
    lb_terms_clear(&terms);
}

static void test_others_come_back(void **state)
{
    struct lb_ruleset *set = parse(other);
    LB_FREE char *text = lb_terms_text(&set->rules[0].terms);

    (void)state;
    expect_same(&set->rules[0].terms);
    for (const char *line = other; *line; line += strcspn(line, "\n") + 1) {
        char wanted[128];
        snprintf(wanted, sizeof(wanted), "%.*s\n", (int)strcspn(line, "\n"), line);
        assert_non_null(strstr(text, wanted));
    }
    lb_ruleset_free(set);
}

static void test_freeze_is_one_word(void **state)
{
    struct lb_terms terms;
    LB_FREE char *text = NULL;

    (void)state;
    assert_int_equal(lb_terms_defaults(&terms), 0);
    terms.on_end = LB_ON_END_FREEZE;
    terms.freeze = INT64_C(600000000);
    text = lb_terms_text(&terms);
    assert_non_null(strstr(text, "\nOnEnd=freeze=10min\n"));
    lb_terms_clear(&terms);
}

static void test_json_says_also_what_is_zero(void **state)
{
    struct lb_terms terms;
    json_t *json = NULL;
    LB_FREE char *text = NULL;

    (void)state;
    assert_int_equal(lb_terms_defaults(&terms), 0);
    json = lb_terms_json(&terms);
    text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text,
                        "{\"customer\":[\"@lockbox-approvers\"],\"duration\":28800,\"emergency\":false,"
                        "\"emergency_duration\":3600,\"evidence\":\"any\",\"exclusive\":true,\"expire_after\":43200,"
                        "\"max_duration\":43200,\"max_pending\":5,\"max_sessions\":10,\"on_end\":\"kill\","
                        "\"on_reboot\":\"end\",\"quorum\":1,\"reason\":\"required\",\"record\":\"no\","
                        "\"starts\":\"approval\",\"ticket\":\"optional\",\"use_by\":86400,\"warn\":[900,300,60]}");
    json_decref(json);
    lb_terms_clear(&terms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_come_back),
        cmocka_unit_test(test_others_come_back),
        cmocka_unit_test(test_freeze_is_one_word),
        cmocka_unit_test(test_json_says_also_what_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
