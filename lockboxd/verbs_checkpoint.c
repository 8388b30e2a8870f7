/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Audit: checkpoints, who signs them, and who signs them besides. */
#include "lockboxd/clock.h"
#include "lockboxd/countersign.h"
#include "lockboxd/rights.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"
#include "policy/checkpoint.h"
#include "policy/text.h"

#define CHECKPOINTS 10 /* a minute for one uid: each is a process of ssh-keygen's, and an event */
#define SIGNATURE_MAX (16 * 1024)

#define ERROR(name) "org.lockbox.Audit." name

static void tell_checkpoint(struct lb_notary_wait *wait, const struct lb_notary_result *r)
{
    struct lb_conn *c = (struct lb_conn *)((char *)wait - offsetof(struct lb_conn, checkpoint));

    if (r->problem)
        lb_call_refuse(c, ERROR("Unavailable"), r->problem);
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
        lb_call_refuse(c, ERROR("NotPermitted"), "only root and auditors read all of the log");
    else if (!g->notary)
        lb_call_refuse(c, ERROR("Unavailable"), "nobody signs checkpoints here");
    else if (!lb_pace_take(&c->server->checkpoints, c->peer.uid, lb_clock_now().boot, CHECKPOINTS))
        lb_call_refuse(c, ERROR("Unavailable"), "too many checkpoints within a minute: try again in a minute");
    else {
        c->checkpoint.done = tell_checkpoint;
        lb_notary_ask(g->notary, &c->checkpoint);
    }
}

struct countersignature { char *statement, *signature, *by; };
static const struct lb_field countersignature_fields[] = {
    { "statement", LB_FIELD_STRING, offsetof(struct countersignature, statement), LB_FIELD_REQUIRED,
      LB_CHECKPOINT_MAX },
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
        lb_call_refuse(c, outcome == LB_COUNTERSIGNED_NOT_HIS ? ERROR("NotPermitted") : ERROR("Unavailable"), text);
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
        lb_call_error(c, ERROR("InvalidParameter"),
                      json_pack("{ssss}", "field", "by", "reason", "say whose signature it is"));
        return;
    }
    if (!lb_pace_take(&c->server->submissions, c->peer.uid, lb_clock_now().boot, LB_SUBMISSIONS)) {
        lb_call_refuse(c, ERROR("Unavailable"), "too many signatures within a minute: try again in a minute");
        return;
    }
    lb_countersign_new(c->server->gate, p->statement, p->signature, by, tell_countersigned, c, &c->countersign);
}

static void verb_key(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_gate *g = c->server->gate;
    const char *key = g->notary ? lb_notary_key(g->notary) : NULL;
    const char *problem = g->notary ? lb_notary_problem(g->notary) : NULL;
    char principal[LB_CHECKPOINT_PRINCIPAL_MAX];
    json_t *line;

    (void)parameters;
    if (lb_rights_person(g, &c->peer, &person) < 0) {
        lb_call_refuse(c, ERROR("NotPermitted"), "your account has no part in this host's accesses");
        return;
    }
    if (!key) {
        lb_call_refuse(c, ERROR("Unavailable"), problem ? problem : "there is no key yet");
        return;
    }
    line = json_sprintf("%s namespaces=\"" LB_CHECKPOINT_NAMESPACE "\" %s", lb_checkpoint_principal(g->host, principal),
                        key);
    lb_call_reply(c, json_pack("{ss so}", "key", key, "line", line));
}

const struct lb_verb lb_verbs_checkpoint[] = {
    { ERROR("Checkpoint"), LB_DOOR_CONTROL, NULL, 0, verb_checkpoint },
    { ERROR("Countersign"), LB_DOOR_CONTROL, countersignature_fields, sizeof(struct countersignature),
      verb_countersign },
    { ERROR("Key"), LB_DOOR_CONTROL, NULL, 0, verb_key },
    { 0 },
};
