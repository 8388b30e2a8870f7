/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Access: what there is, as far as the caller may read it. */
#include <errno.h>

#include "lockboxd/clock.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/proto/public.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs_access.h"
#include "policy/base.h"

#define RECENT (28 * 24 * 3600 * LB_USEC_PER_SEC)
#define LIST_MAX 2000 /* requests in one reply */

#define ERROR(name) "org.lockbox.Access." name

struct list {
    char *which, *account, *engineer, *ticket, *state;
    int64_t since, until;
};
#define LIST(member, kind, ...) { #member, kind, offsetof(struct list, member), __VA_ARGS__ }
static const struct lb_field list_fields[] = {
    LIST(which, LB_FIELD_STRING, 0), LIST(account, LB_FIELD_STRING, 0), LIST(engineer, LB_FIELD_STRING, 0),
    LIST(ticket, LB_FIELD_STRING, 0), LIST(state, LB_FIELD_STRING, 0), LIST(since, LB_FIELD_INT, LB_FIELD_TIME),
    LIST(until, LB_FIELD_INT, LB_FIELD_TIME), { 0 },
};

/* What each word of Which asks for. NULL is "open": what waits or runs. */
static const struct which {
    const char *name;
    bool open_only, recent;
    int from, to; /* states */
} whiches[] = {
    { NULL, true, false, LB_STATE_REVIEW, LB_STATE_ENDING },
    { "pending", true, false, LB_STATE_REVIEW, LB_STATE_PENDING },
    { "active", true, false, LB_STATE_APPROVED, LB_STATE_ENDING },
    { "recent", false, true, LB_STATE_REVIEW, LB_STATE_UNDECIDABLE },
    { "all", false, false, LB_STATE_REVIEW, LB_STATE_UNDECIDABLE },
};

/* A slip would otherwise be an empty list. */
static bool is_state(const char *name)
{
    for (int i = LB_STATE_NONE + 1; i < LB_STATE_MAX_; i++)
        if (lb_streq(lb_state_names[i], name))
            return true;
    return false;
}

struct listing {
    struct lb_gate *gate;
    const struct lb_person *person;
    const struct which *which;
    json_t *array;
    bool more; /* than fit into one reply */
};

static void append(json_t *array, const struct lb_request *r)
{
    json_t *request = lb_public_request(r);

    json_object_del(json_object_get(request, "left_behind"), "changes"); /* long: for Get */
    json_array_append_new(array, request);
}

static int list_row(void *userdata, const char *id)
{
    struct listing *l = userdata;
    struct lb_request *owned = NULL;
    const struct lb_request *r;

    if (lb_access_read(l->gate, l->person, id, &r, &owned) < 0)
        return 0;
    if (r->state >= l->which->from && r->state <= l->which->to) {
        l->more = json_array_size(l->array) >= LIST_MAX;
        if (!l->more)
            append(l->array, r);
    }
    lb_request_free(owned);
    return l->more;
}

/* An engineer is not led past everybody's old requests to his own. False if he asked for another's, of which he sees
 * none. */
static bool narrow(const struct lb_gate *g, const struct lb_person *p, struct lb_store_filter *f)
{
    const char *account, *engineer;

    if (!lb_rights_reads_own_only(g, p, &account, &engineer))
        return true;
    if ((f->account && !lb_streq(f->account, account)) || (f->engineer && !lb_streq(f->engineer, engineer)))
        return false;
    f->account = account;
    f->engineer = engineer;
    return true;
}

static void verb_list(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct list *p = parameters;
    struct listing listing = { .gate = c->server->gate, .person = &person };
    struct lb_store_filter filter = { .since = p->since, .until = p->until, .account = p->account,
                                      .engineer = p->engineer, .ticket = p->ticket, .state = p->state };
    struct lb_gate *g = c->server->gate;
    int r = 0;

    for (size_t i = 0; i < LB_ELEMENTS(whiches); i++)
        if (lb_streq(whiches[i].name, p->which))
            listing.which = &whiches[i];
    if (!listing.which || (p->state && !is_state(p->state))) {
        lb_call_error(c, "org.varlink.service.InvalidParameter",
                      json_pack("{ss}", "parameter", listing.which ? "state" : "which"));
        return;
    }
    if (!lb_verbs_person(c, &person))
        return;
    filter.open_only = listing.which->open_only;
    filter.recent = listing.which->recent ? lb_clock_now().wall - RECENT : 0;
    listing.array = json_array();
    if (!g->store)
        r = -EIO;
    else if (narrow(g, &person, &filter))
        r = lb_store_list(g->store, &filter, list_row, &listing);
    if (r >= 0) {
        lb_call_reply(c, json_pack("{so so*}", "requests", listing.array, "more", listing.more ? json_true() : NULL));
        return;
    }
    json_decref(listing.array);
    lb_access_unavailable(c, r);
}

static void verb_get(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct lb_access_target *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->id);
    struct lb_request *owned = NULL;
    const struct lb_request *r;

    if (!lb_verbs_person(c, &person))
        return;
    if (!id || lb_access_read(c->server->gate, &person, id, &r, &owned) < 0)
        lb_access_no_such(c, p->id);
    else
        lb_call_reply(c, json_pack("{so}", "request", lb_public_request(r)));
    lb_request_free(owned);
}

static void verb_sessions(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;
    json_t *array;

    (void)parameters;
    if (!lb_verbs_person(c, &person))
        return;
    array = json_array();
    for (size_t i = 0; i < g->n_live; i++) {
        const struct lb_request *r = g->live[i]->request;
        json_auto_t *request = lb_rights_read(g, &person, r) > 0 ? lb_public_request(r) : NULL;
        json_t *session;
        size_t k;

        json_array_foreach(json_object_get(request, "sessions"), k, session) {
            if (json_object_get(session, "closed_at"))
                continue;
            json_object_set_new(session, "request", json_string(r->id));
            json_object_set(session, "account", json_object_get(request, "account"));
            json_object_set(session, "engineer", json_object_get(request, "engineer"));
            json_object_set(session, "not_after", json_object_get(request, "not_after"));
            json_array_append(array, session);
        }
    }
    lb_call_reply(c, json_pack("{so}", "sessions", array));
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static size_t count_sessions(const struct lb_gate *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n_live; i++)
        n += lb_request_open_sessions(g->live[i]->request);
    return n;
}

static void set_time(json_t *j, const char *name, int64_t wall)
{
    struct { int64_t at; } s = { wall };
    const struct lb_field fields[] = { { name, LB_FIELD_INT, 0, LB_FIELD_TIME }, { 0 } };
    json_auto_t *packed = lb_json_pack(fields, &s, LB_JSON_PUBLIC);

    json_object_update(j, packed);
}

static void set_checkpoint(json_t *j, const struct lb_notary *n)
{
    int64_t time, seq = lb_notary_last(n, &time);

    if (seq)
        json_object_set_new(j, "checkpoint", json_integer(seq));
    if (seq)
        set_time(j, "checkpoint_at", time);
    if (lb_notary_problem(n))
        json_object_set_new(j, "checkpoint_problem", json_string(lb_notary_problem(n)));
}

static void verb_status(struct lb_conn *c, void *parameters)
{
    struct lb_gate *g = c->server->gate;
    size_t states[LB_STATE_MAX_] = { 0 };
    int64_t events = g->store ? lb_store_last(g->store, NULL) : 0;
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    json_t *j;

    (void)parameters;
    if (!lb_verbs_person(c, &person))
        return;
    for (size_t i = 0; i < g->n_live; i++)
        states[g->live[i]->request->state]++;
    j = json_pack("{ss ss sI sI sI sI sI sI sI sI sI sI sI}", "version", LB_VERSION, "host", g->host, "policy_rules",
                  (json_int_t)(g->policy ? g->policy->n : 0), "events", (json_int_t)events, "journal_behind",
                  (json_int_t)(g->journal ? events - lb_journal_position(g->journal) : events), "review",
                  (json_int_t)states[LB_STATE_REVIEW], "pending", (json_int_t)states[LB_STATE_PENDING], "approved",
                  (json_int_t)states[LB_STATE_APPROVED], "active",
                  (json_int_t)(states[LB_STATE_ACTIVE] + states[LB_STATE_PAUSED]), "ending",
                  (json_int_t)states[LB_STATE_ENDING], "sessions", (json_int_t)count_sessions(g), "waiters",
                  (json_int_t)c->server->n_waiting, "connections", (json_int_t)c->server->n_conns);
    set_time(j, "started_at", g->started_at);
    set_time(j, "policy_loaded_at", g->policy_loaded_at);
    if (g->notary)
        set_checkpoint(j, g->notary);
    if (g->policy_error)
        json_object_set_new(j, "policy_error", json_string(g->policy_error));
    if (lb_gate_problem(g))
        json_object_set_new(j, "problem", json_string(lb_gate_problem(g)));
    lb_call_reply(c, j);
}

const struct lb_verb lb_verbs_read[] = {
    { ERROR("List"), LB_DOOR_CONTROL, list_fields, sizeof(struct list), verb_list },
    { ERROR("Get"), LB_DOOR_CONTROL, lb_access_target_fields, sizeof(struct lb_access_target), verb_get },
    { ERROR("Sessions"), LB_DOOR_CONTROL, NULL, 0, verb_sessions },
    { ERROR("Status"), LB_DOOR_CONTROL, NULL, 0, verb_status },
    { 0 },
};
