/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/deadline.h"

/* An approval may wait for the disk; a person waits no longer than this for an answer. */
#define CALL_MS 30000

int lb_ctl_fail(const struct lb_ctl *ctl, int status, const char *format, ...)
{
    LB_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    fflush(ctl->out.out);
    fprintf(ctl->err.out, "%slockboxctl: ", status ? lb_terminal_colour(&ctl->err, LB_COLOUR_RED) : "");
    lb_terminal_write(&ctl->err, text ? text : "out of memory");
    fprintf(ctl->err.out, "%s\n", lb_terminal_colour(&ctl->err, LB_COLOUR_NONE));
    return status;
}

int lb_ctl_lost(const struct lb_ctl *ctl, int r)
{
    static const struct {
        int error, status;
        const char *text;
    } losses[] = {
        { -ENOENT, LB_EXIT_NO_DAEMON, "lockboxd is not running: systemctl start lockboxd" },
        { -ECONNREFUSED, LB_EXIT_NO_DAEMON, "lockboxd is not running: systemctl start lockboxd" },
        { -EPERM, LB_EXIT_NO_DAEMON, "who listens on the socket is not lockboxd, so nothing was asked: ss -xlp" },
        { -EACCES, LB_EXIT_NO_DAEMON, "you may not open the socket: it should have mode 0666, its directory 0755" },
        { -ETIMEDOUT, LB_EXIT_NO_DAEMON, "lockboxd does not answer: systemctl status lockboxd" },
        { -EBADMSG, LB_EXIT_NO_DAEMON, "lockboxd answers with nonsense, is it of another version? lockboxd --version" },
        { -EMSGSIZE, LB_EXIT_FAILED, "the answer is too long: ask for less, for example with --since" },
        { -ENOMEM, LB_EXIT_FAILED, "out of memory" },
    };

    for (size_t i = 0; i < LB_ELEMENTS(losses); i++)
        if (losses[i].error == r)
            return lb_ctl_fail(ctl, losses[i].status, "%s", losses[i].text);
    return lb_ctl_fail(ctl, LB_EXIT_NO_DAEMON, "the connection to lockboxd broke (%s): systemctl status lockboxd",
                       strerrordesc_np(-r));
}

int lb_ctl_refused(const struct lb_ctl *ctl, const char *error, const json_t *parameters)
{
    static const struct {
        const char *error; /* how it ends: Access and Audit have the same */
        int status;
        const char *text, *parameter, *next;
        enum { NOTHING, ID, VERB } about; /* what is named behind `next` */
    } refusals[] = {
        { ".NoSuchRequest", LB_EXIT_NO_REQUEST, "there is no request that you may see called ", "id",
          "; those that there are: lockboxctl list --all" },
        { ".NotPermitted", LB_EXIT_NOT_PERMITTED, "not permitted: ", "reason", "" },
        { ".NotPossible", LB_EXIT_FAILED, "not possible now: ", "reason", "; look with: lockboxctl show ", ID },
        { "service.InvalidParameter", LB_EXIT_FAILED, "lockboxd does not take this for ", "parameter",
          "; see: lockboxctl ", VERB },
        { ".InvalidParameter", LB_EXIT_FAILED, "refused: ", "reason", "; see: lockboxctl ", VERB },
        { ".Unavailable", LB_EXIT_FAILED, "lockboxd cannot do it now: ", "reason", "; see: lockboxctl status" },
    };

    for (size_t i = 0; i < LB_ELEMENTS(refusals); i++) {
        size_t n = strlen(error), end = strlen(refusals[i].error);
        if (n >= end && strcmp(error + n - end, refusals[i].error) == 0)
            return lb_ctl_fail(ctl, refusals[i].status, "%s%s%s%s%s", refusals[i].text,
                               lb_ctl_string(parameters, refusals[i].parameter), refusals[i].next,
                               refusals[i].about == VERB ? ctl->verb->name
                               : refusals[i].about == ID ? (*ctl->id ? ctl->id : "ID") : "",
                               refusals[i].about == VERB ? " --help" : "");
    }
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "lockboxd answers %s, is it of another version? lockboxd --version", error);
}

int lb_ctl_call(const struct lb_ctl *ctl, const char *method, json_t *parameters, json_t **ret)
{
    LB_JSON json_t *owned = parameters;
    LB_CLIENT struct lb_client *client = NULL;
    LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };
    int r = 0;

    if (!parameters)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "an argument is not valid UTF-8; type it in a UTF-8 terminal");
    r = lb_client_open(ctl->options[LB_OPTION_SOCKET], LB_CTL_CONNECT_MS, &client);
    if (r >= 0)
        r = lb_client_call(client, method, owned, CALL_MS, &reply);
    if (r < 0)
        return lb_ctl_lost(ctl, r);
    if (reply.error)
        return lb_ctl_refused(ctl, reply.error, reply.parameters);
    *ret = LB_TAKE(reply.parameters);
    return LB_EXIT_DONE;
}

int lb_ctl_pages(const struct lb_ctl *ctl, int64_t since, const char *request, lb_ctl_page *page, void *userdata)
{
    int r = LB_EXIT_DONE;

    while (r == LB_EXIT_DONE && since) {
        LB_JSON json_t *reply = NULL;

        r = lb_ctl_call(ctl, LB_AUDIT "Events",
                        json_pack("{s:I, s:s*}", "since", (json_int_t)since, "request", request), &reply);
        if (r == LB_EXIT_DONE)
            r = page(ctl, json_object_get(reply, "events"), userdata);
        since = lb_ctl_int(reply, "next");
    }
    return r;
}

int lb_ctl_get(const struct lb_ctl *ctl, json_t **ret)
{
    LB_JSON json_t *reply = NULL;
    int r = lb_ctl_call(ctl, LB_ACCESS "Get", json_pack("{s:s}", "id", ctl->id), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    *ret = json_incref(json_object_get(reply, "request"));
    return *ret ? LB_EXIT_DONE : lb_ctl_lost(ctl, -EBADMSG);
}

const char *lb_ctl_string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

int64_t lb_ctl_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

int64_t lb_ctl_time(const json_t *object, const char *key)
{
    int64_t usec = 0;

    return lb_human_time_parse(lb_ctl_string(object, key), 0, &usec) < 0 ? 0 : usec;
}

void lb_ctl_print_json(const struct lb_ctl *ctl, const json_t *value)
{
    /* On a terminal nothing but ASCII: what is in the strings is not to play with it. */
    size_t flags = JSON_COMPACT | JSON_SORT_KEYS | (ctl->out.width ? JSON_ENSURE_ASCII : 0);

    json_dumpf(value, ctl->out.out, flags);
    fputc('\n', ctl->out.out);
}

int64_t lb_ctl_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * LB_USEC_PER_SEC + now.tv_nsec / 1000;
}
