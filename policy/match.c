/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/match.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/pattern.h"

#define BLANK " \t"
#define MISTAKE(p, at, format, ...) \
    lb_ini_error((at)->errors, (at)->path, (at)->line, "%s=%s" format, (at)->key, (p)->word, ##__VA_ARGS__)

const char *const lb_match_names[] = {
    [LB_MATCH_ACCOUNT] = "Account", [LB_MATCH_SERVICE] = "Service", [LB_MATCH_SCOPE] = "Scope",
    [LB_MATCH_REMOTE_HOST] = "RemoteHost", [LB_MATCH_KEY] = "Key", [LB_MATCH_IDENTITY] = "Identity",
    [LB_MATCH_COMMAND] = "Command", [LB_MATCH_TIME] = "Time", NULL,
};

void lb_subject_read(const struct lb_facts *facts, struct lb_subject *ret)
{
    const char *rhost = facts->rhost ? facts->rhost : "";

    *ret = (struct lb_subject){
        .values = {
            [LB_MATCH_ACCOUNT] = facts->account ? facts->account : "",
            [LB_MATCH_SERVICE] = facts->service ? facts->service : "",
            [LB_MATCH_SCOPE] = facts->scope ? facts->scope : "",
            [LB_MATCH_REMOTE_HOST] = rhost,
            [LB_MATCH_KEY] = "",
            [LB_MATCH_IDENTITY] = facts->identity ? facts->identity : "",
            [LB_MATCH_COMMAND] = facts->command ? facts->command : "",
            [LB_MATCH_TIME] = "",
        },
        .groups = facts->groups,
        .proof = facts->proof,
        .weekday = facts->weekday,
        .minute = facts->minute,
        .local = *rhost == '\0',
    };
    for (size_t key = 0; key < LB_MATCH_MAX_; key++)
        ret->lengths[key] = strlen(ret->values[key]);
    ret->numeric = lb_address_parse(rhost, &ret->address) == 0;
}

static struct lb_pattern_list *list_new(const char *value, char **ret_words)
{
    size_t n = 0, size = strlen(value) + 1;
    struct lb_pattern_list *list;

    for (const char *c = value + strspn(value, BLANK); *c; c += strspn(c, BLANK), n++)
        c += strcspn(c, BLANK);
    list = calloc(1, sizeof(*list) + n * sizeof(list->patterns[0]) + 2 * size);
    if (!list)
        return NULL;
    *ret_words = memcpy(&list->patterns[n], value, size);
    list->text = memcpy(*ret_words + size, value, size);
    return list;
}

static void read_words(struct lb_pattern_list *list, enum lb_match_key key, char *words, const struct lb_ini_place *at)
{
    char *rest = NULL;

    for (char *word = strtok_r(words, BLANK, &rest); word; word = strtok_r(NULL, BLANK, &rest)) {
        struct lb_pattern *p = &list->patterns[list->n++];

        p->key = key;
        p->negated = *word == '!';
        p->word = word + p->negated;
        list->positive |= !p->negated;
        if (!*p->word || *p->word == '!')
            MISTAKE(p, at, ": one ! stands right before a pattern");
        else
            lb_pattern_read(p, at);
    }
}

/* Its words belong together: one pattern. */
static int read_week(struct lb_pattern_list *list, const struct lb_ini_place *at)
{
    struct lb_pattern *p = &list->patterns[0];

    *p = (struct lb_pattern){ .key = LB_MATCH_TIME, .kind = LB_PATTERN_WEEK, .word = list->text };
    list->positive = true;
    list->n = 1;
    return lb_week_parse(list->text, at, &p->week);
}

int lb_pattern_list_parse(enum lb_match_key key, const char *value, const struct lb_ini_place *at,
                          struct lb_pattern_list **ret)
{
    size_t mistakes = at->errors->n;
    struct lb_pattern_list *list;
    char *words;
    int r = 0;

    if (!value[strspn(value, BLANK)])
        return 0;
    list = list_new(value, &words);
    if (!list)
        return -ENOMEM;
    if (key == LB_MATCH_TIME)
        r = read_week(list, at);
    else
        read_words(list, key, words, at);
    if (r == 0 && at->errors->n == mistakes && !at->errors->oom) {
        lb_pattern_list_free(*ret);
        *ret = LB_TAKE(list);
    }
    lb_pattern_list_free(list);
    return at->errors->oom ? -ENOMEM : r;
}

bool lb_pattern_list_fits(const struct lb_pattern_list *list, const struct lb_subject *subject)
{
    bool fits = !list->positive;

    if (list->patterns[0].key == LB_MATCH_REMOTE_HOST && !subject->local && !subject->numeric)
        return false;
    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++) {
        if (!p->negated && fits)
            continue;
        if (lb_pattern_fits(p, subject)) {
            if (p->negated)
                return false;
            fits = true;
        }
    }
    return fits;
}

bool lb_pattern_list_names(const struct lb_pattern_list *list, const char *word)
{
    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++)
        if (!p->negated && p->kind == LB_PATTERN_LITERAL && strcmp(p->word, word) == 0)
            return true;
    return false;
}

const char *lb_pattern_list_group(const struct lb_pattern_list *list, size_t i)
{
    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++)
        if (p->kind == LB_PATTERN_GROUP && i-- == 0)
            return p->word;
    return NULL;
}

const char *lb_pattern_list_text(const struct lb_pattern_list *list)
{
    return list->text;
}

struct lb_pattern_list *lb_pattern_list_free(struct lb_pattern_list *list)
{
    if (list && list->n > 0 && list->patterns[0].kind == LB_PATTERN_WEEK)
        lb_week_free(list->patterns[0].week);
    free(list);
    return NULL;
}
