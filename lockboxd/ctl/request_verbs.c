/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/span.h"

/* How long a person watches the end of an access; it goes on without him. */
#define END_MS 5000

static void say(const struct lb_ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line for a person; a program that asked for JSON gets the request alone. */
static void say(const struct lb_ctl *ctl, const char *format, ...)
{
    LB_FREE char *text = NULL;
    va_list args;

    if (ctl->options[LB_OPTION_JSON])
        return;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    lb_terminal_write(&ctl->out, text);
    fputc('\n', ctl->out.out);
    fflush(ctl->out.out);
}

/* Calls a method that answers with the request. What the daemon has to say besides goes to standard error, where it is
 * seen also when the answer goes into a program. */
static int act(struct lb_ctl *ctl, const char *method, json_t *parameters, json_t **ret)
{
    LB_JSON json_t *reply = NULL;
    const char *message = NULL;
    int r = lb_ctl_call(ctl, method, parameters, &reply);

    if (r != LB_EXIT_DONE)
        return r;
    message = lb_ctl_string(reply, "message");
    if (*message)
        lb_ctl_fail(ctl, 0, "%s", message);
    *ret = json_incref(json_object_get(reply, "request"));
    lb_id_format(lb_ctl_string(*ret, "id"), ctl->id);
    return LB_EXIT_DONE;
}

/* The last word: the request as JSON, or what was done to whom and where. */
static void say_done(const struct lb_ctl *ctl, const char *done, const json_t *request, const char *rest)
{
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, request);
    say(ctl, "%s %s: %s on %s@%s%s.", done, ctl->id, lb_ctl_string(request, "engineer"),
        lb_ctl_string(request, "account"), lb_ctl_string(request, "host"), rest);
}

/* " for 4h, until today 22:00", or where the clock starts at the first login, " for 4h, to be used by …" */
static const char *period(const struct lb_ctl *ctl, const json_t *request, char *buf, size_t size)
{
    char span[LB_SPAN_MAX], time[LB_HUMAN_MAX] = "";
    bool begun = lb_ctl_time(request, "not_after");
    int64_t end = lb_ctl_time(request, begun ? "not_after" : "use_by");

    if (end)
        lb_human_time(end, ctl->now, time);
    snprintf(buf, size, " for %s%s%s", lb_show_duration(request, span),
             !end    ? ""
             : begun ? ", until "
                     : " from the first login, to be used by ",
             time);
    return buf;
}

static json_t *with_note(const struct lb_ctl *ctl)
{
    return json_pack("{s:s, s:s*}", "id", ctl->id, "note", ctl->options[LB_OPTION_NOTE]);
}

static json_t *with_span(json_t *parameters, int64_t seconds)
{
    if (parameters && seconds)
        json_object_set_new(parameters, "for", json_integer(seconds));
    return parameters;
}

int verb_approve(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    char rest[160];
    int64_t seconds = 0;
    int r = lb_ctl_option_span(ctl, &seconds);

    if (r != LB_EXIT_DONE)
        return r;
    r = act(ctl, LB_ACCESS "Approve", with_span(with_note(ctl), seconds), &request);
    if (r == LB_EXIT_DONE)
        say_done(ctl, "Approved", request, period(ctl, request, rest, sizeof(rest)));
    return r;
}

int verb_deny(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    int r = act(ctl, LB_ACCESS "Deny", with_note(ctl), &request);

    if (r == LB_EXIT_DONE)
        say_done(ctl, "Denied", request, "");
    return r;
}

int verb_withdraw(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    int r = act(ctl, LB_ACCESS "Withdraw", json_pack("{s:s}", "id", ctl->id), &request);

    if (r == LB_EXIT_DONE)
        say_done(ctl, "Taken back", request, "");
    return r;
}

/* Ends an access and stays for the receipt. */
static int end(struct lb_ctl *ctl, const char *method, json_t *parameters, const char *done)
{
    LB_JSON json_t *request = NULL, *after = NULL;
    char receipt[LB_SHOW_RECEIPT_MAX];
    int r = act(ctl, method, parameters, &request);

    if (r != LB_EXIT_DONE)
        return r;
    /* First of all: who revokes from elsewhere reads it at once. Who hands back his own access may not read even this. */
    if (!ctl->options[LB_OPTION_JSON])
        say_done(ctl, done, request, "; everything in its sessions ends now");
    r = lb_ctl_await(ctl, "ending", END_MS, &after);
    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, after);
    lb_show_receipt(after, receipt);
    if (!*receipt)
        say(ctl, "It has not ended yet; look with: lockboxctl show %s", ctl->id);
    else
        say(ctl, "%s.", receipt);
    return LB_EXIT_DONE;
}

int verb_revoke(struct lb_ctl *ctl)
{
    return end(ctl, LB_ACCESS "Revoke", with_note(ctl), "Revoked");
}

int verb_done(struct lb_ctl *ctl)
{
    return end(ctl, LB_ACCESS "Done", json_pack("{s:s}", "id", ctl->id), "Handed back");
}

/* Until somebody has decided. Access is success, anything else is not. */
static int wait(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    char rest[160];
    int r = LB_EXIT_DONE;
    bool access = false;

    say(ctl, "Waiting for a decision; Ctrl-C ends the waiting, not the request.");
    r = lb_ctl_await(ctl, "review pending", -1, &request);
    if (r != LB_EXIT_DONE)
        return r;
    access = lb_show_is_one_of(lb_ctl_string(request, "state"), "approved active paused");
    ctl->now = lb_ctl_now();
    say_done(ctl, lb_show_state(request), request, access ? period(ctl, request, rest, sizeof(rest)) : "");
    return access ? LB_EXIT_DONE : LB_EXIT_FAILED;
}

int verb_request(struct lb_ctl *ctl)
{
    LB_JSON json_t *request = NULL;
    json_t *parameters = NULL;
    char decide_by[LB_HUMAN_MAX], rest[160] = "";
    bool waiting = false;
    int64_t seconds = 0;
    int r = lb_ctl_option_span(ctl, &seconds);

    if (r != LB_EXIT_DONE)
        return r;
    parameters = with_span(json_pack("{s:s*, s:s*, s:s*}", "ticket", ctl->options[LB_OPTION_TICKET], "reason",
                                     ctl->options[LB_OPTION_REASON], "scope", ctl->options[LB_OPTION_SCOPE]),
                           seconds);
    r = act(ctl, LB_ACCESS "Request", parameters, &request);
    if (r != LB_EXIT_DONE)
        return r;
    waiting = lb_show_is_one_of(lb_ctl_string(request, "state"), "review pending");
    if (!waiting)
        period(ctl, request, rest, sizeof(rest));
    else if (lb_ctl_time(request, "decide_by"))
        snprintf(rest, sizeof(rest), ", to be decided by %.60s",
                 lb_human_moment(lb_ctl_time(request, "decide_by"), ctl->now, decide_by));
    if (!ctl->options[LB_OPTION_WAIT] || !ctl->options[LB_OPTION_JSON])
        say_done(ctl, waiting ? "Asked" : lb_show_state(request), request, rest);
    return ctl->options[LB_OPTION_WAIT] ? wait(ctl) : LB_EXIT_DONE;
}
