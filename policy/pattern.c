/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/pattern.h"

#include "policy/base.h"
#include "policy/glob.h"
#include "policy/text.h"

#define SCOPE LB_GLOB_SPECIAL "abcdefghijklmnopqrstuvwxyz0123456789_-"
#define DIGEST "sha256:"
#define DIGEST_DIGITS 64

/* --- fitting ------------------------------------------------------------------------------------------------------ */

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

static bool fits_week(const struct lb_pattern *p, const struct lb_subject *s)
{
    return lb_week_contains(p->week, s->weekday, s->minute);
}

bool lb_pattern_fits(const struct lb_pattern *p, const struct lb_subject *subject)
{
    static bool (*const fits[])(const struct lb_pattern *, const struct lb_subject *) = {
        [LB_PATTERN_LITERAL] = fits_literal, [LB_PATTERN_STAR] = fits_star,       [LB_PATTERN_GLOB] = fits_glob,
        [LB_PATTERN_GROUP] = fits_group,     [LB_PATTERN_LOCAL] = fits_local,     [LB_PATTERN_NETWORK] = fits_network,
        [LB_PATTERN_PROOF] = fits_proof,     [LB_PATTERN_ANY] = fits_any,         [LB_PATTERN_WEEK] = fits_week,
    };

    return fits[p->kind](p, subject);
}

/* --- covering ----------------------------------------------------------------------------------------------------- */

static bool star_covers(const struct lb_pattern *wide, const struct lb_pattern *narrow)
{
    const char *wide_tail = wide->word + wide->prefix + 1, *narrow_tail = narrow->word + narrow->prefix + 1;

    if (wide->prefix == 0 && wide->suffix == 0)
        return true; /* a narrow one fits nothing that is empty, either */
    if (narrow->kind == LB_PATTERN_LITERAL)
        return lb_glob_fits(wide->word, narrow->word);
    return narrow->kind == LB_PATTERN_STAR && wide->prefix <= narrow->prefix && wide->suffix <= narrow->suffix &&
           memcmp(wide->word, narrow->word, wide->prefix) == 0 &&
           memcmp(wide_tail, narrow_tail + narrow->suffix - wide->suffix, wide->suffix) == 0;
}

static bool network_covers(const struct lb_network *wide, const struct lb_network *narrow)
{
    return wide->prefix <= narrow->prefix && lb_network_contains(wide, &narrow->address);
}

bool lb_pattern_covers(const struct lb_pattern *wide, const struct lb_pattern *narrow)
{
    bool names = narrow->kind == LB_PATTERN_LITERAL || narrow->kind == LB_PATTERN_STAR ||
                 narrow->kind == LB_PATTERN_GLOB;

    if (wide->kind == LB_PATTERN_ANY)
        return true;
    if (wide->kind == narrow->kind && strcmp(wide->word, narrow->word) == 0)
        return true;
    if (wide->kind == LB_PATTERN_STAR)
        return names && star_covers(wide, narrow);
    if (wide->kind == LB_PATTERN_GLOB)
        return narrow->kind == LB_PATTERN_LITERAL && lb_glob_fits(wide->word, narrow->word);
    if (wide->kind != narrow->kind)
        return false;
    if (wide->kind == LB_PATTERN_NETWORK)
        return network_covers(&wide->network, &narrow->network);
    return wide->kind == LB_PATTERN_WEEK && lb_week_covers(wide->week, narrow->week);
}

/* --- looking up --------------------------------------------------------------------------------------------------- */

/* The end of the special item at c: one character, or a set. */
static const char *after_special(const char *c)
{
    const char *first = c + 1 + (c[1] == '!' || c[1] == '^');

    return *c == '[' ? strchr(first + 1, ']') + 1 : c + 1;
}

/* The longest run of ordinary characters in a sound glob. */
static struct lb_anchor glob_anchor(const char *word)
{
    struct lb_anchor best = { LB_ANCHOR_NONE, word, 0 };

    for (const char *c = word; *c; c = after_special(c)) {
        struct lb_anchor one = { c == word ? LB_ANCHOR_HEAD : LB_ANCHOR_PIECE, c, strcspn(c, LB_GLOB_SPECIAL) };

        c += one.n;
        if (!*c)
            one.kind = LB_ANCHOR_TAIL;
        else if (one.kind == LB_ANCHOR_PIECE && one.n > LB_ANCHOR_PIECE_MAX)
            one.n = LB_ANCHOR_PIECE_MAX;
        if (one.n > best.n)
            best = one;
        if (!*c)
            break;
    }
    return best;
}

struct lb_anchor lb_pattern_anchor(const struct lb_pattern *p)
{
    switch (p->kind) {
    case LB_PATTERN_LITERAL:
        return (struct lb_anchor){ LB_ANCHOR_WHOLE, p->word, strlen(p->word) };
    case LB_PATTERN_STAR:
    case LB_PATTERN_GLOB:
        return glob_anchor(p->word);
    case LB_PATTERN_GROUP:
        return (struct lb_anchor){ LB_ANCHOR_GROUP, p->word, strlen(p->word) };
    case LB_PATTERN_NETWORK:
        return (struct lb_anchor){ LB_ANCHOR_NETWORK, &p->network, sizeof(p->network) };
    default:
        return (struct lb_anchor){ LB_ANCHOR_NONE, p->word, 0 };
    }
}

/* --- reading: each reads p->word, sets p->kind, or tells of a mistake --------------------------------------------- */

#define MISTAKE(p, at, format, ...) \
    lb_ini_error((at)->errors, (at)->path, (at)->line, "%s=%s" format, (at)->key, (p)->word, ##__VA_ARGS__)

static void read_glob(struct lb_pattern *p, const struct lb_ini_place *at)
{
    const char *mistake = lb_glob_mistake(p->word), *special = strpbrk(p->word, LB_GLOB_SPECIAL);

    if (mistake)
        MISTAKE(p, at, ": %s", mistake);
    if (!special) {
        p->kind = LB_PATTERN_LITERAL;
    } else if (*special == '*' && !strpbrk(special + 1, LB_GLOB_SPECIAL)) {
        p->kind = LB_PATTERN_STAR;
        p->prefix = (size_t)(special - p->word);
        p->suffix = strlen(special + 1);
    } else {
        p->kind = LB_PATTERN_GLOB;
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
    p->kind = LB_PATTERN_GROUP;
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

    p->kind = LB_PATTERN_LOCAL;
    if (strcmp(p->word, "local") == 0)
        return;
    p->kind = LB_PATTERN_NETWORK;
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
        p->kind = p->proof ? LB_PATTERN_PROOF : LB_PATTERN_ANY;
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

/* Who excludes a script by its digest would let in every other. */
static void read_command(struct lb_pattern *p, const struct lb_ini_place *at)
{
    const char *digits = p->word + strlen(DIGEST);

    p->kind = LB_PATTERN_LITERAL;
    if (p->negated)
        MISTAKE(p, at, ": it lists what may run; there is no ! in it");
    else if (strncmp(p->word, DIGEST, strlen(DIGEST)) != 0 || strlen(digits) != DIGEST_DIGITS ||
             strspn(digits, "0123456789abcdef") != DIGEST_DIGITS)
        MISTAKE(p, at, " is not " DIGEST " and the %d digits that sha256sum prints", DIGEST_DIGITS);
}

void lb_pattern_read(struct lb_pattern *p, const struct lb_ini_place *at)
{
    static void (*const readers[])(struct lb_pattern *, const struct lb_ini_place *) = {
        [LB_MATCH_ACCOUNT] = read_account,  [LB_MATCH_SERVICE] = read_name, [LB_MATCH_SCOPE] = read_scope,
        [LB_MATCH_REMOTE_HOST] = read_host, [LB_MATCH_KEY] = read_key,      [LB_MATCH_IDENTITY] = read_identity,
        [LB_MATCH_COMMAND] = read_command,
    };

    readers[p->key](p, at);
}
