/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of the log that is in a pack: from the request's first event to a checkpoint that covers its last. */
#include "lockboxd/ctl/pack.h"

#include <errno.h>
#include <inttypes.h>

#include "lockboxd/ctl/checkpoint.h"
#include "lockboxd/ctl/interrupt.h"
#include "lockboxd/proto/json.h"

#define PROGRESS (2 * LB_USEC_PER_SEC)
#define ENOUGH (-1) /* what a page says when no more are wanted */

/* --- which events ------------------------------------------------------------------------------------------------- */

static int take_own(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct lb_pack *p = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    (void)ctl;
    json_array_foreach (events, i, event) {
        p->last = lb_ctl_int(event, "seq");
        p->first = p->first ? p->first : p->last;
    }
    return LB_EXIT_DONE;
}

/* One that was being made while the access ended says less than that it has ended. */
static int find_checkpoint(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct lb_pack *p = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    (void)ctl;
    json_array_foreach (events, i, event) {
        const char *json = lb_ctl_string(event, "json");
        LB_JSON json_t *own =
            strcmp(lb_ctl_string(event, "event"), "checkpoint") == 0 ? lb_json_load(json, strlen(json)) : NULL;
        if (lb_ctl_int(own, "count") < p->last)
            continue;
        p->checkpoint = lb_ctl_int(event, "seq");
        p->time = lb_ctl_int(own, "time");
        return ENOUGH;
    }
    return LB_EXIT_DONE;
}

static int look_for_checkpoint(struct lb_pack *p)
{
    int r = lb_ctl_pages(p->ctl, p->last + 1, NULL, find_checkpoint, p);

    return r == ENOUGH ? LB_EXIT_DONE : r;
}

/* Who may not have one made may not read all that is in a pack either: the daemon says so. */
int lb_pack_find_events(struct lb_pack *p)
{
    LB_FREE char *statement = NULL, *signature = NULL;
    int r = lb_ctl_pages(p->ctl, 1, p->ctl->id, take_own, p);

    if (r == LB_EXIT_DONE)
        r = look_for_checkpoint(p);
    if (r != LB_EXIT_DONE || p->checkpoint)
        return r;
    r = lb_checkpoint_fetch(p->ctl, &statement, &signature);
    if (r == LB_EXIT_DONE)
        r = look_for_checkpoint(p);
    if (r == LB_EXIT_DONE && !p->checkpoint)
        r = lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "no checkpoint covers the last event of %s yet: try again", p->ctl->id);
    return r;
}

/* --- the events --------------------------------------------------------------------------------------------------- */

static int put_numbered(struct lb_pack *p, int64_t seq, const char *ending, const char *text)
{
    char name[48];

    snprintf(name, sizeof(name), "statement-%" PRId64 "%s", seq, ending);
    return lb_pack_put(p, name, text);
}

static int put_statement(struct lb_pack *p, int64_t seq, const json_t *own)
{
    const char *statement = lb_ctl_string(own, "statement"), *approver = lb_ctl_string(own, "approver");
    int r = put_numbered(p, seq, ".txt", statement);

    if (r == LB_EXIT_DONE)
        r = put_numbered(p, seq, ".sig", lb_ctl_string(own, "signature"));
    if (r == LB_EXIT_DONE && !lb_strings_contain(p->approvers, approver) &&
        lb_strings_append(&p->approvers, approver) < 0)
        r = lb_ctl_lost(p->ctl, -ENOMEM);
    return r;
}

/* Which events are files of their own. */
static const struct { const char *event, *name; } whole[] = {
    { "completed", "receipt.json" },       { "ended", "receipt.json" },         { "revoked", "receipt.json" },
    { "left-behind", "left-behind.json" }, { "no-report", "left-behind.json" },
};

static int put_own(struct lb_pack *p, int64_t seq, const char *kind, const char *json)
{
    LB_JSON json_t *own = lb_json_load(json, strlen(json));
    LB_FREE char *line = NULL;

    if (*lb_ctl_string(own, "statement"))
        return put_statement(p, seq, own);
    for (size_t i = 0; i < LB_ELEMENTS(whole); i++)
        if (strcmp(whole[i].event, kind) == 0)
            return asprintf(&line, "%s\n", json) < 0 ? lb_ctl_lost(p->ctl, -ENOMEM)
                                                     : lb_pack_put(p, whole[i].name, line);
    return LB_EXIT_DONE;
}

static int put_checkpoint(struct lb_pack *p, const char *json)
{
    LB_JSON json_t *own = lb_json_load(json, strlen(json));
    int r = lb_pack_put(p, "checkpoint.txt", lb_ctl_string(own, "statement"));

    return r == LB_EXIT_DONE ? lb_pack_put(p, "checkpoint.sig", lb_ctl_string(own, "signature")) : r;
}

static void tell_progress(struct lb_pack *p)
{
    int64_t now = lb_ctl_now();

    if (now - p->told < PROGRESS)
        return;
    p->told = now;
    lb_ctl_fail(p->ctl, 0, "%" PRId64 " of %" PRId64 " events", p->next - p->first, p->checkpoint - p->first + 1);
}

struct slice {
    struct lb_pack *pack;
    FILE *f;
};

static int take_slice(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct slice *s = userdata;
    struct lb_pack *p = s->pack;
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event) {
        int64_t seq = lb_ctl_int(event, "seq");
        const char *json = lb_ctl_string(event, "json");
        int r = LB_EXIT_DONE;

        if (seq != p->next)
            return lb_ctl_fail(ctl, LB_EXIT_FAILED, "event %" PRId64 " is not to be had: lockboxctl audit verify",
                               p->next);
        if (fprintf(s->f, "%s\n", json) < 0)
            return LB_EXIT_FAILED;
        p->next++;
        if (strcmp(lb_ctl_string(event, "request"), ctl->id) == 0)
            r = put_own(p, seq, lb_ctl_string(event, "event"), json);
        if (r == LB_EXIT_DONE && seq == p->checkpoint)
            r = put_checkpoint(p, json);
        if (r != LB_EXIT_DONE || seq == p->checkpoint)
            return r != LB_EXIT_DONE ? r : ENOUGH;
    }
    tell_progress(p);
    return lb_interrupted() ? LB_EXIT_FAILED : LB_EXIT_DONE;
}

int lb_pack_put_events(struct lb_pack *p)
{
    struct slice s = { p, lb_pack_open(p, "events.jsonl") };
    int r, closed;

    if (!s.f)
        return LB_EXIT_FAILED;
    p->next = p->first;
    p->told = lb_ctl_now();
    r = lb_ctl_pages(p->ctl, p->first, NULL, take_slice, &s);
    closed = lb_pack_close(p, s.f, !ferror(s.f));
    if (r == LB_EXIT_DONE) /* the log ends before its checkpoint */
        r = lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "event %" PRId64 " is not to be had: lockboxctl audit verify", p->next);
    return r == ENOUGH ? closed : r;
}
