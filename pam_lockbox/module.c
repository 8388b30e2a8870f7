/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The five doors of PAM. Who is not gated leaves each of them at once, with PAM_IGNORE and no connection. */
#include <errno.h>
#include <inttypes.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <syslog.h>

#include "pam_lockbox/outcome.h"
#include "pam_lockbox/args.h"
#include "pam_lockbox/conversation.h"
#include "pam_lockbox/gated.h"
#include "pam_lockbox/login.h"
#include "policy/base.h"

#define CLOSE_TIMEOUT_MS 1000
#define CEILING_SLACK_S 10 /* PID 1 ends what the daemon has not ended by then */

struct visit {
    pam_handle_t *pamh;
    struct lb_args args;
    char *account; /* the gated one; NULL: nobody is */
    struct lb_client *client;
    json_t *login;
    struct lb_reply reply;
    bool mute; /* nothing may be said */
};

static void visit_clear(struct visit *v)
{
    lb_args_clear(&v->args);
    free(v->account);
    lb_client_close(v->client);
    json_decref(v->login);
    lb_reply_clear(&v->reply);
}

#define VISIT(v, handle) LB_CLEANUP(visit_clear) struct visit v = { .pamh = (handle) }

/* True if the login is gated and can go on; else *ret says why not. */
static bool enter(struct visit *v, int argc, const char **argv, enum lb_outcome *ret)
{
    int r = lb_args_parse(argc, argv, &v->args);

    if (r == 0)
        r = lb_gated_find(v->pamh, &v->args, &v->account);
    if (v->args.bad) /* nobody is locked out by a slip of the pen who is not gated */
        pam_syslog(v->pamh, LOG_ERR, "argument not understood: %s", v->args.bad);
    if (r < 0)
        *ret = r == -ENOMEM ? LB_OUTCOME_MEMORY : LB_OUTCOME_UNKNOWN;
    else if (!v->account)
        *ret = LB_OUTCOME_NOT_OURS;
    else if (v->args.bad)
        *ret = LB_OUTCOME_ARGUMENT;
    return r == 0 && v->account && !v->args.bad;
}

/* Connected, and with the facts at hand; else *ret says why not. */
static bool arrive(struct visit *v, int argc, const char **argv, enum lb_outcome *ret)
{
    int r;

    if (!enter(v, argc, argv, ret))
        return false;
    v->login = lb_login_collect(v->pamh, &v->args, v->account);
    r = v->login ? lb_client_open(v->args.socket, LB_ANSWER_WITHIN_MS, &v->client) : -ENOMEM;
    if (r < 0)
        *ret = lb_outcome_from_error(r);
    return r == 0;
}

/* Tells the log, and gives PAM its code. */
static int report(const struct visit *v, enum lb_outcome outcome)
{
    const struct lb_outcome_class *class = &lb_outcome_classes[outcome];
    const char *user = v->account ? v->account : lb_login_item(v->pamh, PAM_USER);

    if (class->log)
        pam_syslog(v->pamh, class->priority, "%s: %s%s%s", user ? user : "(no account)", class->log,
                   v->reply.request ? ", request " : "", v->reply.request ? v->reply.request : "");
    return class->code;
}

/* The same, and tells the person. */
static int leave(const struct visit *v, enum lb_outcome outcome)
{
    const struct lb_outcome_class *class = &lb_outcome_classes[outcome];
    const char *text = class->text;

    if (outcome == LB_OUTCOME_WAITING && v->reply.later)
        text = v->reply.later;
    else if ((outcome <= LB_OUTCOME_ALLOWED || outcome == LB_OUTCOME_UNAVAILABLE) && v->reply.message)
        text = v->reply.message;
    if (v->mute)
        return report(v, outcome);
    if (class->code != PAM_SUCCESS)
        lb_conversation_show(v->pamh, PAM_ERROR_MSG, text);
    else if (!v->args.quiet)
        lb_conversation_show(v->pamh, PAM_TEXT_INFO, text);
    return report(v, outcome);
}

/* --- auth: a key that sshd verified is proof enough, so that no password is asked after it --- */

static enum lb_outcome prove(struct visit *v, int argc, const char **argv)
{
    enum lb_outcome outcome = LB_OUTCOME_NOT_OURS;

    if (lb_login_is_proven(v->pamh) && enter(v, argc, argv, &outcome))
        outcome = LB_OUTCOME_PROVEN;
    return outcome;
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    VISIT(v, pamh);
    enum lb_outcome outcome = prove(&v, argc, argv);

    (void)flags;
    return report(&v, outcome); /* nothing is said here: the conversation is account's */
}

/* Takes the turn that auth took; never denies. */
int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    VISIT(v, pamh);

    (void)flags;
    return prove(&v, argc, argv) == LB_OUTCOME_PROVEN ? PAM_SUCCESS : PAM_IGNORE;
}

/* --- account: the gate --- */

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    VISIT(v, pamh);
    enum lb_outcome outcome = LB_OUTCOME_DENIED;

    (void)flags;
    if (arrive(&v, argc, argv, &outcome))
        outcome = lb_conversation_hold(pamh, &v.args, v.client, v.login, &v.reply);
    /* What is allowed is said once, by session: sshd would show it twice from here, and to scp as well. */
    return outcome == LB_OUTCOME_ALLOWED ? report(&v, outcome) : leave(&v, outcome);
}

/* --- session: decided again, now that the kernel knows the session --- */

static void free_data(pam_handle_t *pamh, void *data, int status)
{
    (void)pamh;
    (void)status;
    free(data);
}

/* Leaves pam_systemd the ceiling of the session's life, and the session its request's ID. */
static enum lb_outcome hand_on(struct visit *v)
{
    char text[128];
    char *ceiling;

    if (v->reply.remaining >= 0) {
        snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)v->reply.remaining + CEILING_SLACK_S);
        ceiling = strdup(text);
        if (!ceiling || pam_set_data(v->pamh, "systemd.runtime_max_sec", ceiling, free_data) != PAM_SUCCESS) {
            free(ceiling);
            return LB_OUTCOME_MEMORY;
        }
    }
    if (!v->reply.request)
        return LB_OUTCOME_ALLOWED;
    snprintf(text, sizeof(text), "LOCKBOX_REQUEST=%s", v->reply.request);
    return pam_putenv(v->pamh, text) == PAM_SUCCESS ? LB_OUTCOME_ALLOWED : LB_OUTCOME_MEMORY;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    VISIT(v, pamh);
    enum lb_outcome outcome = LB_OUTCOME_DENIED;

    if (arrive(&v, argc, argv, &outcome))
        outcome = lb_outcome_get(v.client, "org.lockbox.Login.Open", json_pack("{s:O}", "login", v.login),
                                 LB_ANSWER_WITHIN_MS, &v.reply);
    if (outcome == LB_OUTCOME_ALLOWED)
        outcome = hand_on(&v);
    v.args.quiet = v.args.quiet || flags & PAM_SILENT;
    v.mute = lb_streq(lb_login_item(pamh, PAM_SERVICE), "polkit-1"); /* whatever is said to it, pkexec aborts */
    return leave(&v, outcome);
}

/* The daemon sees the leader go in any case; this only tells it sooner. */
int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    VISIT(v, pamh);
    LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = {};
    enum lb_outcome outcome = LB_OUTCOME_CLOSED;

    (void)flags;
    if (!enter(&v, argc, argv, &outcome))
        return outcome == LB_OUTCOME_NOT_OURS ? PAM_IGNORE : PAM_SUCCESS;
    if (lb_client_open(v.args.socket, CLOSE_TIMEOUT_MS, &v.client) == 0)
        lb_client_call(v.client, "org.lockbox.Login.Close", NULL, CLOSE_TIMEOUT_MS, &reply);
    return leave(&v, LB_OUTCOME_CLOSED);
}
