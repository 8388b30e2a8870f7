/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/entries.h"

#include <endian.h>
#include <errno.h>
#include <stdio_ext.h>

#include "policy/base.h"

/* Beyond what journald itself takes in one field. */
#define VALUE_MAX (UINT64_C(768) * 1024 * 1024)

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

/* One entry as it is read. Its values stand one behind the other in `text`, each with a NUL behind it. */
struct entry {
    char *text;
    size_t n, room;
    struct { bool there; size_t at, n; } values[FIELDS_];
    bool any, twice; /* there is a field at all; one of ours is there twice */
    char *line;      /* of getline */
    size_t line_room;
};

static void entry_clear(struct entry *e)
{
    free(e->text);
    free(e->line);
}

static void entry_begin(struct entry *e)
{
    memset(e->values, 0, sizeof(e->values));
    e->n = 0;
    e->any = e->twice = false;
}

static struct lb_slice value(const struct entry *e, int field)
{
    return e->values[field].there ? (struct lb_slice){ e->text + e->values[field].at, e->values[field].n }
                                  : (struct lb_slice){ 0 };
}

static const char *text_of(const struct entry *e, int field)
{
    return e->values[field].there ? e->text + e->values[field].at : "";
}

/* Room for a value of n bytes; it is for the caller to fill. */
static int add(struct entry *e, int field, size_t n, char **ret)
{
    if (e->n + n + 1 > e->room) {
        size_t room = 2 * (e->n + n + 1) + 4096;
        char *text = realloc(e->text, room);

        if (!text)
            return -ENOMEM;
        e->text = text;
        e->room = room;
    }
    e->twice |= field < CLAIMS_ && e->values[field].there;
    e->values[field].there = true;
    e->values[field].at = e->n;
    e->values[field].n = n;
    *ret = e->text + e->n;
    (*ret)[n] = '\0';
    e->n += n + 1;
    return 0;
}

static int find(const char *name, size_t n)
{
    for (int i = 0; (*name == 'L' || *name == '_') && i < FIELDS_; i++)
        if (names[i].n == n && memcmp(names[i].at, name, n) == 0)
            return i;
    return FIELDS_;
}

static int skip(FILE *in, uint64_t n)
{
    char bytes[4096];

    while (n > 0) {
        size_t part = n < sizeof(bytes) ? n : sizeof(bytes);

        if (fread(bytes, 1, part, in) != part)
            return -EBADMSG;
        n -= part;
    }
    return 0;
}

/* NAME, newline, 64 bits of length in little-endian order, so many bytes, newline: for what is no plain text. */
static int read_binary(struct entry *e, FILE *in, int field)
{
    uint64_t n;
    char *to;
    int r;

    if (fread(&n, sizeof(n), 1, in) != 1 || (n = le64toh(n)) > VALUE_MAX)
        return -EBADMSG;
    if (field == FIELDS_)
        r = skip(in, n);
    else {
        r = add(e, field, n, &to);
        if (r == 0 && fread(to, 1, n, in) != n)
            r = -EBADMSG;
    }
    return r == 0 && getc(in) != '\n' ? -EBADMSG : r;
}

static int read_line(struct entry *e, FILE *in, size_t n)
{
    char *equals = memchr(e->line, '=', n), *to;
    int field = find(e->line, equals ? (size_t)(equals - e->line) : n), r;
    size_t length;

    e->any = true;
    if (!equals)
        return read_binary(e, in, field);
    if (field == FIELDS_)
        return 0;
    length = n - (size_t)(equals + 1 - e->line);
    r = add(e, field, length, &to);
    if (r == 0)
        memcpy(to, equals + 1, length);
    return r;
}

/* 1: an entry; 0: the end of all. */
static int read_entry(struct entry *e, FILE *in)
{
    ssize_t n;
    int r = 0;

    entry_begin(e);
    while (r == 0 && (n = getline(&e->line, &e->line_room, in)) >= 0) {
        n -= n > 0 && e->line[n - 1] == '\n';
        if (n == 0 && e->any)
            return 1;
        if (n > 0)
            r = read_line(e, in, (size_t)n);
    }
    if (r < 0)
        return r;
    return ferror(in) ? -EIO : e->any;
}

static bool claims(const struct entry *e)
{
    for (int i = 0; i < CLAIMS_; i++)
        if (e->values[i].there)
            return true;
    return false;
}

static bool is_ours(const struct entry *e)
{
    return strcmp(text_of(e, UNIT), "lockboxd.service") == 0 && strcmp(text_of(e, UID), "0") == 0;
}

/* The fields by which people search say what the bytes say. */
static bool agrees(const struct entry *e, const struct lb_slice own[static LB_MEMBER_MAX_])
{
    for (int i = 0; i < CLAIMS_; i++)
        if (members[i] >= 0 && !lb_slice_says(own[members[i]], value(e, i)))
            return false;
    return !e->twice;
}

static int verify_entry(const struct entry *e, struct lb_verify *v)
{
    struct lb_slice own[LB_MEMBER_MAX_];
    int64_t seq = lb_slice_number(value(e, SEQ)), next = lb_verify_next(v);
    int r = lb_verify_event(v, seq, value(e, HASH), value(e, JSON), own);

    if (r >= 0 && !agrees(e, own))
        lb_verify_disagrees(v, seq > 0 && seq < next ? seq : next,
                            "a field of its journal entry is not what its bytes say");
    return r < 0 ? r : 0;
}

static void tell(const struct entry *e, struct lb_entries *entries)
{
    const struct lb_foreign foreign = {
        .event = text_of(e, EVENT), .seq = text_of(e, SEQ), .uid = text_of(e, UID), .unit = text_of(e, UNIT),
        .comm = text_of(e, COMM), .time = text_of(e, TIME),
    };

    entries->foreign++;
    if (entries->tell)
        entries->tell(entries->userdata, &foreign);
}

int lb_entries_verify(FILE *in, struct lb_verify *v, struct lb_entries *entries)
{
    LB_CLEANUP(entry_clear) struct entry e = { 0 };
    LB_FREE char *machine = NULL;
    int r;

    __fsetlocking(in, FSETLOCKING_BYCALLER); /* one lock a line is much of what a line costs */
    while ((r = read_entry(&e, in)) > 0) {
        if (!claims(&e))
            continue;
        if (!is_ours(&e)) {
            tell(&e, entries);
            continue;
        }
        if (!machine && !(machine = strdup(text_of(&e, MACHINE))))
            return -ENOMEM;
        if (strcmp(machine, text_of(&e, MACHINE)) != 0)
            return -EXDEV;
        r = verify_entry(&e, v);
        if (r < 0)
            return r;
    }
    return r;
}
