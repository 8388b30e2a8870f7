/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/countersign.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/signer.h"
#include "policy/base.h"
#include "policy/checkpoint.h"
#include "policy/text.h"

#define AMONG 20000 /* events that are looked through for one that was handed in before: some 30 ms */

struct lb_countersign {
    struct lb_gate *gate;
    struct lb_signer *signer;
    char *text, *signature, *name;
    int64_t events;
    lb_countersign_done *done;
    void *userdata;
};

struct lb_countersign *lb_countersign_free(struct lb_countersign *c)
{
    if (!c)
        return NULL;
    lb_signer_free(c->signer);
    free(c->text);
    free(c->signature);
    free(c->name);
    free(c);
    return NULL;
}

/* --- the checkpoint ----------------------------------------------------------------------------------------------- */

static int copy_hash(void *userdata, int64_t seq, const char *hash, const char *json)
{
    (void)json;
    snprintf(userdata, LB_HASH_MAX, "%.*s", seq > 0 ? LB_HASH_MAX - 1 : 0, hash);
    return 1;
}

/* NULL: it is one of this log; else why not, owned. Somebody may just have found out that the log is not what it
 * was. */
static char *refuse(const struct lb_gate *g, const struct lb_checkpoint *c)
{
    char hash[LB_HASH_MAX] = "", *why = NULL;
    int64_t last = lb_store_last(g->store, NULL);
    int r;

    if (!lb_streq(c->host, g->host))
        r = asprintf(&why, "it is of %s, and this host is %s", c->host, g->host);
    else if (c->events > last)
        r = asprintf(&why, "it is about %lld events, and the log has %lld: its end is cut off, or it is another log",
                     (long long)c->events, (long long)last);
    else if (lb_store_events(g->store, c->events, NULL, 1, copy_hash, hash) < 0)
        r = asprintf(&why, "event %lld cannot be read", (long long)c->events);
    else if (!lb_streq(hash, c->hash))
        r = asprintf(&why, "event %lld of the log has another hash: the log was written anew, or it is another one",
                     (long long)c->events);
    else
        return NULL;
    return r < 0 ? strdup("out of memory") : why;
}

/* --- the signature ------------------------------------------------------------------------------------------------ */

struct search {
    const struct lb_countersign *c;
    const char *key;
    int64_t seq;
};

static int is_same(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct search *s = userdata;

    (void)hash;
    if (lb_chain_decode(json, &e, NULL) == 0 && e.kind == LB_EVENT_COUNTERSIGNED && lb_streq(e.statement, s->c->text) &&
        lb_streq(e.signer, s->key) && lb_streq(e.approver, s->c->name))
        s->seq = seq;
    return 0;
}

/* Handed in once more, it is in the log already: mostly as the newest of its kind. What was so long ago may be
 * twice. */
static int64_t find(const struct lb_countersign *c, const char *key)
{
    struct search s = { c, key, 0 };
    int64_t near = lb_store_last(c->gate->store, NULL) - AMONG;

    lb_store_newest(c->gate->store, lb_event_names[LB_EVENT_COUNTERSIGNED], c->events < near ? near : c->events + 1,
                    is_same, &s);
    return s.seq;
}

static int record(struct lb_countersign *c, const char *key)
{
    struct lb_event e = { .kind = LB_EVENT_COUNTERSIGNED, .count = c->events };

    e.approver = strdup(c->name);
    e.statement = strdup(c->text);
    e.signature = strdup(c->signature);
    e.signer = strdup(key);
    if (e.approver && e.statement && e.signature && e.signer)
        return lb_gate_note(c->gate, &e);
    lb_event_clear(&e);
    return -ENOMEM;
}

static void on_verified(void *userdata, const char *key, const char *problem)
{
    struct lb_countersign *c = userdata;
    LB_FREE char *text = NULL;
    int64_t seq = key && c->gate->store ? find(c, key) : 0;
    int r = key && !seq ? c->gate->store ? record(c, key) : -EIO : 0;

    if (!key) {
        if (asprintf(&text, "this is no signature of %s by %s: %s", c->name, c->gate->signers_path, problem) < 0)
            text = NULL;
        c->done(c->userdata, LB_COUNTERSIGNED_NOT_HIS, 0, text ? text : problem);
    } else if (r < 0) {
        c->done(c->userdata, LB_COUNTERSIGNED_UNAVAILABLE, 0, strerror(-r));
    } else {
        c->done(c->userdata, LB_COUNTERSIGNED_DONE, seq ? seq : lb_store_last(c->gate->store, NULL), key);
    }
}

static int verify(struct lb_countersign *c)
{
    const struct lb_signer_call call = { c->gate->signers_path, LB_CHECKPOINT_NAMESPACE, c->name, c->text,
                                         c->signature };
    LB_FREE char *error = NULL;
    int r = lb_signer_new(c->gate->event, &call, on_verified, c, &c->signer, &error);

    if (r < 0)
        c->done(c->userdata, LB_COUNTERSIGNED_UNAVAILABLE, 0, error ? error : strerror(-r));
    return r;
}

void lb_countersign_new(struct lb_gate *g, const char *text, const char *signature, const char *name,
                        lb_countersign_done *done, void *userdata, struct lb_countersign **ret)
{
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint checkpoint = { 0 };
    LB_FREE char *why = NULL;
    struct lb_countersign *c = calloc(1, sizeof(*c));

    if (c)
        *c = (struct lb_countersign){ .gate = g, .text = strdup(text), .signature = strdup(signature),
                                      .name = strdup(name), .done = done, .userdata = userdata };
    if (!c || !c->text || !c->signature || !c->name || !g->store)
        done(userdata, LB_COUNTERSIGNED_UNAVAILABLE, 0, g->store ? "out of memory" : lb_gate_problem(g));
    else if (!lb_text_is_name(name, "") || !lb_text_is_clean(name, LB_NAME_MAX))
        done(userdata, LB_COUNTERSIGNED_NOT_HIS, 0, "this is nobody's name");
    else if (lb_checkpoint_parse(text, &checkpoint) < 0)
        done(userdata, LB_COUNTERSIGNED_INVALID, 0, "this is no checkpoint as lockboxctl audit checkpoint prints it");
    else if ((why = refuse(g, &checkpoint)))
        done(userdata, LB_COUNTERSIGNED_INVALID, 0, why);
    else {
        c->events = checkpoint.events;
        if (verify(c) == 0)
            *ret = LB_TAKE(c);
    }
    lb_countersign_free(c);
}
