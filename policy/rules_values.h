/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of values that keys of a policy file take. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/ini.h"

struct lb_rules_key;

/*
 * Reads a value, never empty unless may_be_empty is set, into `to`, the member that the key's row names; what was there
 * before is freed. Mistakes go to at->errors, and the result is 0 then. 1 if the value asks for an effect that a key
 * marked `later` does not have yet; else 0; -ENOMEM.
 */
typedef int lb_rules_reader(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to);

/* A row of the grammar. */
struct lb_rules_key {
    const char *section, *name;
    lb_rules_reader *read;
    size_t offset;            /* in struct lb_rule */
    const char *const *names; /* of an enum, NULL-terminated */
    bool later;               /* known, but some or all of its values have their effect in a later version */
    bool may_be_empty;
};

lb_rules_reader lb_rules_read_match, lb_rules_read_enum, lb_rules_read_boolean, lb_rules_read_number,
    lb_rules_read_span, lb_rules_read_warn, lb_rules_read_on_end, lb_rules_read_text, lb_rules_read_pattern,
    lb_rules_read_url, lb_rules_read_names, lb_rules_read_units, lb_rules_read_user,
    lb_rules_read_arguments, lb_rules_read_environment, lb_rules_read_nothing_yet;
