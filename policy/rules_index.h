/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the first rule that fits without looking at the others. Each pattern lies under what a login must have for it
 * to fit (its anchor); a login looks up the few that it has. What fits there sets bits, one for each rule: for each
 * key those that it leaves open, joined over all keys. Same patterns of many rules are one.
 */
#pragma once

#include "policy/match.h"

struct lb_rules_index;

/* Borrows the set's rules, which must not move. -ENOMEM. */
int lb_rules_index_new(const struct lb_ruleset *set, struct lb_rules_index **ret);

/* The first rule that fits, or NULL. */
const struct lb_rule *lb_rules_index_find(const struct lb_rules_index *index, const struct lb_subject *subject);

struct lb_rules_index *lb_rules_index_free(struct lb_rules_index *index); /* NULL is fine; returns NULL */
