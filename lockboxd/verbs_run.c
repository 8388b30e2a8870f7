/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.lockbox.Access.Run: a reviewed script, and its output while somebody is there to see it. */
#include <errno.h>

#include "lockboxd/launch.h"
#include "lockboxd/proto/base64.h"
#include "lockboxd/verbs.h"
#include "policy/base.h"

#define PIECE (32 * 1024) /* bytes of output in one reply */

#define ERROR(name) "org.lockbox.Access." name

struct run {
    char *script, *name, **arguments;
};
static const struct lb_field run_fields[] = {
    { "script", LB_FIELD_STRING, offsetof(struct run, script), LB_FIELD_REQUIRED, .max = LB_VARLINK_MESSAGE_MAX },
    { "name", LB_FIELD_STRING, offsetof(struct run, name), LB_FIELD_REQUIRED },
    { "arguments", LB_FIELD_STRINGS, offsetof(struct run, arguments) },
    { 0 },
};

/* The output as far as the socket takes it; the rest waits in the file. */
void lb_run_pump(struct lb_conn *c)
{
    char buf[PIECE];

    while (lb_caller_takes(&c->caller) && c->watcher.output) {
        struct lb_output *o = c->watcher.output;
        const char *text = NULL;
        int64_t status = 0;
        int stream = 0;
        ssize_t n = lb_output_read(o, buf, sizeof(buf), &stream);

        if (n > 0) {
            LB_FREE char *text64 = lb_base64_encode(buf, (size_t)n);

            lb_call_continue(c, json_pack("{ss*}", lb_stream_names[stream], text64));
        } else if (n < 0) {
            lb_output_leave(&c->watcher);
            lb_call_refuse(c, ERROR("Unavailable"), "the output cannot be read back");
        } else if (lb_output_is_over(o, &status, &text)) {
            json_t *last = json_pack("{sI ss* sb}", "exit_status", (json_int_t)status, "message", text, "behind",
                                     (int)lb_output_is_behind(o));

            lb_output_leave(&c->watcher);
            lb_call_reply(c, last);
        } else {
            return;
        }
    }
}

static void on_more(struct lb_watcher *w)
{
    lb_run_pump((struct lb_conn *)((char *)w - offsetof(struct lb_conn, watcher)));
}

static void tell_refusal(struct lb_conn *c, const struct lb_outcome *o)
{
    const char *reason = o->reason ? o->reason : "";

    if (o->refusal == LB_REFUSAL_NOT_PERMITTED)
        lb_call_refuse(c, ERROR("NotPermitted"), reason);
    else if (o->refusal == LB_REFUSAL_INVALID)
        lb_call_error(c, ERROR("InvalidParameter"), json_pack("{ssss}", "field", "script", "reason", reason));
    else
        lb_call_refuse(c, ERROR("Unavailable"), reason);
}

static void run(struct lb_conn *c, const struct run *p, const struct lb_person *person)
{
    LB_CLEANUP(lb_outcome_clear) struct lb_outcome outcome = { 0 };
    LB_FREE void *bytes = NULL;
    struct lb_launch_call call = { .name = p->name, .arguments = p->arguments };
    struct lb_output *output = NULL;

    if (lb_base64_decode(p->script, &bytes, &call.n) < 0) {
        lb_call_error(c, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", "script"));
        return;
    }
    call.bytes = bytes;
    lb_launch_begin(c->server->gate, person, &call, &outcome, &output);
    if (outcome.refusal) {
        tell_refusal(c, &outcome);
        return;
    }
    c->watcher.more = on_more;
    lb_output_watch(output, &c->watcher);
    lb_call_continue(c, json_pack("{ss*}", "request", outcome.id));
    lb_run_pump(c);
}

static void verb_run(struct lb_conn *c, void *parameters)
{
    LB_CLEANUP(lb_person_clear) struct lb_person person = { 0 };

    if (!lb_verbs_person(c, &person))
        return;
    if (!c->caller.more)
        lb_call_error(c, "org.varlink.service.ExpectedMore", NULL);
    else
        run(c, parameters, &person);
}

const struct lb_verb lb_verbs_run[] = {
    { ERROR("Run"), LB_DOOR_CONTROL, run_fields, sizeof(struct run), verb_run },
    { 0 },
};
