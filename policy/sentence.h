/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text with blanks: {name} stands for a value, and what is in [brackets] is left out if a value in it is empty.
 * Brackets do not nest. Outside of them [[ and ]] stand for one. Braces around anything but a name are braces.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LB_SENTENCE_NAME_MAX 64 /* bytes of a name, with a NUL */

/* Writes the value; `optional` in brackets, where zero counts as empty. 1: it has written something; 0: it is empty;
 * -errno ends it all. */
typedef int lb_sentence_value(void *userdata, const char *name, bool optional, FILE *out);

/* -ENOMEM, or what `value` returned. That `out` could be written is the caller's to check. */
int lb_sentence_write(FILE *out, const char *text, lb_sentence_value *value, void *userdata);

/* The first thing that is wrong in a text somebody wrote: a name that `known` does not know (it comes in ret_name), or
 * a bracket that is not closed, nor opened (ret_name is ""). Returns its place in the text, -1 if all is well. */
ptrdiff_t lb_sentence_check(const char *text, bool (*known)(const char *name),
                            char ret_name[static LB_SENTENCE_NAME_MAX]);
