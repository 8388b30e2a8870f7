/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/deadline.h"

void lb_act_say(const struct lb_ctl *ctl, const char *format, ...)
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

int lb_act(struct lb_ctl *ctl, const char *method, json_t *parameters, json_t **ret)
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

void lb_act_say_done(const struct lb_ctl *ctl, const char *done, const json_t *request, const char *rest)
{
    bool window = lb_show_is_window(request);

    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, request);
    lb_act_say(ctl, "%s %s: %s%s on %s@%s%s.", done, ctl->id, window ? "whoever comes with the ticket " : "",
               lb_ctl_string(request, window ? "ticket" : "engineer"), lb_ctl_string(request, "account"),
               lb_ctl_string(request, "host"), rest);
}

int lb_act_once(struct lb_ctl *ctl, const char *method, const char *note, const char *done, const char *rest)
{
    LB_JSON json_t *request = NULL;
    int r = lb_act(ctl, method, json_pack("{s:s, s:s*}", "id", ctl->id, "note", note), &request);

    if (r == LB_EXIT_DONE)
        lb_act_say_done(ctl, done, request, rest);
    return r;
}

/* When a window closes: its clock runs from the moment at which it opens. */
static int64_t end_of(const json_t *request)
{
    int64_t from = lb_ctl_time(request, "not_before"), end = lb_ctl_time(request, "not_after");
    int64_t usec = 0;

    if (end || !lb_show_is_window(request) || !from ||
        __builtin_mul_overflow(lb_ctl_int(request, "duration"), LB_USEC_PER_SEC, &usec) ||
        __builtin_add_overflow(from, usec, &end))
        return lb_ctl_time(request, "not_after");
    return end;
}

/* What is known of its times, in the order in which they come. */
const char *lb_act_period(const struct lb_ctl *ctl, const json_t *request, char *buf)
{
    char span[LB_SHOW_DURATION_MAX], time[LB_HUMAN_MAX];
    int64_t begins = lb_ctl_time(request, "not_before"), ends = end_of(request);
    int64_t use_by = lb_ctl_time(request, "use_by");
    int n = snprintf(buf, LB_ACT_PERIOD_MAX, " for %s", lb_show_duration(request, span));
    bool to_come = begins > ctl->now && !lb_ctl_time(request, "not_after");

    if (*lb_ctl_string(request, "extends"))
        n += snprintf(buf + n, LB_ACT_PERIOD_MAX - (size_t)n, " of %.16s", lb_ctl_string(request, "extends"));
    else if (to_come)
        n += snprintf(buf + n, LB_ACT_PERIOD_MAX - (size_t)n, ", begins %s", lb_human_time(begins, ctl->now, time));
    else if (!ends && use_by)
        snprintf(buf + n, LB_ACT_PERIOD_MAX - (size_t)n, " from the first login, to be used by %s",
                 lb_human_time(use_by, ctl->now, time));
    if (ends)
        snprintf(buf + n, LB_ACT_PERIOD_MAX - (size_t)n, "%s%s", to_come ? ", ends " : ", until ",
                 lb_human_time(ends, ctl->now, time));
    return buf;
}

int lb_act_with_times(const struct lb_ctl *ctl, json_t *parameters, json_t **ret)
{
    LB_JSON json_t *owned = parameters;
    int64_t seconds = 0, from = 0;
    char text[LB_HUMAN_MAX];
    int r = lb_ctl_option_span(ctl, &seconds);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_option_from(ctl, &from);
    if (r != LB_EXIT_DONE)
        return r;
    if (owned && seconds)
        json_object_set_new(owned, "for", json_integer(seconds));
    if (owned && from)
        json_object_set_new(owned, "from", json_string(lb_human_rfc3339(from, text)));
    *ret = LB_TAKE(owned);
    return LB_EXIT_DONE;
}
