/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one room that knows the whole flow: an event comes in, the lifecycle says what it means, the store commits it,
 * and then its effects happen. What closes access happens at once and is recorded as soon as the disk can.
 */
#pragma once

#include <systemd/sd-event.h>

#include "lockboxd/journal.h"
#include "lockboxd/peer.h"
#include "lockboxd/reaper.h"
#include "lockboxd/sessions.h"
#include "lockboxd/store.h"
#include "lockboxd/systemd.h"
#include "lockboxd/units.h"
#include "policy/approvers.h"
#include "policy/lifecycle.h"
#include "policy/rules.h"

struct lb_gate;
struct lb_live;
struct lb_launch;
struct lb_unaccounted;
struct lb_behind;
struct lb_notary;

/* Somebody who waits for a request to change: an unanswered call hangs here. `wake` may take the waiter away. */
struct lb_waiter {
    struct lb_waiter *next, **self; /* self NULL: not waiting */
    struct lb_live *live;           /* what it waits for */
    void (*wake)(struct lb_waiter *waiter);
};

/* A request that is open: in memory, with its timers. */
struct lb_live {
    struct lb_gate *gate;
    struct lb_request *request;
    sd_event_source *boot_timer, *wall_timer;
    struct lb_reaper *reaper;
    struct lb_reap_result ended; /* what the reaper did, for the receipt */
    bool reaped;                 /* it is done: to press on changes nothing */
    struct lb_units *units;      /* being started or stopped */
    struct lb_systemd_call *arming; /* PID 1 has not answered about its deadline yet */
    bool announce;                  /* the engineer is told of the end when it has */
    struct lb_launch *launch;    /* of a script that this daemon started (launch.h) */
    struct lb_behind *behind;    /* what it changes on the host is being looked at */
    sd_event_source *freezing;   /* it is to be frozen in a moment, or again where that failed (pause.h) */
    int freeze_tries, freeze_error; /* why not all of it is frozen, after so many tries; 0: all is, or will be soon */
    struct lb_waiter *waiters;
    int64_t changed; /* seq of the last event that woke who waits */
};

struct lb_gate {
    sd_event *event;
    char *host;
    char *state_directory, *runtime_directory;
    int64_t reserve;
    const char **policy_directories; /* borrowed */
    const char *approvers_path;      /* borrowed */
    const char *signers_path;        /* borrowed: allowed_signers; revoked_signers is beside it */
    struct lb_store *store;    /* NULL: nothing can be recorded, nothing opens */
    struct lb_journal *journal;
    struct lb_sessions *sessions;
    struct lb_systemd *systemd; /* NULL: no PID 1 to ask */
    struct lb_unaccounted *unaccounted; /* borrowed; NULL: nobody looks for what runs without an access */
    struct lb_notary *notary;  /* borrowed; NULL: nobody signs checkpoints of the log */
    struct lb_ruleset *policy; /* NULL: no good set yet, nothing opens */
    struct lb_approvers *approvers; /* NULL: the file names nobody */
    char *policy_error, *store_error;
    char *config_error; /* the settings are no good, and none were before */
    int64_t started_at, policy_loaded_at;
    struct lb_live **live;
    size_t n_live;
    void *by_id; /* the same, as a tree of tsearch(3) */
    struct lb_list unsaved;     /* struct lb_event: of closed doors, that the disk has not taken yet (unsaved.h) */
    int64_t unsaved_first;      /* the number of the first of them */
    sd_event_source *retry;
    struct lb_list refusals;    /* of the window that refusals_end ends (refusals.h) */
    sd_event_source *refusals_end;
    /* Called after each commit with the last seq. */
    void (*committed)(void *userdata, int64_t seq);
    void *userdata;
};

/* Opens nothing by itself; members above are set by the caller before lb_gate_start. */
int lb_gate_new(sd_event *event, struct lb_gate **ret);
struct lb_gate *lb_gate_free(struct lb_gate *gate); /* NULL is fine; returns NULL */

/* Reads the policy and the log, ends what should have ended meanwhile, and starts every timer again. A store or policy
 * that is no good leaves the gate closed and is tried again; this is not an error here. */
int lb_gate_start(struct lb_gate *gate);

/* Reads the policy again. -EINVAL: the last good one stays, gate->policy_error says why. */
int lb_gate_reload(struct lb_gate *gate);

/* Closes a waiting request that too few people can decide any more; `live` is gone then. */
void lb_gate_close_undecidable(struct lb_live *live);

/* The last event, at a clean stop. */
void lb_gate_stop(struct lb_gate *gate);

/* Why nothing opens at present; NULL: all is well. */
const char *lb_gate_problem(const struct lb_gate *gate);

/* One event, or several in one commit, of a request. Takes the events' contents. 0; -EPERM: the state does not allow
 * it (audited, nothing changed); a store's error: nothing has happened. */
int lb_gate_step(struct lb_live *live, struct lb_event *e);
int lb_gate_steps(struct lb_live *live, struct lb_event *events, size_t n);

/* Events of a request for more time and those of the access it is for, all in one commit. Errors as above. */
int lb_gate_extend(struct lb_live *linked, struct lb_event *events, size_t n, struct lb_live *access,
                   struct lb_event *extended, size_t n_extended);

/* The first event of a new request, which is live in *ret afterwards. Takes the event's contents. */
int lb_gate_new_request(struct lb_gate *gate, struct lb_event *e, struct lb_live **ret);

/* An event that is no request's (refused, policy-loaded …); takes its contents. */
int lb_gate_note(struct lb_gate *gate, struct lb_event *e);

/* --- for the gate's own files (gate.c, recover.c, effects.c) --- */
struct lb_live *lb_gate_add(struct lb_gate *gate, struct lb_request *request); /* takes it; NULL: out of memory */
void lb_gate_drop(struct lb_live *live);
void lb_gate_arm(struct lb_live *live);
void lb_gate_store_error(struct lb_gate *gate, int error); /* 0: all is well again */
void lb_gate_retry_later(struct lb_gate *gate);
int lb_gate_keep(struct lb_gate *gate, const struct lb_event *e); /* among the unsaved ones; -ENOMEM */
int lb_gate_save(struct lb_gate *gate);
int lb_gate_open_store(struct lb_gate *gate);

/* A fresh ID, as printed. */
int lb_gate_make_id(struct lb_gate *gate, char **ret);

struct lb_live *lb_gate_find(const struct lb_gate *gate, const char *id);

/* The live request whose own (not foreign) session this audit session is, or NULL. */
struct lb_live *lb_gate_find_session(const struct lb_gate *gate, int64_t session);

/* Another engineer's access that runs on the account and does not share it with this one, or NULL. */
struct lb_live *lb_gate_blocker(const struct lb_live *live);

/* The event that time demands of the request now; LB_EVENT_NONE if none, or if it has to wait for another access. */
struct lb_event lb_gate_due(const struct lb_live *live, const struct lb_time *now);

/* The event that begins an approved access, if it can begin now: Starts= says so or it is its first use. */
struct lb_event lb_gate_begun(void);

void lb_gate_park(struct lb_live *live, struct lb_waiter *waiter);
void lb_gate_unpark(struct lb_waiter *waiter);
