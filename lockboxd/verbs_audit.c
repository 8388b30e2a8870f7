/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Audit: the event log, as far as the caller may read it. */
#include <errno.h>

#include "lockboxd/proto/json.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"

#define PAGE 200                /* events read at a time */
#define PAGE_BYTES (256 * 1024) /* and sent at a time */

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
    lb_call_error(c, ERROR("NoSuchRequest"), json_pack("{ss}", "id", id ? id : ""));
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
        lb_call_refuse(c, ERROR("Unavailable"), lb_gate_problem(c->server->gate));
        return;
    }
    if (lb_rights_person(c->server->gate, &c->peer, &person) < 0) {
        lb_call_refuse(c, ERROR("NotPermitted"), "your account has no part in this host's accesses");
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

const struct lb_verb lb_verbs_audit[] = {
    { ERROR("Events"), LB_DOOR_CONTROL, events_fields, sizeof(struct events), verb_events },
    { 0 },
};
