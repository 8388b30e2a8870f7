/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/match.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/glob.h"
#include "policy/text.h"

#define BLANK " \t"
#define SCOPE LB_GLOB_SPECIAL "abcdefghijklmnopqrstuvwxyz0123456789_-"

struct lb_pattern {
    bool (*fits)(const struct lb_pattern *pattern, const struct lb_subject *subject);
    enum lb_match_key key;
    const char *word; /* without ! and @; in the list's words */
    bool negated;
    union {
        struct {
            size_t prefix, suffix; /* bytes around the only star */
        };
        struct lb_network network;
        unsigned proof;
    };
};

/* One piece of memory: the patterns, then their words, then the text. */
struct lb_pattern_list {
    const char *text;
    bool positive; /* there is a pattern without ! */
    size_t n;
    struct lb_pattern patterns[];
};

const char *const lb_match_names[] = {
    [LB_MATCH_ACCOUNT] = "Account", [LB_MATCH_SERVICE] = "Service", [LB_MATCH_SCOPE] = "Scope",
    [LB_MATCH_REMOTE_HOST] = "RemoteHost", [LB_MATCH_KEY] = "Key", [LB_MATCH_IDENTITY] = "Identity", NULL,
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
        },
        .groups = facts->groups,
        .proof = facts->proof,
        .local = *rhost == '\0',
    };
    for (size_t key = 0; key < LB_MATCH_MAX_; key++)
        ret->lengths[key] = strlen(ret->values[key]);
    ret->numeric = lb_address_parse(rhost, &ret->address) == 0;
}

/* --- one pattern ------------------------------------------------------------------------------------------------- */

static bool fits_literal(const struct lb_pattern *p, const struct lb_subject *s)
{
    return strcmp(p->word, s->values[p->key]) == 0;
}

static bool fits_glob(const struct lb_pattern *p, const struct lb_subject *s)
{
    return *s->values[p->key] && lb_glob_fits(p->word, s->values[p->key]);
}

/* "support*", "*@vendor.example": by far the most, so without a walk. */
static bool fits_star(const struct lb_pattern *p, const struct lb_subject *s)
{
    const char *value = s->values[p->key];
    size_t n = s->lengths[p->key];

    return n > 0 && n >= p->prefix + p->suffix && memcmp(value, p->word, p->prefix) == 0 &&
           memcmp(value + n - p->suffix, p->word + p->prefix + 1, p->suffix) == 0;
}

static bool fits_group(const struct lb_pattern *p, const struct lb_subject *s)
{
    return lb_strings_contain(s->groups, p->word);
}

static bool fits_local(const struct lb_pattern *p, const struct lb_subject *s)
{
    (void)p;
    return s->local;
}

static bool fits_network(const struct lb_pattern *p, const struct lb_subject *s)
{
    return s->numeric && lb_network_contains(&p->network, &s->address);
}

static bool fits_proof(const struct lb_pattern *p, const struct lb_subject *s)
{
    return (p->proof & s->proof) != 0;
}

static bool fits_any(const struct lb_pattern *p, const struct lb_subject *s)
{
    (void)p, (void)s;
    return true;
}

/* Each reads p->word, sets p->fits, or tells of a mistake. */
#define MISTAKE(p, at, format, ...) \
    lb_ini_error((at)->errors, (at)->path, (at)->line, "%s=%s" format, (at)->key, (p)->word, ##__VA_ARGS__)

static void read_glob(struct lb_pattern *p, const struct lb_ini_place *at)
{
    const char *mistake = lb_glob_mistake(p->word), *special = strpbrk(p->word, LB_GLOB_SPECIAL);

    if (mistake)
        MISTAKE(p, at, ": %s", mistake);
    if (!special) {
        p->fits = fits_literal;
    } else if (*special == '*' && !strpbrk(special + 1, LB_GLOB_SPECIAL)) {
        p->fits = fits_star;
        p->prefix = (size_t)(special - p->word);
        p->suffix = strlen(special + 1);
    } else {
        p->fits = fits_glob;
    }
}

static void read_name(struct lb_pattern *p, const struct lb_ini_place *at)
{
    if (*p->word == '@')
        MISTAKE(p, at, ": groups are for Account= only");
    else if (!lb_text_is_name(p->word, strchr(p->word, '[') ? LB_GLOB_SPECIAL "]^!" : LB_GLOB_SPECIAL))
        MISTAKE(p, at, " is not a name or a glob of names; names are separated by spaces");
    else
        read_glob(p, at);
}

static void read_account(struct lb_pattern *p, const struct lb_ini_place *at)
{
    if (*p->word != '@') {
        read_name(p, at);
        return;
    }
    if (!lb_text_is_name(p->word + 1, ""))
        MISTAKE(p, at, " is not @ and the name of a group");
    p->word++;
    p->fits = fits_group;
}

static void read_scope(struct lb_pattern *p, const struct lb_ini_place *at)
{
    size_t n = strlen(p->word);

    if (strspn(p->word, strchr(p->word, '[') ? SCOPE "]^!" : SCOPE) != n || n > 32)
        MISTAKE(p, at, " is not a scope: at most 32 of a-z 0-9 _ -");
    else
        read_glob(p, at);
}

static void read_host(struct lb_pattern *p, const struct lb_ini_place *at)
{
    char meant[LB_NETWORK_MAX];
    int r;

    p->fits = fits_local;
    if (strcmp(p->word, "local") == 0)
        return;
    p->fits = fits_network;
    r = lb_network_parse(p->word, &p->network);
    if (r < 0)
        MISTAKE(p, at, " is not an address, address/bits or local; names of hosts are not taken");
    if (r > 0)
        MISTAKE(p, at, " has bits set behind the prefix (did you mean %s?)",
                lb_network_format(&p->network, meant, sizeof(meant)));
}

static void read_key(struct lb_pattern *p, const struct lb_ini_place *at)
{
    static const char *const names[] = { "any", "plain", "certificate", "hardware", NULL };
    static const unsigned proofs[] = { 0, LB_PROOF_PLAIN, LB_PROOF_CERTIFICATE, LB_PROOF_HARDWARE };
    size_t i = 0;

    while (names[i] && strcmp(names[i], p->word) != 0)
        i++;
    if (names[i]) {
        p->proof = proofs[i];
        p->fits = p->proof ? fits_proof : fits_any;
    } else {
        const char *meant = lb_ini_suggest(p->word, names);

        MISTAKE(p, at, " is none of any, plain, certificate, hardware%s%s%s", meant ? " (did you mean " : "",
                meant ? meant : "", meant ? "?)" : "");
    }
}

static void read_identity(struct lb_pattern *p, const struct lb_ini_place *at)
{
    if (*p->word == '@')
        MISTAKE(p, at, ": patterns are for the whole Key ID (did you mean *%s?)", p->word);
    else
        read_glob(p, at);
}

static void (*const readers[])(struct lb_pattern *, const struct lb_ini_place *) = {
    [LB_MATCH_ACCOUNT] = read_account, [LB_MATCH_SERVICE] = read_name, [LB_MATCH_SCOPE] = read_scope,
    [LB_MATCH_REMOTE_HOST] = read_host, [LB_MATCH_KEY] = read_key, [LB_MATCH_IDENTITY] = read_identity,
};

/* --- the list ---------------------------------------------------------------------------------------------------- */

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

int lb_pattern_list_parse(enum lb_match_key key, const char *value, const struct lb_ini_place *at,
                          struct lb_pattern_list **ret)
{
    char *words, *rest = NULL;
    struct lb_pattern_list *list = list_new(value, &words);
    size_t mistakes = at->errors->n;

    if (!list)
        return -ENOMEM;
    for (char *word = strtok_r(words, BLANK, &rest); word; word = strtok_r(NULL, BLANK, &rest)) {
        struct lb_pattern *p = &list->patterns[list->n++];

        p->key = key;
        p->negated = *word == '!';
        p->word = word + p->negated;
        list->positive |= !p->negated;
        if (!*p->word || *p->word == '!')
            MISTAKE(p, at, ": one ! stands right before a pattern");
        else
            readers[key](p, at);
    }
    if (list->n > 0 && at->errors->n == mistakes) {
        lb_pattern_list_free(*ret);
        *ret = LB_TAKE(list);
    }
    lb_pattern_list_free(list);
    return at->errors->oom ? -ENOMEM : 0;
}

bool lb_pattern_list_fits(const struct lb_pattern_list *list, const struct lb_subject *subject)
{
    bool fits = !list->positive;

    if (list->patterns[0].key == LB_MATCH_REMOTE_HOST && !subject->local && !subject->numeric)
        return false;
    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++) {
        if (!p->negated && fits)
            continue;
        if (p->fits(p, subject)) {
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
        if (!p->negated && p->fits == fits_literal && strcmp(p->word, word) == 0)
            return true;
    return false;
}

const char *lb_pattern_list_group(const struct lb_pattern_list *list, size_t i)
{
    for (const struct lb_pattern *p = list->patterns; p < list->patterns + list->n; p++)
        if (p->fits == fits_group && i-- == 0)
            return p->word;
    return NULL;
}

const char *lb_pattern_list_text(const struct lb_pattern_list *list)
{
    return list->text;
}

struct lb_pattern_list *lb_pattern_list_free(struct lb_pattern_list *list)
{
    free(list);
    return NULL;
}
