/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engineer's verbs, and what ends an access. */
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"

/* How long a person watches the end of an access; it goes on without him. */
#define END_MS 5000

int verb_withdraw(struct lb_ctl *ctl)
{
    return lb_act_once(ctl, LB_ACCESS "Withdraw", NULL, "Taken back", "");
}

int verb_answer(struct lb_ctl *ctl)
{
    return lb_act_once(ctl, LB_ACCESS "Answer", ctl->text, "Answered about", "");
}

/* Ends an access and stays for the receipt. */
static int end(struct lb_ctl *ctl, const char *method, json_t *parameters, const char *done)
{
    LB_JSON json_t *request = NULL, *after = NULL;
    char receipt[LB_SHOW_RECEIPT_MAX];
    int r = lb_act(ctl, method, parameters, &request);

    if (r != LB_EXIT_DONE)
        return r;
    /* First of all: who revokes from elsewhere reads it at once. Who hands back his own access may not read even
     * this. */
    if (!ctl->options[LB_OPTION_JSON])
        lb_act_say_done(ctl, done, request, "; everything in its sessions ends now");
    r = lb_ctl_await(ctl, "ending", END_MS, &after);
    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, after);
    lb_show_receipt(after, receipt);
    if (!*receipt)
        lb_act_say(ctl, "It has not ended yet; look with: lockboxctl show %s", ctl->id);
    else
        lb_act_say(ctl, "%s.", receipt);
    return LB_EXIT_DONE;
}

int verb_revoke(struct lb_ctl *ctl)
{
    return end(ctl, LB_ACCESS "Revoke", json_pack("{s:s, s:s*}", "id", ctl->id, "note", ctl->options[LB_OPTION_NOTE]),
               "Revoked");
}

int verb_done(struct lb_ctl *ctl)
{
    return end(ctl, LB_ACCESS "Done", json_pack("{s:s}", "id", ctl->id), "Handed back");
}

/* " by bob: not today": a request that waits has at most been agreed to, so the last word is the one that closed it. */
static char *refusal(const json_t *request)
{
    const json_t *approvals = json_object_get(request, "approvals");
    const json_t *last = json_array_get(approvals, json_array_size(approvals) - 1);
    const char *note = lb_ctl_string(last, "note");
    char *text = NULL;

    if (!lb_show_is_one_of(lb_ctl_string(request, "state"), "denied") ||
        asprintf(&text, " by %s%s%s", lb_ctl_string(last, "approver"), *note ? ": " : "", note) < 0)
        return NULL;
    return text;
}

/* What the answer means for the engineer, who may sit in a session already. */
static void say_next(const struct lb_ctl *ctl, const json_t *request, bool access)
{
    const char *scope = lb_ctl_string(request, "scope");
    bool later = lb_ctl_time(request, "not_before") > ctl->now;

    if (!access)
        lb_act_say(ctl, "What you have already is as it was. To ask again: lockboxctl request");
    else if (strcmp(scope, "login") == 0)
        lb_act_say(ctl, "Log in %s: you are not asked again.", later ? "then" : "now");
    else
        lb_act_say(ctl, "What needs the scope %s%s lets you in %s.", scope,
                   strcmp(scope, "root") == 0 ? " (sudo, su, pkexec)" : "", later ? "then" : "now");
}

/* Until somebody has decided. Access is success, anything else is not. */
static int wait(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    LB_FREE char *refused = NULL;
    char rest[LB_ACT_PERIOD_MAX];
    int r = LB_EXIT_DONE;
    bool access = false;

    lb_act_say(ctl, "Waiting for a decision; Ctrl-C ends the waiting, not the request.");
    r = lb_ctl_await(ctl, "review pending", -1, &request);
    if (r != LB_EXIT_DONE)
        return r;
    access = lb_show_is_one_of(lb_ctl_string(request, "state"), "approved active paused");
    ctl->now = lb_ctl_now();
    refused = refusal(request);
    lb_act_say_done(ctl, lb_show_state(request), request,
                    access ? lb_act_period(ctl, request, rest) : refused ? refused : "");
    say_next(ctl, request, access);
    return access ? LB_EXIT_DONE : LB_EXIT_FAILED;
}

/* ", to be decided by today 22:00 (in 4h)", or the times that have been given already. */
static const char *outlook(const struct lb_ctl *ctl, const json_t *request, bool waiting, char *buf)
{
    int64_t decide_by = lb_ctl_time(request, "decide_by");
    char moment[LB_HUMAN_MAX];

    if (!waiting)
        return lb_act_period(ctl, request, buf);
    if (!decide_by)
        return strcpy(buf, "");
    snprintf(buf, LB_ACT_PERIOD_MAX, ", to be decided by %s", lb_human_moment(decide_by, ctl->now, moment));
    return buf;
}

/* What became of the one before it, and what was said about this one: who asks again gets the one that there is. */
static void say_earlier(const struct lb_ctl *ctl, const json_t *request)
{
    const char *previous = lb_ctl_string(request, "previous");
    const json_t *message = NULL;
    size_t i = 0;

    if (*previous)
        lb_act_say(ctl, "Previous: %s", previous);
    json_array_foreach (json_object_get(request, "messages"), i, message)
        lb_act_say(ctl, "%s: %s", lb_ctl_string(message, "from"), lb_ctl_string(message, "text"));
}

static void say_asked(const struct lb_ctl *ctl, const json_t *request)
{
    bool waiting = lb_show_is_one_of(lb_ctl_string(request, "state"), "review pending");
    char rest[LB_ACT_PERIOD_MAX];

    lb_act_say_done(ctl, waiting ? "Asked" : lb_show_state(request), request, outlook(ctl, request, waiting, rest));
    say_earlier(ctl, request);
}

int verb_request(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    json_t *parameters = json_pack("{s:s*, s:s*, s:s*}", "ticket", ctl->options[LB_OPTION_TICKET], "reason",
                                   ctl->options[LB_OPTION_REASON], "scope", ctl->options[LB_OPTION_SCOPE]);
    int r = lb_act_with_times(ctl, parameters, &parameters);

    if (r == LB_EXIT_DONE)
        r = lb_act(ctl, LB_ACCESS "Request", parameters, &request);
    if (r != LB_EXIT_DONE)
        return r;
    if (!ctl->options[LB_OPTION_WAIT] || !ctl->options[LB_OPTION_JSON])
        say_asked(ctl, request);
    return ctl->options[LB_OPTION_WAIT] ? wait(ctl) : LB_EXIT_DONE;
}

/* A request of its own, linked to the access: refused, it changes nothing. */
int verb_extend(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    json_t *parameters = json_pack("{s:s, s:s*}", "id", ctl->id, "reason", ctl->options[LB_OPTION_REASON]);
    int r = lb_act_with_times(ctl, parameters, &parameters);

    if (r == LB_EXIT_DONE)
        r = lb_act(ctl, LB_ACCESS "Extend", parameters, &request);
    if (r == LB_EXIT_DONE)
        say_asked(ctl, request);
    return r;
}
