/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/run.h"

#include <ctype.h>
#include <errno.h>

#include "policy/base.h"
#include "policy/fields.h"
#include "policy/rules_values.h"
#include "policy/text.h"

#define BLANK " \t"
#define VARIABLES_MAX 64

#define MISTAKE(at, value, format, ...) \
    lb_ini_error((at)->errors, (at)->path, (at)->line, "%s=%s" format, (at)->key, (value), ##__VA_ARGS__)

static bool is_one_word(const char *argument)
{
    const char *c = argument;

    while (*c && !isspace((unsigned char)*c))
        c++;
    return *argument && !*c;
}

static bool fit_pattern(const char *pattern, const char *const *arguments)
{
    LB_FREE char *joined = NULL;
    size_t size = 1;
    char *end;

    for (const char *const *a = arguments; a && *a; a++) {
        if (!is_one_word(*a))
            return false;
        size += strlen(*a) + 1;
    }
    joined = calloc(1, size);
    if (!joined)
        return false;
    end = joined;
    for (const char *const *a = arguments; a && *a; a++)
        end = stpcpy(stpcpy(end, a > arguments ? " " : ""), *a);
    return lb_text_matches(pattern, joined);
}

bool lb_run_takes(const struct lb_run *run, const char *const *arguments)
{
    switch (run->arguments) {
    case LB_ARGUMENTS_ANY:
        return true;
    case LB_ARGUMENTS_PATTERN:
        return fit_pattern(run->pattern, arguments);
    default:
        return !arguments || !*arguments;
    }
}

void lb_run_clear(struct lb_run *run)
{
    free(run->user);
    free(run->pattern);
    lb_strings_free(run->environment);
    *run = (struct lb_run){ 0 };
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

int lb_rules_read_user(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    (void)key;
    if (*value == '@' || !lb_text_is_name(value, "")) {
        MISTAKE(at, value, " is not the name of one account");
        return 0;
    }
    free(*(char **)to);
    *(char **)to = strdup(value);
    return *(char **)to ? 0 : -ENOMEM;
}

int lb_rules_read_arguments(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    struct lb_run *run = (struct lb_run *)((char *)to - offsetof(struct lb_run, arguments));
    bool any = strcmp(value, "any") == 0;

    run->arguments = any ? LB_ARGUMENTS_ANY : LB_ARGUMENTS_NONE;
    if (any || strcmp(value, "none") == 0)
        return 0;
    run->arguments = LB_ARGUMENTS_PATTERN;
    return lb_rules_read_pattern(key, at, value, &run->pattern);
}

/* Of NAME=VALUE the length of a sound NAME, else 0. */
static size_t name_length(const char *word)
{
    size_t n = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return word[n] == '=' && (*word < '0' || *word > '9') ? n : 0;
}

static void check_variable(const struct lb_ini_place *at, char *const *before, const char *word)
{
    size_t n = name_length(word);

    if (n == 0)
        MISTAKE(at, word, " is not NAME=VALUE; they are separated by spaces");
    else if (strpbrk(word, "\"'\\"))
        MISTAKE(at, word, ": quotes and backslashes have no meaning here; a value has no space in it");
    for (; n > 0 && before && *before; before++)
        if (strncmp(*before, word, n + 1) == 0)
            MISTAKE(at, word, " says %.*s twice", (int)n, word);
}

int lb_rules_read_environment(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value,
                              void *to)
{
    LB_FREE char *copy = strdup(value);
    size_t n = 0, mistakes = at->errors->n;
    char **words = NULL, *rest = NULL;
    int r = copy ? 0 : -ENOMEM;

    (void)key;
    for (char *word = r ? NULL : strtok_r(copy, BLANK, &rest); word && r == 0; word = strtok_r(NULL, BLANK, &rest)) {
        check_variable(at, words, word);
        if (++n == VARIABLES_MAX + 1)
            MISTAKE(at, word, " is one variable too many");
        r = lb_strings_append(&words, word);
    }
    if (r < 0 || at->errors->n > mistakes) {
        lb_strings_free(words);
        return r;
    }
    lb_strings_free(*(char ***)to);
    *(char ***)to = words;
    return 0;
}
