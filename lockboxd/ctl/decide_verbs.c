/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The approver's verbs: yes, no, freeze, beforehand, seen, and words to the engineer. */
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"

/* What comes next, where this yes alone has let nobody in. */
static const char *after_approval(const struct lb_ctl *ctl, const json_t *request, char *buf)
{
    const json_t *approvals = json_object_get(request, "approvals");
    const json_t *last = json_array_get(approvals, json_array_size(approvals) - 1);
    bool waiting = lb_show_is_one_of(lb_ctl_string(request, "state"), "review pending");
    char votes[LB_SHOW_VOTES_MAX];

    if (!waiting)
        return lb_act_period(ctl, request, buf);
    if (strcmp(lb_ctl_string(last, "stage"), lb_ctl_string(request, "stage")) != 0)
        return strcpy(buf, "; the customer decides now");
    lb_show_votes(request, votes);
    snprintf(buf, LB_ACT_PERIOD_MAX, "%s%s; more are needed", *votes ? ", " : "", votes);
    return buf;
}

void lb_act_say_decision(const struct lb_ctl *ctl, const json_t *request)
{
    const json_t *approvals = json_object_get(request, "approvals");
    const json_t *last = json_array_get(approvals, json_array_size(approvals) - 1);
    bool yes = strcmp(lb_ctl_string(last, "decision"), "deny") != 0;
    char rest[LB_ACT_PERIOD_MAX];

    lb_act_say_done(ctl, yes ? "Approved" : "Denied", request, yes ? after_approval(ctl, request, rest) : "");
}

/* Without --sign the approver is who calls. */
static int check_sign(const struct lb_ctl *ctl)
{
    if (!ctl->options[LB_OPTION_APPROVER] || ctl->options[LB_OPTION_SIGN])
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_USAGE, "a decision in the name of --approver is signed: --sign KEY");
}

int verb_approve(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    json_t *parameters = NULL;
    int r = check_sign(ctl);

    if (r != LB_EXIT_DONE || ctl->options[LB_OPTION_SIGN])
        return r != LB_EXIT_DONE ? r : lb_sign_decision(ctl, "approve");
    parameters = json_pack("{s:s, s:s*}", "id", ctl->id, "note", ctl->options[LB_OPTION_NOTE]);
    r = lb_act_with_times(ctl, parameters, &parameters);
    if (r == LB_EXIT_DONE)
        r = lb_act(ctl, LB_ACCESS "Approve", parameters, &request);
    if (r == LB_EXIT_DONE)
        lb_act_say_decision(ctl, request);
    return r;
}

int verb_deny(struct lb_ctl *ctl)
{
    int r = check_sign(ctl);

    if (r != LB_EXIT_DONE || ctl->options[LB_OPTION_SIGN])
        return r != LB_EXIT_DONE ? r : lb_sign_decision(ctl, "deny");
    return lb_act_once(ctl, LB_ACCESS "Deny", ctl->options[LB_OPTION_NOTE], "Denied", "");
}

int verb_pause(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    bool hold = ctl->options[LB_OPTION_HOLD];
    json_t *parameters = NULL;
    char rest[LB_ACT_PERIOD_MAX], time[LB_HUMAN_MAX];
    int r;

    if (ctl->options[LB_OPTION_FOR] && !hold)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "a pause lasts until the access ends; a time for it goes with --hold");
    parameters = json_pack("{s:s, s:s*, s:b}", "id", ctl->id, "note", ctl->options[LB_OPTION_NOTE], "hold", hold);
    r = lb_act_with_times(ctl, parameters, &parameters);
    if (r == LB_EXIT_DONE)
        r = lb_act(ctl, LB_ACCESS "Pause", parameters, &request);
    if (r != LB_EXIT_DONE)
        return r;
    lb_human_moment(lb_ctl_time(request, "not_after"), ctl->now, time);
    snprintf(rest, sizeof(rest), "; %s %s if it is not resumed",
             hold ? "its time stands still, and it ends" : "it ends", time);
    lb_act_say_done(ctl, "Paused", request, rest);
    return LB_EXIT_DONE;
}

int verb_resume(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    json_t *parameters = json_pack("{s:s, s:s*}", "id", ctl->id, "note", ctl->options[LB_OPTION_NOTE]);
    char rest[LB_ACT_PERIOD_MAX], time[LB_HUMAN_MAX];
    int r = lb_act(ctl, LB_ACCESS "Resume", parameters, &request);

    if (r != LB_EXIT_DONE)
        return r;
    snprintf(rest, sizeof(rest), "; it ends %s", lb_human_moment(lb_ctl_time(request, "not_after"), ctl->now, time));
    lb_act_say_done(ctl, "Resumed", request, rest);
    return LB_EXIT_DONE;
}

int verb_ask(struct lb_ctl *ctl)
{
    return lb_act_once(ctl, LB_ACCESS "Ask", ctl->text, "Asked about", "");
}

int verb_acknowledge(struct lb_ctl *ctl)
{
    return lb_act_once(ctl, LB_ACCESS "Acknowledge", ctl->options[LB_OPTION_NOTE], "Acknowledged",
                       "; the next request for the account is taken again");
}

/* Who, where, why and how long stand in the options already: nobody is asked again. */
int verb_grant(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    json_t *parameters =
        json_pack("{s:s, s:s, s:s*, s:s*}", "account", ctl->options[LB_OPTION_ACCOUNT], "ticket",
                  ctl->options[LB_OPTION_TICKET], "scope", ctl->options[LB_OPTION_SCOPE], "note",
                  ctl->options[LB_OPTION_NOTE]);
    char rest[LB_ACT_PERIOD_MAX];
    int r = lb_act_with_times(ctl, parameters, &parameters);

    if (r == LB_EXIT_DONE)
        r = lb_act(ctl, LB_ACCESS "Grant", parameters, &request);
    if (r == LB_EXIT_DONE)
        lb_act_say_done(ctl, "Opened", request, lb_act_period(ctl, request, rest));
    return r;
}
