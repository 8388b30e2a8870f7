/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Audit: what the courier could not deliver. */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/people.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"
#include "policy/text.h"

/* The one account besides root's that adds to the log by this interface, and how often a minute. */
#define COURIER "lockbox-courier"
#define UNDELIVERED 10

#define ERROR(name) "org.lockbox.Audit." name

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
        lb_call_refuse(c, ERROR("NotPermitted"), "only the courier says that");
    else if (!g->store || !lb_pace_take(&c->server->undelivered, c->peer.uid, lb_clock_now().boot, UNDELIVERED))
        lb_call_refuse(c, ERROR("Unavailable"), g->store ? "too often; later, and together" : lb_gate_problem(g));
    else if (u->request && about(g, u->request, &e) < 0)
        lb_call_error(c, ERROR("NoSuchRequest"), json_pack("{ss}", "id", u->request));
    else if (!(e.note = note_of(u)) || lb_gate_note(g, &e) < 0)
        lb_call_refuse(c, ERROR("Unavailable"), "it could not be recorded");
    else
        lb_call_reply(c, NULL);
}

const struct lb_verb lb_verbs_undelivered[] = {
    { ERROR("Undelivered"), LB_DOOR_CONTROL, undelivered_fields, sizeof(struct undelivered), verb_undelivered },
    { 0 },
};
