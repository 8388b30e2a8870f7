/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A log in memory: lives of a few requests, interleaved, as a chain. */
#pragma once

#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/chain.h"
#include "policy/id.h"
#include "tests/unit/samples.h"

#define LOG_LENGTH 24
#define LOG_REQUESTS 4

struct log_row {
    int64_t seq;
    char hash[LB_HASH_MAX], prev[LB_HASH_MAX];
    char *json;
};

struct log_copy {
    struct log_row rows[LOG_LENGTH];
    char ids[LOG_REQUESTS][LB_ID_PRINTED_MAX];
};

/* The event number `seq` of that log; it borrows all of its strings. */
static inline struct lb_event log_event(struct log_copy *log, int64_t seq)
{
    static const struct { int kind, state; } life[] = {
        { LB_EVENT_REQUESTED, LB_STATE_PENDING }, { LB_EVENT_APPROVED, LB_STATE_APPROVED },
        { LB_EVENT_BEGUN, LB_STATE_ACTIVE },      { LB_EVENT_EMERGENCY, LB_STATE_ACTIVE },
        { LB_EVENT_TIME_OVER, LB_STATE_ENDING },  { LB_EVENT_ENDED, LB_STATE_ENDED },
    };
    size_t which = (size_t)(seq - 1) % LOG_REQUESTS, step = (size_t)(seq - 1) / LOG_REQUESTS;
    struct lb_event e = sample_event(life[step].kind, seq * MINUTE);

    e.seq = seq;
    e.state = life[step].state;
    e.request = log->ids[which];
    e.reason = "Zoë says \"now\"\n\tback\\slash";
    return e;
}

/* Makes the chain from event `from` on; what is changed in `from` goes into all behind it. */
static inline void log_chain(struct log_copy *log, int64_t from, const char *reason)
{
    for (int64_t seq = from; seq <= LOG_LENGTH; seq++) {
        struct log_row *row = &log->rows[seq - 1];
        struct lb_event e = log_event(log, seq);

        e.reason = seq == from && reason ? (char *)reason : e.reason;
        row->seq = seq;
        memcpy(row->prev, seq > 1 ? row[-1].hash : LB_CHAIN_GENESIS, LB_HASH_MAX);
        free(row->json);
        row->json = NULL;
        if (lb_chain_encode(&e, row->prev, &row->json, row->hash) < 0)
            abort();
    }
}

/* One event written anew, with its own hash; those behind it name the one that it was. */
static inline void log_forge(struct log_copy *log, int64_t seq)
{
    struct log_row *row = &log->rows[seq - 1];
    struct lb_event e = log_event(log, seq);

    e.reason = "something else";
    free(row->json);
    row->json = NULL;
    if (lb_chain_encode(&e, row->prev, &row->json, row->hash) < 0)
        abort();
}

static inline void log_make(struct log_copy *log)
{
    memset(log, 0, sizeof(*log));
    for (uint64_t i = 0; i < LOG_REQUESTS; i++)
        lb_id_make(i * UINT64_C(987654321), log->ids[i]);
    log_chain(log, 1, NULL);
}

static inline void log_clear(struct log_copy *log)
{
    for (size_t i = 0; i < LOG_LENGTH; i++)
        free(log->rows[i].json);
}
