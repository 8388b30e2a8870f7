/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/sentence.h"
#include "policy/span.h"
#include "policy/text.h"
#include "policy/utf8.h"

const char *const lb_event_names[] = {
    [LB_EVENT_NONE] = "",
    [LB_EVENT_REVIEW] = "review",
    [LB_EVENT_REQUESTED] = "requested",
    [LB_EVENT_PERMITTED] = "permitted",
    [LB_EVENT_GRANTED] = "granted",
    [LB_EVENT_PREAPPROVED] = "preapproved",
    [LB_EVENT_SCRIPT_STARTED] = "script-started",
    [LB_EVENT_REVIEWED] = "reviewed",
    [LB_EVENT_VOTED] = "voted",
    [LB_EVENT_APPROVED] = "approved",
    [LB_EVENT_DENIED] = "denied",
    [LB_EVENT_EXPIRED] = "expired",
    [LB_EVENT_WITHDRAWN] = "withdrawn",
    [LB_EVENT_UNDECIDABLE] = "undecidable",
    [LB_EVENT_MESSAGE] = "message",
    [LB_EVENT_EMERGENCY] = "emergency",
    [LB_EVENT_BEGUN] = "begun",
    [LB_EVENT_LAPSED] = "lapsed",
    [LB_EVENT_OPENED] = "opened",
    [LB_EVENT_CLOSED] = "closed",
    [LB_EVENT_WARNED] = "warned",
    [LB_EVENT_REBOOTED] = "rebooted",
    [LB_EVENT_ADDED] = "added",
    [LB_EVENT_EXTENDED] = "extended",
    [LB_EVENT_UNIT_FAILED] = "unit-failed",
    [LB_EVENT_SCRIPT_ENDED] = "script-ended",
    [LB_EVENT_PAUSED] = "paused",
    [LB_EVENT_FROZEN] = "frozen",
    [LB_EVENT_RESUMED] = "resumed",
    [LB_EVENT_TIME_OVER] = "time-over",
    [LB_EVENT_HANDED_BACK] = "handed-back",
    [LB_EVENT_STOPPED] = "stopped",
    [LB_EVENT_STUCK] = "stuck",
    [LB_EVENT_LEFT_BEHIND] = "left-behind",
    [LB_EVENT_NO_REPORT] = "no-report",
    [LB_EVENT_COMPLETED] = "completed",
    [LB_EVENT_ENDED] = "ended",
    [LB_EVENT_REVOKED] = "revoked",
    [LB_EVENT_ACKNOWLEDGED] = "acknowledged",
    [LB_EVENT_REFUSED] = "refused",
    [LB_EVENT_ILLEGAL] = "illegal",
    [LB_EVENT_UNACCOUNTED] = "unaccounted",
    [LB_EVENT_STARTED] = "started",
    [LB_EVENT_STOPPING] = "stopping",
    [LB_EVENT_POLICY_LOADED] = "policy-loaded",
    [LB_EVENT_POLICY_REFUSED] = "policy-refused",
    [LB_EVENT_CHECKPOINT] = "checkpoint",
    [LB_EVENT_COUNTERSIGNED] = "countersigned",
    [LB_EVENT_UNDELIVERED] = "undelivered",
    [LB_EVENT_MAX_] = NULL,
};

#define WHO "{engineer} on {account}"
#define RECEIPT ": {killed} processes ended in {ms} ms, {left} left[, {shared} cannot be told from another engineer's]."

/* syslog(3)'s levels, without its functions. */
enum { ALERT = 1, ERR = 3, WARNING = 4, NOTICE = 5 };

const struct lb_event_class lb_event_classes[LB_EVENT_MAX_] = {
    [LB_EVENT_REVIEW] = { "eaf351e193914ee1ad0a92041d91668a", NOTICE,
        "{engineer} asks for access to {account}@{host}[ for {duration}][, ticket {ticket}][: {reason}]. "
        "The vendor's approver decides first." },
    [LB_EVENT_REQUESTED] = { "dc1c9c4e8d4d4648a6d3de9d92de93d4", NOTICE,
        "{engineer} asks for access to {account}@{host} by {service}[ from {rhost}][ for {duration}][ ({clamp})]"
        "[, ticket {ticket}][: {reason}]." },
    [LB_EVENT_PERMITTED] = { "84ac9b883b3343bfab0ae246b0154f04", NOTICE,
        "Rule {rule} lets {engineer} in to {account}@{host} by {service}[ from {rhost}][ for {duration}]." },
    [LB_EVENT_GRANTED] = { "0cc37b5c9b0148c7af1b3e81d26a27a8", NOTICE,
        "{approver} opens {account}@{host} beforehand[ for {duration}][, ticket {ticket}][: {note}]." },
    [LB_EVENT_PREAPPROVED] = { "823c2079278f449ba3096e51da548f97", NOTICE,
        "Window {grant} lets {engineer} in to {account}@{host} by {service}[ from {rhost}][, ticket {ticket}]." },
    [LB_EVENT_SCRIPT_STARTED] = { "c0cb99fc4eab462ea2db27271acdb510", NOTICE,
        "Rule {rule} lets {engineer} run {script} as {user}@{host}[ with {note}][ for {duration}]." },
    [LB_EVENT_EMERGENCY] = { "6ff9aaf276f4497ca8b0266d15332c14", ALERT,
        "{engineer} declared an emergency and is let in to {account}@{host}[ for {duration}][: {note}]." },
    [LB_EVENT_REVIEWED] = { "760ea148ab9c420ba5594c62f497b18a", NOTICE,
        "{approver} of the vendor approved the request of " WHO "[, signed with {signer}][: {note}]. The customer "
        "decides now." },
    [LB_EVENT_VOTED] = { "4d11b2e08fe74c46a2ced207ff58ccd4", NOTICE,
        "{approver} approved the request of " WHO "[, signed with {signer}]; more approvals are needed." },
    [LB_EVENT_APPROVED] = { "da4a1369f7f4464b8fb63e4813d529b0", NOTICE,
        "{approver} approved access of " WHO "[ for {duration}][ ({clamp})][, signed with {signer}][: {note}]." },
    [LB_EVENT_DENIED] = { "d9b47755da7943b0a6edd86e47f9292c", NOTICE,
        "{approver} denied access of " WHO "[, signed with {signer}][: {note}]." },
    [LB_EVENT_EXPIRED] = { "32f861b0f11646f59ae3df1d3da00dbf", NOTICE,
        "Nobody decided in time: the request of " WHO " expired." },
    [LB_EVENT_WITHDRAWN] = { "6e66bab9e0544e73a2d7b89971de3c2e", NOTICE,
        "{engineer} took the request for {account} back." },
    [LB_EVENT_UNDECIDABLE] = { "5aaec5fd98394d438b65c99558878ec0", WARNING,
        "Too few are left who may decide: the request of " WHO " is closed." },
    [LB_EVENT_MESSAGE] = { "4b2c18d9e7784018aa5bbda764c99087", NOTICE,
        "{from} writes about the request of " WHO ": {note}" },
    [LB_EVENT_BEGUN] = { "79a2eb39f4154c3e8d8b67d198c8dc0b", NOTICE,
        "Access of " WHO " begins[ and lasts {duration}]." },
    [LB_EVENT_LAPSED] = { "f506161c5b4445719a78df24984f9559", NOTICE,
        "Access of " WHO " was approved but not used in time." },
    [LB_EVENT_OPENED] = { "e702ba1a3ec0468682f429b890981b51", NOTICE,
        "Session {session} of " WHO " opened by {service}[ from {rhost}]." },
    [LB_EVENT_CLOSED] = { "701d164ad8e547fe9f6048158b42fe0c", NOTICE, "Session {session} of " WHO " closed." },
    [LB_EVENT_WARNED] = { "9e08f1df3186492b862e9336a55c6ea9", NOTICE,
        "Access of " WHO " ends in {warning}; the engineer was told." },
    [LB_EVENT_REBOOTED] = { "bb38413d655042e8a6f90094fc88cd11", NOTICE,
        "The host was restarted; the request of " WHO " has {left_usec} left." },
    [LB_EVENT_ADDED] = { "f3cb873c8f6d4562a3a3fdc85f3c72a6", NOTICE,
        "The time that {engineer} asked for is added to {extends}." },
    [LB_EVENT_EXTENDED] = { "a1483fd4ecfd4ee5afce829e60d1ff60", NOTICE,
        "{approver} gave " WHO " {duration} more[: {note}]." },
    [LB_EVENT_UNIT_FAILED] = { "8266c1637fff4f67a963e159931f931b", ERR, "Access of " WHO ": {note}." },
    [LB_EVENT_SCRIPT_ENDED] = { "077d6b00566a48e783f2278e5a5d169e", NOTICE,
        "Script {script} of {engineer} ended with exit status {exit_status}[: {note}]; {bytes} bytes of output." },
    [LB_EVENT_PAUSED] = { "d556b63932f340e3adc193f94c69016b", NOTICE,
        "{by} paused access of " WHO "[ for {duration} at most, keeping its time][: {note}]; its sessions are "
        "frozen." },
    [LB_EVENT_FROZEN] = { "d9fee79aa6c64fdf9095c7bd603f4b43", NOTICE,
        "The time of " WHO " is over; its sessions are frozen[ for {duration}] and end then if no more is approved." },
    [LB_EVENT_RESUMED] = { "ffae80f177d8497eabcadd203567afe2", NOTICE,
        "{by} resumed access of " WHO "[: {note}]; it has {left_usec} left." },
    [LB_EVENT_TIME_OVER] = { "001a20b8c25740f697379b41ac0cb8fd", NOTICE,
        "The time of " WHO " is over ({by}); everything in its sessions ends now." },
    [LB_EVENT_HANDED_BACK] = { "d6a576af02dc45048d1dca70a058b728", NOTICE,
        "{by} handed access to {account} back; everything in its sessions ends now." },
    [LB_EVENT_STOPPED] = { "9fca5e213e6d4bb38a6c201d1e16d025", NOTICE,
        "{by} stopped access of " WHO "[: {note}]; everything in its sessions ends now." },
    [LB_EVENT_STUCK] = { "2494e911b2ff40e58df02b60fe78bedc", ALERT,
        "Access of " WHO " is over but {left} of its processes will not end; trying on." },
    [LB_EVENT_LEFT_BEHIND] = { "e1a725dc2aab44578a239b845eb80dc2", NOTICE,
        "Left behind on {host} by access of " WHO ", or changed meanwhile: {count}[ ({note})]." },
    [LB_EVENT_NO_REPORT] = { "f25be2481bc14b9cb0053cde8eea9bb3", WARNING,
        "What access of " WHO " left behind on {host} is not known: {note}." },
    [LB_EVENT_COMPLETED] = { "5d71d70a837c40569084524809f88092", NOTICE, "Access of " WHO " is completed" RECEIPT },
    [LB_EVENT_ENDED] = { "7bf22899a1b5476f875ee3a43e62c219", NOTICE, "Access of " WHO " ended" RECEIPT },
    [LB_EVENT_REVOKED] = { "40ddc0a13c81438f95fdc4d22a177959", NOTICE, "Access of " WHO " is revoked" RECEIPT },
    [LB_EVENT_ACKNOWLEDGED] = { "f5459862faaf4d5baa3e82658b8aea81", NOTICE,
        "{approver} has seen the emergency access of " WHO "[: {note}]." },
    [LB_EVENT_REFUSED] = { "a4340cbf15b44c67be1ee2645803654a", WARNING,
        "Login[ of {engineer}] on {account}[ by {service}][ from {rhost}] refused: {note}" },
    [LB_EVENT_ILLEGAL] = { "bc8e7cb010f94d1683f639056450e39d", WARNING,
        "Refused, nothing changed: {note}[ (by {by})]" },
    [LB_EVENT_UNACCOUNTED] = { "f5a3a139850c4c8a8a71340ff60ccfef", ALERT,
        "Processes of {account} run without an access: {note}." },
    [LB_EVENT_STARTED] = { "e5dcc5def18f474196930efb9ca396fe", NOTICE, "The gatekeeper of {host} started[: {note}]." },
    [LB_EVENT_STOPPING] = { "c532405dde004368a7db1cb16bb021dd", NOTICE, "The gatekeeper of {host} stops." },
    [LB_EVENT_POLICY_LOADED] = { "f10a882aea06440394fc5415a3b2e621", NOTICE, "Policy loaded: {note}" },
    [LB_EVENT_POLICY_REFUSED] = { "d6d62498b00f410ea8fe839b443451b4", ERR,
        "Policy refused, the last good one stays in force: {note}" },
    [LB_EVENT_CHECKPOINT] = { "12122a502899423e96c5b0e6354ea627", NOTICE,
        "The log stands at event {count}[, signed with {signer}]." },
    [LB_EVENT_COUNTERSIGNED] = { "c697ddcabd2f478d99469ff88b984599", NOTICE,
        "{approver} countersigned the checkpoint of event {count}[ with {signer}]." },
    [LB_EVENT_UNDELIVERED] = { "90656f9ba5a1439eafab8476f7848521", WARNING,
        "Not delivered[ about the request of {engineer}][ on {account}]: {note}." },
};

#define AT(member) offsetof(struct lb_event, member)
#define STRING(member) { #member, LB_FIELD_STRING, AT(member) }
#define INT(member) { #member, LB_FIELD_INT, AT(member) }
#define SPAN(member) { #member, LB_FIELD_INT, AT(member), .flags = LB_FIELD_SPAN }

#define KILLED(member) { #member, LB_FIELD_INT, offsetof(struct lb_killed, member) }

const struct lb_field lb_killed_fields[] = {
    KILLED(session), KILLED(scope), KILLED(service), KILLED(connection), KILLED(other),
    { 0 },
};

#define CHANGE(member) { #member, LB_FIELD_STRING, offsetof(struct lb_change, member), .max = 1024 }

const struct lb_field lb_change_fields[] = { CHANGE(kind), CHANGE(name), CHANGE(change), CHANGE(detail), { 0 } };

const struct lb_field lb_event_fields[] = {
    { "event", LB_FIELD_ENUM, AT(kind), LB_FIELD_REQUIRED, .names = lb_event_names },
    { "seq", LB_FIELD_INT, AT(seq), LB_FIELD_REQUIRED },
    { "time", LB_FIELD_INT, AT(time.wall), LB_FIELD_REQUIRED | LB_FIELD_TIME },
    { "boot_time", LB_FIELD_INT, AT(time.boot), LB_FIELD_REQUIRED },
    { "boot_id", LB_FIELD_INT, AT(time.boot_id), LB_FIELD_REQUIRED },
    STRING(host), STRING(request),
    { "state", LB_FIELD_ENUM, AT(state), .names = lb_state_names },
    STRING(account), STRING(engineer), STRING(ticket), STRING(reason),
    { "basis", LB_FIELD_ENUM, AT(basis), .names = lb_basis_names },
    INT(uid), STRING(key), STRING(service), STRING(scope), STRING(rhost), STRING(tty), STRING(ticket_url),
    STRING(rule), STRING(previous), STRING(grant), STRING(extends), SPAN(duration), SPAN(asked), STRING(clamp),
    { "not_before", LB_FIELD_INT, AT(not_before), LB_FIELD_TIME },
    { "terms", LB_FIELD_OBJECT, AT(terms), .fields = lb_terms_fields },
    { "reviewers", LB_FIELD_STRINGS, AT(reviewers) },
    { "entitled", LB_FIELD_STRINGS, AT(entitled) },
    STRING(approver), STRING(role), STRING(stage), STRING(evidence), STRING(note), STRING(from),
    STRING(nonce), STRING(statement), STRING(signature), STRING(signer),
    INT(session), INT(pid), INT(pid_started),
    { "foreign", LB_FIELD_BOOL, AT(foreign) },
    STRING(script), STRING(command), { "arguments", LB_FIELD_STRINGS, AT(arguments) }, STRING(user), INT(exit_status),
    INT(bytes), STRING(output),
    STRING(by), SPAN(left_usec), SPAN(wait_usec), { "hold", LB_FIELD_BOOL, AT(hold) }, SPAN(warning), INT(killed),
    INT(left), INT(ms),
    { "kinds", LB_FIELD_OBJECT, AT(kinds), .fields = lb_killed_fields },
    INT(shared),
    INT(count),
    { "changes", LB_FIELD_LIST, AT(changes), .fields = lb_change_fields, .size = sizeof(struct lb_change) },
    { 0 },
};

int lb_event_kind_from_name(const char *name)
{
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++)
        if (lb_streq(lb_event_names[kind], name))
            return kind;
    return LB_EVENT_NONE;
}

/* A field as a person reads it. */
static int put_field(void *userdata, const char *name, bool optional, FILE *out)
{
    const struct lb_event *e = userdata;
    const struct lb_field *f = lb_fields_find(lb_event_fields, name);
    const void *member = f ? (const char *)e + f->offset : NULL;
    char buf[LB_SPAN_MAX];
    const char *s;

    if (!f)
        return 0;
    if (f->type == LB_FIELD_STRING) {
        s = *(char *const *)member;
        if (f->offset == AT(engineer) && !optional && !(s && *s)) /* of a window */
            s = "whoever has the ticket";
        return s && *s ? fputs(s, out) >= 0 : 0;
    }
    if (f->type != LB_FIELD_INT || (optional && *(const int64_t *)member == 0))
        return 0;
    if (f->flags & LB_FIELD_SPAN)
        return fputs(lb_span_format(*(const int64_t *)member, buf, sizeof(buf)), out) >= 0;
    return fprintf(out, "%" PRId64, *(const int64_t *)member) > 0;
}

char *lb_event_sentence(const struct lb_event *e)
{
    char *text = NULL;
    size_t size;
    int r;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    r = lb_sentence_write(out, lb_event_classes[e->kind].sentence, put_field, (void *)e);
    if (fclose(out) == 0 && r == 0)
        return text;
    free(text);
    return NULL;
}

static bool is_utf8(const char *s)
{
    uint32_t code = 0;

    for (size_t n = strlen(s), i = 0; i < n && code != LB_UTF8_INVALID;)
        i += lb_utf8_decode(s + i, n - i, &code);
    return code != LB_UTF8_INVALID;
}

static int mend(char **s)
{
    char *clean;

    if (!*s || is_utf8(*s))
        return 0;
    clean = lb_text_clean(*s, SIZE_MAX);
    if (!clean)
        return -ENOMEM;
    free(*s);
    *s = clean;
    return 0;
}

int lb_event_mend(struct lb_event *e)
{
    int r = 0;

    for (const struct lb_field *f = lb_event_fields; r == 0 && f->name; f++) {
        void *member = (char *)e + f->offset;

        if (f->type == LB_FIELD_STRING)
            r = mend(member);
        for (char **s = f->type == LB_FIELD_STRINGS ? *(char ***)member : NULL; r == 0 && s && *s; s++)
            r = mend(s);
    }
    return r;
}

int lb_event_copy(struct lb_event *to, const struct lb_event *from)
{
    *to = (struct lb_event){ 0 };
    return lb_fields_copy(lb_event_fields, to, from);
}

void lb_event_clear(struct lb_event *e)
{
    lb_fields_clear(lb_event_fields, e);
    *e = (struct lb_event){ 0 };
}
