/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/verify.h"

#include <errno.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/checkpoint.h"

const char *const lb_flaw_names[] = {
    [LB_FLAW_NONE] = "",           [LB_FLAW_EMPTY] = "empty", [LB_FLAW_MISSING] = "missing",
    [LB_FLAW_MISPLACED] = "misplaced", [LB_FLAW_CHANGED] = "changed", [LB_FLAW_TWICE] = "twice",
    [LB_FLAW_REWRITTEN] = "rewritten", [LB_FLAW_FORGED] = "forged", [LB_FLAW_MAX_] = NULL,
};

typedef unsigned char digest_of[LB_DIGEST_SIZE];

struct lb_verify {
    struct lb_hasher *hasher;
    digest_of *digests; /* of the events `first` to `next` - 1: an event may come again later */
    size_t room;
    int64_t first, next;
    char tip[LB_HASH_MAX]; /* hash of the last one */
    int64_t known;         /* 0: none */
    char known_hash[LB_HASH_MAX];
    bool may_begin;        /* … and the copy may begin behind it */
    bool torn;             /* the last one does not name the one before: the next one tells which was changed */
    struct lb_verdict verdict;
};

struct lb_verify *lb_verify_new(void)
{
    struct lb_verify *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->first = v->next = 1;
    memcpy(v->tip, LB_CHAIN_GENESIS, LB_HASH_MAX);
    v->hasher = lb_hasher_new();
    return v->hasher ? v : lb_verify_free(v);
}

static void clear_checkpoint(struct lb_verify_checkpoint *c)
{
    free(c->host);
    free(c->statement);
    free(c->signature);
    *c = (struct lb_verify_checkpoint){ 0 };
}

struct lb_verify *lb_verify_free(struct lb_verify *v)
{
    if (!v)
        return NULL;
    lb_hasher_free(v->hasher);
    free(v->digests);
    clear_checkpoint(&v->verdict.checkpoint);
    free(v);
    return NULL;
}

void lb_verify_know(struct lb_verify *v, int64_t seq, const char hash[static LB_HASH_MAX], bool may_begin)
{
    v->known = seq;
    v->may_begin = may_begin;
    memcpy(v->known_hash, hash, LB_HASH_MAX);
}

int64_t lb_verify_next(const struct lb_verify *v)
{
    return v->next;
}

static bool is_hash(struct lb_slice text, const char hash[static LB_HASH_MAX])
{
    return text.at && text.n == LB_HASH_MAX - 1 && memcmp(text.at, hash, LB_HASH_MAX - 1) == 0;
}

/* Only the first flaw is told. */
static int set_flaw(struct lb_verify *v, int flaw, int64_t seq, int64_t to, const char *what)
{
    struct lb_verdict *d = &v->verdict;

    if (d->flaw)
        return 0;
    d->flaw = flaw;
    d->seq = seq;
    d->to = to;
    d->what = what;
    return 0;
}

/* The last event does not name the one before it: one of the two was changed. */
static int set_torn(struct lb_verify *v, bool last)
{
    return last ? set_flaw(v, LB_FLAW_CHANGED, v->next - 1, 0, "it does not name the hash of the event before it")
                : set_flaw(v, LB_FLAW_CHANGED, v->next - 2, 0, "the event after it names another hash");
}

/* A link that does not hold was before any other flaw. */
static int find_flaw(struct lb_verify *v, int flaw, int64_t seq, int64_t to, const char *what)
{
    return v->torn ? set_torn(v, false) : set_flaw(v, flaw, seq, to, what);
}

static int append(struct lb_verify *v, const digest_of digest, const char hash[static LB_HASH_MAX])
{
    size_t n = (size_t)(v->next - v->first);

    if (n == v->room) {
        size_t room = v->room ? 2 * v->room : 1024;
        digest_of *digests = reallocarray(v->digests, room, sizeof(*digests));

        if (!digests)
            return -ENOMEM;
        v->digests = digests;
        v->room = room;
    }
    memcpy(v->digests[n], digest, LB_DIGEST_SIZE);
    memcpy(v->tip, hash, LB_HASH_MAX);
    v->next++;
    return 1;
}

/* The link to the event before. Where it does not hold, one of the two was changed: the next one names the good one. */
static int check_link(struct lb_verify *v, struct lb_slice prev)
{
    bool holds = is_hash(prev, v->tip);

    if (v->torn)
        return set_torn(v, !holds);
    if (!holds && v->next == v->first)
        return set_flaw(v, LB_FLAW_CHANGED, v->next, 0, "it does not name the hash that the first one has to");
    v->torn = !holds;
    return 1;
}

static int check_new(struct lb_verify *v, const digest_of digest, const char *hash, struct lb_slice prev)
{
    int r = check_link(v, prev);

    if (r == 1 && v->next == v->known && strcmp(hash, v->known_hash) != 0 && !v->torn)
        r = find_flaw(v, LB_FLAW_REWRITTEN, v->next, 0, NULL);
    return r == 1 ? append(v, digest, hash) : r;
}

static int check_again(struct lb_verify *v, int64_t seq, const digest_of digest)
{
    if (seq < v->first) /* older than what is known for sure */
        return 0;
    if (memcmp(v->digests[seq - v->first], digest, LB_DIGEST_SIZE) != 0)
        find_flaw(v, LB_FLAW_TWICE, seq, 0, NULL);
    return 0;
}

/* After a gap only this is asked: does what is missing come later? */
static int look_on(struct lb_verify *v, int64_t seq)
{
    if (v->verdict.flaw == LB_FLAW_MISSING && seq == v->verdict.seq)
        v->verdict.flaw = LB_FLAW_MISPLACED;
    return 0;
}

static bool is(struct lb_slice word, const char *text)
{
    return word.n == strlen(text) && memcmp(word.at, text, word.n) == 0;
}

/* What an event's text says of the log before it has to be so; -1 for an event that is older than what is known. */
static int agrees(const struct lb_verify *v, const struct lb_checkpoint *c)
{
    char hash[LB_HASH_MAX];

    if (c->events < v->first)
        return c->events == v->known ? strcmp(c->hash, v->known_hash) == 0 : -1;
    lb_chain_hex(v->digests[c->events - v->first], hash);
    return strcmp(c->hash, hash) == 0;
}

/* A member of an event that has no lists and objects: what stands behind `"name":`, up to the quote or the comma that
 * ends it. In canonical bytes no text can have the quotes of a name. */
static struct lb_slice find_member(struct lb_slice json, const char *name)
{
    const char *end = json.at + json.n, *at = memmem(json.at, json.n, name, strlen(name)), *p;

    if (!at)
        return (struct lb_slice){ 0 };
    at += strlen(name);
    if (name[strlen(name) - 1] == '"')
        for (p = at; p < end && *p != '"'; p++)
            p += *p == '\\';
    else
        for (p = at; p < end && *p != ',' && *p != '}'; p++)
            ;
    return (struct lb_slice){ at, p < end ? (size_t)(p - at) : 0 };
}

static int keep_checkpoint(struct lb_verify *v, struct lb_slice json, struct lb_checkpoint *c, char **statement)
{
    struct lb_verify_checkpoint *newest = &v->verdict.checkpoint;

    clear_checkpoint(newest);
    newest->seq = v->next - 1;
    newest->events = c->events;
    newest->time = c->time;
    newest->host = LB_TAKE(c->host);
    newest->statement = LB_TAKE(*statement);
    newest->signature = lb_slice_text(find_member(json, "\"signature\":\""));
    return newest->signature ? 1 : -ENOMEM;
}

static int check_checkpoint(struct lb_verify *v, struct lb_slice json, bool hosts)
{
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = { 0 };
    LB_FREE char *statement = lb_slice_text(find_member(json, "\"statement\":\""));
    int64_t seq = v->next - 1;
    int r = statement ? lb_checkpoint_parse(statement, &c) : -ENOMEM;

    if (r == -ENOMEM)
        return r;
    if (r < 0 || c.events != lb_slice_number(find_member(json, "\"count\":")))
        return find_flaw(v, LB_FLAW_FORGED, seq, 0, "it has not the text of one");
    if (c.events >= seq)
        return find_flaw(v, LB_FLAW_FORGED, seq, 0, "it names an event that is not before it");
    if (agrees(v, &c) == 0)
        return find_flaw(v, LB_FLAW_REWRITTEN, c.events, 0, "a checkpoint behind it names another one");
    return hosts ? keep_checkpoint(v, json, &c, &statement) : 1;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Bytes that are not those of the number and the hash beside them. */
static int check_bytes(struct lb_verify *v, int64_t seq, int64_t own, bool hashed)
{
    int64_t named = min(seq > 0 ? seq : v->next, v->next);

    if (!hashed && seq > v->next)
        return find_flaw(v, LB_FLAW_MISSING, v->next, seq - 1, NULL);
    if (!hashed)
        return find_flaw(v, LB_FLAW_CHANGED, named, 0, "its bytes do not have its hash");
    if (own <= 0)
        return find_flaw(v, LB_FLAW_CHANGED, named, 0, "its bytes are not those of an event");
    if (own != seq)
        return find_flaw(v, LB_FLAW_MISPLACED, min(own, v->next), 0, "the number beside it is not its own");
    return 1;
}

int lb_verify_event(struct lb_verify *v, int64_t seq, struct lb_slice hash, struct lb_slice json,
                    struct lb_slice ret_members[LB_MEMBER_MAX_])
{
    struct lb_slice members[LB_MEMBER_MAX_] = { 0 };
    bool readable = json.at && lb_peek(json.at, json.n, members) == 0;
    int64_t own = readable ? lb_slice_number(members[LB_MEMBER_SEQ]) : -1;
    digest_of digest;
    char actual[LB_HASH_MAX];
    bool hosts;
    int r = lb_hasher_digest(v->hasher, json.at ? json.at : "", json.n, digest);

    if (r < 0)
        return r;
    if (ret_members)
        memcpy(ret_members, members, sizeof(members));
    if (v->verdict.flaw)
        return look_on(v, own);
    lb_chain_hex(digest, actual);
    if (v->next == 1 && v->may_begin && own > v->known) {
        v->first = v->next = v->known + 1;
        memcpy(v->tip, v->known_hash, LB_HASH_MAX);
    }
    r = check_bytes(v, seq, own, is_hash(hash, actual));
    if (r != 1)
        return r;
    if (own < v->next)
        return check_again(v, own, digest);
    if (own > v->next)
        return find_flaw(v, LB_FLAW_MISSING, v->next, own - 1, NULL);
    r = check_new(v, digest, actual, members[LB_MEMBER_PREV]);
    hosts = is(members[LB_MEMBER_EVENT], "checkpoint");
    return r == 1 && (hosts || is(members[LB_MEMBER_EVENT], "countersigned")) ? check_checkpoint(v, json, hosts) : r;
}

void lb_verify_disagrees(struct lb_verify *v, int64_t seq, const char *what)
{
    if (v->torn && seq == v->next - 1) /* then it is this one, and not the one before */
        v->torn = false;
    find_flaw(v, LB_FLAW_CHANGED, seq, 0, what);
}

struct lb_verdict lb_verify_end(struct lb_verify *v)
{
    struct lb_verdict *d = &v->verdict;

    if (v->torn)
        set_torn(v, false);
    if (v->known >= v->next)
        find_flaw(v, LB_FLAW_MISSING, v->next, v->known, "the end is cut off");
    if (v->next == v->first)
        find_flaw(v, LB_FLAW_EMPTY, 0, 0, NULL);
    d->last = (d->flaw && d->seq && d->seq < v->next ? d->seq : v->next) - 1;
    d->events = d->last - v->first + 1;
    if (d->last == v->next - 1)
        memcpy(d->hash, v->tip, LB_HASH_MAX);
    else if (d->last >= v->first)
        lb_chain_hex(v->digests[d->last - v->first], d->hash);
    return *d;
}
