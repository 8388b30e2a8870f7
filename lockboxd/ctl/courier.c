/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxctl courier: how those are told who are not there. It has a daemon, a user and a socket of its own. */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"

#define COURIER "org.lockbox.Courier."
#define ACCOUNT "lockbox-courier"
#define CALL_MS 10000
#define TEST_MS 90000

/* Whom the socket's other end has to be. Without such an account: root, or who asks. */
static uid_t expected(void)
{
    const struct passwd *pw = getpwnam(ACCOUNT);

    return pw ? pw->pw_uid : 0;
}

static int open_courier(const struct lb_ctl *ctl, struct lb_client **ret)
{
    const char *path = ctl->options[LB_OPTION_COURIER_SOCKET];

    return lb_client_open_as(path ? path : LB_COURIER_SOCKET, LB_CTL_CONNECT_MS, expected(), ret);
}

static int lost(const struct lb_ctl *ctl, int r)
{
    if ((r == -ENOENT || r == -ECONNREFUSED) && access(LB_COURIER_CONFIG, F_OK) < 0)
        return lb_ctl_fail(ctl, LB_EXIT_NO_DAEMON,
                           "nobody is told: there is no " LB_COURIER_CONFIG "; see lockbox-courier(8)");
    if (r == -ENOENT || r == -ECONNREFUSED)
        return lb_ctl_fail(ctl, LB_EXIT_NO_DAEMON,
                           "lockbox-courier is not running: systemctl enable --now lockbox-courier");
    if (r == -EPERM)
        return lb_ctl_fail(ctl, LB_EXIT_NO_DAEMON,
                           "who listens on the socket is not lockbox-courier, so nothing was asked: ss -xlp");
    return lb_ctl_fail(ctl, LB_EXIT_NO_DAEMON, "lockbox-courier does not answer (%s): systemctl status lockbox-courier",
                       strerrordesc_np(-r));
}

static int refused(const struct lb_ctl *ctl, const char *error, const json_t *parameters)
{
    const char *reason = lb_ctl_string(parameters, "reason");
    bool not_permitted = strcmp(error, COURIER "NotPermitted") == 0;

    return lb_ctl_fail(ctl, not_permitted ? LB_EXIT_NOT_PERMITTED : LB_EXIT_FAILED, "%s%s",
                       not_permitted ? "not permitted: " : "", *reason ? reason : error);
}

static int call(const struct lb_ctl *ctl, const char *method, json_t *parameters, json_t **ret)
{
    LB_JSON json_t *owned = parameters;
    LB_CLIENT struct lb_client *client = NULL;
    LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };
    int r = owned ? open_courier(ctl, &client) : -ENOMEM;

    if (r >= 0)
        r = lb_client_call(client, method, owned, CALL_MS, &reply);
    if (r < 0)
        return lost(ctl, r);
    if (reply.error)
        return refused(ctl, reply.error, reply.parameters);
    *ret = LB_TAKE(reply.parameters);
    return LB_EXIT_DONE;
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static enum lb_colour colour_of(const char *state)
{
    return strcmp(state, "failing") == 0    ? LB_COLOUR_RED
           : strcmp(state, "disabled") == 0 ? LB_COLOUR_DIM
                                            : LB_COLOUR_NONE;
}

/* "  webhook siem: failing since 18:00, 3 waiting: could not connect" */
static void print_target(const struct lb_ctl *ctl, const char *indent, const json_t *t)
{
    const char *state = lb_ctl_string(t, "state"), *problem = lb_ctl_string(t, "problem");
    int64_t since = lb_ctl_time(t, "since"), waiting = lb_ctl_int(t, "waiting"), dead = lb_ctl_int(t, "dead");
    FILE *out = ctl->out.out;
    char moment[LB_HUMAN_MAX];

    fprintf(out, "%s", indent);
    lb_terminal_write(&ctl->out, lb_ctl_string(t, "channel"));
    fputc(' ', out);
    lb_terminal_write(&ctl->out, lb_ctl_string(t, "target"));
    fprintf(out, ": %s", lb_terminal_colour(&ctl->out, colour_of(state)));
    lb_terminal_write(&ctl->out, state);
    if (since)
        fprintf(out, " since %s", lb_human_moment(since, ctl->now, moment));
    fputs(lb_terminal_colour(&ctl->out, LB_COLOUR_NONE), out);
    fprintf(out, ", %" PRId64 " sent", lb_ctl_int(t, "sent"));
    if (waiting)
        fprintf(out, ", %" PRId64 " waiting", waiting);
    if (dead)
        fprintf(out, ", %" PRId64 " given up", dead);
    if (*problem) {
        fputs(": ", out);
        lb_terminal_write(&ctl->out, problem);
    }
    fputc('\n', out);
}

/* "  remote: failing since 18:00, 2 waiting: the answer was HTTP 403" */
static void print_part(const struct lb_ctl *ctl, const char *name, const json_t *part)
{
    const char *state = part ? lb_ctl_string(part, "state") : "disabled", *problem = lb_ctl_string(part, "problem");
    int64_t since = lb_ctl_time(part, "since"), waiting = lb_ctl_int(part, "waiting");
    FILE *out = ctl->out.out;
    char moment[LB_HUMAN_MAX];

    fprintf(out, "          %s: %s", name, lb_terminal_colour(&ctl->out, colour_of(state)));
    lb_terminal_write(&ctl->out, state);
    if (since)
        fprintf(out, " since %s", lb_human_moment(since, ctl->now, moment));
    fputs(lb_terminal_colour(&ctl->out, LB_COLOUR_NONE), out);
    if (waiting)
        fprintf(out, ", %" PRId64 " waiting", waiting);
    if (*problem) {
        fputs(": ", out);
        lb_terminal_write(&ctl->out, problem);
    }
    fputc('\n', out);
}

/* It has no target before the first mail. */
static bool is_unused_mail(const json_t *status)
{
    const json_t *target = NULL, *targets = json_object_get(status, "targets");
    size_t i = 0;

    json_array_foreach (targets, i, target)
        if (strcmp(lb_ctl_string(target, "channel"), "mail") == 0)
            return false;
    return json_is_true(json_object_get(json_object_get(status, "channels"), "mail"));
}

/* The approval service and the store have lines of their own; letters to them are told of where they do not arrive. */
static bool is_part(const json_t *target)
{
    return strcmp(lb_ctl_string(target, "channel"), lb_ctl_string(target, "target")) == 0 &&
           !lb_ctl_int(target, "waiting") && !lb_ctl_int(target, "dead");
}

static void print_status(const struct lb_ctl *ctl, const json_t *status)
{
    static const char *const parts[] = { "remote", "export" };
    const char *problem = lb_ctl_string(status, "problem"), *mistakes = lb_ctl_string(status, "config_error");
    const json_t *target = NULL, *targets = json_object_get(status, "targets");
    int64_t behind = lb_ctl_int(status, "behind"), dropped = lb_ctl_int(status, "dropped");
    FILE *out = ctl->out.out;
    size_t i = 0;

    fprintf(out, "Courier:  ");
    if (*problem || *mistakes)
        fputs(lb_terminal_colour(&ctl->out, LB_COLOUR_RED), out);
    if (*problem)
        lb_terminal_write(&ctl->out, problem);
    else if (behind)
        fprintf(out, "%" PRId64 " events behind", behind);
    else
        fputs("running", out);
    fputc('\n', out);
    if (*mistakes)
        lb_terminal_write_lines(&ctl->out, "Refused:  ", "          ", mistakes);
    fputs(lb_terminal_colour(&ctl->out, LB_COLOUR_NONE), out);
    if (dropped)
        fprintf(out, "Dropped:  %s%" PRId64 " %s so far, as too many waited%s\n",
                lb_terminal_colour(&ctl->out, LB_COLOUR_RED), dropped, dropped == 1 ? "letter" : "letters",
                lb_terminal_colour(&ctl->out, LB_COLOUR_NONE));
    json_array_foreach (targets, i, target)
        if (!is_part(target))
            print_target(ctl, "          ", target);
    if (is_unused_mail(status))
        fputs("          mail: idle, 0 sent\n", out);
    for (i = 0; i < LB_ELEMENTS(parts); i++)
        print_part(ctl, parts[i], json_object_get(json_object_get(status, "parts"), parts[i]));
}

/* A host that tells nobody need not read about it. */
void lb_courier_print(const struct lb_ctl *ctl)
{
    LB_CLIENT struct lb_client *client = NULL;
    LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };
    LB_JSON json_t *nothing = json_object();
    int r = open_courier(ctl, &client);
    bool absent = r == -ENOENT || r == -ECONNREFUSED;

    if (absent && access(LB_COURIER_CONFIG, F_OK) < 0)
        return;
    if (r >= 0)
        r = lb_client_call(client, COURIER "Status", nothing, CALL_MS, &reply);
    if (r >= 0 && !reply.error)
        print_status(ctl, reply.parameters);
    else if (r < 0)
        fprintf(ctl->out.out, "Courier:  %s\n",
                absent        ? "not running"
                : r == -EPERM ? "an impostor listens on its socket"
                              : strerrordesc_np(-r));
}

int verb_courier_status(struct lb_ctl *ctl)
{
    LB_JSON json_t *status = NULL;
    int r = call(ctl, COURIER "Status", json_object(), &status);

    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, status);
    else
        print_status(ctl, status);
    return LB_EXIT_DONE;
}

/* --- what is given up --------------------------------------------------------------------------------------------- */

int verb_courier_dead(struct lb_ctl *ctl)
{
    LB_JSON json_t *reply = NULL;
    const json_t *l = NULL;
    size_t i = 0;
    int r = call(ctl, COURIER "Dead", json_object(), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON]) {
        lb_ctl_print_json(ctl, reply);
        return LB_EXIT_DONE;
    }
    json_array_foreach (json_object_get(reply, "letters"), i, l) {
        static const char *const columns[] = { "id", "channel", "target", "error" };

        for (size_t k = 0; k < LB_ELEMENTS(columns); k++) {
            fputs(k == 3 ? ": " : k ? "  " : "", ctl->out.out);
            lb_terminal_write(&ctl->out, lb_ctl_string(l, columns[k]));
        }
        fputc('\n', ctl->out.out);
    }
    if (i == 0)
        fputs("Nothing was given up.\n", ctl->out.out);
    return LB_EXIT_DONE;
}

int verb_courier_retry(struct lb_ctl *ctl)
{
    LB_JSON json_t *reply = NULL;
    int r = call(ctl, COURIER "Retry", json_pack("{ss*}", "id", ctl->args[0]), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    else
        fprintf(ctl->out.out, "%" PRId64 " to be sent again%s\n", lb_ctl_int(reply, "count"),
                ctl->args[0] ? "" : "; what waits to be tried again is tried now");
    return LB_EXIT_DONE;
}

/* --- a test ------------------------------------------------------------------------------------------------------- */

/* A line for each step, and the verdict. */
static int print_step(const struct lb_ctl *ctl, const json_t *reply)
{
    const json_t *delivered = json_object_get(reply, "delivered");
    const char *problem = lb_ctl_string(reply, "problem");

    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    else if (!delivered || json_is_true(delivered)) {
        lb_terminal_write(&ctl->out, delivered ? "delivered" : lb_ctl_string(reply, "step"));
        fputc('\n', ctl->out.out);
    }
    fflush(ctl->out.out);
    if (!delivered || json_is_true(delivered))
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "not delivered: %s", problem);
}

int verb_courier_test(struct lb_ctl *ctl)
{
    LB_CLIENT struct lb_client *client = NULL;
    LB_JSON json_t *parameters = NULL;
    bool more = true;
    int r, status = LB_EXIT_DONE;

    if (!ctl->args[0])
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "test what? lockboxctl courier test mail|webhook|remote|export [NAME]");
    parameters = json_pack("{ss ss*}", "channel", ctl->args[0], "target", ctl->args[1]);
    r = parameters ? open_courier(ctl, &client) : -ENOMEM;
    if (r >= 0)
        r = lb_client_send(client, COURIER "Test", parameters, true, CALL_MS);
    while (r >= 0 && more) {
        LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply reply = { 0 };

        r = lb_client_receive(client, TEST_MS, &reply);
        if (r >= 0 && reply.error)
            return refused(ctl, reply.error, reply.parameters);
        if (r >= 0)
            status = print_step(ctl, reply.parameters);
        more = reply.continues;
    }
    return r < 0 ? lost(ctl, r) : status;
}
