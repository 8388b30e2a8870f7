/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Audit: the event log, as far as the caller may read it. */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/countersign.h"
#include "lockboxd/people.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"
#include "policy/checkpoint.h"
#include "policy/text.h"

/* The one account besides root's that adds to the log by this interface, and how often a minute. */
#define COURIER "lockbox-courier"
#define UNDELIVERED 10

#define PAGE 200                /* events read at a time */
#define PAGE_BYTES (256 * 1024) /* and sent at a time */
#define CHECKPOINTS 10          /* a minute for one uid: each is a process of ssh-keygen's, and an event */
#define SIGNATURE_MAX (16 * 1024)

#define ERROR(name) "org.lockbox.Audit." name

struct events {
    int64_t since;
    char *request;
};

/* One page on its way. */
struct page {
    struct lb_gate *gate;
    const struct lb_person *person;
    json_t *array;
    int64_t next;
    size_t bytes;
    char *last;      /* the request that was asked about last … */
    bool last_may;   /* … and the answer */
};

/* Whether the caller may read events of this request: asked once for a run of them. */
static bool may_read(struct page *p, const char *id)
{
    struct lb_request *owned = NULL;
    struct lb_live *live;

    if (p->person->root || p->person->auditor)
        return true;
    if (!id)
        return false;
    if (p->last && lb_streq(p->last, id))
        return p->last_may;
    free(p->last);
    p->last = strdup(id);
    live = lb_gate_find(p->gate, id);
    if (!live && lb_store_load(p->gate->store, id, &owned) < 0)
        return p->last_may = false;
    p->last_may = lb_rights_read(p->gate, p->person, live ? live->request : owned) > 0;
    lb_request_free(owned);
    return p->last_may;
}

static json_t *pack_event(const struct lb_event *e, const char *hash, const char *json)
{
    static const char *const names[] = { "seq", "time", "event", "request", "state" };
    struct lb_field fields[LB_ELEMENTS(names) + 1] = { 0 };
    LB_FREE char *sentence = lb_event_sentence(e);
    json_t *j;

    for (size_t i = 0; i < LB_ELEMENTS(names); i++)
        fields[i] = *lb_fields_find(lb_event_fields, names[i]);
    j = lb_json_pack(fields, e, LB_JSON_PUBLIC);
    json_object_set_new(j, "message", json_string(sentence ? sentence : ""));
    json_object_set_new(j, "hash", json_string(hash));
    json_object_set_new(j, "json", json_string(json));
    return j;
}

static int page_row(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct page *p = userdata;

    p->next = seq + 1;
    if (lb_chain_decode(json, &e, NULL) < 0 || !may_read(p, e.request))
        return 0;
    json_array_append_new(p->array, pack_event(&e, hash, json));
    p->bytes += 2 * strlen(json);
    return p->bytes >= PAGE_BYTES;
}

/* Reads one page from `since` on. True when there is more behind it. */
static bool read_page(struct page *p, int64_t since, const char *request)
{
    struct lb_store *store = p->gate->store;
    int64_t end = store ? lb_store_last(store, NULL) + 1 : since;
    int r;

    p->next = since;
    r = store ? lb_store_events(store, since, request, PAGE, page_row, p) : -EIO;
    free(p->last);
    if (r < 0 || p->next == since)
        p->next = end;
    return p->next < end;
}

void lb_audit_pump(struct lb_conn *c)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;

    if (lb_rights_person(g, &c->peer, &person) < 0)
        return;
    while (lb_caller_takes(&c->caller) && g->store && c->follow_next <= lb_store_last(g->store, NULL)) {
        struct page p = { .gate = g, .person = &person, .array = json_array() };

        read_page(&p, c->follow_next, c->follow_request);
        c->follow_next = p.next;
        if (json_array_size(p.array) > 0)
            lb_call_continue(c, json_pack("{so}", "events", p.array));
        else
            json_decref(p.array);
    }
}

static const struct lb_field events_fields[] = {
    { "since", LB_FIELD_INT, offsetof(struct events, since), LB_FIELD_SIGNED },
    { "request", LB_FIELD_STRING, offsetof(struct events, request) },
    { 0 },
};

/* Who asks for one request must be able to read it. */
static bool check_request(struct lb_conn *c, const struct lb_person *person, const char *id)
{
    struct page p = { .gate = c->server->gate, .person = person };
    bool may = id && c->server->gate->store && may_read(&p, id);
    struct lb_request *known = NULL;

    free(p.last);
    if (may && lb_store_load(c->server->gate->store, id, &known) == 0) {
        lb_request_free(known);
        return true;
    }
    lb_call_error(c, "org.lockbox.Audit.NoSuchRequest", json_pack("{ss}", "id", id ? id : ""));
    return false;
}

/* A negative number counts from the end, 0 is the first. */
static int64_t first_seq(const struct lb_gate *g, int64_t since, const char *request)
{
    return since < 0 ? lb_store_from_end(g->store, request, -since) : since;
}

static void verb_events(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct events *e = parameters;
    LB_FREE char *id = e->request ? lb_verbs_id(e->request) : NULL;
    struct page p = { .gate = c->server->gate, .person = &person };
    json_t *reply;
    bool more;

    if (!c->server->gate->store) {
        lb_call_error(c, "org.lockbox.Audit.Unavailable",
                      json_pack("{ss}", "reason", lb_gate_problem(c->server->gate)));
        return;
    }
    if (lb_rights_person(c->server->gate, &c->peer, &person) < 0) {
        lb_call_error(c, "org.lockbox.Audit.NotPermitted",
                      json_pack("{ss}", "reason", "your account has no part in this host's accesses"));
        return;
    }
    if (e->request && !check_request(c, &person, id))
        return;
    if (c->caller.more) {
        c->following = true;
        c->follow_next = first_seq(c->server->gate, e->since, id);
        c->follow_request = LB_TAKE(id);
        lb_audit_pump(c);
        return;
    }
    p.array = json_array();
    more = read_page(&p, first_seq(c->server->gate, e->since, id), id);
    reply = json_pack("{so}", "events", p.array);
    if (more)
        json_object_set_new(reply, "next", json_integer(p.next));
    lb_call_reply(c, reply);
}

/* --- checkpoints -------------------------------------------------------------------------------------------------- */

static void refuse(struct lb_conn *c, const char *error, const char *reason)
{
    lb_call_error(c, error, json_pack("{ss}", "reason", reason));
}

static void tell_checkpoint(struct lb_notary_wait *wait, const struct lb_notary_result *r)
{
    struct lb_conn *c = (struct lb_conn *)((char *)wait - offsetof(struct lb_conn, checkpoint));

    if (r->problem)
        refuse(c, ERROR("Unavailable"), r->problem);
    else
        lb_call_reply(c, json_pack("{sI ss ss ss}", "seq", (json_int_t)r->seq, "statement", r->statement, "signature",
                                   r->signature, "signer", r->signer));
}

static void verb_checkpoint(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;

    (void)parameters;
    if (lb_rights_person(g, &c->peer, &person) < 0 || !(person.root || person.auditor))
        refuse(c, ERROR("NotPermitted"), "only root and auditors read all of the log");
    else if (!g->notary)
        refuse(c, ERROR("Unavailable"), "nobody signs checkpoints here");
    else if (!lb_pace_take(&c->server->checkpoints, c->peer.uid, lb_clock_now().boot, CHECKPOINTS))
        refuse(c, ERROR("Unavailable"), "too many checkpoints within a minute: try again in a minute");
    else {
        c->checkpoint.done = tell_checkpoint;
        lb_notary_ask(g->notary, &c->checkpoint);
    }
}

struct countersignature { char *statement, *signature, *by; };
static const struct lb_field countersignature_fields[] = {
    { "statement", LB_FIELD_STRING, offsetof(struct countersignature, statement), LB_FIELD_REQUIRED, LB_CHECKPOINT_MAX },
    { "signature", LB_FIELD_STRING, offsetof(struct countersignature, signature), LB_FIELD_REQUIRED, SIGNATURE_MAX },
    { "by", LB_FIELD_STRING, offsetof(struct countersignature, by), 0, LB_NAME_MAX },
    { 0 },
};

static void tell_countersigned(void *userdata, int outcome, int64_t seq, const char *text)
{
    struct lb_conn *c = userdata;

    if (outcome == LB_COUNTERSIGNED_DONE)
        lb_call_reply(c, json_pack("{sI ss}", "seq", (json_int_t)seq, "signer", text));
    else if (outcome == LB_COUNTERSIGNED_INVALID)
        lb_call_error(c, ERROR("InvalidParameter"), json_pack("{ssss}", "field", "statement", "reason", text));
    else
        refuse(c, outcome == LB_COUNTERSIGNED_NOT_HIS ? ERROR("NotPermitted") : ERROR("Unavailable"), text);
    c->countersign = lb_countersign_free(c->countersign);
}

/* Anybody may: it is the signature that counts. */
static void verb_countersign(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct countersignature *p = parameters;
    const char *by = p->by;

    if (!by && lb_rights_person(c->server->gate, &c->peer, &person) == 0)
        by = person.name;
    if (!by || !*by) {
        lb_call_error(c, ERROR("InvalidParameter"), json_pack("{ssss}", "field", "by", "reason", "say whose signature it is"));
        return;
    }
    if (!lb_pace_take(&c->server->submissions, c->peer.uid, lb_clock_now().boot, LB_SUBMISSIONS)) {
        refuse(c, ERROR("Unavailable"), "too many signatures within a minute: try again in a minute");
        return;
    }
    lb_countersign_new(c->server->gate, p->statement, p->signature, by, tell_countersigned, c, &c->countersign);
}

static void verb_key(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;
    const char *key = g->notary ? lb_notary_key(g->notary) : NULL;
    char principal[LB_CHECKPOINT_PRINCIPAL_MAX];
    json_t *line;

    (void)parameters;
    if (lb_rights_person(g, &c->peer, &person) < 0) {
        refuse(c, ERROR("NotPermitted"), "your account has no part in this host's accesses");
        return;
    }
    if (!key) {
        refuse(c, ERROR("Unavailable"), g->notary && lb_notary_problem(g->notary) ? lb_notary_problem(g->notary)
                                                                                  : "there is no key yet");
        return;
    }
    line = json_sprintf("%s namespaces=\"" LB_CHECKPOINT_NAMESPACE "\" %s", lb_checkpoint_principal(g->host, principal),
                        key);
    lb_call_reply(c, json_pack("{ss so}", "key", key, "line", line));
}

/* --- what the courier could not deliver --------------------------------------------------------------------------- */

struct undelivered {
    char *request, *channel, *target, *reason;
    int64_t count;
};
#define UNDELIVERED_FIELD(member, kind, ...) { #member, kind, offsetof(struct undelivered, member), __VA_ARGS__ }
static const struct lb_field undelivered_fields[] = {
    UNDELIVERED_FIELD(request, LB_FIELD_STRING, 0),
    UNDELIVERED_FIELD(channel, LB_FIELD_STRING, LB_FIELD_REQUIRED, .max = 32),
    UNDELIVERED_FIELD(target, LB_FIELD_STRING, LB_FIELD_REQUIRED, .max = LB_NAME_MAX),
    UNDELIVERED_FIELD(reason, LB_FIELD_STRING, LB_FIELD_REQUIRED, .max = 1024),
    UNDELIVERED_FIELD(count, LB_FIELD_INT, 0),
    { 0 },
};

static bool is_courier(const struct lb_person *p)
{
    uid_t uid;
    LB_FREE char *name = NULL;

    return p->root || (!p->from && lb_people_account(COURIER, &name, &uid, NULL) == 0 && uid == p->peer.uid);
}

/* Of text that came from a network no more than fits one line of the log. */
static char *note_of(const struct undelivered *u)
{
    LB_FREE char *channel = lb_text_clean(u->channel, 32), *target = lb_text_clean(u->target, LB_NAME_MAX),
                 *reason = lb_text_clean(u->reason, LB_NOTE_MAX);
    char more[64] = "";
    char *note = NULL;

    if (u->count > 1)
        snprintf(more, sizeof(more), " (and %lld more)", (long long)u->count - 1);
    if (!channel || !target || !reason || asprintf(&note, "%s to %s%s: %s", channel, target, more, reason) < 0)
        return NULL;
    return note;
}

/* The request's own members as every event about it has them. -ENOENT if there is no such request. */
static int about(struct lb_gate *g, const char *typed, struct lb_event *e)
{
    LB_FREE char *id = lb_verbs_id(typed);
    struct lb_live *live = id ? lb_gate_find(g, id) : NULL;
    struct lb_request *owned = NULL;
    const struct lb_request *r = live ? live->request : NULL;

    if (!r && (!id || lb_store_load(g->store, id, &owned) < 0))
        return -ENOENT;
    r = r ? r : owned;
    e->request = lb_dup(r->id);
    e->account = lb_dup(r->account);
    e->engineer = lb_dup(r->engineer);
    e->ticket = lb_dup(r->ticket);
    e->reason = lb_dup(r->reason);
    e->state = r->state;
    lb_request_free(owned);
    return 0;
}

static void verb_undelivered(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct undelivered *u = parameters;
    LB_CLEANUP(lb_event_clear) struct lb_event e = { .kind = LB_EVENT_UNDELIVERED };
    struct lb_gate *g = c->server->gate;

    if (lb_rights_person(g, &c->peer, &person) < 0 || !is_courier(&person))
        lb_call_error(c, "org.lockbox.Audit.NotPermitted", json_pack("{ss}", "reason", "only the courier says that"));
    else if (!g->store || !lb_pace_take(&c->server->undelivered, c->peer.uid, lb_clock_now().boot, UNDELIVERED))
        lb_call_error(c, "org.lockbox.Audit.Unavailable",
                      json_pack("{ss}", "reason", g->store ? "too often; later, and together" : lb_gate_problem(g)));
    else if (u->request && about(g, u->request, &e) < 0)
        lb_call_error(c, "org.lockbox.Audit.NoSuchRequest", json_pack("{ss}", "id", u->request));
    else if (!(e.note = note_of(u)) || lb_gate_note(g, &e) < 0)
        lb_call_error(c, "org.lockbox.Audit.Unavailable", json_pack("{ss}", "reason", "it could not be recorded"));
    else
        lb_call_reply(c, NULL);
}

const struct lb_verb lb_verbs_audit[] = {
    { "org.lockbox.Audit.Events", LB_DOOR_CONTROL, events_fields, sizeof(struct events), verb_events },
    { "org.lockbox.Audit.Checkpoint", LB_DOOR_CONTROL, NULL, 0, verb_checkpoint },
    { "org.lockbox.Audit.Countersign", LB_DOOR_CONTROL, countersignature_fields, sizeof(struct countersignature),
      verb_countersign },
    { "org.lockbox.Audit.Key", LB_DOOR_CONTROL, NULL, 0, verb_key },
    { "org.lockbox.Audit.Undelivered", LB_DOOR_CONTROL, undelivered_fields, sizeof(struct undelivered),
      verb_undelivered },
    { 0 },
};
