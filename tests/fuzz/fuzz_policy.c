/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a policy file: refused with a reason or taken, and what is taken decides without harm.
 * clang -fsanitize=fuzzer,address,undefined, or with -DLB_FUZZ_MAIN a program that reads the files it is given.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "policy/base.h"
#include "policy/rules_parse.h"

#include "tests/fuzz/fuzz_main.h"

static void count_row(void *userdata, const struct lb_rule *rule, const char *key, const char *pattern)
{
    assert(rule && !key == !pattern);
    ++*(unsigned *)userdata;
}

static void decide(const struct lb_ruleset *set)
{
    static const struct lb_facts facts[] = {
        {}, { .account = "eng", .service = "sshd", .scope = "login", .rhost = "192.0.2.1", .proof = LB_PROOF_PLAIN },
        { .account = "eng", .service = "su", .scope = "root", .rhost = "host.example", .identity = "a@vendor.example" },
    };
    LB_FREE const char **groups = lb_rules_groups(set);

    assert(groups && set->n == 1 && set->rules[0].terms.duration <= set->rules[0].terms.max_duration);
    for (size_t i = 0; i < LB_ELEMENTS(facts); i++) {
        struct lb_verdict verdict = lb_rules_decide(set, &facts[i]);
        unsigned rows = 0;

        assert(verdict.terms && verdict.action == (verdict.rule ? verdict.rule->action : LB_ACTION_REQUIRE));
        lb_rules_explain(set, &facts[i], count_row, &rows);
        assert(rows == 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    LB_FREE char *text = calloc(1, size + 1);
    const struct lb_policy_text file = { "f.policy", text, size };
    struct lb_ruleset *set = NULL;
    char *error = NULL;
    int r;

    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    r = lb_rules_parse(&file, 1, &set, &error);
    assert(r == 0 ? set && !error : r == -EINVAL && !set && strncmp(error, "f.policy:", 9) == 0);
    if (r == 0)
        decide(set);
    lb_ruleset_free(set);
    free(error);
    return 0;
}
