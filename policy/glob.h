/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Globs over whole strings of UTF-8, the same in every locale, in time that grows no faster than pattern × text. */
#pragma once

#include <stdbool.h>

/* The characters that make a pattern of a word. A backslash is an ordinary character. */
#define LB_GLOB_SPECIAL "*?["

/* NULL if `pattern` is sound, else what is wrong with it. */
const char *lb_glob_mistake(const char *pattern);

/* True if all of `text` fits: * any characters, ? one, [a-z] one of a set, [!a-z] one not of it. `pattern` is sound. */
bool lb_glob_fits(const char *pattern, const char *text);
