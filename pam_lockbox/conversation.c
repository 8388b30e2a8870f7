/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prompts are ECHO_ON only: sshd answers an ECHO_OFF prompt with the password by itself, and an ECHO_ON prompt with
 * PAM_CONV_ERR where nobody can be asked. That, and not PAM_SILENT (which sudo always sets), says that nobody can.
 *
 * An sshd before 10.3 shows text only with the next prompt, so a wait that has something to say comes back to one.
 */
#include "pam_lockbox/conversation.h"

#include <security/pam_ext.h>
#include <stdio.h>
#include <time.h>

#include "pam_lockbox/login.h"
#include "policy/base.h"
#include "policy/terms.h"

#define ROUNDS 5          /* of questions: an answer that is wrong is asked for again */
#define LAST_WORD_MS 1000 /* for a decision that was made while the person left the prompt alone */
#define TYPED_MAX 512     /* bytes: what PAM says a prompt may take */

struct conversation {
    pam_handle_t *pamh;
    const struct lb_args *args;
    struct lb_client *client;
    json_t *login;
    char *ticket, *reason, *duration; /* what was typed */
    int64_t until;                    /* boot time, ms */
    struct lb_reply *reply;
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* What a terminal sent, as bytes that can travel: short, one line, UTF-8. */
static void tidy(char *text)
{
    size_t n = strnlen(text, TYPED_MAX);
    json_t *probe;

    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) /* not inside a character */
        n--;
    text[n] = '\0';
    lb_outcome_clean(text);
    probe = json_string(text);
    for (char *c = text; !probe && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    json_decref(probe);
}

void lb_conversation_show(pam_handle_t *pamh, int style, const char *text)
{
    if (text && *text)
        pam_prompt(pamh, style, NULL, "%s", text);
}

static void inform(const struct conversation *c, const char *text)
{
    if (!c->args->quiet)
        lb_conversation_show(c->pamh, PAM_TEXT_INFO, text);
}

/* False if nobody can be asked. */
static bool prompt(const struct conversation *c, const char *question, char **ret)
{
    char *typed = NULL;

    if (pam_prompt(c->pamh, PAM_PROMPT_ECHO_ON, &typed, "%s", question) != PAM_SUCCESS || !typed) {
        free(typed);
        return false;
    }
    tidy(typed);
    free(*ret);
    *ret = typed;
    return true;
}

static enum lb_outcome begin(struct conversation *c, bool silent)
{
    json_t *parameters = json_pack("{s:O, s:s*, s:s*, s:s*, s:b}", "login", c->login, "ticket", c->ticket, "reason",
                                   c->reason, "for", c->duration, "silent", silent);

    return lb_outcome_get(c->client, "org.lockbox.Login.Begin", parameters, LB_ANSWER_WITHIN_MS, c->reply);
}

static bool ask(struct conversation *c)
{
    char question[64];

    inform(c, c->reply->message);
    if (c->reply->ask.ticket != LB_NEED_NO && !prompt(c, "Ticket: ", &c->ticket))
        return false;
    if (c->reply->ask.reason != LB_NEED_NO && !prompt(c, "Reason: ", &c->reason))
        return false;
    if (lb_streq(c->reply->ask.duration, ""))
        return true;
    snprintf(question, sizeof(question), "For how long [%s]: ", c->reply->ask.duration);
    return prompt(c, question, &c->duration);
}

/* With nothing left of the time it still listens for a moment, and says what was typed. */
static enum lb_outcome wait_on(struct conversation *c, const char *text)
{
    int64_t left = c->until - now_ms();
    int columns = lb_login_columns(c->pamh);
    json_t *parameters =
        json_pack("{s:s, s:s, s:I}", "request", c->reply->request, "text", text, "seen", (json_int_t)c->reply->seen);

    if (parameters && columns > 0)
        json_object_set_new(parameters, "columns", json_integer(columns));
    return lb_outcome_get(c->client, "org.lockbox.Login.Wait", parameters,
                          left < LAST_WORD_MS ? LAST_WORD_MS : (int)left, c->reply);
}

static enum lb_outcome await(struct conversation *c)
{
    LB_FREE char *typed = NULL;
    enum lb_outcome outcome = LB_OUTCOME_WAITING;

    while (outcome == LB_OUTCOME_WAITING && now_ms() < c->until) {
        if (typed && *typed) /* this has been asked for */
            lb_conversation_show(c->pamh, PAM_TEXT_INFO, c->reply->message);
        else
            inform(c, c->reply->message);
        if (!prompt(c, "Press Enter to wait: ", &typed))
            return begin(c, true);
        outcome = wait_on(c, typed);
        if (outcome == LB_OUTCOME_TIMEOUT) /* the time is over, not the request */
            return LB_OUTCOME_WAITING;
        if (outcome == LB_OUTCOME_HANG_UP)
            return LB_OUTCOME_LOST;
    }
    return outcome;
}

static enum lb_outcome hold(struct conversation *c)
{
    enum lb_outcome outcome = begin(c, false);

    for (int round = 0; outcome == LB_OUTCOME_ASK && round < ROUNDS; round++)
        outcome = begin(c, !ask(c));
    return outcome == LB_OUTCOME_WAITING ? await(c) : outcome;
}

enum lb_outcome lb_conversation_hold(pam_handle_t *pamh, const struct lb_args *args, struct lb_client *client,
                                     json_t *login, struct lb_reply *reply)
{
    struct conversation c = { .pamh = pamh, .args = args, .client = client, .login = login, .reply = reply };
    enum lb_outcome outcome;

    c.until = now_ms() - lb_login_age_ms(pamh) + args->wait_ms;
    outcome = hold(&c);
    free(c.ticket);
    free(c.reason);
    free(c.duration);
    return outcome;
}
