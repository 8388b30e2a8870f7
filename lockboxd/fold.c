/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/fold.h"

#include <errno.h>

#include "lockboxd/chain.h"
#include "policy/base.h"
#include "policy/id.h"
#include "policy/lifecycle.h"

struct entry {
    char id[LB_ID_PRINTED_MAX]; /* "": free */
    bool unseen, seen;          /* seen: a row was about it */
    int state;
    int64_t requested_at, closed_at;
    unsigned char who[LB_DIGEST_SIZE]; /* of account, engineer and ticket */
};

/* Open addressing, never more than half full. */
struct lb_fold {
    struct entry *entries;
    size_t room, n;
    struct lb_hasher *hasher;
};

struct lb_fold *lb_fold_new(void)
{
    struct lb_fold *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->room = 1024;
    f->entries = calloc(f->room, sizeof(*f->entries));
    f->hasher = lb_hasher_new();
    return f->entries && f->hasher ? f : lb_fold_free(f);
}

struct lb_fold *lb_fold_free(struct lb_fold *f)
{
    if (!f)
        return NULL;
    lb_hasher_free(f->hasher);
    free(f->entries);
    free(f);
    return NULL;
}

/* Where an ID stands, or would stand. IDs are random: whoever invents some to collide slows his own verifier. */
static struct entry *place(const struct lb_fold *f, const char *id)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    size_t i;

    for (const char *c = id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    for (i = hash & (f->room - 1); *f->entries[i].id && strcmp(f->entries[i].id, id) != 0; i = (i + 1) & (f->room - 1))
        ;
    return &f->entries[i];
}

static int grow(struct lb_fold *f)
{
    struct lb_fold larger = { .room = 2 * f->room };

    if (2 * (f->n + 1) < f->room)
        return 0;
    larger.entries = calloc(larger.room, sizeof(*larger.entries));
    if (!larger.entries)
        return -ENOMEM;
    for (size_t i = 0; i < f->room; i++)
        if (*f->entries[i].id)
            *place(&larger, f->entries[i].id) = f->entries[i];
    free(f->entries);
    f->entries = larger.entries;
    f->room = larger.room;
    return 0;
}

/* The slice as a string; "" for what is longer than any that we write. */
static void read_word(struct lb_slice word, char *ret, size_t size)
{
    size_t n = word.n < size ? word.n : 0;

    if (n > 0)
        memcpy(ret, word.at, n);
    ret[n] = '\0';
}

/* Which of the names by number that is, or 0. */
static int find_word(const char *const *names, int n, struct lb_slice word)
{
    for (int i = 1; word.n > 0 && i < n; i++)
        if (*names[i] == *word.at && strlen(names[i]) == word.n && memcmp(names[i], word.at, word.n) == 0)
            return i;
    return 0;
}

static int read_state(struct lb_slice word)
{
    return find_word(lb_state_names, LB_STATE_MAX_, word);
}

/* One digest for three texts, with what none of them has between. */
static int digest_who(struct lb_fold *f, const struct lb_slice who[static 3], unsigned char ret[static LB_DIGEST_SIZE])
{
    size_t n = who[0].n + who[1].n + who[2].n + 3;
    LB_FREE char *all = malloc(n);
    char *p = all;

    if (!all)
        return -ENOMEM;
    for (int i = 0; i < 3; i++) {
        p = who[i].n ? mempcpy(p, who[i].at, who[i].n) : p;
        *p++ = '\0';
    }
    return lb_hasher_digest(f->hasher, all, n, ret);
}

static struct lb_slice slice_of(const char *text)
{
    return (struct lb_slice){ text, strlen(text) };
}

static int begin(struct lb_fold *f, const char *id, const struct lb_slice m[static LB_MEMBER_MAX_])
{
    LB_FREE char *account = lb_slice_text(m[LB_MEMBER_ACCOUNT]);
    LB_FREE char *engineer = lb_slice_text(m[LB_MEMBER_ENGINEER]);
    LB_FREE char *ticket = lb_slice_text(m[LB_MEMBER_TICKET]);
    struct entry *e;
    int r = account && engineer && ticket ? grow(f) : -ENOMEM;

    if (r < 0)
        return r;
    e = place(f, id);
    f->n += !*e->id;
    *e = (struct entry){ .state = read_state(m[LB_MEMBER_STATE]), .requested_at = lb_slice_number(m[LB_MEMBER_TIME]) };
    memcpy(e->id, id, strlen(id) + 1);
    return digest_who(f, (struct lb_slice[]){ slice_of(account), slice_of(engineer), slice_of(ticket) }, e->who);
}

/* As the store does when it appends. */
int lb_fold_event(struct lb_fold *f, const struct lb_slice m[static LB_MEMBER_MAX_])
{
    char id[LB_ID_PRINTED_MAX];
    struct entry *e;
    int kind = find_word(lb_event_names, LB_EVENT_REQUEST_MAX_, m[LB_MEMBER_EVENT]);

    read_word(m[LB_MEMBER_REQUEST], id, sizeof(id));
    if (!*id || kind == LB_EVENT_NONE)
        return 0;
    if (lb_lifecycle_step(LB_STATE_NONE, kind).next)
        return begin(f, id, m);
    e = place(f, id);
    if (!*e->id)
        return 0;
    e->state = read_state(m[LB_MEMBER_STATE]);
    if (!lb_state_is_open(e->state) && !e->closed_at)
        e->closed_at = lb_slice_number(m[LB_MEMBER_TIME]);
    if (kind == LB_EVENT_EMERGENCY || kind == LB_EVENT_ACKNOWLEDGED)
        e->unseen = kind == LB_EVENT_EMERGENCY;
    return 0;
}

int lb_fold_agrees(struct lb_fold *f, const struct lb_fold_row *row)
{
    const struct lb_slice texts[] = { row->account, row->engineer, row->ticket };
    unsigned char who[LB_DIGEST_SIZE];
    char id[LB_ID_PRINTED_MAX];
    struct entry *e;
    int r = digest_who(f, texts, who);

    if (r < 0)
        return r;
    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        if (texts[i].n && memchr(texts[i].at, 0, texts[i].n))
            return 0;
    read_word(row->id, id, sizeof(id));
    e = place(f, id);
    if (!*id || !*e->id || e->seen)
        return 0;
    e->seen = true;
    return e->state == read_state(row->state) && row->open == lb_state_is_open(e->state) && row->unseen == e->unseen &&
           row->requested_at == e->requested_at && row->closed_at == e->closed_at &&
           memcmp(e->who, who, sizeof(who)) == 0;
}

const char *lb_fold_lacking(const struct lb_fold *f)
{
    for (size_t i = 0; i < f->room; i++)
        if (*f->entries[i].id && !f->entries[i].seen)
            return f->entries[i].id;
    return NULL;
}
