/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An administrator's JSON with {placeholders}: the names of words.h, put in escaped for a JSON string, so that nobody's
 * words get out of the quotes that he has written around it. A brace that begins no {word} is a brace.
 */
#pragma once

#include "lockboxd/courier/letter.h"

/* -EINVAL: a {placeholder} that there is not, or where it could break what is around it, or no JSON object when all are
 * filled in; *ret_mistake (owned) says which, *ret_line where (0: as a whole). -ENOMEM. */
int lb_template_check(const char *text, unsigned *ret_line, char **ret_mistake);

/* A text that was checked, with everything filled in; what is not known is empty, or 0. `link`: as in struct lb_words.
 * Owned; NULL when out of memory. */
char *lb_template_fill(const char *text, const char *link, const struct lb_matter *m);
