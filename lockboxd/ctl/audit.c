/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the trail is whole. Root reads the database itself, lockboxd need not run; who may not reads what lockboxd
 * shows him of it. A journal is a copy that needs neither.
 */
#include "lockboxd/ctl/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>

#include "lockboxd/ctl/checkpoint.h"
#include "lockboxd/ctl/human.h"
#include "lockboxd/fold.h"
#include "lockboxd/store.h"
#include "lockboxd/verify.h"

#define STATE_DIRECTORY "/var/lib/lockbox"
#define HEX "0123456789abcdef"

struct audit {
    const struct lb_ctl *ctl;
    struct lb_verify *verify;
    struct lb_fold *fold;
    char request[LB_ID_PRINTED_MAX * 4]; /* whose row beside the log is wrong; "": none */
    char *damage;                        /* what else SQLite finds wrong with the file; NULL: nothing */
    bool partial;                        /* read through the daemon, which may not show all */
    int64_t foreign;
    json_t *strangers;                   /* the first of them */
    const char *beside;                  /* directory of the database that is read; NULL: none is */
    struct lb_verify_checkpoint kept;    /* of --known FILE; it is no event: its seq is 0; owned */
    struct signature {
        int checked;                     /* enum lb_checked */
        char *problem;                   /* why it is BAD */
    } newest, known;                     /* of the log's newest checkpoint, and of the one that was kept */
};

#define STRANGERS_MAX 20

static void audit_clear(struct audit *a)
{
    lb_verify_free(a->verify);
    lb_fold_free(a->fold);
    free(a->damage);
    json_decref(a->strangers);
    free(a->kept.host);
    free(a->kept.statement);
    free(a->kept.signature);
    free(a->newest.problem);
    free(a->known.problem);
}

/* A checkpoint that somebody kept. */
static int read_kept(struct audit *a, const char *path)
{
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = { 0 };
    int r = lb_checkpoint_read(a->ctl, path, &c, &a->kept.statement, &a->kept.signature);

    if (r != LB_EXIT_DONE)
        return r;
    lb_verify_know(a->verify, c.events, c.hash, a->ctl->options[LB_OPTION_JOURNAL]);
    a->kept.events = c.events;
    a->kept.time = c.time;
    a->kept.host = LB_TAKE(c.host);
    return r;
}

static int read_known(struct audit *a)
{
    const struct lb_ctl *ctl = a->ctl;
    const char *text = ctl->options[LB_OPTION_KNOWN], *hash = text ? strchr(text, ':') : NULL;
    int64_t seq = hash ? lb_slice_number((struct lb_slice){ text, (size_t)(hash - text) }) : 0;

    if (!text)
        return LB_EXIT_DONE;
    if (seq <= 0 && access(text, F_OK) == 0)
        return read_kept(a, text);
    if (seq <= 0 || strlen(hash + 1) != LB_HASH_MAX - 1 || strspn(hash + 1, HEX) != LB_HASH_MAX - 1)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--known %s: it is a number, a colon and 64 digits, as an earlier "
                           "lockboxctl audit verify said, or the file of a checkpoint", text);
    lb_verify_know(a->verify, seq, hash + 1, ctl->options[LB_OPTION_JOURNAL]);
    return LB_EXIT_DONE;
}

/* --- where the log is read from ----------------------------------------------------------------------------------- */

static int take_event(void *userdata, const struct lb_store_row *row)
{
    struct audit *a = userdata;
    struct lb_slice members[LB_MEMBER_MAX_];
    int r = lb_verify_event(a->verify, row->seq, row->hash, row->json, members);

    if (r < 0)
        return r;
    if (!lb_slice_says(members[LB_MEMBER_REQUEST], row->request))
        lb_verify_disagrees(a->verify, row->seq, "its row is not filed under its request");
    return r == 1 ? lb_fold_event(a->fold, members) : 0;
}

static int take_request(void *userdata, const struct lb_fold_row *row)
{
    struct audit *a = userdata;
    int r = lb_fold_agrees(a->fold, row);

    if (r == 0 && !*a->request)
        snprintf(a->request, sizeof(a->request), "%.*s", (int)(row->id.n < 30 ? row->id.n : 30),
                 row->id.n ? row->id.at : "?");
    return r < 0 ? r : 0;
}

/* The file as such takes about as long as what is in it: side by side. */
struct check {
    const char *directory;
    char *damage;
    int r;
};

static void *check(void *userdata)
{
    struct check *c = userdata;

    c->r = lb_store_check(c->directory, &c->damage);
    return NULL;
}

static int read_and_check(struct audit *a, const char *directory)
{
    const struct lb_store_reader reader = { take_event, take_request, a };
    struct check c = { .directory = directory };
    pthread_t thread;
    bool beside = pthread_create(&thread, NULL, check, &c) == 0;
    int r = lb_store_read(directory, &reader);

    if (beside)
        pthread_join(thread, NULL);
    else
        check(&c);
    a->damage = c.damage;
    return r < 0 ? r : c.r < 0 ? c.r : 0;
}

static int read_database(struct audit *a, const char *directory)
{
    const char *lacking;
    int r = read_and_check(a, directory);

    if (r == -EUCLEAN)
        return lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "the database is damaged: SQLite cannot read it from event %" PRId64
                           " on; the journal has a copy: lockboxctl audit verify --journal", lb_verify_next(a->verify));
    if (r == -ENOMEM)
        return lb_ctl_lost(a->ctl, r);
    if (r < 0)
        return lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "%s/lockbox.db: %s", directory, strerrordesc_np(-r));
    lacking = lb_fold_lacking(a->fold);
    if (lacking && !*a->request)
        snprintf(a->request, sizeof(a->request), "%s", lacking);
    return LB_EXIT_DONE;
}

static struct lb_slice slice_of(const char *text)
{
    return (struct lb_slice){ text, strlen(text) };
}

static int take_page(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct audit *a = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event)
        if (lb_verify_event(a->verify, lb_ctl_int(event, "seq"), slice_of(lb_ctl_string(event, "hash")),
                            slice_of(lb_ctl_string(event, "json")), NULL) < 0)
            return lb_ctl_lost(ctl, -ENOMEM);
    return LB_EXIT_DONE;
}

static int read_here(struct audit *a, const char *directory)
{
    LB_FREE char *path = NULL;

    if (asprintf(&path, "%s/lockbox.db", directory ? directory : STATE_DIRECTORY) < 0) {
        path = NULL;
        return lb_ctl_lost(a->ctl, -ENOMEM);
    }
    if (access(path, R_OK) == 0) {
        a->beside = directory ? directory : STATE_DIRECTORY;
        return read_database(a, a->beside);
    }
    if (errno != EACCES || directory)
        return lb_ctl_fail(a->ctl, errno == EACCES ? LB_EXIT_NOT_PERMITTED : LB_EXIT_FAILED, "%s: %s", path,
                           strerrordesc_np(errno));
    a->partial = true;
    return lb_ctl_pages(a->ctl, 1, NULL, take_page, a);
}

static void take_stranger(void *userdata, const struct lb_foreign *f)
{
    const struct { const char *name, *value; } members[] = {
        { "event", f->event }, { "seq", f->seq }, { "uid", f->uid }, { "unit", f->unit }, { "comm", f->comm },
        { "time", f->time },
    };
    struct audit *a = userdata;
    json_t *stranger = json_object();

    for (size_t i = 0; i < LB_ELEMENTS(members); i++)
        if (*members[i].value)
            json_object_set_new(stranger, members[i].name, json_string(members[i].value));
    if (json_array_size(a->strangers) < STRANGERS_MAX)
        json_array_append(a->strangers, stranger);
    json_decref(stranger);
}

static int read_journal(struct audit *a, const char *path)
{
    struct lb_entries entries = { .tell = take_stranger, .userdata = a };
    LB_CLEANUP(lb_copy_close) struct lb_copy copy = { 0 };
    int status = lb_copy_open(a->ctl, path, &copy), r;

    if (status != LB_EXIT_DONE)
        return status;
    r = lb_copy_verify(&copy, a->verify, &entries);
    a->foreign = entries.foreign;
    if (r == -EBADMSG)
        return lb_ctl_fail(a->ctl, LB_EXIT_FAILED,
                           "%s is not what journalctl --output=export writes, or is cut off behind "
                           "event %" PRId64,
                           path ? path : "this", lb_verify_next(a->verify) - 1);
    if (r == -EXDEV)
        return lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "there are events of several machines; verify one at a time: "
                           "journalctl -D DIR -o export _MACHINE_ID=ID | lockboxctl audit verify --journal -");
    if (r == -ENOMEM)
        return lb_ctl_lost(a->ctl, r);
    return r < 0 ? lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "%s: %s", path ? path : "the journal", strerrordesc_np(-r))
                 : LB_EXIT_DONE;
}

/* --- what is said of it ------------------------------------------------------------------------------------------- */

static int tell_flaw(const struct audit *a, const struct lb_verdict *d)
{
    const struct lb_ctl *ctl = a->ctl;
    const char *unseen = a->partial ? "; or you may not read it: only root and auditors may read all" : "";

    switch (d->flaw) {
    case LB_FLAW_EMPTY:
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "there is no event%s%s", ctl->options[LB_OPTION_JOURNAL]
                           ? "; a journal is for root and the group systemd-journal" : "", unseen);
    case LB_FLAW_MISSING:
        if (d->to > d->seq)
            lb_ctl_fail(ctl, LB_EXIT_FAILED, "events %" PRId64 " to %" PRId64 " are missing%s%s%s", d->seq, d->to,
                        d->what ? ": " : "", d->what ? d->what : "", unseen);
        else
            lb_ctl_fail(ctl, LB_EXIT_FAILED, "event %" PRId64 " is missing%s%s%s", d->seq, d->what ? ": " : "",
                        d->what ? d->what : "", unseen);
        if (d->seq == 1 && ctl->options[LB_OPTION_JOURNAL])
            lb_ctl_fail(ctl, 0,
                        "where the journal has dropped its oldest entries, say the last known: --known SEQ:HASH");
        return LB_EXIT_FAILED;
    case LB_FLAW_MISPLACED:
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "event %" PRId64 " is not in its place%s%s", d->seq,
                           d->what ? ": " : "", d->what ? d->what : "");
    case LB_FLAW_CHANGED:
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "event %" PRId64 " was changed: %s", d->seq, d->what);
    case LB_FLAW_TWICE:
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "there are two different events %" PRId64 ": one of them was made up, "
                           "or the log was begun anew", d->seq);
    case LB_FLAW_REWRITTEN:
        return lb_ctl_fail(ctl, LB_EXIT_FAILED,
                           "event %" PRId64 " is not the one that is known%s%s: it, or one before it, "
                           "was written anew",
                           d->seq, d->what ? "; " : "", d->what ? d->what : "");
    case LB_FLAW_FORGED:
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "event %" PRId64 " is no checkpoint of this log: %s", d->seq, d->what);
    default:
        return LB_EXIT_DONE;
    }
}

static void tell_strangers(const struct audit *a)
{
    const json_t *f = NULL;
    size_t i = 0;

    json_array_foreach (a->strangers, i, f) {
        char stamp[LB_HUMAN_MAX];
        const char *seq = lb_ctl_string(f, "seq"), *time = lb_ctl_string(f, "time");

        lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "not written by lockboxd.service, and not counted: %s%s%s, by uid "
                    "%s%s%s, %s", lb_ctl_string(f, "event"), *seq ? " as event " : "", seq, lb_ctl_string(f, "uid"),
                    *lb_ctl_string(f, "comm") ? ", program " : "", lb_ctl_string(f, "comm"),
                    *time ? lb_human_stamp(strtoll(time, NULL, 10), stamp) : "at no known time");
    }
    if (a->foreign > (int64_t)i)
        lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "… and %" PRId64 " more of those", a->foreign - (int64_t)i);
}

static const char *const checked_names[] = {
    [LB_CHECKED_NOT] = "not checked", [LB_CHECKED_GOOD] = "good", [LB_CHECKED_BAD] = "bad",
};

static void tell_signature(const struct audit *a, const char *which, const struct lb_verify_checkpoint *c,
                           const struct signature *s)
{
    char stamp[LB_HUMAN_MAX];

    fprintf(a->ctl->out.out, "%s checkpoint: event %" PRId64 ", %s, ", which, c->events,
            lb_human_stamp(c->time, stamp));
    if (!c->signature)
        fprintf(a->ctl->out.out, "without a signature.\n");
    else
        fprintf(a->ctl->out.out, "signature %s%s.\n", checked_names[s->checked],
                s->checked == LB_CHECKED_NOT ? " (it is with --key FILE: lockboxctl audit key >FILE)" : "");
}

static void tell_checkpoint(const struct audit *a, const struct lb_verify_checkpoint *c)
{
    if (!c->seq)
        fprintf(a->ctl->out.out, "There is no checkpoint in it.\n");
    else
        tell_signature(a, "Last", c, &a->newest);
    if (a->newest.checked == LB_CHECKED_BAD)
        lb_ctl_fail(a->ctl, LB_EXIT_FAILED,
                    "the checkpoint that is event %" PRId64 " was not signed by the host's key: %s", c->seq,
                    a->newest.problem);
}

static void tell_kept(const struct audit *a)
{
    if (a->kept.statement)
        tell_signature(a, "Kept", &a->kept, &a->known);
    if (a->known.checked == LB_CHECKED_BAD)
        lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "the checkpoint in %s was not signed by the host's key: %s",
                    a->ctl->options[LB_OPTION_KNOWN], a->known.problem);
}

static bool is_forged(const struct audit *a)
{
    return a->newest.checked == LB_CHECKED_BAD || a->known.checked == LB_CHECKED_BAD;
}

static int tell(const struct audit *a, const struct lb_verdict *d)
{
    FILE *out = a->ctl->out.out;
    int r = tell_flaw(a, d);

    if (*a->request && !d->flaw)
        r = lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "the table of requests beside the log does not say of %s what the log "
                        "says; the log is good: lockboxctl audit export", a->request);
    if (a->damage && !d->flaw)
        r = lb_ctl_fail(a->ctl, LB_EXIT_FAILED, "the log is good, but what lists and logins are found by beside it is "
                        "damaged: %s", a->damage);
    tell_strangers(a);
    if (d->events > 0)
        fprintf(out, "%s: events %" PRId64 " to %" PRId64 "%s.\n", d->flaw ? "Good up to there" : "The trail is whole",
                d->last - d->events + 1, d->last,
                a->ctl->options[LB_OPTION_KNOWN] && !d->flaw ? ", and as it was known" : "");
    if (d->events > 0)
        tell_checkpoint(a, &d->checkpoint);
    tell_kept(a);
    if (d->events > 0 && !d->flaw)
        fprintf(out, "Keep this elsewhere, to see later that nothing was cut off or written anew:\n"
                     "  lockboxctl audit verify --known %" PRId64 ":%s\n", d->last, d->hash);
    return a->foreign || is_forged(a) ? LB_EXIT_FAILED : r;
}

static json_t *pack_checkpoint(const struct lb_verify_checkpoint *c, const struct signature *s)
{
    char time[LB_LINES_TIME_MAX] = "";

    lb_lines_format_time(c->time, time);
    return json_pack("{s:I, s:s, s:s, s:s*}", "events", (json_int_t)c->events, "time", time, "signature",
                     c->signature ? checked_names[s->checked] : "none", "problem", s->problem);
}

static json_t *pack_newest(const struct audit *a, const struct lb_verify_checkpoint *c)
{
    json_t *checkpoint = pack_checkpoint(c, &a->newest);

    json_object_set_new(checkpoint, "seq", json_integer(c->seq));
    return checkpoint;
}

static int tell_json(const struct audit *a, const struct lb_verdict *d)
{
    bool whole = !d->flaw && !*a->request && !a->damage && !a->foreign && !is_forged(a);
    LB_JSON json_t *value = json_pack("{s:b, s:I, s:I, s:O}", "whole", whole, "events", (json_int_t)d->events,
                                      "foreign", (json_int_t)a->foreign, "strangers", a->strangers);
    json_t *flaw = d->flaw ? json_pack("{s:s, s:I, s:s*}", "flaw", lb_flaw_names[d->flaw], "seq", (json_int_t)d->seq,
                                       "how", d->what) : NULL;

    if (d->to > 0)
        json_object_set_new(flaw, "to", json_integer(d->to));
    if (flaw)
        json_object_set_new(value, "first", flaw);
    if (d->events > 0)
        json_object_set_new(value, "last", json_pack("{s:I, s:s}", "seq", (json_int_t)d->last, "hash", d->hash));
    if (d->checkpoint.seq)
        json_object_set_new(value, "checkpoint", pack_newest(a, &d->checkpoint));
    if (a->kept.statement)
        json_object_set_new(value, "known", pack_checkpoint(&a->kept, &a->known));
    if (*a->request && !d->flaw)
        json_object_set_new(value, "request", json_string(a->request));
    if (a->damage && !d->flaw)
        json_object_set_new(value, "damage", json_string(a->damage));
    if (!value)
        return lb_ctl_lost(a->ctl, -ENOMEM);
    lb_ctl_print_json(a->ctl, value);
    return whole ? LB_EXIT_DONE : LB_EXIT_FAILED;
}

int verb_audit_verify(struct lb_ctl *ctl)
{
    LB_CLEANUP(audit_clear) struct audit a = {
        .ctl = ctl, .verify = lb_verify_new(), .fold = lb_fold_new(), .strangers = json_array(),
    };
    struct lb_verdict verdict;
    int r = a.verify && a.fold && a.strangers ? read_known(&a) : lb_ctl_lost(ctl, -ENOMEM);

    if (r == LB_EXIT_DONE)
        r = ctl->options[LB_OPTION_JOURNAL] ? read_journal(&a, ctl->args[0]) : read_here(&a, ctl->args[0]);
    if (r != LB_EXIT_DONE)
        return r;
    verdict = lb_verify_end(a.verify);
    r = lb_checkpoint_check(ctl, &verdict.checkpoint, a.beside, &a.newest.checked, &a.newest.problem);
    if (r == LB_EXIT_DONE)
        r = lb_checkpoint_check(ctl, &a.kept, a.beside, &a.known.checked, &a.known.problem);
    if (r != LB_EXIT_DONE)
        return r;
    return ctl->options[LB_OPTION_JSON] ? tell_json(&a, &verdict) : tell(&a, &verdict);
}
