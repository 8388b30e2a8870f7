/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/paste.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/consent.h"
#include "lockboxd/qr.h"
#include "lockboxd/signer.h"
#include "lockboxd/signers.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/statement.h"

#define NAMES_MAX 400 /* bytes of a list of people */

struct lb_paste {
    struct lb_gate *gate;
    struct lb_peer peer; /* who handed it in */
    struct lb_signer *finder; /* of whose key it is */
    struct lb_consent *consent;
    char *request, *approver, *signature;
    int64_t duration;
    lb_paste_done *done;
    void *userdata;
};

bool lb_paste_is_offered(const struct lb_live *live)
{
    const struct lb_request *r = live->request;
    const char *signers = live->gate->signers_path;

    return lb_state_is_waiting(r->state) && r->nonce &&
           (r->terms.evidence == LB_EVIDENCE_SIGNED || (signers && access(signers, F_OK) == 0));
}

/* --- whose it can be ---------------------------------------------------------------------------------------------- */

static bool may_sign(struct lb_live *live, const char *name)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };

    return lb_rights_signer(live->gate, name, &person) == 0 && lb_decide_may(live, &person, true, &o);
}

/* Those who may say yes now: of several, the ones with a key, if that is anybody. -ENOMEM. */
static int find_people(struct lb_live *live, char ***ret)
{
    const struct lb_request *r = live->request;
    char *const *named = r->state == LB_STATE_REVIEW ? r->reviewers : r->state == LB_STATE_PENDING ? r->entitled : NULL;
    LB_FREE char *keys = lb_signers_read(live->gate->signers_path);
    char **people = NULL, **with_keys = NULL;
    int error = 0;

    for (size_t i = 0; error == 0 && named && named[i]; i++) {
        if (!may_sign(live, named[i]))
            continue;
        error = lb_strings_append(&people, named[i]);
        if (error == 0 && keys && lb_signers_mean(keys, named[i]))
            error = lb_strings_append(&with_keys, named[i]);
    }
    *ret = with_keys ? LB_TAKE(with_keys) : LB_TAKE(people);
    lb_strings_free(people);
    lb_strings_free(with_keys);
    return error;
}

/* "bob, carol and others" */
static const char *list(char *const *names, char buf[static NAMES_MAX + 16])
{
    size_t n = 0;

    *buf = '\0';
    for (size_t i = 0; names && names[i]; i++) {
        if (n + strlen(names[i]) + 2 >= NAMES_MAX) {
            strcpy(buf + n, " and others");
            break;
        }
        n += (size_t)snprintf(buf + n, NAMES_MAX - n, "%s%s", i ? ", " : "", names[i]);
    }
    return buf;
}

static int refuse_all(const struct lb_live *live, struct lb_outcome *o)
{
    const struct lb_request *r = live->request;

    if (lb_state_is_waiting(r->state))
        return lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "nobody can approve it now");
    return lb_outcome_refuse(o, LB_REFUSAL_NOT_POSSIBLE, "the request is %s", lb_state_names[r->state]);
}

/* The one who was named, or the only one who can be meant. *ret (owned) stays NULL where several can. */
static int choose(struct lb_live *live, const char *name, char ***ret_people, char **ret, struct lb_outcome *o)
{
    char names[NAMES_MAX + 16];
    int r = find_people(live, ret_people);
    char **people = *ret_people;

    if (r < 0)
        return lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", strerror(-r));
    if (!people)
        return refuse_all(live, o);
    if (name && !lb_strings_contain(people, name) && !may_sign(live, name))
        return lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "%s cannot approve it now; %s can", name,
                                 list(people, names));
    if (name || !people[1])
        *ret = strdup(name ? name : people[0]);
    return !*ret && (name || !people[1]) ? lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "out of memory") : 0;
}

/* --- what he signs ------------------------------------------------------------------------------------------------ */

static char *make_text(struct lb_live *live, const char *approver, int64_t duration, struct lb_outcome *o)
{
    const struct lb_consent_wish wish = { .approver = approver, .approve = true, .duration = duration };
    char *text = NULL;

    lb_consent_make(live, &wish, o, &text);
    return text;
}

/* What stands before the signature: "bob 2h ". The duration comes back as what it is, to the second. */
static int print_words(const struct lb_request *r, const char *approver, int64_t duration, char **ret)
{
    char span[LB_SPAN_MAX];
    int64_t again = 0;

    if (duration <= 0 || duration >= r->duration)
        return asprintf(ret, "%s", approver) < 0 ? -ENOMEM : 0;
    duration -= duration % LB_USEC_PER_SEC;
    if (lb_span_parse(lb_span_format(duration, span, sizeof(span)), &again) < 0 || again != duration)
        snprintf(span, sizeof(span), "%llds", (long long)(duration / LB_USEC_PER_SEC));
    return asprintf(ret, "%s %s", approver, span) < 0 ? -ENOMEM : 0;
}

/* The code and a newline, or "" where the terminal is not known to have room for it. */
static int print_code(const char *text, int64_t columns, char **ret)
{
    LB_FREE char *code = NULL;
    size_t width = 0;
    int r = lb_qr_draw(text, &code, &width);

    if (r == 0 && (int64_t)width <= columns)
        *ret = LB_TAKE(code);
    return r;
}

static void say_code(struct lb_answer *a, const char *text, const char *words)
{
    LB_FREE char *code = NULL;
    int r = print_code(text, INT64_MAX, &code);

    if (r < 0)
        lb_answer_say(a, a->verdict, "%s\nAs text: !sign %s",
                      r == -EFBIG ? "This is too long for a QR code." : strerror(-r), words);
    else
        lb_answer_say(a, a->verdict,
                      "The text that !sign %s shows:\n%sIts signature is pasted here as one line: %s SIGNATURE", words,
                      code, words);
}

static void say_text(struct lb_answer *a, const char *text, const char *words, const char *approver, int64_t columns)
{
    LB_FREE char *code = NULL;

    if (columns > 0)
        print_code(text, columns, &code);
    lb_answer_say(a, a->verdict,
                  "%s%s%s approves by signing these lines, each ended by one newline, the last one too, with nothing "
                  "before or after them:\n\n%s\nIn a file: ssh-keygen -Y sign -n " LB_SIGNER_NAMESPACE " -f KEY FILE\n"
                  "Its signature as one line: grep -v ^- FILE.sig | tr -d '\\n'\n"
                  "Paste it here, now or in a later login: %s SIGNATURE%s%s", code ? "The text as a QR code:\n" : "",
                  code ? code : "", approver, text, words, code ? "" : "\nAs a QR code: !qr ", code ? "" : words);
}

static void ask_who(struct lb_answer *a, const struct lb_pasted *p, char *const *people)
{
    char names[NAMES_MAX + 16];

    lb_answer_say(a, a->verdict, "Who signs? One of: %s. Such as: !%s %s", list(people, names),
                  p->kind == LB_PASTED_QR ? "qr" : "sign", people[0]);
}

static int show(struct lb_live *live, const struct lb_pasted *p, int64_t columns, struct lb_answer *a,
                struct lb_outcome *o)
{
    LB_FREE char *approver = NULL, *text = NULL, *words = NULL;
    char **people = NULL;
    int r = choose(live, p->name, &people, &approver, o);

    if (r == 0 && !approver)
        ask_who(a, p, people);
    lb_strings_free(people);
    if (r < 0 || !approver)
        return r;
    if (!(text = make_text(live, approver, p->duration, o)))
        return -EACCES;
    r = print_words(live->request, approver, p->duration, &words);
    if (r == 0 && p->kind == LB_PASTED_QR)
        say_code(a, text, words);
    else if (r == 0)
        say_text(a, text, words, approver, columns);
    return r;
}

void lb_paste_show(struct lb_live *live, const struct lb_pasted *p, int64_t columns, struct lb_answer *a)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };
    int r = show(live, p, columns, a, &o);

    if (r < 0)
        lb_answer_say(a, a->verdict, "Nothing to sign: %s.", o.reason ? o.reason : strerror(-r));
}

/* --- what comes back ---------------------------------------------------------------------------------------------- */

struct lb_paste *lb_paste_free(struct lb_paste *p)
{
    if (!p)
        return NULL;
    lb_signer_free(p->finder);
    lb_consent_free(p->consent);
    free(p->request);
    free(p->approver);
    free(p->signature);
    free(p);
    return NULL;
}

static void on_decided(void *userdata, struct lb_outcome *o, const char *state)
{
    struct lb_paste *p = userdata;

    (void)state;
    p->done(p->userdata, p->request, p->approver, o);
}

/* The same way as a statement that is handed in, with the text that the words stand for. */
static void submit(struct lb_paste *p, struct lb_outcome *o)
{
    struct lb_live *live = lb_gate_find(p->gate, p->request);
    LB_FREE char *text = NULL;

    if (!live) {
        lb_outcome_refuse(o, LB_REFUSAL_NO_REQUEST, "the request is closed");
        return;
    }
    text = make_text(live, p->approver, p->duration, o);
    if (!text)
        return;
    lb_outcome_clear(o); /* what was made less stands in the text */
    lb_consent_submit(p->gate, &p->peer, text, p->signature, on_decided, p, o, &p->consent);
}

/* Whose key it is, of those who can be meant. */
static void choose_found(struct lb_paste *p, const char *principals, struct lb_outcome *o)
{
    struct lb_live *live = lb_gate_find(p->gate, p->request);
    char **people = NULL;
    size_t n = 0;

    if (live && find_people(live, &people) < 0)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "out of memory");
    for (size_t i = 0; people && people[i]; i++)
        if (lb_signers_mean(principals, people[i]) && n++ == 0)
            p->approver = strdup(people[i]);
    if (n == 0)
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "this is the key of nobody who can approve it now");
    else if (n > 1)
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "several people have this key: put the name before it");
    else if (!p->approver)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "out of memory");
    lb_strings_free(people);
}

static void on_found(void *userdata, const char *principals, const char *problem)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };
    struct lb_paste *p = userdata;

    if (principals)
        choose_found(p, principals, &o);
    else
        lb_outcome_refuse(&o, LB_REFUSAL_NOT_PERMITTED, "nobody has this key in %s: %s", p->gate->signers_path,
                          problem);
    if (!o.refusal)
        submit(p, &o);
    if (o.refusal)
        p->done(p->userdata, p->request, p->approver, &o);
}

static void begin(struct lb_paste *p, struct lb_outcome *o)
{
    const struct lb_signer_call call = { .signers = p->gate->signers_path, .signature = p->signature };
    LB_FREE char *error = NULL;
    int r;

    if (p->approver) {
        submit(p, o);
        return;
    }
    r = lb_signer_new(p->gate->event, &call, on_found, p, &p->finder, &error);
    if (r < 0)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", error ? error : strerror(-r));
}

void lb_paste_take(struct lb_live *live, const struct lb_peer *peer, const struct lb_pasted *pasted,
                   lb_paste_done *done, void *userdata, struct lb_outcome *o, struct lb_paste **ret)
{
    struct lb_paste *p = calloc(1, sizeof(*p));
    char **people = NULL;
    int r = -ENOMEM;

    if (p) {
        *p = (struct lb_paste){ .gate = live->gate, .peer = *peer, .request = strdup(live->request->id),
                                .signature = strdup(pasted->signature), .duration = pasted->duration, .done = done,
                                .userdata = userdata };
        r = p->request && p->signature ? choose(live, pasted->name, &people, &p->approver, o) : -ENOMEM;
    }
    lb_strings_free(people);
    if (r == -ENOMEM)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "out of memory");
    else if (r == 0)
        begin(p, o);
    if (!o->refusal)
        *ret = LB_TAKE(p);
    lb_paste_free(p);
}
