/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rules.h"

#include "policy/base.h"
#include "policy/match.h"

const char *const lb_action_names[] = {
    [LB_ACTION_DENY] = "deny", [LB_ACTION_REQUIRE] = "require-approval", [LB_ACTION_PERMIT] = "permit", NULL,
};

/* The first Match key that does not fit, or LB_MATCH_MAX_ if all do. */
static int first_misfit(const struct lb_rule *rule, const struct lb_subject *subject)
{
    int key = 0;

    while (key < LB_MATCH_MAX_ && (!rule->match[key] || lb_pattern_list_fits(rule->match[key], subject)))
        key++;
    return key;
}

static const struct lb_rule *first_fit(const struct lb_ruleset *set, const struct lb_subject *subject)
{
    for (size_t i = 0; i < set->n; i++)
        if (first_misfit(&set->rules[i], subject) == LB_MATCH_MAX_)
            return &set->rules[i];
    return NULL;
}

struct lb_verdict lb_rules_decide(const struct lb_ruleset *set, const struct lb_facts *facts)
{
    struct lb_verdict verdict = { .action = LB_ACTION_DENY };
    struct lb_subject subject;

    if (!set)
        return verdict;
    lb_subject_read(facts, &subject);
    verdict.rule = first_fit(set, &subject);
    verdict.action = verdict.rule ? verdict.rule->action : LB_ACTION_REQUIRE;
    verdict.terms = verdict.rule ? &verdict.rule->terms : &set->defaults;
    verdict.service_named = verdict.rule && verdict.rule->match[LB_MATCH_SERVICE] &&
        lb_pattern_list_names(verdict.rule->match[LB_MATCH_SERVICE], subject.values[LB_MATCH_SERVICE]);
    return verdict;
}

void lb_rules_explain(const struct lb_ruleset *set, const struct lb_facts *facts, lb_rules_row *row, void *userdata)
{
    struct lb_subject subject;

    lb_subject_read(facts, &subject);
    for (size_t i = 0; set && i < set->n; i++) {
        int key = first_misfit(&set->rules[i], &subject);

        if (key == LB_MATCH_MAX_) {
            row(userdata, &set->rules[i], NULL, NULL);
            return;
        }
        row(userdata, &set->rules[i], lb_match_names[key], lb_pattern_list_text(set->rules[i].match[key]));
    }
}

static size_t count_groups(const struct lb_ruleset *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        for (size_t j = 0; set->rules[i].match[LB_MATCH_ACCOUNT] &&
                           lb_pattern_list_group(set->rules[i].match[LB_MATCH_ACCOUNT], j); j++)
            n++;
    return n;
}

const char **lb_rules_groups(const struct lb_ruleset *set)
{
    const char **groups = calloc((set ? count_groups(set) : 0) + 1, sizeof(*groups));
    size_t n = 0;

    for (size_t i = 0; groups && set && i < set->n; i++) {
        const struct lb_pattern_list *list = set->rules[i].match[LB_MATCH_ACCOUNT];
        const char *group;

        for (size_t j = 0; list && (group = lb_pattern_list_group(list, j)); j++)
            if (!lb_strings_contain((char *const *)groups, group))
                groups[n++] = group;
    }
    return groups;
}

static void rule_clear(struct lb_rule *rule)
{
    free(rule->file);
    free(rule->path);
    free(rule->description);
    for (size_t key = 0; key < LB_MATCH_MAX_; key++)
        lb_pattern_list_free(rule->match[key]);
    lb_terms_clear(&rule->terms);
}

struct lb_ruleset *lb_ruleset_free(struct lb_ruleset *set)
{
    if (set) {
        for (size_t i = 0; i < set->n; i++)
            rule_clear(&set->rules[i]);
        free(set->rules);
        lb_terms_clear(&set->defaults);
        free(set);
    }
    return NULL;
}
