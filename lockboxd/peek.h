/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A look into an event's canonical bytes at the speed of a scan: where the few members stand that a verifier compares.
 * No tree is made, nothing is copied.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of their names, which is that of canonical bytes. */
enum lb_member {
    LB_MEMBER_ACCOUNT, LB_MEMBER_APPROVER, LB_MEMBER_ENGINEER, LB_MEMBER_EVENT, LB_MEMBER_PREV, LB_MEMBER_REASON,
    LB_MEMBER_REQUEST, LB_MEMBER_SEQ, LB_MEMBER_STATE, LB_MEMBER_TICKET, LB_MEMBER_TIME, LB_MEMBER_MAX_,
};

/* Part of a text that somebody else holds. Of a string member it is what stands between the quotes, escapes and all. */
struct lb_slice {
    const char *at; /* NULL: there is none */
    size_t n;
};

/* Finds the members of the outermost object. -EBADMSG for what has no such shape: not an object to its last byte, keys
 * that are not sorted or come twice, NUL or a blank where canonical bytes have none. */
int lb_peek(const char *json, size_t n, struct lb_slice ret[static LB_MEMBER_MAX_]);

/* Whether a string member says this text. What is not there says nothing, as "" does. */
bool lb_slice_says(struct lb_slice string, struct lb_slice text);

/* A copy of what a string member says; "" if it is not there. Owned; NULL: out of memory. */
char *lb_slice_text(struct lb_slice string);

/* The number that the bytes spell; -1 for anything but digits and for what no int64_t holds. */
int64_t lb_slice_number(struct lb_slice digits);
