/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever is done to a copy of the log in a journal is found, and the first event that it was done to is named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lockboxd/entries.h"
#include "tests/unit/sample_log.h"

#define DAMAGES 10000

/* --- members ------------------------------------------------------------------------------------------------------ */

static struct lb_slice slice(const char *text)
{
    return (struct lb_slice){ text, strlen(text) };
}

static void test_members(void **state)
{
    static const char json[] = "{\"account\":\"a\\\"b\\\\\","
                               "\"list\":[{\"seq\":9},\"}\"],\"prev\":\"\",\"seq\":12,\"time\":-1}";
    struct lb_slice m[LB_MEMBER_MAX_];
    LB_FREE char *text = NULL;

    (void)state;
    assert_int_equal(lb_peek(json, strlen(json), m), 0);
    text = lb_slice_text(m[LB_MEMBER_ACCOUNT]);
    assert_string_equal(text, "a\"b\\");
    assert_true(lb_slice_says(m[LB_MEMBER_ACCOUNT], slice("a\"b\\")));
    assert_false(lb_slice_says(m[LB_MEMBER_ACCOUNT], slice("a\"b\\c")));
    assert_false(lb_slice_says(m[LB_MEMBER_ACCOUNT], slice("a\"b")));
    assert_int_equal(lb_slice_number(m[LB_MEMBER_SEQ]), 12);
    assert_int_equal(lb_slice_number(m[LB_MEMBER_TIME]), -1);
    assert_null(m[LB_MEMBER_REASON].at);
    assert_true(lb_slice_says(m[LB_MEMBER_REASON], slice("")));
    assert_false(lb_slice_says(m[LB_MEMBER_REASON], slice("x")));
}

/* The same members that the whole reading finds, in every kind of event. */
static void test_members_of_every_kind(void **state)
{
    (void)state;
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
        struct lb_event e = sample_event(kind, kind);
        LB_FREE char *json = NULL;
        struct lb_slice m[LB_MEMBER_MAX_];
        char hash[LB_HASH_MAX];

        e.seq = 4000 + kind;
        assert_int_equal(lb_chain_encode(&e, LB_CHAIN_GENESIS, &json, hash), 0);
        assert_int_equal(lb_peek(json, strlen(json), m), 0);
        assert_int_equal(lb_slice_number(m[LB_MEMBER_SEQ]), e.seq);
        assert_int_equal(lb_slice_number(m[LB_MEMBER_TIME]), e.time.wall);
        assert_true(lb_slice_says(m[LB_MEMBER_EVENT], slice(lb_event_names[kind])));
        assert_true(lb_slice_says(m[LB_MEMBER_PREV], slice(LB_CHAIN_GENESIS)));
        assert_true(lb_slice_says(m[LB_MEMBER_ACCOUNT], slice(e.account)));
    }
}

static void test_no_event(void **state)
{
    static const char *const wrong[] = {
        "", "{", "{}", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,}", "{\"a\": 1}", "{\"a\":\"}",
        "{\"b\":1,\"a\":1}", "{\"a\":1,\"a\":2}", "{\"a\":[}", "{\"a\":]}", "{a:1}", "{\"a\":\"\\\"}", "\"a\"",
    };
    struct lb_slice m[LB_MEMBER_MAX_];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++)
        assert_int_equal(lb_peek(wrong[i], strlen(wrong[i]), m), -EBADMSG);
    assert_int_equal(lb_peek("{\"a\":\"x\0y\"}", 11, m), -EBADMSG);
    assert_int_equal(lb_slice_number(slice("9223372036854775807")), INT64_MAX);
    assert_int_equal(lb_slice_number(slice("9223372036854775808")), -1);
    assert_int_equal(lb_slice_number(slice("007")), -1);
}

/* --- a journal ---------------------------------------------------------------------------------------------------- */

/* The export as text, with where each entry stands in it, and in each what our daemon wrote. */
struct text {
    char bytes[LOG_LENGTH * 4096];
    size_t n;
    struct { size_t at, ours, ours_end, end; } entries[LOG_LENGTH];
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    t->n += (size_t)vsnprintf(t->bytes + t->n, sizeof(t->bytes) - t->n, format, args);
    va_end(args);
    assert_true(t->n < sizeof(t->bytes));
}

/* journald's way with what is more than one line of plain text. */
static void put_binary(struct text *t, const char *name, const char *value)
{
    uint64_t n = strlen(value);

    put(t, "%s\n", name);
    for (int i = 0; i < 8; i++)
        t->bytes[t->n++] = (char)(n >> (8 * i));
    put(t, "%s\n", value);
}

static void put_entry(struct text *t, struct log_copy *log, size_t i)
{
    const struct log_row *row = &log->rows[i];
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };

    assert_int_equal(lb_chain_decode(row->json, &e, NULL), 0);
    t->entries[i].at = t->n;
    put(t, "__CURSOR=s=1;i=%zu\n__REALTIME_TIMESTAMP=1790000000000000\n_MACHINE_ID=abc\n", i);
    t->entries[i].ours = t->n;
    put(t, "LOCKBOX_EVENT=%s\nLOCKBOX_SEQ=%" PRId64 "\nLOCKBOX_HASH=%s\nLOCKBOX_PREV=%s\nLOCKBOX_JSON=%s\n",
        lb_event_names[e.kind], row->seq, row->hash, row->prev, row->json);
    put(t, "LOCKBOX_REQUEST=%s\nLOCKBOX_STATE=%s\nLOCKBOX_ACCOUNT=%s\nLOCKBOX_ENGINEER=%s\nLOCKBOX_TICKET=%s\n",
        e.request, lb_state_names[e.state], e.account, e.engineer, e.ticket);
    put(t, "LOCKBOX_APPROVER=%s\n", e.approver);
    put_binary(t, "LOCKBOX_REASON", e.reason);
    t->entries[i].ours_end = t->n;
    put(t, "_UID=0\n_SYSTEMD_UNIT=lockboxd.service\n\n");
    t->entries[i].end = t->n;
}

static void write_journal(struct text *t, struct log_copy *log)
{
    t->n = 0;
    for (size_t i = 0; i < LOG_LENGTH; i++)
        put_entry(t, log, i);
}

/* What comes of verifying that text, `known` being the last event's hash as it was (NULL: nothing is known). */
static int verify(const char *bytes, size_t n, const char *known, struct lb_verdict *ret, int64_t *ret_foreign)
{
    struct lb_verify *v = lb_verify_new();
    struct lb_entries entries = { 0 };
    FILE *in = fmemopen((void *)bytes, n, "r");
    int r;

    assert_non_null(v);
    assert_non_null(in);
    if (known)
        lb_verify_know(v, LOG_LENGTH, known, false);
    r = lb_entries_verify(in, v, &entries);
    *ret = lb_verify_end(v);
    *ret_foreign = entries.foreign;
    fclose(in);
    lb_verify_free(v);
    return r;
}

static struct lb_verdict verdict_of(const struct text *t, const char *known)
{
    struct lb_verdict d;
    int64_t foreign;

    assert_int_equal(verify(t->bytes, t->n, known, &d, &foreign), 0);
    return d;
}

static struct log_copy golden, other; /* other: as golden, between damages */
static struct text golden_text, text; /* text: the same for each test anew */

static int set_up(void **state)
{
    (void)state;
    log_make(&golden);
    log_make(&other);
    write_journal(&golden_text, &golden);
    text = golden_text;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_clear(&golden);
    log_clear(&other);
    return 0;
}

static void test_whole(void **state)
{
    struct lb_verdict d = verdict_of(&text, golden.rows[LOG_LENGTH - 1].hash);

    (void)state;
    assert_int_equal(d.flaw, LB_FLAW_NONE);
    assert_int_equal(d.events, LOG_LENGTH);
    assert_int_equal(d.last, LOG_LENGTH);
    assert_string_equal(d.hash, golden.rows[LOG_LENGTH - 1].hash);
}

static void test_nothing(void **state)
{
    struct text empty = { .n = 1, .bytes = "\n" };

    (void)state;
    assert_int_equal(verdict_of(&empty, NULL).flaw, LB_FLAW_EMPTY);
}

static void remove_bytes(struct text *t, size_t from, size_t to)
{
    memmove(t->bytes + from, t->bytes + to, t->n - to);
    t->n -= to - from;
}

static void insert_bytes(struct text *t, size_t at, const char *bytes, size_t n)
{
    assert_true(t->n + n < sizeof(t->bytes));
    memmove(t->bytes + at + n, t->bytes + at, t->n - at);
    memcpy(t->bytes + at, bytes, n);
    t->n += n;
}

/* An entry may come again, as far back as may be: journald got it once more after a restart. */
static void test_twice_the_same(void **state)
{
    char again[4096];
    size_t n = text.entries[3].end - text.entries[3].at;
    struct lb_verdict d;

    (void)state;
    memcpy(again, text.bytes + text.entries[3].at, n);
    insert_bytes(&text, text.entries[20].end, again, n);
    insert_bytes(&text, text.entries[3].end, again, n);
    d = verdict_of(&text, NULL);
    assert_int_equal(d.flaw, LB_FLAW_NONE);
    assert_int_equal(d.events, LOG_LENGTH);
}

static void test_twice_and_different(void **state)
{
    static struct text forged;
    struct lb_verdict d;

    (void)state;
    log_forge(&other, 7);
    write_journal(&forged, &other);
    insert_bytes(&text, text.entries[20].end, forged.bytes + forged.entries[6].at,
                 forged.entries[6].end - forged.entries[6].at);
    d = verdict_of(&text, NULL);
    assert_int_equal(d.flaw, LB_FLAW_TWICE);
    assert_int_equal(d.seq, 7);
    assert_int_equal(d.last, 6);
}

/* What others wrote is counted apart, wherever it stands and whatever it says (row 41). */
static void test_foreign(void **state)
{
    static const char *const by[] = {
        "_UID=1000\n_SYSTEMD_UNIT=lockboxd.service\n", "_UID=0\n_SYSTEMD_UNIT=ssh.service\n", "_UID=0\n",
        "_UID=00\n_SYSTEMD_UNIT=lockboxd.service\n",
    };
    struct lb_verdict d;
    int64_t foreign;

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(by); i++) {
        char entry[512];
        int n = snprintf(entry, sizeof(entry), "LOCKBOX_EVENT=approved\nLOCKBOX_SEQ=5\n%s\n", by[i]);

        insert_bytes(&text, text.entries[15 + i].at, entry, (size_t)n);
        for (size_t k = 15 + i; k < LOG_LENGTH; k++)
            text.entries[k].at += (size_t)n;
        assert_int_equal(verify(text.bytes, text.n, NULL, &d, &foreign), 0);
        assert_int_equal(foreign, i + 1);
        assert_int_equal(d.flaw, LB_FLAW_NONE);
        assert_int_equal(d.events, LOG_LENGTH);
    }
}

static void test_two_machines(void **state)
{
    struct lb_verdict d;
    int64_t foreign;
    char *machine = memmem(text.bytes + text.entries[9].at, 500, "_MACHINE_ID=abc", 15);

    (void)state;
    assert_non_null(machine);
    machine[14] = 'd';
    assert_int_equal(verify(text.bytes, text.n, NULL, &d, &foreign), -EXDEV);
}

/* Hands over what the daemon wrote of the golden log, an entry at a time, one of them changed and one another's. */
struct handed {
    size_t at, changed, foreign; /* LOG_LENGTH: none */
};

static void add_field(struct lb_entry *entry, const char *name, const char *value)
{
    char field[4096];
    int n = snprintf(field, sizeof(field), "%s=%s", name, value);

    assert_in_range(n, 1, sizeof(field) - 1);
    assert_int_equal(lb_entry_add(entry, field, (size_t)n), 0);
}

static int hand_over(void *source, struct lb_entry *entry)
{
    struct handed *h = source;
    const struct log_row *row = &golden.rows[h->at];
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    char seq[32];

    if (h->at == LOG_LENGTH)
        return 0;
    assert_int_equal(lb_chain_decode(row->json, &e, NULL), 0);
    snprintf(seq, sizeof(seq), "%" PRId64, row->seq);
    for (const char *const *field = (const char *const[]){
             "_UID", h->at == h->foreign ? "1000" : "0", "_SYSTEMD_UNIT", "lockboxd.service", "MESSAGE", "so it was",
             "LOCKBOX_SEQ", seq, "LOCKBOX_HASH", row->hash, "LOCKBOX_PREV", row->prev, "LOCKBOX_JSON", row->json,
             "LOCKBOX_EVENT", lb_event_names[e.kind], "LOCKBOX_REQUEST", e.request,
             "LOCKBOX_STATE", lb_state_names[e.state], "LOCKBOX_ACCOUNT", h->at == h->changed ? "nobody" : e.account,
             "LOCKBOX_ENGINEER", e.engineer, "LOCKBOX_TICKET", e.ticket, "LOCKBOX_REASON", e.reason,
             "LOCKBOX_APPROVER", e.approver, NULL }; *field; field += 2)
        add_field(entry, field[0], field[1]);
    h->at++;
    return 1;
}

static int64_t verify_handed(struct handed handed, struct lb_verdict *ret)
{
    struct lb_verify *v = lb_verify_new();
    struct lb_entries entries = { 0 };

    assert_int_equal(lb_entries_verify_each(hand_over, &handed, v, &entries), 0);
    *ret = lb_verify_end(v);
    lb_verify_free(v);
    return entries.foreign;
}

static void test_one_by_one(void **state)
{
    struct lb_verdict d;

    (void)state;
    for (size_t i = 0; i < LOG_LENGTH; i++) {
        assert_int_equal(verify_handed((struct handed){ .changed = i, .foreign = LOG_LENGTH }, &d), 0);
        assert_int_equal(d.flaw, LB_FLAW_CHANGED);
        assert_int_equal(d.seq, i + 1);
        assert_int_equal(verify_handed((struct handed){ .changed = LOG_LENGTH, .foreign = i }, &d), 1);
        assert_int_equal(d.flaw, i + 1 < LOG_LENGTH ? LB_FLAW_MISSING : LB_FLAW_NONE);
    }
    assert_int_equal(verify_handed((struct handed){ .changed = LOG_LENGTH, .foreign = LOG_LENGTH }, &d), 0);
    assert_int_equal(d.flaw, LB_FLAW_NONE);
    assert_int_equal(d.events, LOG_LENGTH);
}

/* A journal that has dropped its oldest entries is whole from what is known on, and not without that. */
static void test_begins_later(void **state)
{
    struct lb_verify *v;
    struct lb_entries entries = { 0 };
    FILE *in;

    (void)state;
    remove_bytes(&text, 0, text.entries[9].end);
    assert_int_equal(verdict_of(&text, NULL).flaw, LB_FLAW_MISSING);
    for (int known = 8; known <= 10; known++) {
        struct lb_verdict d;

        v = lb_verify_new();
        lb_verify_know(v, known, golden.rows[known - 1].hash, true);
        in = fmemopen(text.bytes, text.n, "r");
        assert_int_equal(lb_entries_verify(in, v, &entries), 0);
        d = lb_verify_end(v);
        assert_int_equal(d.flaw, known == 10 ? LB_FLAW_NONE : LB_FLAW_MISSING);
        assert_int_equal(known == 10 ? 0 : known + 1, d.seq);
        fclose(in);
        lb_verify_free(v);
    }
}

/* --- damages ------------------------------------------------------------------------------------------------------ */

/* Anywhere in what the daemon wrote of an entry. */
static size_t inside_of(uint64_t *seed, size_t k)
{
    return text.entries[k].ours +
           (size_t)sample_below(seed, (int64_t)(text.entries[k].ours_end - text.entries[k].ours));
}

/* A bit of what the daemon wrote. A line that is none any more makes the rest unreadable; the last good one tells. */
static void flip(uint64_t *seed)
{
    size_t k = (size_t)sample_below(seed, LOG_LENGTH);
    size_t at = inside_of(seed, k);
    char mask = (char)(1 << sample_below(seed, 8));
    struct lb_verdict d;
    int64_t foreign;
    int r;

    text.bytes[at] ^= mask;
    r = verify(text.bytes, text.n, golden.rows[LOG_LENGTH - 1].hash, &d, &foreign);
    text.bytes[at] ^= mask;
    assert_true(r == 0 || r == -EBADMSG);
    assert_int_not_equal(d.flaw, LB_FLAW_NONE);
    assert_int_equal(d.seq, k + 1);
    assert_int_equal(d.last, k);
}

static void drop(uint64_t *seed)
{
    size_t k = (size_t)sample_below(seed, LOG_LENGTH - 1);
    struct lb_verdict d;

    remove_bytes(&text, text.entries[k].at, text.entries[k].end);
    d = verdict_of(&text, NULL);
    assert_int_equal(d.flaw, LB_FLAW_MISSING);
    assert_int_equal(d.seq, k + 1);
    assert_int_equal(d.to, k + 1);
}

static void swap(uint64_t *seed)
{
    size_t i = (size_t)sample_below(seed, LOG_LENGTH - 1);
    size_t j = i + 1 + (size_t)sample_below(seed, (int64_t)(LOG_LENGTH - 1 - i));
    static char a[4096];
    size_t n_i = text.entries[i].end - text.entries[i].at, n_j = text.entries[j].end - text.entries[j].at;
    struct lb_verdict d;

    memcpy(a, text.bytes + text.entries[i].at, n_i);
    remove_bytes(&text, text.entries[i].at, text.entries[i].end);
    insert_bytes(&text, text.entries[j].end - n_i, a, n_i);
    memcpy(a, text.bytes + text.entries[j].at - n_i, n_j);
    remove_bytes(&text, text.entries[j].at - n_i, text.entries[j].end - n_i);
    insert_bytes(&text, text.entries[i].at, a, n_j);
    d = verdict_of(&text, NULL);
    assert_int_equal(d.flaw, LB_FLAW_MISPLACED);
    assert_int_equal(d.seq, i + 1);
}

/* Cut off anywhere: only what is known of the end shows it. */
static void cut(uint64_t *seed)
{
    size_t k = (size_t)sample_below(seed, LOG_LENGTH - 1), inside = (size_t)sample_below(seed, 2);
    struct lb_verdict d;
    int64_t foreign;
    int r;

    text.n = inside ? inside_of(seed, k) : text.entries[k].end;
    r = verify(text.bytes, text.n, golden.rows[LOG_LENGTH - 1].hash, &d, &foreign);
    assert_true(r == 0 || r == -EBADMSG);
    assert_int_not_equal(d.flaw, LB_FLAW_NONE);
    assert_int_equal(d.seq, inside ? k + 1 : k + 2);
}

static void forge(uint64_t *seed)
{
    int64_t k = sample_below(seed, LOG_LENGTH - 1) + 1;
    struct lb_verdict d;

    log_forge(&other, k);
    write_journal(&text, &other);
    log_chain(&other, k, NULL);
    d = verdict_of(&text, NULL);
    assert_int_equal(d.flaw, LB_FLAW_CHANGED);
    assert_int_equal(d.seq, k);
}

/* Written anew from one event on, with every hash: a good log, but not the one that is known. */
static void rewrite(uint64_t *seed)
{
    int64_t k = sample_below(seed, LOG_LENGTH) + 1;
    struct lb_verdict d;

    log_chain(&other, k, "something else");
    write_journal(&text, &other);
    log_chain(&other, k, NULL);
    assert_int_equal(verdict_of(&text, NULL).flaw, LB_FLAW_NONE);
    d = verdict_of(&text, golden.rows[LOG_LENGTH - 1].hash);
    assert_int_equal(d.flaw, LB_FLAW_REWRITTEN);
    assert_int_equal(d.seq, LOG_LENGTH);
}

/* Somebody else's entry in the place of ours. */
static void usurp(uint64_t *seed)
{
    size_t k = (size_t)sample_below(seed, LOG_LENGTH);
    struct lb_verdict d;
    int64_t foreign;

    text.bytes[text.entries[k].ours_end + 5] = '1'; /* _UID= */
    assert_int_equal(verify(text.bytes, text.n, golden.rows[LOG_LENGTH - 1].hash, &d, &foreign), 0);
    assert_int_equal(foreign, 1);
    assert_int_equal(d.flaw, LB_FLAW_MISSING);
    assert_int_equal(d.seq, k + 1);
}

static void test_damages(void **state)
{
    static void (*const kinds[])(uint64_t *seed) = {
        flip, flip, flip, flip, flip, flip, flip, flip, drop, drop, drop, swap, swap, swap, cut, cut, cut, usurp, forge,
        rewrite,
    };
    uint64_t seed = 20;

    (void)state;
    for (int i = 0; i < DAMAGES; i++) {
        kinds[i % (int)LB_ELEMENTS(kinds)](&seed);
        text = golden_text;
    }
}

/* --- damages anywhere --------------------------------------------------------------------------------------------- */

/* What our daemon's entries say, read by another reader that knows nothing of the first: one line for each different
 * entry, in any order, with all of its fields that are ours. */
struct said {
    char *lines[4 * LOG_LENGTH];
    size_t n;
};

static void said_clear(struct said *s)
{
    while (s->n > 0)
        free(s->lines[--s->n]);
}

static void said_add(struct said *s, const char *line, size_t n)
{
    for (size_t i = 0; i < s->n; i++)
        if (strlen(s->lines[i]) == n && memcmp(s->lines[i], line, n) == 0)
            return;
    assert_true(s->n < LB_ELEMENTS(s->lines));
    s->lines[s->n++] = strndup(line, n);
}

/* The length of the field that begins at p, with its newline, and where its value is; 0: there is none. */
static size_t read_field(const char *p, const char *end, const char **value, size_t *value_n)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
    const char *equals = memchr(p, '=', (size_t)(stop - p));
    uint64_t n = 0;

    if (equals) {
        *value = equals + 1;
        *value_n = (size_t)(stop - equals) - 1;
        return (size_t)(stop - p) + (newline != NULL);
    }
    if (!newline || end - newline < 10)
        return 0;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)(unsigned char)newline[1 + i] << (8 * i);
    if (n > (uint64_t)(end - newline) - 10 || newline[9 + n] != '\n')
        return 0;
    *value = newline + 9;
    *value_n = n;
    return (size_t)(newline - p) + 10 + n;
}

static bool is_field(const char *p, const char *value, size_t value_n, const char *name, const char *wanted)
{
    size_t n = strlen(name);

    return strncmp(p, name, n) == 0 && (p[n] == '=' || p[n] == '\n') &&
           (!wanted || (strlen(wanted) == value_n && memcmp(value, wanted, value_n) == 0));
}

/* False: it cannot be read to its end. */
static bool read_said(const struct text *t, struct said *ret)
{
    static const char *const ours[] = {
        "LOCKBOX_EVENT", "LOCKBOX_SEQ", "LOCKBOX_HASH", "LOCKBOX_PREV", "LOCKBOX_JSON", "LOCKBOX_REQUEST",
        "LOCKBOX_STATE", "LOCKBOX_ACCOUNT", "LOCKBOX_ENGINEER", "LOCKBOX_TICKET", "LOCKBOX_REASON", "LOCKBOX_APPROVER",
    };
    const char *p = t->bytes, *end = p + t->n;

    while (p < end) {
        LB_FREE char *line = NULL;
        size_t size, length, value_n = 0;
        FILE *out = open_memstream(&line, &size);
        int by_us = 0;

        for (; p < end && *p != '\n'; p += length) {
            const char *value = NULL;

            length = read_field(p, end, &value, &value_n);
            if (length == 0) {
                fclose(out);
                return false;
            }
            by_us |= is_field(p, value, value_n, "_UID", "0");
            by_us |= is_field(p, value, value_n, "_SYSTEMD_UNIT", "lockboxd.service") << 1;
            for (size_t i = 0; i < LB_ELEMENTS(ours); i++)
                if (is_field(p, value, value_n, ours[i], NULL))
                    fprintf(out, "%s=%zu:%.*s;", ours[i], value_n, (int)value_n, value);
        }
        fclose(out);
        if (size > 0)
            said_add(ret, by_us == 3 ? line : "somebody else", by_us == 3 ? size : strlen("somebody else"));
        p++;
    }
    return true;
}

static bool says_the_same(const struct said *a, const struct said *b)
{
    struct said both = { 0 };
    bool same = a->n == b->n;

    for (size_t i = 0; i < a->n; i++)
        said_add(&both, a->lines[i], strlen(a->lines[i]));
    for (size_t i = 0; same && i < b->n; i++)
        said_add(&both, b->lines[i], strlen(b->lines[i]));
    same = same && both.n == a->n;
    said_clear(&both);
    return same;
}

static size_t at_random(uint64_t *seed, size_t limit)
{
    return (size_t)sample_below(seed, (int64_t)limit);
}

static void any_flip(uint64_t *seed)
{
    text.bytes[at_random(seed, text.n)] ^= (char)(1 << sample_below(seed, 8));
}

static void any_change(uint64_t *seed)
{
    text.bytes[at_random(seed, text.n)] = "\n=0\0\"\\ L_"[sample_below(seed, 9)];
}

static void any_removal(uint64_t *seed)
{
    size_t at = at_random(seed, text.n - 100);

    remove_bytes(&text, at, at + 1 + at_random(seed, sample_below(seed, 2) ? 2 : 100));
}

static void any_insertion(uint64_t *seed)
{
    insert_bytes(&text, at_random(seed, text.n), golden_text.bytes + at_random(seed, text.n - 100),
                 1 + at_random(seed, sample_below(seed, 2) ? 2 : 100));
}

/* A whole line taken out, or put in somewhere else. */
static void any_line(uint64_t *seed)
{
    size_t at = at_random(seed, text.n - 200), n;
    const char *line = memchr(golden_text.bytes + at, '\n', golden_text.n - at), *end;

    end = line ? memchr(line + 1, '\n', golden_text.n - (size_t)(line + 1 - golden_text.bytes)) : NULL;
    if (!end)
        return;
    n = (size_t)(end - line);
    at = (size_t)(line + 1 - golden_text.bytes);
    if (sample_below(seed, 2))
        remove_bytes(&text, at, at + n);
    else
        insert_bytes(&text, text.entries[sample_below(seed, LOG_LENGTH)].ours, line + 1, n);
}

/* An entry that comes again, as it was or with one byte changed. */
static void any_repetition(uint64_t *seed)
{
    size_t from = at_random(seed, LOG_LENGTH), to = at_random(seed, LOG_LENGTH), at = text.entries[to].at;
    size_t n = text.entries[from].end - text.entries[from].at;

    insert_bytes(&text, at, golden_text.bytes + text.entries[from].at, n);
    if (sample_below(seed, 2))
        text.bytes[at + at_random(seed, n)] ^= (char)(1 << sample_below(seed, 8));
}

static void any_entries_gone(uint64_t *seed)
{
    size_t from = at_random(seed, LOG_LENGTH), to = from + at_random(seed, LOG_LENGTH - from);

    remove_bytes(&text, text.entries[from].at, text.entries[to].end);
}

/* Fields of others may say what they like; whatever changes what ours say is found. */
static void test_damages_anywhere(void **state)
{
    static void (*const kinds[])(uint64_t *seed) = {
        any_flip, any_flip, any_flip, any_change, any_change, any_removal, any_removal, any_insertion, any_line,
        any_line, any_repetition, any_repetition, any_entries_gone,
    };
    struct said before = { 0 };
    int harmless = 0;
    uint64_t seed = 77;

    (void)state;
    assert_true(read_said(&golden_text, &before));
    assert_int_equal(before.n, LOG_LENGTH);
    for (int i = 0; i < DAMAGES; i++) {
        struct said after = { 0 };
        struct lb_verdict d;
        int64_t foreign;
        bool readable;
        int r;

        kinds[i % (int)LB_ELEMENTS(kinds)](&seed);
        readable = read_said(&text, &after);
        r = verify(text.bytes, text.n, golden.rows[LOG_LENGTH - 1].hash, &d, &foreign);
        if (readable && says_the_same(&before, &after))
            harmless++;
        else if (r == 0 && d.flaw == LB_FLAW_NONE && foreign == 0)
            fail_msg("damage %d of kind %d is not found", i, i % (int)LB_ELEMENTS(kinds));
        said_clear(&after);
        text = golden_text;
    }
    said_clear(&before);
    assert_true(harmless < DAMAGES / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_members_of_every_kind),
        cmocka_unit_test(test_no_event),
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_twice_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_twice_and_different, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_machines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_begins_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damages_anywhere, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
