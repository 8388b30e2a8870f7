/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decisions that are signatures: the text to sign, handing it in, and both in one step with stock ssh-keygen. */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/ctl/signed.h"
#include "lockboxd/qr.h"

#define NAMESPACE "lockbox-consent"

/* --- the daemon --------------------------------------------------------------------------------------------------- */

static int fetch(struct lb_ctl *ctl, const char *decision, char **ret)
{
    LB_JSON json_t *reply = NULL;
    json_t *parameters = json_pack("{s:s, s:s, s:s*, s:s*}", "id", ctl->id, "decision", decision, "approver",
                                   ctl->options[LB_OPTION_APPROVER], "note", ctl->options[LB_OPTION_NOTE]);
    int r = lb_act_with_times(ctl, parameters, &parameters);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_call(ctl, LB_ACCESS "Statement", parameters, &reply);
    if (r != LB_EXIT_DONE)
        return r;
    if (*lb_ctl_string(reply, "message"))
        lb_ctl_fail(ctl, 0, "%s", lb_ctl_string(reply, "message"));
    *ret = strdup(lb_ctl_string(reply, "statement"));
    return *ret ? LB_EXIT_DONE : lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
}

/* Who may not read the request hears no more than that it was taken. */
static int submit(struct lb_ctl *ctl, const char *text, const char *signature)
{
    LB_JSON json_t *reply = NULL;
    const json_t *request = NULL;
    int r = lb_ctl_call(ctl, LB_ACCESS "Submit", json_pack("{s:s, s:s}", "statement", text, "signature", signature),
                        &reply);

    if (r != LB_EXIT_DONE)
        return r;
    if (*lb_ctl_string(reply, "message"))
        lb_ctl_fail(ctl, 0, "%s", lb_ctl_string(reply, "message"));
    lb_id_format(lb_ctl_string(reply, "id"), ctl->id);
    request = json_object_get(reply, "request");
    if (request) {
        lb_act_say_decision(ctl, request);
        return LB_EXIT_DONE;
    }
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    lb_act_say(ctl, "The decision about %s was taken.", ctl->id);
    return LB_EXIT_DONE;
}

/* Who signs has seen what. */
int lb_sign_decision(struct lb_ctl *ctl, const char *decision)
{
    LB_FREE char *text = NULL, *signature = NULL;
    int r = fetch(ctl, decision, &text);

    if (r != LB_EXIT_DONE)
        return r;
    lb_terminal_write_lines(&ctl->err, "", "", text);
    fflush(ctl->err.out);
    r = lb_signed_sign(ctl, NAMESPACE, ctl->options[LB_OPTION_SIGN], text, &signature);
    return r == LB_EXIT_DONE ? submit(ctl, text, signature) : r;
}

/* --- the verbs ---------------------------------------------------------------------------------------------------- */

/* A camera takes it off the screen. What does not fit is left out, and said. */
static int show_code(const struct lb_ctl *ctl, const char *text)
{
    LB_FREE char *code = NULL;
    size_t columns = 0;
    int r = lb_qr_draw(text, &code, &columns);

    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "no QR code: %s", r == -EFBIG ? "the text is too long" : strerror(-r));
    if (!ctl->out.utf8)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "no QR code: this terminal's locale is not UTF-8");
    if (columns > ctl->out.width)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "no QR code: it takes %zu columns, and the terminal has %u", columns,
                           ctl->out.width);
    fputs(code, ctl->out.out);
    return LB_EXIT_DONE;
}

/* The bytes are what is signed; a terminal gets them made safe, and with what to do with them. */
int verb_statement(struct lb_ctl *ctl)
{
    const char *decision = ctl->options[LB_OPTION_DECISION];
    LB_FREE char *text = NULL;
    int r;

    if (!lb_show_is_one_of(decision, "approve deny"))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--decision %s: a decision is approve or deny", decision);
    if (ctl->options[LB_OPTION_QR] && !ctl->out.width)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--qr: a QR code is for a terminal");
    r = fetch(ctl, decision, &text);
    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON]) {
        LB_JSON json_t *object = json_pack("{s:s}", "statement", text);

        lb_ctl_print_json(ctl, object);
    } else if (ctl->out.width) {
        lb_terminal_write_lines(&ctl->out, "", "", text);
        if (ctl->options[LB_OPTION_QR])
            r = show_code(ctl, text);
        lb_ctl_fail(ctl, 0, "write it into a file (> FILE), sign that (ssh-keygen -Y sign -n " NAMESPACE " -f KEY "
                            "FILE) and hand it in: lockboxctl submit FILE");
    } else {
        fputs(text, ctl->out.out);
    }
    return r;
}

int verb_submit(struct lb_ctl *ctl)
{
    LB_FREE char *text = NULL, *signature = NULL;
    int r = lb_signed_read(ctl, ctl->args[0], ctl->args[0] ? ctl->args[1] : NULL, &text, &signature);

    return r == LB_EXIT_DONE ? submit(ctl, text, signature) : r;
}
