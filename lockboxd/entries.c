/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/entries.h"

#include <endian.h>
#include <errno.h>
#include <sys/types.h>

#include "policy/base.h"

/* Beyond what journald itself takes in one field. */
#define VALUE_MAX (UINT64_C(768) * 1024 * 1024)

#define READ_AHEAD (256 * 1024)

enum field {
    JSON, SEQ, HASH, PREV, EVENT, REQUEST, STATE, ACCOUNT, ENGINEER, TICKET, REASON, APPROVER,
    CLAIMS_, /* up to here: who writes one of them claims to be an event */
    UNIT = CLAIMS_, UID, COMM, MACHINE, TIME, FIELDS_,
};

#define NAME(name) { name, sizeof(name) - 1 }

static const struct lb_slice names[FIELDS_] = {
    [JSON] = NAME("LOCKBOX_JSON"), [SEQ] = NAME("LOCKBOX_SEQ"), [HASH] = NAME("LOCKBOX_HASH"),
    [PREV] = NAME("LOCKBOX_PREV"), [EVENT] = NAME("LOCKBOX_EVENT"), [REQUEST] = NAME("LOCKBOX_REQUEST"),
    [STATE] = NAME("LOCKBOX_STATE"), [ACCOUNT] = NAME("LOCKBOX_ACCOUNT"), [ENGINEER] = NAME("LOCKBOX_ENGINEER"),
    [TICKET] = NAME("LOCKBOX_TICKET"), [REASON] = NAME("LOCKBOX_REASON"), [APPROVER] = NAME("LOCKBOX_APPROVER"),
    [UNIT] = NAME("_SYSTEMD_UNIT"), [UID] = NAME("_UID"), [COMM] = NAME("_COMM"), [MACHINE] = NAME("_MACHINE_ID"),
    [TIME] = NAME("__REALTIME_TIMESTAMP"),
};

/* The fields that repeat a member of the bytes. */
static const int members[CLAIMS_] = {
    [JSON] = -1, [HASH] = -1, [SEQ] = LB_MEMBER_SEQ, [PREV] = LB_MEMBER_PREV, [EVENT] = LB_MEMBER_EVENT,
    [REQUEST] = LB_MEMBER_REQUEST, [STATE] = LB_MEMBER_STATE, [ACCOUNT] = LB_MEMBER_ACCOUNT,
    [ENGINEER] = LB_MEMBER_ENGINEER, [TICKET] = LB_MEMBER_TICKET, [REASON] = LB_MEMBER_REASON,
    [APPROVER] = LB_MEMBER_APPROVER,
};

/* One entry as it is read, where it stands: its values are part of what was read, each with a NUL behind it. */
struct lb_entry {
    FILE *in;
    char *text;                /* what is read ahead */
    size_t begin, at, n, room; /* the entry is from `begin` on, `at` is what comes next, `n` the end of all */
    struct { bool there; size_t at, n; } values[FIELDS_]; /* at: from `begin` on */
    bool any, twice; /* there is a field at all; one of ours is there twice */
};

static void entry_clear(struct lb_entry *e)
{
    free(e->text);
}

static void entry_begin(struct lb_entry *e)
{
    memset(e->values, 0, sizeof(e->values));
    e->begin = e->at;
    e->any = e->twice = false;
}

static struct lb_slice value(const struct lb_entry *e, int field)
{
    return e->values[field].there ? (struct lb_slice){ e->text + e->begin + e->values[field].at, e->values[field].n }
                                  : (struct lb_slice){ 0 };
}

static const char *text_of(const struct lb_entry *e, int field)
{
    return e->values[field].there ? e->text + e->begin + e->values[field].at : "";
}

static int grow(struct lb_entry *e)
{
    size_t room = e->room ? 2 * e->room : READ_AHEAD;
    char *text = realloc(e->text, room);

    if (!text)
        return -ENOMEM;
    e->text = text;
    e->room = room;
    return 0;
}

/* Reads on. What is before the entry goes. 1; 0: there is no more. */
static int read_more(struct lb_entry *e)
{
    size_t got;

    if (e->begin > 0)
        memmove(e->text, e->text + e->begin, e->n - e->begin);
    e->at -= e->begin;
    e->n -= e->begin;
    e->begin = 0;
    if (e->n >= e->room / 2 && grow(e) < 0)
        return -ENOMEM;
    got = fread(e->text + e->n, 1, e->room - e->n - 1, e->in);
    e->n += got;
    return got > 0 ? 1 : ferror(e->in) ? -EIO : 0;
}

/* The n bytes from `at` on are a value; the one behind them was looked at. */
static void keep(struct lb_entry *e, int field, size_t at, size_t n)
{
    e->text[at + n] = '\0';
    e->twice |= field < CLAIMS_ && e->values[field].there;
    e->values[field].there = true;
    e->values[field].at = at - e->begin;
    e->values[field].n = n;
}

static int find(const char *name, size_t n)
{
    for (int i = 0; (*name == 'L' || *name == '_') && i < FIELDS_; i++)
        if (names[i].n == n && memcmp(names[i].at, name, n) == 0)
            return i;
    return FIELDS_;
}

/* Waits for n bytes that have to be there. */
static int need(struct lb_entry *e, size_t n)
{
    while (e->n - e->at < n) {
        int r = read_more(e);

        if (r <= 0)
            return r < 0 ? r : -EBADMSG;
    }
    return 0;
}

/* What is nobody's business is not kept, however long it is. */
static int skip(struct lb_entry *e, uint64_t n)
{
    while (n > 0) {
        size_t there = e->n - e->at, part = there < n ? there : n;
        int r;

        memmove(e->text + e->at, e->text + e->at + part, there - part);
        e->n -= part;
        n -= part;
        r = n > 0 ? need(e, 1) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* NAME, newline, 64 bits of length in little-endian order, so many bytes, newline: for what is no plain text. */
static int read_binary(struct lb_entry *e, int field)
{
    uint64_t n;
    int r = need(e, sizeof(n));

    if (r < 0)
        return r;
    memcpy(&n, e->text + e->at, sizeof(n));
    e->at += sizeof(n);
    n = le64toh(n);
    if (n > VALUE_MAX)
        return -EBADMSG;
    if (field == FIELDS_) {
        r = skip(e, n);
        n = 0;
    }
    if (r == 0)
        r = need(e, n + 1);
    if (r < 0 || e->text[e->at + n] != '\n')
        return r < 0 ? r : -EBADMSG;
    if (field != FIELDS_)
        keep(e, field, e->at, n);
    e->at += n + 1;
    return 0;
}

/* A line, from *ret_from on, without its newline: its length; -ENODATA: there is none. */
static ssize_t read_line(struct lb_entry *e, size_t *ret_from)
{
    size_t seen = 0;
    char *newline;
    int r = 1;

    while (!(newline = e->n - e->at > seen ? memchr(e->text + e->at + seen, '\n', e->n - e->at - seen) : NULL) &&
           r > 0) {
        seen = e->n - e->at;
        r = read_more(e);
    }
    if (r < 0 || e->at == e->n)
        return r < 0 ? r : -ENODATA;
    seen = newline ? (size_t)(newline - e->text) - e->at : e->n - e->at;
    *ret_from = e->at;
    e->at += seen + (newline != NULL);
    return (ssize_t)seen;
}

static int take_line(struct lb_entry *e, size_t from, size_t n)
{
    const char *line = e->text + from, *equals = memchr(line, '=', n);
    int field = find(line, equals ? (size_t)(equals - line) : n);

    e->any = true;
    if (!equals)
        return read_binary(e, field);
    if (field != FIELDS_)
        keep(e, field, (size_t)(equals + 1 - e->text), n - (size_t)(equals + 1 - line));
    return 0;
}

/* 1: an entry; 0: the end of all. */
static int read_entry(struct lb_entry *e)
{
    size_t from = 0;
    ssize_t n;
    int r = 0;

    entry_begin(e);
    while (r == 0 && (n = read_line(e, &from)) >= 0) {
        if (n == 0 && e->any)
            return 1;
        if (n > 0)
            r = take_line(e, from, (size_t)n);
        else
            e->begin = e->at;
    }
    return r < 0 ? r : n == -ENODATA ? e->any : (int)n;
}

int lb_entry_add(struct lb_entry *e, const char *text, size_t n)
{
    const char *equals = memchr(text, '=', n);
    int field = equals ? find(text, (size_t)(equals - text)) : FIELDS_;

    if (field == FIELDS_)
        return 0;
    n -= (size_t)(equals + 1 - text);
    while (e->room - e->n <= n)
        if (grow(e) < 0)
            return -ENOMEM;
    memcpy(e->text + e->n, equals + 1, n);
    keep(e, field, e->n, n);
    e->n += n + 1;
    return 0;
}

static bool claims(const struct lb_entry *e)
{
    for (int i = 0; i < CLAIMS_; i++)
        if (e->values[i].there)
            return true;
    return false;
}

static bool is_ours(const struct lb_entry *e)
{
    return strcmp(text_of(e, UNIT), "lockboxd.service") == 0 && strcmp(text_of(e, UID), "0") == 0;
}

/* The fields by which people search say what the bytes say. */
static bool agrees(const struct lb_entry *e, const struct lb_slice own[static LB_MEMBER_MAX_])
{
    for (int i = 0; i < CLAIMS_; i++)
        if (members[i] >= 0 && !lb_slice_says(own[members[i]], value(e, i)))
            return false;
    return !e->twice;
}

static int verify_entry(const struct lb_entry *e, struct lb_verify *v)
{
    struct lb_slice own[LB_MEMBER_MAX_];
    int64_t seq = lb_slice_number(value(e, SEQ)), next = lb_verify_next(v);
    int r = lb_verify_event(v, seq, value(e, HASH), value(e, JSON), own);

    if (r >= 0 && !agrees(e, own))
        lb_verify_disagrees(v, seq > 0 && seq < next ? seq : next,
                            "a field of its journal entry is not what its bytes say");
    return r < 0 ? r : 0;
}

static void tell(const struct lb_entry *e, struct lb_entries *entries)
{
    const struct lb_foreign foreign = {
        .event = text_of(e, EVENT), .seq = text_of(e, SEQ), .uid = text_of(e, UID), .unit = text_of(e, UNIT),
        .comm = text_of(e, COMM), .time = text_of(e, TIME),
    };

    entries->foreign++;
    if (entries->tell)
        entries->tell(entries->userdata, &foreign);
}

static int verify_all(struct lb_entry *e, lb_entries_next *next, void *source, struct lb_verify *v,
                      struct lb_entries *entries)
{
    LB_FREE char *machine = NULL;
    int r;

    while ((r = next(source, e)) > 0) {
        if (!claims(e))
            continue;
        if (!is_ours(e)) {
            tell(e, entries);
            continue;
        }
        if (!machine && !(machine = strdup(text_of(e, MACHINE))))
            return -ENOMEM;
        if (strcmp(machine, text_of(e, MACHINE)) != 0)
            return -EXDEV;
        r = verify_entry(e, v);
        if (r < 0)
            return r;
    }
    return r;
}

static int next_read(void *source, struct lb_entry *e)
{
    (void)source;
    return read_entry(e);
}

int lb_entries_verify(FILE *in, struct lb_verify *v, struct lb_entries *entries)
{
    LB_CLEANUP(entry_clear) struct lb_entry e = { .in = in };

    return verify_all(&e, next_read, NULL, v, entries);
}

struct given {
    lb_entries_next *next;
    void *source;
};

static int next_given(void *userdata, struct lb_entry *e)
{
    struct given *given = userdata;

    e->at = e->n = 0;
    entry_begin(e);
    return given->next(given->source, e);
}

int lb_entries_verify_each(lb_entries_next *next, void *source, struct lb_verify *v, struct lb_entries *entries)
{
    LB_CLEANUP(entry_clear) struct lb_entry e = { 0 };

    return verify_all(&e, next_given, &(struct given){ next, source }, v, entries);
}
