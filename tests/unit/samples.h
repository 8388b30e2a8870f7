/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as they come in life, and requests led into a state by them. */
#pragma once

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/lifecycle.h"

#define MINUTE (60 * LB_USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define SAMPLE_WALL INT64_C(1790000000000000)
#define SAMPLE_BOOT INT64_C(5000000000)

static inline struct lb_time sample_time(int64_t after)
{
    return (struct lb_time){ SAMPLE_WALL + after, SAMPLE_BOOT + after, 77 };
}

/* An event of any kind, complete. It borrows all of its strings: never clear it. */
static inline struct lb_event sample_event(int kind, int64_t after)
{
    static char *root[] = { "root", NULL };
    struct lb_event e = {
        .kind = kind, .time = sample_time(after), .host = "appliance", .request = "7F3K-9QXM", .account = "root",
        .engineer = "eng@vendor.example", .ticket = "CASE-1234", .reason = "disk is full", .basis = LB_BASIS_APPROVAL,
        .uid = 1999999999, .key = "SHA256:abc", .service = "sshd", .scope = "login", .rhost = "192.0.2.7", .tty = "ssh",
        .rule = "20-vendor.policy", .duration = 4 * HOUR, .entitled = root, .approver = "bob", .role = "customer",
        .stage = "customer", .evidence = "host", .from = "bob", .session = 12, .pid = 4001, .pid_started = 88000,
        .by = "bob", .warning = 15 * MINUTE, .left_usec = HOUR, .killed = 3, .ms = 9,
        .kinds = { .session = 2, .connection = 1 },
        .grant = kind == LB_EVENT_PREAPPROVED ? "GRNT-0001" : NULL,
        .extends = kind == LB_EVENT_ADDED ? "MORE-0001" : NULL,
        .script = kind == LB_EVENT_SCRIPT_STARTED || kind == LB_EVENT_SCRIPT_ENDED ? "check.sh" : NULL,
        .command = kind == LB_EVENT_SCRIPT_STARTED ? "sha256:abcd" : NULL,
        .user = kind == LB_EVENT_SCRIPT_STARTED ? "diagnose" : NULL,
        .terms = { .ticket = LB_NEED_OPTIONAL, .reason = LB_NEED_REQUIRED, .expire_after = 12 * HOUR, .max_pending = 5,
                   .customer = root, .quorum = 1, .duration = 8 * HOUR, .max_duration = 12 * HOUR, .use_by = 24 * HOUR,
                   .warn = { 15 * MINUTE, 5 * MINUTE, 1 * MINUTE }, .max_sessions = 10, .exclusive = true },
    };

    return e;
}

/* The events that lead to each state on the straightest way; 0 ends a row. */
static const int sample_ways[LB_STATE_MAX_][6] = {
    [LB_STATE_REVIEW] = { LB_EVENT_REVIEW },
    [LB_STATE_PENDING] = { LB_EVENT_REQUESTED },
    [LB_STATE_APPROVED] = { LB_EVENT_REQUESTED, LB_EVENT_APPROVED },
    [LB_STATE_ACTIVE] = { LB_EVENT_REQUESTED, LB_EVENT_APPROVED, LB_EVENT_BEGUN, LB_EVENT_OPENED },
    [LB_STATE_PAUSED] = { LB_EVENT_PERMITTED, LB_EVENT_OPENED, LB_EVENT_PAUSED },
    [LB_STATE_ENDING] = { LB_EVENT_PERMITTED, LB_EVENT_OPENED, LB_EVENT_TIME_OVER },
    [LB_STATE_COMPLETED] = { LB_EVENT_PERMITTED, LB_EVENT_HANDED_BACK, LB_EVENT_COMPLETED },
    [LB_STATE_ENDED] = { LB_EVENT_PERMITTED, LB_EVENT_TIME_OVER, LB_EVENT_ENDED },
    [LB_STATE_REVOKED] = { LB_EVENT_PERMITTED, LB_EVENT_STOPPED, LB_EVENT_REVOKED },
    [LB_STATE_DENIED] = { LB_EVENT_REQUESTED, LB_EVENT_DENIED },
    [LB_STATE_EXPIRED] = { LB_EVENT_REQUESTED, LB_EVENT_EXPIRED },
    [LB_STATE_WITHDRAWN] = { LB_EVENT_REQUESTED, LB_EVENT_WITHDRAWN },
    [LB_STATE_LAPSED] = { LB_EVENT_REQUESTED, LB_EVENT_APPROVED, LB_EVENT_LAPSED },
    [LB_STATE_UNDECIDABLE] = { LB_EVENT_REQUESTED, LB_EVENT_UNDECIDABLE },
};

/* A request in that state; NULL for LB_STATE_NONE. Free it. */
static inline struct lb_request *sample_request(int state)
{
    struct lb_request *r = NULL;

    for (size_t i = 0; sample_ways[state][i]; i++) {
        struct lb_event e = sample_event(sample_ways[state][i], (int64_t)i * LB_USEC_PER_SEC);

        if (lb_lifecycle_apply(&r, &e) < 0)
            abort();
    }
    return r;
}

/* All there is in a request, as one text. Owned; "" for NULL. */
static inline char *sample_text(const struct lb_request *r)
{
    json_auto_t *members = r ? lb_json_pack(lb_request_fields, r, 0) : NULL;
    json_auto_t *terms = r ? lb_json_pack(lb_terms_fields, &r->terms, 0) : NULL;
    LB_FREE char *a = r ? lb_json_canonical(members) : NULL, *b = r ? lb_json_canonical(terms) : NULL;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out || (r && (!a || !b)))
        abort();
    if (r) {
        const struct lb_deadline d[] = { r->decide_by, r->begin_at, r->use_by, r->not_after };

        fprintf(out, "%s %s %lld %lld %lld %lld", a, b, (long long)r->warned,
                (long long)r->turn, (long long)r->held, (long long)r->pause.charged);
        for (size_t i = 0; i < LB_ELEMENTS(d); i++)
            fprintf(out, " %lld/%lld/%lld", (long long)d[i].wall, (long long)d[i].boot, (long long)d[i].boot_id);
        for (char **name = r->reviewers; name && *name; name++)
            fprintf(out, " %s", *name);
        for (char **name = r->entitled; name && *name; name++)
            fprintf(out, " %s", *name);
    }
    fclose(out);
    return text;
}

/* Numbers that look random and are the same every time. */
static inline uint64_t sample_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static inline int64_t sample_below(uint64_t *seed, int64_t limit)
{
    return (int64_t)(sample_random(seed) % (uint64_t)limit);
}
