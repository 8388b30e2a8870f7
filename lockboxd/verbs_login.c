/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Login: what the PAM module asks. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "lockboxd/behind.h"
#include "lockboxd/clock.h"
#include "lockboxd/log.h"
#include "lockboxd/login.h"
#include "lockboxd/paste.h"
#include "lockboxd/proc.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"

struct begin {
    struct lb_login login;
    struct lb_words words;
};

static const struct lb_field begin_fields[] = {
    { "login", LB_FIELD_OBJECT, offsetof(struct begin, login), LB_FIELD_REQUIRED, .fields = lb_login_fields },
    { "ticket", LB_FIELD_STRING, offsetof(struct begin, words.ticket) },
    { "reason", LB_FIELD_STRING, offsetof(struct begin, words.reason) },
    { "for", LB_FIELD_STRING, offsetof(struct begin, words.duration) },
    { "silent", LB_FIELD_BOOL, offsetof(struct begin, words.silent) },
    { 0 },
};

static const struct lb_field open_fields[] = {
    { "login", LB_FIELD_OBJECT, offsetof(struct begin, login), LB_FIELD_REQUIRED, .fields = lb_login_fields },
    { 0 },
};

struct wait {
    char *request, *text;
    int64_t seen, columns;
};

static const struct lb_field wait_fields[] = {
    { "request", LB_FIELD_STRING, offsetof(struct wait, request), LB_FIELD_REQUIRED },
    { "text", LB_FIELD_STRING, offsetof(struct wait, text) },
    { "seen", LB_FIELD_INT, offsetof(struct wait, seen) },
    { "columns", LB_FIELD_INT, offsetof(struct wait, columns) },
    { 0 },
};

/* Whoever reads it is at a prompt. */
static json_t *pack(struct lb_answer *a)
{
    json_t *j;

    if (a->signable)
        lb_answer_add(a, "A signature can approve it here: !sign");
    j = lb_json_pack(lb_answer_fields, a, LB_JSON_PUBLIC);
    if (a->verdict != LB_ANSWER_ASK)
        json_object_del(j, "ask");
    return j;
}

/* The engineer is told what kind of trouble it is; the details are the host's (lockboxctl status). */
static void unavailable(struct lb_conn *c, int r)
{
    const struct lb_gate *g = c->server->gate;

    lb_call_refuse(c, "org.lockbox.Login.Unavailable", g->config_error                 ? "its settings cannot be used"
                                                       : !g->policy                  ? "its policy cannot be used"
                                                       : !g->store || g->store_error ? "it cannot record what happens"
                                                                                     : strerror(-r));
}

/* A place among those that wait, kept until the connection ends. Without one the answer is "pending", and no more. */
static void take_place(struct lb_conn *c, struct lb_answer *a)
{
    LB_FREE char *later = NULL;

    if (a->verdict != LB_ANSWER_WAITING || c->waiting)
        return;
    if (c->server->n_waiting < (size_t)c->server->limits.waiters) {
        c->waiting = true;
        c->server->n_waiting++;
        return;
    }
    later = LB_TAKE(a->later);
    lb_answer_say(a, LB_ANSWER_DENIED, "%s", later ? later : "Still pending. Log in again later.");
}

void lb_login_hang_up(struct lb_conn *c)
{
    lb_gate_unpark(&c->waiter);
    json_decref(c->held);
    c->held = NULL;
    if (c->waiting)
        c->server->n_waiting--;
    c->waiting = false;
}

static void verb_begin(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };
    const struct begin *p = parameters;
    struct lb_live *live;
    int r = lb_login_begin(c->server->gate, &c->peer, &p->login, &p->words, &a, &live);

    if (r < 0) {
        unavailable(c, r);
        return;
    }
    take_place(c, &a);
    lb_call_reply(c, pack(&a));
}

/* Something happened to the request that this connection waits for. */
static void on_wake(struct lb_waiter *w)
{
    struct lb_conn *c = (struct lb_conn *)((char *)w - offsetof(struct lb_conn, waiter));
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };

    lb_login_look(w->live, &a);
    if (c->caller.more && a.verdict == LB_ANSWER_WAITING) {
        lb_call_continue(c, pack(&a));
        return;
    }
    lb_gate_unpark(w);
    lb_call_reply(c, pack(&a));
}

/* The request was closed before we looked: say how. */
static void answer_closed(struct lb_conn *c, const char *id)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };
    struct lb_gate *g = c->server->gate;
    struct lb_request *request = NULL;
    struct lb_live *access;
    struct lb_time now = { 0 };

    if (!g->store || lb_store_load(g->store, id, &request) < 0)
        lb_answer_say(&a, LB_ANSWER_DENIED, "There is no such request.");
    else if ((access = lb_login_extended(g, request)))
        lb_login_look(access, &a);
    else
        lb_answer_request(&a, request, NULL, &now);
    lb_request_free(request);
    lb_call_reply(c, pack(&a));
}

/* What there is to say to what was typed while the request waits. What has happened meanwhile is told next. */
static void remark(struct lb_live *live, int64_t seen, struct lb_answer *a, const char *first, const char *rest)
{
    lb_login_look(live, a);
    if (a->verdict != LB_ANSWER_WAITING)
        return;
    lb_answer_say(a, a->verdict, "%s%s", first, rest);
    a->signable = false;
    a->seen = seen;
}

/* The one yes was not the last one: it is told, and what is still waited for. */
static void say_taken(struct lb_answer *a, const char *approver)
{
    LB_FREE char *now = LB_TAKE(a->message);

    lb_answer_say(a, a->verdict, "The approval of %s is taken.\n%s", approver, now ? now : "");
}

static void say_refused(struct lb_live *live, int64_t seen, struct lb_answer *a, const struct lb_outcome *o,
                        const char *approver)
{
    const char *reason = o->reason ? o->reason : "out of memory";
    LB_FREE char *rest = NULL;
    int n = approver ? asprintf(&rest, "%s\nThe text to sign: !sign %s. One for a shorter time: !sign %s 1h, and then "
                                "%s 1h SIGNATURE", reason, approver, approver, approver)
                     : asprintf(&rest, "%s", reason);

    if (n < 0)
        rest = NULL;
    remark(live, seen, a, "The signature is not taken: ", rest ? rest : "out of memory");
}

static void on_pasted(void *userdata, const char *request, const char *approver, struct lb_outcome *o)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };
    struct lb_conn *c = userdata;
    struct lb_live *live = lb_gate_find(c->server->gate, request);

    if (live && o->refusal)
        say_refused(live, c->seen, &a, o, approver);
    else if (live)
        lb_login_look(live, &a);
    if (live && !o->refusal && a.verdict == LB_ANSWER_WAITING)
        say_taken(&a, approver);
    if (live)
        lb_call_reply(c, pack(&a));
    else
        answer_closed(c, request);
    c->paste = lb_paste_free(c->paste);
}

/* True if the answer comes later. */
static bool take_signature(struct lb_conn *c, struct lb_live *live, const struct lb_pasted *pasted, struct lb_answer *a)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome o = { 0 };

    if (!lb_pace_take(&c->server->submissions, live->request->uid, lb_clock_now().boot, LB_SUBMISSIONS)) {
        remark(live, c->seen, a, "Too many signatures within a minute: ", "try again in a minute.");
        return false;
    }
    lb_paste_take(live, &c->peer, pasted, on_pasted, c, &o, &c->paste);
    if (o.refusal)
        say_refused(live, c->seen, a, &o, NULL);
    return !o.refusal;
}

/* "!sing", "!help": whoever types that means us, and nobody else is told. */
static bool is_slip(const char *text)
{
    static const char *const words[] = { "!withdraw", "!emergency" };

    text += strspn(text, " ");
    for (size_t i = 0; i < LB_ELEMENTS(words); i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return false;
    return text[0] == '!' && isalpha((unsigned char)text[1]);
}

static void say_words(struct lb_live *live, int64_t seen, struct lb_answer *a)
{
    LB_FREE char *rest = NULL;

    if (asprintf(&rest, "!withdraw takes the request back%s%s. Other words go to the approver.",
                 lb_paste_is_offered(live) ? ", !sign shows what to sign" : "",
                 live->request->terms.emergency ? ", !emergency REASON lets you in at once" : "") < 0)
        rest = NULL;
    remark(live, seen, a, "There is no such word here: ", rest ? rest : "out of memory");
}

/* 0 and the answer, 1 if it comes later, or -errno. */
static int hear(struct lb_conn *c, struct lb_live *live, const struct wait *w, struct lb_answer *a)
{
    LB_CLEANUP(lb_pasted_clear) struct lb_pasted pasted = { 0 };
    int r = lb_pasted_parse(w->text, c->pasting, &pasted);

    if (r < 0)
        return r;
    c->pasting = pasted.piece;
    c->seen = w->seen;
    switch (pasted.kind) {
    case LB_PASTED_SIGNATURE:
        return take_signature(c, live, &pasted, a);
    case LB_PASTED_WRONG:
        remark(live, w->seen, a, pasted.problem, "");
        return 0;
    case LB_PASTED_SIGN:
    case LB_PASTED_QR:
        remark(live, w->seen, a, "", "");
        if (a->verdict == LB_ANSWER_WAITING)
            lb_paste_show(live, &pasted, w->columns, a);
        return 0;
    default:
        if (is_slip(w->text)) {
            say_words(live, w->seen, a);
            return 0;
        }
        return lb_login_say(live, w->text, a);
    }
}

static void verb_wait(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };
    const struct wait *p = parameters;
    LB_FREE char *id = lb_verbs_id(p->request);
    struct lb_live *live = id ? lb_gate_find(c->server->gate, id) : NULL;
    bool changed = false;
    int r = 0;

    if (live && p->text && *p->text) {
        changed = true;
        r = hear(c, live, p, &a);
    } else if (live) {
        lb_login_look(live, &a);
        changed = live->changed > p->seen;
    }
    if (r < 0)
        unavailable(c, r);
    else if (r > 0) /* a signature is being looked at */
        return;
    else if (!live)
        answer_closed(c, id ? id : "");
    else if (changed || a.verdict != LB_ANSWER_WAITING)
        lb_call_reply(c, pack(&a));
    else {
        c->waiter.wake = on_wake;
        lb_gate_park(live, &c->waiter);
    }
}

/* Programs whose only question is this one: they end when no session is opened, and say why if they live to do so. */
static bool ends_by_itself(const char *service)
{
    return lb_streq(service, "polkit-1") || lb_streq(service, "runuser") || lb_streq(service, "runuser-l");
}

static void on_looked(struct lb_waiter *w)
{
    struct lb_conn *c = (struct lb_conn *)((char *)w - offsetof(struct lb_conn, waiter));

    if (lb_behind_holds(w->live))
        return;
    lb_gate_unpark(w);
    lb_call_reply(c, LB_TAKE(c->held));
}

/* The session is open for the log already; its first command waits until there is a picture of the host without it. */
static void reply_open(struct lb_conn *c, struct lb_answer *a)
{
    struct lb_live *live = a->verdict == LB_ANSWER_ALLOWED ? lb_login_live(c->server->gate, &c->peer) : NULL;

    if (!live || !lb_behind_holds(live)) {
        lb_call_reply(c, pack(a));
        return;
    }
    c->held = pack(a);
    c->waiter.wake = on_looked;
    lb_gate_park(live, &c->waiter);
}

static void verb_open(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_answer_clear) struct lb_answer a = { 0 };
    const struct begin *p = parameters;
    LB_CLOSE int leader = -1;
    int r = lb_login_open(c->server->gate, &c->peer, &p->login, &a);

    if (r < 0)
        unavailable(c, r);
    else
        reply_open(c, &a);
    if ((r == 0 && a.verdict == LB_ANSWER_ALLOWED) || ends_by_itself(p->login.service))
        return;
    /* A failing session stage does not end a connection of sshd's; this does. */
    leader = lb_proc_open(c->peer.pid, c->peer.started);
    if (leader >= 0 && c->peer.pid != getpid())
        pidfd_send_signal(leader, SIGKILL, NULL, 0);
}

static void verb_close(struct lb_conn *c, void *parameters)
{
    (void)parameters;
    lb_login_close(c->server->gate, &c->peer);
    lb_call_reply(c, NULL);
}

const struct lb_verb lb_verbs_login[] = {
    { "org.lockbox.Login.Begin", LB_DOOR_LOGIN, begin_fields, sizeof(struct begin), verb_begin },
    { "org.lockbox.Login.Wait", LB_DOOR_LOGIN, wait_fields, sizeof(struct wait), verb_wait },
    { "org.lockbox.Login.Open", LB_DOOR_LOGIN, open_fields, sizeof(struct begin), verb_open },
    { "org.lockbox.Login.Close", LB_DOOR_LOGIN, NULL, 0, verb_close },
    { 0 },
};
