/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rules.h"

#include "policy/base.h"
#include "policy/match.h"
#include "policy/rules_index.h"

const char *const lb_action_names[] = {
    [LB_ACTION_DENY] = "deny", [LB_ACTION_REQUIRE] = "require-approval", [LB_ACTION_PERMIT] = "permit", NULL,
};

bool lb_rule_is_of_logins(const struct lb_rule *rule)
{
    return rule->action == LB_ACTION_PERMIT && !rule->match[LB_MATCH_COMMAND];
}

/* The first Match key that does not fit, or LB_MATCH_MAX_ if all do. */
static int first_misfit(const struct lb_rule *rule, const struct lb_subject *subject)
{
    int key = 0;

    while (key < LB_MATCH_MAX_ && (!rule->match[key] || lb_pattern_list_fits(rule->match[key], subject)))
        key++;
    if (key == LB_MATCH_MAX_ && *subject->values[LB_MATCH_COMMAND] && lb_rule_is_of_logins(rule))
        return LB_MATCH_COMMAND;
    return key;
}

static const struct lb_rule *first_fit(const struct lb_ruleset *set, const struct lb_subject *subject)
{
    if (set->index)
        return lb_rules_index_find(set->index, subject);
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
        row(userdata, &set->rules[i], lb_match_names[key],
            set->rules[i].match[key] ? lb_pattern_list_text(set->rules[i].match[key]) : "");
    }
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static size_t count_groups(const struct lb_ruleset *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        for (size_t j = 0; set->rules[i].match[LB_MATCH_ACCOUNT] &&
                           lb_pattern_list_group(set->rules[i].match[LB_MATCH_ACCOUNT], j); j++)
            n++;
    return n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts, and leaves one of each. */
static void make_unique(const char **names, size_t n)
{
    size_t used = 0;

    qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++)
        if (used == 0 || strcmp(names[used - 1], names[i]) != 0)
            names[used++] = names[i];
    names[used] = NULL;
}

static const char **copy_of(const char *const *names)
{
    size_t n = 0;
    const char **copy;

    while (names[n])
        n++;
    copy = calloc(n + 1, sizeof(*copy));
    return copy ? memcpy(copy, names, n * sizeof(*copy)) : NULL;
}

const char **lb_rules_groups(const struct lb_ruleset *set)
{
    const char **groups;
    size_t n = 0;

    if (set && set->groups)
        return copy_of(set->groups);
    groups = calloc((set ? count_groups(set) : 0) + 1, sizeof(*groups));
    for (size_t i = 0; groups && set && i < set->n; i++) {
        const struct lb_pattern_list *list = set->rules[i].match[LB_MATCH_ACCOUNT];
        const char *group;

        for (size_t j = 0; list && (group = lb_pattern_list_group(list, j)); j++)
            groups[n++] = group;
    }
    if (n > 0)
        make_unique(groups, n);
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
    lb_run_clear(&rule->run);
}

struct lb_ruleset *lb_ruleset_free(struct lb_ruleset *set)
{
    if (set) {
        for (size_t i = 0; i < set->n; i++)
            rule_clear(&set->rules[i]);
        free(set->rules);
        free(set->groups);
        lb_rules_index_free(set->index);
        lb_terms_clear(&set->defaults);
        free(set);
    }
    return NULL;
}
