/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terms in force, for a person and for a program. */
#pragma once

#include <jansson.h>

#include "policy/terms.h"

/* Sections and Key=value lines; read as a policy (with a [Rule]) they mean these terms, durations rounded down to their
 * two largest units. Owned; NULL: out of memory. */
char *lb_terms_text(const struct lb_terms *terms);

/* An object: durations in seconds, warnings as one list, nothing left out but texts that are empty. NULL: out of
 * memory. */
json_t *lb_terms_json(const struct lb_terms *terms);
