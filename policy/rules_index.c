/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rules_index.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/pattern.h"

#define BLOCK_WORDS 256
#define BLOCK_RULES (BLOCK_WORDS * 64)

/* A set of rules of one block. */
typedef uint64_t bits[BLOCK_WORDS];

/* A pattern with its anchor; of one rule while the block is made, afterwards of all the rules that have it. */
struct entry {
    const struct lb_pattern *pattern;
    struct lb_anchor anchor;
    size_t first, n; /* of the block's members; while it is made, first is the rule */
};

/* Rules that follow one another, as many as bits fit on the stack: a set of more has several blocks. */
struct block {
    const struct lb_rule *rules;
    size_t n_rules;
    struct entry *entries; /* by key, anchor and pattern */
    uint16_t *members;     /* numbers of rules in this block */
    size_t begins[LB_MATCH_MAX_ * LB_ANCHOR_MAX_ + 1]; /* where the entries of each key and kind of anchor begin */
    bits absent[LB_MATCH_MAX_]; /* rules without the key */
    bits open[LB_MATCH_MAX_];   /* … and those that only exclude */
    bits of_logins;
};

struct lb_rules_index {
    size_t n;
    struct block blocks[];
};

static size_t range_of(const struct lb_pattern *p, const struct lb_anchor *a)
{
    return (size_t)p->key * LB_ANCHOR_MAX_ + a->kind;
}

static void set_bit(uint64_t *set, size_t i)
{
    set[i / 64] |= UINT64_C(1) << i % 64;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int compare_bytes(const struct lb_anchor *a, const void *bytes, size_t n)
{
    if (a->n != n)
        return a->n < n ? -1 : 1;
    return n > 0 ? memcmp(a->bytes, bytes, n) : 0;
}

static int compare_patterns(const struct entry *a, const struct entry *b)
{
    size_t range_a = range_of(a->pattern, &a->anchor), range_b = range_of(b->pattern, &b->anchor);
    int order = range_a < range_b ? -1 : range_a > range_b;

    order = order ? order : compare_bytes(&a->anchor, b->anchor.bytes, b->anchor.n);
    order = order ? order : (int)a->pattern->kind - (int)b->pattern->kind;
    order = order ? order : strcmp(a->pattern->word, b->pattern->word);
    return order ? order : a->pattern->negated - b->pattern->negated;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = compare_patterns(x, y);

    return order ? order : x->first < y->first ? -1 : x->first > y->first;
}

static size_t count_patterns(const struct block *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n_rules; i++)
        for (int key = 0; key < LB_MATCH_MAX_; key++)
            n += b->rules[i].match[key] ? b->rules[i].match[key]->n : 0;
    return n;
}

static void gather(struct block *b)
{
    struct entry *e = b->entries;

    for (size_t i = 0; i < b->n_rules; i++) {
        if (lb_rule_is_of_logins(&b->rules[i]))
            set_bit(b->of_logins, i);
        for (int key = 0; key < LB_MATCH_MAX_; key++) {
            const struct lb_pattern_list *list = b->rules[i].match[key];

            if (!list)
                set_bit(b->absent[key], i);
            if (!list || !list->positive)
                set_bit(b->open[key], i);
            for (size_t j = 0; list && j < list->n; j++)
                *e++ = (struct entry){ &list->patterns[j], lb_pattern_anchor(&list->patterns[j]), i, 1 };
        }
    }
}

/* Same patterns, which are neighbours now, become one entry. Returns how many are left. */
static size_t merge(struct block *b, size_t n)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        struct entry one = b->entries[i];

        b->members[i] = (uint16_t)one.first;
        if (used > 0 && compare_patterns(&b->entries[used - 1], &one) == 0) {
            b->entries[used - 1].n++;
            continue;
        }
        one.first = i;
        b->entries[used++] = one;
    }
    return used;
}

static int block_make(struct block *b, const struct lb_rule *rules, size_t n_rules)
{
    size_t n, range = 0;

    b->rules = rules;
    b->n_rules = n_rules;
    n = count_patterns(b);
    b->entries = calloc(n + 1, sizeof(*b->entries));
    b->members = calloc(n + 1, sizeof(*b->members));
    if (!b->entries || !b->members)
        return -ENOMEM;
    gather(b);
    qsort(b->entries, n, sizeof(*b->entries), compare_entries);
    n = merge(b, n);
    for (size_t i = 0; i < n; i++)
        while (range <= range_of(b->entries[i].pattern, &b->entries[i].anchor))
            b->begins[range++] = i;
    while (range < LB_ELEMENTS(b->begins))
        b->begins[range++] = n;
    return 0;
}

int lb_rules_index_new(const struct lb_ruleset *set, struct lb_rules_index **ret)
{
    size_t n = (set->n + BLOCK_RULES - 1) / BLOCK_RULES;
    struct lb_rules_index *index = calloc(1, sizeof(*index) + n * sizeof(index->blocks[0]));
    int r = index ? 0 : -ENOMEM;

    for (size_t first = 0; r == 0 && first < set->n; first += BLOCK_RULES) {
        size_t left = set->n - first;

        r = block_make(&index->blocks[index->n++], set->rules + first, left < BLOCK_RULES ? left : BLOCK_RULES);
    }
    if (r < 0)
        lb_rules_index_free(index);
    else
        *ret = index;
    return r;
}

struct lb_rules_index *lb_rules_index_free(struct lb_rules_index *index)
{
    for (size_t i = 0; index && i < index->n; i++) {
        free(index->blocks[i].entries);
        free(index->blocks[i].members);
    }
    free(index);
    return NULL;
}

/* --- finding ------------------------------------------------------------------------------------------------------ */

/* One key of one login, looked up in one block. */
struct search {
    const struct block *block;
    const struct lb_subject *subject;
    enum lb_match_key key;
    bits fits;   /* rules that a pattern of theirs lets in */
    bits barred; /* rules that exclude it */
};

static size_t begin_of(const struct search *s, enum lb_anchor_kind kind)
{
    return s->block->begins[(size_t)s->key * LB_ANCHOR_MAX_ + kind];
}

static size_t end_of(const struct search *s, enum lb_anchor_kind kind)
{
    return s->block->begins[(size_t)s->key * LB_ANCHOR_MAX_ + kind + 1];
}

static void take(struct search *s, const struct entry *e)
{
    if (!lb_pattern_fits(e->pattern, s->subject))
        return;
    for (size_t i = 0; i < e->n; i++)
        set_bit(e->pattern->negated ? s->barred : s->fits, s->block->members[e->first + i]);
}

static void look_up(struct search *s, enum lb_anchor_kind kind, const void *bytes, size_t n)
{
    const struct entry *entries = s->block->entries;
    size_t low = begin_of(s, kind), high = end_of(s, kind), end = high;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compare_bytes(&entries[middle].anchor, bytes, n) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < end && compare_bytes(&entries[low].anchor, bytes, n) == 0; low++)
        take(s, &entries[low]);
}

/* The length of the longest anchor of this kind: the last, as the short ones come first. */
static size_t longest(const struct search *s, enum lb_anchor_kind kind)
{
    size_t end = end_of(s, kind);

    return begin_of(s, kind) < end ? s->block->entries[end - 1].anchor.n : 0;
}

static void look_up_text(struct search *s)
{
    const char *value = s->subject->values[s->key];
    size_t n = s->subject->lengths[s->key], head = longest(s, LB_ANCHOR_HEAD), tail = longest(s, LB_ANCHOR_TAIL);

    look_up(s, LB_ANCHOR_WHOLE, value, n);
    for (size_t i = 1; i <= n && i <= head; i++)
        look_up(s, LB_ANCHOR_HEAD, value, i);
    for (size_t i = 1; i <= n && i <= tail; i++)
        look_up(s, LB_ANCHOR_TAIL, value + n - i, i);
}

static void look_up_pieces(struct search *s)
{
    const char *value = s->subject->values[s->key];
    size_t n = s->subject->lengths[s->key], most = longest(s, LB_ANCHOR_PIECE);

    for (size_t i = 1; i <= n && i <= most; i++)
        for (size_t at = 0; at + i <= n; at++)
            look_up(s, LB_ANCHOR_PIECE, value + at, i);
}

static void look_up_networks(struct search *s)
{
    struct lb_network net = { s->subject->address, s->subject->address.bits };

    if (longest(s, LB_ANCHOR_NETWORK) == 0 || !s->subject->numeric)
        return;
    do {
        look_up(s, LB_ANCHOR_NETWORK, &net, sizeof(net));
    } while (lb_network_widen(&net));
}

static void look_up_key(struct search *s)
{
    size_t words = (s->block->n_rules + 63) / 64;

    memset(s->fits, 0, words * sizeof(s->fits[0]));
    memset(s->barred, 0, words * sizeof(s->barred[0]));
    look_up(s, LB_ANCHOR_NONE, NULL, 0);
    look_up_text(s);
    look_up_pieces(s);
    look_up_networks(s);
    for (char *const *group = s->subject->groups; group && *group; group++)
        look_up(s, LB_ANCHOR_GROUP, *group, strlen(*group));
}

/* Takes out of `left` the rules whose key does not fit. False when none is left. */
static bool narrow(const struct search *s, bits left)
{
    const uint64_t *absent = s->block->absent[s->key], *open = s->block->open[s->key];
    bool unreadable = s->key == LB_MATCH_REMOTE_HOST && !s->subject->local && !s->subject->numeric;
    uint64_t any = 0;

    for (size_t i = 0; i < (s->block->n_rules + 63) / 64; i++) {
        left[i] &= unreadable ? absent[i] : (open[i] | s->fits[i]) & ~s->barred[i];
        any |= left[i];
    }
    return any != 0;
}

static const struct lb_rule *first_of(const struct block *b, const bits left)
{
    for (size_t i = 0; i < (b->n_rules + 63) / 64; i++)
        if (left[i])
            return &b->rules[i * 64 + (size_t)__builtin_ctzll(left[i])];
    return NULL;
}

static const struct lb_rule *find_in(const struct block *b, const struct lb_subject *subject)
{
    bool script = *subject->values[LB_MATCH_COMMAND];
    struct search s = { .block = b, .subject = subject };
    bits left;

    for (size_t i = 0; i < BLOCK_WORDS; i++)
        left[i] = script ? ~b->of_logins[i] : UINT64_MAX;
    if (b->n_rules % 64)
        left[b->n_rules / 64] &= (UINT64_C(1) << b->n_rules % 64) - 1;
    for (s.key = 0; s.key < LB_MATCH_MAX_; s.key++) {
        look_up_key(&s);
        if (!narrow(&s, left))
            return NULL;
    }
    return first_of(b, left);
}

const struct lb_rule *lb_rules_index_find(const struct lb_rules_index *index, const struct lb_subject *subject)
{
    const struct lb_rule *found = NULL;

    for (size_t i = 0; !found && i < index->n; i++)
        found = find_in(&index->blocks[i], subject);
    return found;
}
