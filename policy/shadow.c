/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/shadow.h"

#include <string.h>

#include "policy/pattern.h"

/* A pattern of the list, positive or negated as asked, that covers this one. */
static bool any_covers(const struct lb_pattern_list *list, bool negated, const struct lb_pattern *narrow)
{
    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++)
        if (p->negated == negated && lb_pattern_covers(p, narrow))
            return true;
    return false;
}

/* Whatever `narrow` lets in, a positive pattern of `wide` lets in. */
static bool lets_in(const struct lb_pattern_list *wide, const struct lb_pattern_list *narrow)
{
    if (!wide->positive)
        return true;
    for (const struct lb_pattern *p = narrow->patterns; p < narrow->patterns + narrow->n; p++)
        if (!p->negated && !any_covers(wide, false, p))
            return false;
    return narrow->positive;
}

/* Whatever `wide` excludes, `narrow` excludes too. */
static bool excludes_no_more(const struct lb_pattern_list *wide, const struct lb_pattern_list *narrow)
{
    for (const struct lb_pattern *p = wide->patterns; p < wide->patterns + wide->n; p++)
        if (p->negated && !any_covers(narrow, true, p))
            return false;
    return true;
}

/* Key=any fits always, as an absent key does; but not together with exclusions. */
static bool fits_always(const struct lb_pattern_list *list)
{
    bool any = false;

    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++) {
        if (p->negated)
            return false;
        any |= p->kind == LB_PATTERN_ANY;
    }
    return any;
}

static bool list_covers(const struct lb_pattern_list *wide, const struct lb_pattern_list *narrow)
{
    if (!wide || (narrow && strcmp(wide->text, narrow->text) == 0) || fits_always(wide))
        return true;
    return narrow && lets_in(wide, narrow) && excludes_no_more(wide, narrow);
}

/* Whether a script could reach `rule` past `earlier`, which decides about logins alone. */
static bool is_left_to_scripts(const struct lb_rule *earlier, const struct lb_rule *rule, bool scripts)
{
    return scripts && lb_rule_is_of_logins(earlier) && !lb_rule_is_of_logins(rule);
}

static bool is_shadowed(const struct lb_rule *rule, const struct lb_rule *earlier, bool scripts)
{
    for (int key = 0; key < LB_MATCH_MAX_; key++)
        if (!list_covers(earlier->match[key], rule->match[key]))
            return false;
    return !is_left_to_scripts(earlier, rule, scripts);
}

void lb_rules_shadowed(const struct lb_ruleset *set, lb_shadow_row *row, void *userdata)
{
    bool scripts = false;

    for (size_t i = 0; i < set->n; i++)
        scripts |= set->rules[i].match[LB_MATCH_COMMAND] != NULL;
    for (size_t i = 1; i < set->n; i++) {
        size_t by = 0;

        while (by < i && !is_shadowed(&set->rules[i], &set->rules[by], scripts))
            by++;
        if (by < i)
            row(userdata, &set->rules[i], &set->rules[by]);
    }
}
