/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/approvers.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/ini.h"
#include "policy/mailbox.h"
#include "policy/text.h"

static const struct lb_field fields[] = {
    { "name", LB_FIELD_STRING, offsetof(struct lb_approver, name) },
    { "User", LB_FIELD_STRING, offsetof(struct lb_approver, user) },
    { "Mail", LB_FIELD_STRINGS, offsetof(struct lb_approver, mail) },
    { "Groups", LB_FIELD_STRINGS, offsetof(struct lb_approver, groups) },
    { 0 },
};
static const char *const keys[] = { "User", "Mail", "Groups", NULL };

struct lb_approvers *lb_approvers_free(struct lb_approvers *a)
{
    struct lb_approver *people = a ? a->people.items : NULL;

    for (size_t i = 0; a && i < a->people.n; i++)
        lb_fields_clear(fields, &people[i]);
    free(people);
    free(a);
    return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define MISTAKE(at, ...) lb_ini_error((at)->errors, (at)->path, (at)->line, __VA_ARGS__)

/* A person's name: what a shell, a mail and a line of allowed_signers can all bear. */
static bool is_person(const char *s)
{
    return *s && strchr(LETTERS, *s) && s[strspn(s, LETTERS DIGITS "_.-")] == '\0' && strlen(s) <= LB_NAME_MAX;
}

/* As rules take them after the @. */
static bool is_group(const char *s)
{
    return *s != '@' && s[strlen(s) - 1] != ',' && lb_text_is_name(s, "");
}

/* What is probably wrong with a word of a list. */
static const char *hint(const char *word, bool (*good)(const char *word))
{
    return strchr(word, ',')                    ? "; several are separated by spaces alone"
           : *word == '@' && good == is_group ? "; write it without @"
                                                : "";
}

static int read_words(const char *value, bool (*good)(const char *word), const char *what,
                      const struct lb_ini_place *at, char ***ret)
{
    LB_FREE char *copy = strdup(value);
    char *save = NULL;
    int r = copy ? 0 : -ENOMEM;

    for (char *word = r ? NULL : strtok_r(copy, " \t", &save); r == 0 && word; word = strtok_r(NULL, " \t", &save)) {
        if (!good(word))
            MISTAKE(at, "%s=: %s is no %s%s", at->key, word, what, hint(word, good));
        else if (lb_strings_contain(*ret, word))
            MISTAKE(at, "%s=: %s is there twice", at->key, word);
        else
            r = lb_strings_append(ret, word);
    }
    return r;
}

static int add_person(struct lb_approvers *a, const char *name, const struct lb_ini_place *at)
{
    struct lb_approver *p = lb_list_append(&a->people, sizeof(*p));

    if (strlen(name) > LB_NAME_MAX)
        MISTAKE(at, "[%s]: a person's name has at most %d bytes", name, LB_NAME_MAX);
    else if (!is_person(name))
        MISTAKE(at, "[%s]: a person's name is made of letters, digits, _ . and -, and begins with a letter; it is the "
                    "principal in allowed_signers, too", name);
    return p && (p->name = strdup(name)) ? 0 : -ENOMEM;
}

/* Accounts by the grammar of rules, so that whoever a rule can name can be given a name here. */
static int set_user(struct lb_approvers *a, struct lb_approver *p, const char *value, const struct lb_ini_place *at)
{
    struct lb_approver *people = a->people.items;

    if (!*value)
        MISTAKE(at, "User= is empty; without an account on this host leave it out");
    else if (*value == '@' || !lb_text_is_name(value, ""))
        MISTAKE(at, "User=%s is no account name", value);
    for (size_t i = 0; *value && i < a->people.n; i++)
        if (lb_streq(people[i].user, value))
            MISTAKE(at, "User=%s is [%s] already; one person, one account", value, people[i].name);
    p->user = strdup(value);
    return p->user ? 0 : -ENOMEM;
}

static int unknown_key(const char *section, const struct lb_ini_place *at)
{
    const char *meant = lb_ini_suggest(at->key, keys);

    MISTAKE(at, "unknown key %s= in [%s]%s%s%s", at->key, section, meant ? " (did you mean " : "", meant ? meant : "",
            meant ? "=?)" : "");
    return 0;
}

/* Whose section this is: nearly always the last one's; after a section that is there twice the first one's. */
static struct lb_approver *person_of(const struct lb_approvers *a, const char *section)
{
    struct lb_approver *people = a->people.items;
    size_t i = a->people.n - 1;

    while (i > 0 && strcmp(people[i].name, section) != 0)
        i--;
    return &people[i];
}

static int on_row(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                  const char *value, struct lb_ini_errors *errors)
{
    struct lb_approvers *a = userdata;
    const struct lb_ini_place at = { errors, path, line, key };
    struct lb_approver *p = key ? person_of(a, section) : NULL;

    if (!key)
        return add_person(a, section, &at);
    if (strcmp(key, "User") == 0)
        return set_user(a, p, value, &at);
    if (strcmp(key, "Mail") == 0)
        return read_words(value, lb_mailbox_is_address, "mail address", &at, &p->mail);
    if (strcmp(key, "Groups") == 0)
        return read_words(value, is_group, "group name", &at, &p->groups);
    return unknown_key(section, &at);
}

int lb_approvers_parse(const char *path, const char *text, size_t size, struct lb_approvers **ret, char **ret_error)
{
    struct lb_approvers *a = calloc(1, sizeof(*a));
    struct lb_ini_errors errors = { 0 };
    int r = a ? lb_ini_parse(path, text, size, on_row, a, &errors) : -ENOMEM;

    if (r == 0 && errors.oom)
        r = -ENOMEM;
    if (r == 0 && errors.n > 0) {
        *ret_error = LB_TAKE(errors.text);
        r = -EINVAL;
    }
    free(errors.text);
    if (r < 0)
        lb_approvers_free(a);
    else
        *ret = a;
    return r;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

const struct lb_approver *lb_approvers_find(const struct lb_approvers *a, const char *name)
{
    const struct lb_approver *people = a ? a->people.items : NULL;

    for (size_t i = 0; a && i < a->people.n; i++)
        if (lb_streq(people[i].name, name))
            return &people[i];
    return NULL;
}

const char *lb_approvers_name_of(const struct lb_approvers *a, const char *user)
{
    const struct lb_approver *people = a ? a->people.items : NULL;

    for (size_t i = 0; a && i < a->people.n; i++)
        if (people[i].user && strcmp(people[i].user, user) == 0)
            return people[i].name;
    return lb_approvers_find(a, user) ? NULL : user;
}

bool lb_approvers_in_group(const struct lb_approvers *a, const char *name, const char *group)
{
    const struct lb_approver *p = lb_approvers_find(a, name);

    return p && lb_strings_contain(p->groups, group);
}
