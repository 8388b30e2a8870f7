/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The value of one [Match] key as a list of patterns: it fits if any of the positive ones does (or there is none) and
 * none of the negated ones (!) does. What is not known fits no pattern.
 *
 * Account       globs, @group of the host
 * Service Scope globs
 * RemoteHost    addresses and networks, or `local`: the login comes from nowhere else (rhost is empty). An rhost that
 *               is neither an address nor empty fits no list at all, not even one of negated patterns only: say
 *               who may, and deny the rest in a last rule
 * Key           plain, certificate, hardware; `any` fits always, unproven engineers too
 * Identity      globs on the Key ID. Without a certificate a positive pattern never fits
 * Command       digests of scripts, none of them negated: what is no script fits none
 * Time          times of the week (week.h); one that is not known fits no list
 */
#pragma once

#include "policy/address.h"
#include "policy/ini.h"
#include "policy/rules.h"

extern const char *const lb_match_names[]; /* by enum lb_match_key, NULL-terminated */

/* The facts of one login, read once for many lists. Borrows from the facts. */
struct lb_subject {
    const char *values[LB_MATCH_MAX_]; /* never NULL */
    size_t lengths[LB_MATCH_MAX_];
    char *const *groups;
    unsigned proof;
    int weekday, minute;
    bool local, numeric; /* neither: rhost is no address */
    struct lb_address address;
};
void lb_subject_read(const struct lb_facts *facts, struct lb_subject *ret);

/* Parses a key's value. Mistakes go to at->errors, and then, or when there is nothing in it, *ret is untouched and the
 * result 0 all the same. -ENOMEM. */
int lb_pattern_list_parse(enum lb_match_key key, const char *value, const struct lb_ini_place *at,
                          struct lb_pattern_list **ret);

bool lb_pattern_list_fits(const struct lb_pattern_list *list, const struct lb_subject *subject);

/* True if a positive pattern is this very word, not just a glob that fits it. */
bool lb_pattern_list_names(const struct lb_pattern_list *list, const char *word);

/* The i-th group that the list asks about, without the @, or NULL behind the last. */
const char *lb_pattern_list_group(const struct lb_pattern_list *list, size_t i);

/* As in the file. */
const char *lb_pattern_list_text(const struct lb_pattern_list *list);

struct lb_pattern_list *lb_pattern_list_free(struct lb_pattern_list *list); /* NULL is fine; returns NULL */
