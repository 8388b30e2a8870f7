/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Facts about a login + rules → permit | deny | require, with the terms, and why. */
#pragma once

#include "policy/identity.h"
#include "policy/run.h"
#include "policy/terms.h"

enum lb_action { LB_ACTION_DENY, LB_ACTION_REQUIRE, LB_ACTION_PERMIT };
extern const char *const lb_action_names[]; /* "deny", "require-approval", "permit" */

/* What is known about one login. Borrowed pointers; NULL is "". */
struct lb_facts {
    const char *account;
    const char *service; /* PAM service */
    const char *scope;   /* "login", "root", or a name of the administrator's */
    const char *rhost;   /* numeric address, or "" for local */
    unsigned proof;      /* enum lb_proof bits */
    const char *identity; /* Key ID of the certificate; "" without one */
    char *const *groups; /* those of lb_rules_groups() that the account is in */
    const char *command; /* "sha256:…" of a script that is to be run; "" for a login */
    int weekday;         /* in the host's zone: 0 is Monday */
    int minute;          /* of the day; weekday or minute -1: not known, no Time= fits */
};

enum lb_match_key {
    LB_MATCH_ACCOUNT, LB_MATCH_SERVICE, LB_MATCH_SCOPE, LB_MATCH_REMOTE_HOST, LB_MATCH_KEY, LB_MATCH_IDENTITY,
    LB_MATCH_COMMAND, LB_MATCH_TIME, LB_MATCH_MAX_,
};

/* The value of one Match key: what any of must fit, what none of may. See match.h. */
struct lb_pattern_list;

struct lb_rule {
    char *file;                                   /* base name, for explain and the events' `rule` */
    char *path;                                   /* where it was read */
    struct lb_pattern_list *match[LB_MATCH_MAX_]; /* NULL: absent, fits anything */
    int action;                                   /* enum lb_action */
    char *description;                            /* NULL: none */
    struct lb_terms terms;
    struct lb_run run; /* of rules with Command= */
};

struct lb_ruleset {
    struct lb_rule *rules; /* in the order in which they are asked */
    size_t n;
    struct lb_terms defaults;
    struct lb_rules_index *index; /* made by lb_rules_parse; a set without one is asked rule by rule */
    const char **groups;          /* as lb_rules_groups() gives them, kept by lb_rules_parse; or NULL */
};

/* What was decided. Points into the set; valid while it lives. */
struct lb_verdict {
    int action;                  /* enum lb_action */
    const struct lb_rule *rule;  /* NULL: no rule fits, the defaults decide (require-approval) */
    const struct lb_terms *terms;
    bool service_named;          /* the rule names this service itself, not by a glob (su to a gated account asks for
                                    that) */
};

/* The first rule whose [Match] fits decides. A script (facts->command) is permitted by rules with Command= only: one
 * that permits without naming what may run does not fit. Never fails; without a set (NULL) the answer is deny. */
struct lb_verdict lb_rules_decide(const struct lb_ruleset *set, const struct lb_facts *facts);

/*
 * Calls `row` for each rule in order until one decides: key is the first Match key that does not fit (or NULL when the
 * rule decides), pattern its text in the file ("" for a rule that lacks Command=, see above).
 */
typedef void lb_rules_row(void *userdata, const struct lb_rule *rule, const char *key, const char *pattern);
void lb_rules_explain(const struct lb_ruleset *set, const struct lb_facts *facts, lb_rules_row *row, void *userdata);

/* Names of the host's groups that Account= patterns ask about (@name), without the @. Borrowed strings in an owned
 * NULL-terminated list of the caller's (free() the list alone). NULL when out of memory. */
const char **lb_rules_groups(const struct lb_ruleset *set);

/* True for a rule that permits logins and, as it names no Command=, no script. */
bool lb_rule_is_of_logins(const struct lb_rule *rule);

struct lb_ruleset *lb_ruleset_free(struct lb_ruleset *set); /* NULL is fine; returns NULL */
