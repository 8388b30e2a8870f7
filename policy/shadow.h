/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules that never decide, because an earlier one always does. */
#pragma once

#include "policy/rules.h"

/* `by` is the earlier rule; of several the first. */
typedef void lb_shadow_row(void *userdata, const struct lb_rule *rule, const struct lb_rule *by);

/*
 * Calls `row` for each rule that never decides, in order. It may miss some (those that several earlier rules hide
 * together) but is never wrong. Where no rule has Command=, no script is permitted anyway, and only logins are thought
 * of.
 */
void lb_rules_shadowed(const struct lb_ruleset *set, lb_shadow_row *row, void *userdata);
