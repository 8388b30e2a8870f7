/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Access: who asks for an access, or for more of one. */
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/login.h"
#include "lockboxd/make.h"
#include "lockboxd/people.h"
#include "lockboxd/proto/public.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs_access.h"
#include "policy/base.h"

#define ERROR(name) "org.lockbox.Access." name

struct wish {
    char *ticket, *reason, *scope;
    int64_t duration;
};
static const struct lb_field wish_fields[] = {
    { "ticket", LB_FIELD_STRING, offsetof(struct wish, ticket) },
    { "reason", LB_FIELD_STRING, offsetof(struct wish, reason) },
    { "scope", LB_FIELD_STRING, offsetof(struct wish, scope) },
    { "for", LB_FIELD_INT, offsetof(struct wish, duration) }, /* seconds, as the prompt takes them, too */
    { 0 },
};

/* For whom a request is made: the account of the gated session he is in, else his own if that is gated. */
static const char *account_for(const struct lb_person *p)
{
    LB_FREE char *name = NULL;
    gid_t gid;

    if (p->from)
        return p->from->request->account;
    if (lb_people_account(p->name, &name, NULL, &gid) < 0 || lb_people_in_group(name, gid, LB_GROUP_GATED) != 1)
        return NULL;
    return p->name;
}

static void tell_answer(struct lb_conn *c, const struct lb_answer *a, const struct lb_live *live)
{
    const char *message = a->message ? a->message : "";
    struct lb_time now = lb_clock_now();
    LB_FREE char *remark = live ? lb_answer_remark(a, live->request, &now) : NULL;

    if (live)
        lb_call_reply(c, json_pack("{soss*}", "request", lb_public_request(live->request), "message", remark));
    else if (a->verdict == LB_ANSWER_ASK)
        lb_call_error(c, ERROR("InvalidParameter"),
                      json_pack("{ssss}", "field", strstr(message, "ticket") ? "ticket" : "reason", "reason", message));
    else
        lb_call_refuse(c, ERROR("NotPermitted"), message);
}

static void verb_request(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_answer_clear) struct lb_answer answer = { 0 };
    const struct wish *p = parameters;
    struct lb_words words = { p->ticket, p->reason, NULL, false };
    struct lb_login login = { .service = (char *)"lockboxctl", .scope = p->scope ? p->scope : (char *)"login" };
    struct lb_live *live = NULL;
    char seconds[32];
    int r;

    if (!lb_verbs_person(c, &person))
        return;
    login.account = (char *)account_for(&person);
    if (!login.account) {
        lb_call_refuse(c, ERROR("NotPermitted"), "your account is not gated: it needs no approval");
        return;
    }
    if (person.from)
        login.rhost = person.from->request->rhost;
    if (p->duration > 0) {
        snprintf(seconds, sizeof(seconds), "%lld", (long long)p->duration);
        words.duration = seconds;
    }
    r = lb_login_request(c->server->gate, &c->peer, &login, &words, &answer, &live);
    if (r < 0)
        lb_access_unavailable(c, r);
    else
        tell_answer(c, &answer, live);
}

struct extension {
    char *id, *reason;
    int64_t duration;
};
static const struct lb_field extension_fields[] = {
    { "id", LB_FIELD_STRING, offsetof(struct extension, id), LB_FIELD_REQUIRED },
    { "reason", LB_FIELD_STRING, offsetof(struct extension, reason) },
    { "for", LB_FIELD_INT, offsetof(struct extension, duration), LB_FIELD_SPAN | LB_FIELD_REQUIRED },
    { 0 },
};

static void verb_extend(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_answer_clear) struct lb_answer answer = { 0 };
    LB_CLEANUP(lb_attempt_clear) struct lb_attempt attempt = { 0 };
    const struct extension *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->id);
    struct lb_live *access = id ? lb_gate_find(c->server->gate, id) : NULL, *live = NULL;
    struct lb_login login;
    int r;

    if (!lb_verbs_person(c, &person))
        return;
    if (!access || lb_rights_own(&person, access->request) <= 0) {
        lb_access_no_such(c, p->id);
        return;
    }
    if (!lb_state_is_access(access->request->state)) {
        lb_call_error(c, ERROR("NotPossible"), json_pack("{ssss}", "state", lb_state_names[access->request->state],
                                                         "reason", "only an access that runs can be extended"));
        return;
    }
    r = lb_attempt_of(&attempt, c->server->gate, &c->peer, access->request, &login);
    if (r == 0)
        r = lb_make_extension(&attempt, access->request, p->reason, p->duration, &answer, &live);
    if (r < 0)
        lb_access_unavailable(c, r);
    else
        tell_answer(c, &answer, live);
}

const struct lb_verb lb_verbs_request[] = {
    { ERROR("Request"), LB_DOOR_CONTROL, wish_fields, sizeof(struct wish), verb_request },
    { ERROR("Extend"), LB_DOOR_CONTROL, extension_fields, sizeof(struct extension), verb_extend },
    { 0 },
};
