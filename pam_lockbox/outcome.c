/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one table that turns answers into PAM codes, and the strict reading of the daemon's replies. */
#include "pam_lockbox/outcome.h"

#include <errno.h>
#include <security/pam_modules.h>
#include <syslog.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/span.h"
#include "policy/terms.h"

#define ADMINISTRATOR "ask an administrator of this host."

const struct lb_outcome_class lb_outcome_classes[LB_OUTCOME_MAX_] = {
    [LB_OUTCOME_DENIED] = { PAM_PERM_DENIED, LOG_NOTICE, "denied", "Access is denied." },
    [LB_OUTCOME_ASK] = { PAM_PERM_DENIED, LOG_NOTICE, "denied: no valid request was made",
                         "No request was made: log in again." },
    [LB_OUTCOME_WAITING] = { PAM_PERM_DENIED, LOG_NOTICE, "denied: still pending",
                             "Your request is still pending: log in again." },
    [LB_OUTCOME_ALLOWED] = { PAM_SUCCESS, LOG_INFO, "allowed", NULL },
    [LB_OUTCOME_UNREACHABLE] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: lockboxd cannot be reached",
                                 "The gatekeeper cannot be reached: " ADMINISTRATOR },
    [LB_OUTCOME_IMPOSTOR] = { PAM_AUTHINFO_UNAVAIL, LOG_ALERT, "refused: another user listens on lockboxd's socket",
                              "The gatekeeper cannot be reached: " ADMINISTRATOR },
    [LB_OUTCOME_TIMEOUT] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: lockboxd does not answer",
                             "The gatekeeper does not answer: log in again, or " ADMINISTRATOR },
    [LB_OUTCOME_HANG_UP] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: lockboxd hung up",
                             "The gatekeeper stopped answering: log in again." },
    [LB_OUTCOME_LOST] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: lockboxd hung up during the wait",
                          "The gatekeeper stopped answering; your request is kept: log in again." },
    [LB_OUTCOME_NONSENSE] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: lockboxd's answer is not understood",
                              "The gatekeeper's answer is not understood: " ADMINISTRATOR },
    [LB_OUTCOME_UNAVAILABLE] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: lockboxd cannot decide",
                                 "The gatekeeper cannot decide: " ADMINISTRATOR },
    [LB_OUTCOME_MEMORY] = { PAM_AUTHINFO_UNAVAIL, LOG_CRIT, "refused: out of memory or other resources",
                            "Out of memory: " ADMINISTRATOR },
    [LB_OUTCOME_UNKNOWN] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: cannot tell whether the account is gated",
                             "Your account cannot be looked up: " ADMINISTRATOR },
    [LB_OUTCOME_ARGUMENT] = { PAM_AUTHINFO_UNAVAIL, LOG_ERR, "refused: pam_lockbox has an argument it does not know",
                              "The gate is not set up properly: " ADMINISTRATOR },
    [LB_OUTCOME_NOT_OURS] = { PAM_IGNORE, LOG_DEBUG, NULL, NULL },
    [LB_OUTCOME_PROVEN] = { PAM_SUCCESS, LOG_DEBUG, NULL, NULL },
    [LB_OUTCOME_CLOSED] = { PAM_SUCCESS, LOG_DEBUG, NULL, NULL },
};

/* --- replies --- */

#define TEXT_MAX (64 * 1024) /* bytes: a QR code takes three for each character */
#define ROW(of, member, kind, ...)                                                 \
    {                                                                              \
        .name = #member, .type = kind, .offset = offsetof(of, member), __VA_ARGS__ \
    }

static const char *const verdict_names[] = { "denied", "ask", "waiting", "allowed", NULL }; /* by enum lb_outcome */
static const char *const need_names[] = { "no", "optional", "required", NULL };             /* by enum lb_need */

#define ASK(member, kind, ...) ROW(struct lb_wanted, member, kind, __VA_ARGS__)

static const struct lb_field ask_fields[] = {
    ASK(ticket, LB_FIELD_ENUM, .flags = LB_FIELD_REQUIRED, .names = need_names),
    ASK(reason, LB_FIELD_ENUM, .flags = LB_FIELD_REQUIRED, .names = need_names),
    ASK(duration, LB_FIELD_STRING, .max = LB_SPAN_MAX),
    {},
};

#define REPLY(member, kind, ...) ROW(struct lb_reply, member, kind, __VA_ARGS__)

static const struct lb_field reply_fields[] = {
    REPLY(verdict, LB_FIELD_ENUM, .flags = LB_FIELD_REQUIRED, .names = verdict_names),
    REPLY(request, LB_FIELD_STRING, .max = 64),
    REPLY(message, LB_FIELD_STRING, .max = TEXT_MAX),
    REPLY(later, LB_FIELD_STRING, .max = TEXT_MAX),
    REPLY(ask, LB_FIELD_OBJECT, .fields = ask_fields),
    REPLY(seen, LB_FIELD_INT),
    REPLY(remaining, LB_FIELD_INT),
    {},
};

void lb_reply_clear(struct lb_reply *reply)
{
    lb_fields_clear(reply_fields, reply);
}

void lb_outcome_clean(char *text)
{
    char *to = text;

    for (const char *from = text; from && *from; from++) {
        unsigned char c = *from, next = from[1];

        if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            from++;
        else if (c == '\n' || (c >= 0x20 && c != 0x7f))
            *to++ = *from;
    }
    if (to)
        *to = '\0';
}

enum lb_outcome lb_outcome_from_error(int error)
{
    static const struct {
        int error;
        enum lb_outcome outcome;
    } rows[] = {
        { -EPERM, LB_OUTCOME_IMPOSTOR },   { -ETIMEDOUT, LB_OUTCOME_TIMEOUT }, { -ECONNRESET, LB_OUTCOME_HANG_UP },
        { -EBADMSG, LB_OUTCOME_NONSENSE }, { -EINVAL, LB_OUTCOME_NONSENSE },   { -ENOMEM, LB_OUTCOME_MEMORY },
    };

    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        if (rows[i].error == error)
            return rows[i].outcome;
    return LB_OUTCOME_UNREACHABLE;
}

/* The new reply in the old one's place, fit to be shown. */
static void replace(struct lb_reply *old, struct lb_reply *new)
{
    char *const texts[] = { new->request, new->message, new->later, new->ask.duration };

    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        lb_outcome_clean(texts[i]);
    if (!new->request)
        new->request = LB_TAKE(old->request);
    if (!new->later)
        new->later = LB_TAKE(old->later);
    lb_reply_clear(old);
    *old = *new;
}

static enum lb_outcome read_error(const struct lb_varlink_reply *raw, struct lb_reply *reply)
{
    const char *reason = json_string_value(json_object_get(raw->parameters, "reason"));

    if (strcmp(raw->error, "org.lockbox.Login.Unavailable") != 0)
        return LB_OUTCOME_NONSENSE;
    free(reply->message);
    reply->message = reason ? strdup(reason) : NULL; /* without it there is still the table's text */
    lb_outcome_clean(reply->message);
    return LB_OUTCOME_UNAVAILABLE;
}

static enum lb_outcome read_reply(const struct lb_varlink_reply *raw, struct lb_reply *reply)
{
    struct lb_reply new = { .remaining = -1 };
    int r;

    if (raw->error)
        return read_error(raw, reply);
    if (raw->continues)
        return LB_OUTCOME_NONSENSE;
    r = lb_json_unpack(reply_fields, raw->parameters, &new, 0, NULL);
    if (r < 0)
        return lb_outcome_from_error(r);
    replace(reply, &new);
    if (reply->verdict == LB_OUTCOME_WAITING && !reply->request)
        return LB_OUTCOME_NONSENSE;
    return (enum lb_outcome)reply->verdict;
}

enum lb_outcome lb_outcome_get(struct lb_client *client, const char *method, json_t *parameters, int timeout_ms,
                               struct lb_reply *reply)
{
    LB_CLEANUP(lb_varlink_reply_clear) struct lb_varlink_reply raw = {};
    int r = parameters ? lb_client_call(client, method, parameters, timeout_ms, &raw) : -ENOMEM;

    json_decref(parameters);
    return r < 0 ? lb_outcome_from_error(r) : read_reply(&raw, reply);
}
