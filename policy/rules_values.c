/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rules_values.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/match.h"
#include "policy/span.h"
#include "policy/text.h"

#define BLANK " \t"
#define NUMBER_MAX 1000000
#define NAMES_MAX 64
#define PATTERN_MAX 256
#define URL_MAX 512
#define WRITTEN_OUT_MAX 500

#define MISTAKE(at, value, format, ...) \
    lb_ini_error((at)->errors, (at)->path, (at)->line, "%s=%s" format, (at)->key, (value), ##__VA_ARGS__)

int lb_rules_read_match(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    (void)key;
    for (int i = 0; i < LB_MATCH_MAX_; i++)
        if (strcmp(lb_match_names[i], at->key) == 0)
            return lb_pattern_list_parse(i, value, at, to);
    return 0;
}

int lb_rules_read_nothing_yet(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value,
                              void *to)
{
    (void)key, (void)at, (void)to;
    return *value != '\0';
}

static void tell_choices(const struct lb_ini_place *at, const char *value, const char *const *names)
{
    const char *meant = lb_ini_suggest(value, names);
    char list[128] = "";

    for (size_t i = 0, n = 0; names[i] && n < sizeof(list); i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", names[i]);
    MISTAKE(at, value, " is none of %s%s%s%s", list, meant ? " (did you mean " : "", meant ? meant : "",
            meant ? "?)" : "");
}

int lb_rules_read_enum(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    for (int i = 0; key->names[i]; i++) {
        if (strcmp(key->names[i], value) == 0) {
            *(int *)to = i;
            return i != 0;
        }
    }
    tell_choices(at, value, key->names);
    return 0;
}

/* As systemd spells them. */
int lb_rules_read_boolean(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    static const char *const names[] = { "no", "yes", "off", "on", "false", "true", "0", "1", "n", "y", "f", "t" };
    static const char *const said[] = { "yes", "no", NULL };

    (void)key;
    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        if (strcasecmp(names[i], value) == 0) {
            *(bool *)to = i % 2;
            return *(bool *)to;
        }
    }
    tell_choices(at, value, said);
    return 0;
}

int lb_rules_read_number(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    size_t n = strspn(value, "0123456789");
    long number = n > 0 && n < 8 && !value[n] ? strtol(value, NULL, 10) : 0;

    (void)key;
    if (number < 1 || number > NUMBER_MAX) {
        MISTAKE(at, value, " is not a number from 1 to %d", NUMBER_MAX);
        return 0;
    }
    *(int64_t *)to = number;
    return number != 1;
}

/* A span that is more than nothing and less than for ever. */
static bool span_is_good(const struct lb_ini_place *at, const char *value, const char *span, int64_t *ret)
{
    int64_t usec = 0;
    int r = lb_span_parse(span, &usec);

    if (r == -EINVAL)
        MISTAKE(at, value, " is not a duration such as 90s, 15min, 1h 30min or 2d");
    else if (r < 0 || usec == LB_NEVER)
        MISTAKE(at, value, " is too long: a duration has to end");
    else if (usec == 0)
        MISTAKE(at, value, " is no time at all");
    else
        *ret = usec;
    return r == 0 && usec > 0 && usec < LB_NEVER;
}

int lb_rules_read_span(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    (void)key;
    return span_is_good(at, value, value, to);
}

int lb_rules_read_on_end(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    static const char freeze[] = "freeze=";
    static const char *const said[] = { "kill", "freeze=10min", NULL };
    struct lb_terms *terms = (struct lb_terms *)((char *)to - offsetof(struct lb_terms, on_end));

    (void)key;
    if (strcmp(value, "kill") == 0) {
        terms->on_end = LB_ON_END_KILL;
        return 0;
    }
    if (strncmp(value, freeze, strlen(freeze)) == 0) {
        terms->on_end = LB_ON_END_FREEZE;
        return span_is_good(at, value, value + strlen(freeze), &terms->freeze);
    }
    tell_choices(at, value, said);
    return 0;
}

static int by_length(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x < *y) - (*x > *y);
}

int lb_rules_read_warn(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    LB_FREE char *copy = strdup(value);
    int64_t warn[LB_WARN_MAX] = {};
    char *rest = NULL;
    size_t n = 0;

    (void)key;
    if (!copy)
        return -ENOMEM;
    for (char *word = strtok_r(copy, BLANK, &rest); word; word = strtok_r(NULL, BLANK, &rest)) {
        if (n == LB_WARN_MAX) {
            MISTAKE(at, value, " is more than %d warnings", LB_WARN_MAX);
            return 0;
        }
        if (!span_is_good(at, word, word, &warn[n++]))
            return 0;
    }
    qsort(warn, n, sizeof(warn[0]), by_length);
    for (size_t i = 1; i < n; i++) {
        if (warn[i] == warn[i - 1]) {
            MISTAKE(at, value, " says one time twice");
            return 0;
        }
    }
    memcpy(to, warn, sizeof(warn));
    return 0;
}

static int set_string(void *to, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return -ENOMEM;
    free(*(char **)to);
    *(char **)to = copy;
    return 0;
}

int lb_rules_read_text(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    (void)key;
    if (strlen(value) <= LB_NOTE_MAX)
        return set_string(to, value);
    MISTAKE(at, value, " is longer than %d bytes", LB_NOTE_MAX);
    return 0;
}

static unsigned long most_repeats(const char *interval)
{
    unsigned long least = strtoul(interval, NULL, 10), most = 0;
    const char *comma = interval + strspn(interval, "0123456789");

    if (*comma == ',')
        most = strtoul(comma + 1, NULL, 10);
    most = most > least ? most : least;
    return most > WRITTEN_OUT_MAX ? WRITTEN_OUT_MAX + 1 : most ? most : 1;
}

/* The last character of a bracket expression that begins at c. */
static const char *bracket_end(const char *c)
{
    const char *first = c + 1 + (c[1] == '^'), *end = *first ? strchr(first + 1, ']') : NULL;

    return end ? end : c + strlen(c) - 1;
}

/* The length of the expression, of at most PATTERN_MAX bytes, with its {n,m} written out, which is what regcomp does:
 * time and memory grow with more than its square. */
static unsigned long written_out(const char *value)
{
    unsigned long sums[PATTERN_MAX + 1] = {}, last = 0;
    size_t depth = 0;

    for (const char *c = value; *c && sums[depth] <= WRITTEN_OUT_MAX; c++) {
        if (*c == '(') {
            sums[++depth] = 0;
            continue;
        }
        if (*c == '{') {
            unsigned long times = most_repeats(c + 1);

            sums[depth] += last * (times - 1);
            last *= times;
            c += strcspn(c, "}");
            if (!*c)
                break; /* regcomp has a word for it */
            continue;
        }
        if (*c == ')' && depth > 0)
            last = sums[depth--];
        else
            last = 1;
        if (*c == '[')
            c = bracket_end(c);
        else if (*c == '\\' && c[1])
            c++;
        sums[depth] += last;
    }
    return sums[depth];
}

static const char *pattern_is_costly(const char *value)
{
    if (strlen(value) > PATTERN_MAX)
        return "the expression is too long";
    for (const char *c = value; (c = strchr(c, '\\')); c += c[1] ? 2 : 1)
        if (c[1] >= '1' && c[1] <= '9')
            return "extended regular expressions have no back-references";
    return written_out(value) > WRITTEN_OUT_MAX ? "the expression repeats too much" : NULL;
}

int lb_rules_read_pattern(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    const char *costly = pattern_is_costly(value);
    char text[128];
    regex_t regex;
    int r;

    (void)key;
    if (costly) {
        MISTAKE(at, value, ": %s", costly);
        return 0;
    }
    r = regcomp(&regex, value, REG_EXTENDED | REG_NOSUB);
    if (r == REG_ESPACE)
        return -ENOMEM;
    if (r != 0) {
        regerror(r, &regex, text, sizeof(text));
        MISTAKE(at, value, ": %s", text);
        return 0;
    }
    regfree(&regex);
    return set_string(to, value);
}

int lb_rules_read_url(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    bool http = strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0;

    (void)key;
    if (!http || !strstr(value, "://") || strstr(value, ":///") || !strstr(value, "://")[3]) {
        MISTAKE(at, value, " does not begin with https://host or http://host");
        return 0;
    }
    for (const char *c = value; *c; c++) {
        if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c)) {
            MISTAKE(at, value, ": byte %d has no place in a URL", (int)(c - value + 1));
            return 0;
        }
        if (*c == '%' && c[1] != 't' && (strspn(c + 1, "0123456789abcdefABCDEF") < 2)) {
            MISTAKE(at, value, ": %% is followed by t (the ticket) or two hexadecimal digits");
            return 0;
        }
    }
    if (strlen(value) <= URL_MAX)
        return set_string(to, value);
    MISTAKE(at, value, " is longer than %d bytes", URL_MAX);
    return 0;
}

int lb_rules_read_names(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    LB_FREE char *copy = strdup(value);
    size_t n = 0, mistakes = at->errors->n;
    char **names = NULL, *rest = NULL;
    int r = copy ? 0 : -ENOMEM;

    (void)key;
    for (char *word = r ? NULL : strtok_r(copy, BLANK, &rest); word && r == 0; word = strtok_r(NULL, BLANK, &rest)) {
        if (!lb_text_is_name(word + (*word == '@'), ""))
            MISTAKE(at, word, " is neither a name nor @ and the name of a group; names are separated by spaces");
        if (++n == NAMES_MAX + 1)
            MISTAKE(at, word, " is one name too many; take a @group");
        r = lb_strings_append(&names, word);
    }
    if (r < 0 || at->errors->n > mistakes) {
        lb_strings_free(names);
        return r;
    }
    lb_strings_free(*(char ***)to);
    *(char ***)to = names;
    return 0;
}

/* A unit that can be started and stopped, by its whole name. */
static bool is_unit(const char *word)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.@\\-";
    static const char *const types[] = { ".service", ".target", ".mount", ".automount", ".socket", ".timer", ".path",
                                         ".swap" };
    const char *type = strrchr(word, '.');

    if (!type || type == word || strlen(word) > 255 || word[strspn(word, good)])
        return false;
    for (size_t i = 0; i < LB_ELEMENTS(types); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

int lb_rules_read_units(const struct lb_rules_key *key, const struct lb_ini_place *at, const char *value, void *to)
{
    LB_FREE char *copy = strdup(value);
    size_t mistakes = at->errors->n;
    char **units = NULL, *rest = NULL;
    int r = copy ? 0 : -ENOMEM;

    (void)key;
    for (char *word = r ? NULL : strtok_r(copy, BLANK, &rest); word && r == 0; word = strtok_r(NULL, BLANK, &rest)) {
        if (!is_unit(word))
            MISTAKE(at, word, " is no name of a systemd unit, such as customer-shares.target");
        r = lb_strings_append(&units, word);
    }
    if (r < 0 || at->errors->n > mistakes) {
        lb_strings_free(units);
        return r;
    }
    lb_strings_free(*(char ***)to);
    *(char ***)to = units;
    return 0;
}
