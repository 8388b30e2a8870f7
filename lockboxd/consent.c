/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/consent.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/chain.h"
#include "lockboxd/clock.h"
#include "lockboxd/signer.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/statement.h"
#include "policy/text.h"

struct lb_consent {
    struct lb_gate *gate;
    struct lb_peer peer; /* who handed it in */
    struct lb_signer *signer;
    char *text, *signature;
    struct lb_statement choice;
    lb_consent_done *done;
    void *userdata;
};

/* --- the text ----------------------------------------------------------------------------------------------------- */

static int copy_hash(void *userdata, int64_t seq, const char *hash, const char *json)
{
    (void)seq;
    (void)json;
    snprintf(userdata, LB_HASH_MAX, "%s", hash);
    return 1;
}

/* What stands for all of a request is the hash of its first event, which a copy of the log proves. */
static int make(struct lb_live *live, const struct lb_statement *s, char **ret)
{
    const struct lb_request *r = live->request;
    char hash[LB_HASH_MAX] = "";
    int found = live->gate->store ? lb_store_events(live->gate->store, 1, r->id, 1, copy_hash, hash) : -EIO;

    if (found < 0 || !*hash)
        return found < 0 ? found : -EIO;
    return lb_statement_make(s, r, lb_stage_names[lb_rights_stage(r)], hash, ret);
}

static void refuse_text(struct lb_outcome *o, const struct lb_request *r, int error)
{
    char span[LB_SPAN_MAX];

    if (error == -ERANGE)
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "the request is for %s at most now; make a new statement",
               lb_span_format(r->duration, span, sizeof(span)));
    else if (error == -ENODATA && !lb_state_is_waiting(r->state))
        lb_outcome_refuse(o, LB_REFUSAL_NOT_POSSIBLE, "the request is %s", lb_state_names[r->state]);
    else if (error == -ENODATA || error == -EINVAL)
        lb_outcome_refuse(o, LB_REFUSAL_NOT_POSSIBLE,
                          "this request cannot be signed (it was made by an earlier version, or a name "
                          "in it is no line of text): let the engineer ask again");
    else
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", strerror(-error));
}

static int64_t whole_seconds(int64_t usec)
{
    return usec == LB_NEVER ? usec : usec - usec % LB_USEC_PER_SEC;
}

static int64_t choose_duration(const struct lb_request *r, int64_t wanted, struct lb_outcome *o)
{
    char span[LB_SPAN_MAX];

    if (wanted > r->duration && asprintf(&o->reason, "shortened to the %s that were asked for",
                                         lb_span_format(r->duration, span, sizeof(span))) < 0)
        o->reason = NULL;
    return whole_seconds(wanted > 0 && wanted < r->duration ? wanted : r->duration);
}

void lb_consent_make(struct lb_live *live, const struct lb_consent_wish *w, struct lb_outcome *o, char **ret_text)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_FREE char *note = lb_text_clean(w->note, LB_NOTE_MAX);
    const struct lb_request *r = live->request;
    struct lb_statement s = { .approver = (char *)w->approver, .approve = w->approve, .note = note };
    int error = note ? lb_rights_signer(live->gate, w->approver, &person) : -ENOMEM;

    if (error < 0) {
        refuse_text(o, r, error);
        return;
    }
    if (lb_state_is_waiting(r->state) && !lb_decide_may(live, &person, w->approve, o))
        return;
    if (w->approve)
        s.duration = choose_duration(r, w->duration, o);
    if (w->approve && !r->extends && w->from > lb_clock_now().wall)
        s.from = whole_seconds(w->from);
    error = make(live, &s, ret_text);
    if (error < 0)
        refuse_text(o, r, error);
}

/* --- the signature ------------------------------------------------------------------------------------------------ */

struct lb_consent *lb_consent_free(struct lb_consent *c)
{
    if (!c)
        return NULL;
    lb_signer_free(c->signer);
    lb_statement_clear(&c->choice);
    free(c->text);
    free(c->signature);
    free(c);
    return NULL;
}

/* In what the text is another one; who may not read the request learns nothing of it. Owned. */
static char *difference(struct lb_consent *c, const struct lb_request *r, const char *made)
{
    LB_CLEANUP(lb_person_clear) struct lb_person reader = { 0 };

    if (lb_rights_person(c->gate, &c->peer, &reader) < 0 || lb_rights_read(c->gate, &reader, r) <= 0)
        return NULL;
    return lb_statement_difference(made, c->text);
}

/* The request that the text is about, if it is about nothing else, and its approver may say so now. */
static struct lb_live *match(struct lb_consent *c, struct lb_person *ret_person, struct lb_outcome *o)
{
    struct lb_live *live = lb_gate_find(c->gate, c->choice.request);
    LB_FREE char *made = NULL, *different = NULL;
    int error = live ? make(live, &c->choice, &made) : 0;

    if (!live) {
        lb_outcome_refuse(o, LB_REFUSAL_NO_REQUEST, "no open request is called %s", c->choice.request);
        return NULL;
    }
    if (error < 0) {
        refuse_text(o, live->request, error);
        return NULL;
    }
    if (strcmp(made, c->text) != 0) {
        different = difference(c, live->request, made);
        lb_outcome_refuse(o, LB_REFUSAL_INVALID,
                          "this is not the statement of the request as it stands%s%s; make it anew with "
                          "lockboxctl statement %s",
                          different ? ", look at: " : "", different ? different : "", live->request->id);
        return NULL;
    }
    error = lb_rights_signer(c->gate, c->choice.approver, ret_person);
    if (error < 0)
        refuse_text(o, live->request, error);
    return error == 0 && lb_decide_may(live, ret_person, c->choice.approve, o) ? live : NULL;
}

/* Somebody has tried; nothing but the log changes. */
static void note_refused(struct lb_consent *c, const char *why)
{
    struct lb_live *live = lb_gate_find(c->gate, c->choice.request);
    struct lb_event e = { .kind = LB_EVENT_ILLEGAL, .by = strdup(c->choice.approver) };

    if (live) {
        e.request = strdup(live->request->id);
        e.account = lb_dup(live->request->account);
        e.engineer = lb_dup(live->request->engineer);
    }
    if (asprintf(&e.note, "a signature in the name of %s was handed in: %s", c->choice.approver, why) < 0)
        e.note = NULL;
    lb_gate_note(c->gate, &e);
}

/* The fingerprint alone: a key is the same in a certificate. */
static const char *print_of(const char *signer)
{
    const char *print = signer ? strchr(signer, ' ') : NULL;

    return print ? print + 1 : NULL;
}

/* The key that the engineer came with does not consent for anybody else. */
static bool is_engineers(const struct lb_request *r, const char *signer)
{
    const char *print = print_of(signer);

    return print && ((r->key && strstr(r->key, print)) || lb_streq(r->engineer, print));
}

struct hand {
    const char *print, *approver;
    bool used; /* in another name */
};

static int look_for_hand(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct hand *h = userdata;
    int r = lb_chain_decode(json, &e, NULL);

    (void)seq;
    (void)hash;
    if (r == 0)
        h->used |= e.signer && lb_streq(print_of(e.signer), h->print) && !lb_streq(e.approver, h->approver);
    return r;
}

/* A key is one hand, whatever names (or patterns of them) it has in the file: it says yes to a request once. */
static bool is_used(const struct lb_consent *c, const struct lb_request *r, const char *signer, struct lb_outcome *o)
{
    struct hand h = { print_of(signer), c->choice.approver, false };
    int error = c->gate->store ? lb_store_events(c->gate->store, 1, r->id, 0, look_for_hand, &h) : -EIO;

    if (error < 0)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", strerror(-error));
    else if (h.used)
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                          "this key has decided about it already, in another name; another "
                          "approver is needed, who has a key of his own");
    return o->refusal;
}

/* A begin that was signed is one, also for who hands the text in later: of that time there is what is left of it, and
 * not as much from then on. Where the clock starts with the first login, a begin is only the earliest one. */
static int64_t left_of(const struct lb_statement *s, const struct lb_request *r)
{
    int64_t late = lb_clock_now().wall - s->from;

    if (!s->approve || !s->from || late <= 0 || r->terms.starts != LB_STARTS_APPROVAL || s->duration == LB_NEVER)
        return s->duration;
    return whole_seconds(s->duration > late ? s->duration - late : 0);
}

static void decide(struct lb_consent *c, const char *signer, struct lb_outcome *o, const char **ret_state)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    const struct lb_proof_of_consent proof = { c->text, c->signature, signer };
    struct lb_decision decision = { .note = c->choice.note, .from = c->choice.from, .proof = &proof };
    struct lb_live *live = match(c, &person, o); /* once more: it may have changed meanwhile */

    if (!live)
        return;
    decision.duration = left_of(&c->choice, live->request);
    *ret_state = lb_state_names[live->request->state];
    if (is_engineers(live->request, signer))
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED,
                          "nobody decides about his own request, and this is the engineer's key");
    else if (!c->choice.approve)
        lb_decide_deny(live, &person, &decision, o);
    else if (decision.duration <= 0)
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "the time that this was signed for is over; make a new statement");
    else if (!is_used(c, live->request, signer, o))
        lb_decide_approve(live, &person, &decision, o);
}

static void on_verified(void *userdata, const char *key, const char *problem)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };
    struct lb_consent *c = userdata;
    const char *state = "";

    if (key) {
        decide(c, key, &o, &state);
    } else {
        note_refused(c, problem);
        lb_outcome_refuse(&o, LB_REFUSAL_NOT_PERMITTED, "this is no signature of %s by %s: %s", c->choice.approver,
               c->gate->signers_path, problem);
    }
    c->done(c->userdata, &o, state);
}

static int verify(struct lb_consent *c, struct lb_outcome *o)
{
    LB_FREE char *error = NULL;
    const struct lb_signer_call call = { c->gate->signers_path, LB_SIGNER_NAMESPACE, c->choice.approver, c->text,
                                         c->signature };
    int r = lb_signer_new(c->gate->event, &call, on_verified, c, &c->signer, &error);

    if (r < 0)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", error ? error : strerror(-r));
    return r;
}

void lb_consent_submit(struct lb_gate *g, const struct lb_peer *peer, const char *text, const char *signature,
                       lb_consent_done *done, void *userdata, struct lb_outcome *o, struct lb_consent **ret)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    struct lb_consent *c = calloc(1, sizeof(*c));
    int r = -ENOMEM;

    if (c) {
        *c = (struct lb_consent){ .gate = g, .peer = *peer, .text = strdup(text), .signature = strdup(signature),
                                  .done = done, .userdata = userdata };
        r = c->text && c->signature ? lb_statement_parse(text, &c->choice) : -ENOMEM;
    }
    if (r < 0)
        lb_outcome_refuse(o, r == -EINVAL ? LB_REFUSAL_INVALID : LB_REFUSAL_UNAVAILABLE, "%s",
                          r == -EINVAL
                              ? "this is no statement as lockboxctl statement prints it, byte for byte: its lines end "
                                "with a newline (LF) alone, not with CR LF, and nothing stands before the first"
                              : strerror(-r));
    else if (match(c, &person, o) && verify(c, o) == 0)
        *ret = LB_TAKE(c);
    lb_consent_free(c);
}
