/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terms as data, and their defaults. */
#include "policy/terms.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/deadline.h"

const char *const lb_need_names[] = {
    [LB_NEED_NO] = "no", [LB_NEED_OPTIONAL] = "optional", [LB_NEED_REQUIRED] = "required", NULL };
const char *const lb_starts_names[] = { [LB_STARTS_APPROVAL] = "approval", [LB_STARTS_LOGIN] = "login", NULL };
const char *const lb_on_end_names[] = { [LB_ON_END_KILL] = "kill", [LB_ON_END_FREEZE] = "freeze", NULL };
const char *const lb_on_reboot_names[] = { [LB_ON_REBOOT_END] = "end", [LB_ON_REBOOT_KEEP] = "keep", NULL };
const char *const lb_evidence_names[] = { [LB_EVIDENCE_ANY] = "any", [LB_EVIDENCE_SIGNED] = "signed", NULL };

#define ROW(member, kind, ...) { #member, kind, .offset = offsetof(struct lb_terms, member), ##__VA_ARGS__ }
#define STRING(member) ROW(member, LB_FIELD_STRING)
#define STRINGS(member) ROW(member, LB_FIELD_STRINGS)
#define INT(member) ROW(member, LB_FIELD_INT)
#define SPAN(member) ROW(member, LB_FIELD_INT, .flags = LB_FIELD_SPAN)
#define BOOL(member) ROW(member, LB_FIELD_BOOL)
#define ENUM(member, spellings) ROW(member, LB_FIELD_ENUM, .names = (spellings))
#define WARN(i) { "warn" #i, LB_FIELD_INT, .offset = offsetof(struct lb_terms, warn[i]), .flags = LB_FIELD_SPAN }

const struct lb_field lb_terms_fields[] = {
    ENUM(ticket, lb_need_names), STRING(ticket_pattern), STRING(ticket_url), ENUM(reason, lb_need_names),
    SPAN(expire_after), INT(max_pending),
    STRINGS(internal), STRINGS(customer), INT(quorum), ENUM(evidence, lb_evidence_names),
    SPAN(duration), SPAN(max_duration), ENUM(starts, lb_starts_names), SPAN(use_by), STRINGS(units),
    ENUM(on_end, lb_on_end_names), SPAN(freeze),
    WARN(0), WARN(1), WARN(2), WARN(3), WARN(4), WARN(5), WARN(6), WARN(7),
    ENUM(on_reboot, lb_on_reboot_names), ENUM(record, lb_need_names), INT(max_sessions), BOOL(exclusive),
    BOOL(emergency), SPAN(emergency_duration),
    { 0 },
};
_Static_assert(LB_WARN_MAX == 8, "one row for each warning");

#define MINUTES (60 * LB_USEC_PER_SEC)
#define HOURS (60 * MINUTES)

int lb_terms_defaults(struct lb_terms *ret)
{
    /* Borrowed only until the copy is made. */
    char *nobody[] = { NULL };
    char *approvers[] = { (char[]){ "@lockbox-approvers" }, NULL };
    const struct lb_terms defaults = {
        .ticket = LB_NEED_OPTIONAL, .reason = LB_NEED_REQUIRED, .expire_after = 12 * HOURS, .max_pending = 5,
        .internal = nobody, .customer = approvers, .quorum = 1, .evidence = LB_EVIDENCE_ANY,
        .duration = 8 * HOURS, .max_duration = 12 * HOURS, .starts = LB_STARTS_APPROVAL, .use_by = 24 * HOURS,
        .units = nobody, .on_end = LB_ON_END_KILL, .warn = { 15 * MINUTES, 5 * MINUTES, 1 * MINUTES },
        .on_reboot = LB_ON_REBOOT_END, .record = LB_NEED_NO, .max_sessions = 10, .exclusive = true,
        .emergency = false, .emergency_duration = 1 * HOURS,
    };

    return lb_terms_copy(ret, &defaults);
}

int lb_terms_copy(struct lb_terms *ret, const struct lb_terms *from)
{
    struct lb_terms copy = {};

    if (lb_fields_copy(lb_terms_fields, &copy, from) < 0)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

void lb_terms_clear(struct lb_terms *terms)
{
    lb_fields_clear(lb_terms_fields, terms);
}
