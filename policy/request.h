/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request: what its events have made of it. Nothing here but lifecycle.c writes one. */
#pragma once

#include "policy/event.h"

/* What stands in evidence: said in a login of his own, or signed. */
#define LB_EVIDENCE_LOCAL "local"
#define LB_EVIDENCE_SIGNATURE "signed"

struct lb_approval {
    char *approver, *role, *stage, *decision, *evidence, *note;
    int64_t at;
};

/* Who writes when nobody does. */
#define LB_FROM_DAEMON "the gatekeeper"

struct lb_message {
    char *from, *text;
    int64_t at;
};

/* Audit session ids begin anew with each boot: one of an earlier boot is no session's now. */
#define LB_SESSION_GONE (-1)

/* A PAM session under the access. */
struct lb_session {
    int64_t session;     /* audit session id */
    int64_t pid;         /* leader */
    int64_t pid_started; /* clock ticks since boot */
    char *service, *tty, *rhost;
    bool foreign;
    int64_t opened_at, closed_at; /* closed_at 0: open */
};

struct lb_end {
    char *reason; /* "time", "handed back", "revoked" … */
    char *by, *note; /* note: of who stopped it, in his words */
    int64_t at;
    int64_t killed, left, ms;
    struct lb_killed kinds;
    int64_t shared;
};

/* What runs, where the access is for no login but for a reviewed script. */
struct lb_script {
    char *name, *command, *user; /* command: "sha256:…"; NULL: it is for logins */
    char **arguments;
    int64_t ended_at;            /* 0: it runs */
    int64_t exit_status, bytes;
    char *output, *note;         /* output: "sha256:…" */
};

/* The report of what the access changed on the host. */
struct lb_left_behind {
    int64_t at;             /* 0: there is none yet */
    int64_t count;          /* how many changes */
    struct lb_list changes; /* struct lb_change: the first of each kind */
    char *problem;          /* why no report could be made */
};

/* Who does what time demands. */
#define LB_BY_CLOCK "clock"

/* Why an access is frozen. Its deadline (not_after) is then when it ends unless it is resumed. */
struct lb_pause {
    char *by, *note; /* the approver, or LB_BY_CLOCK at its end */
    int64_t at;      /* since when; 0: it is not frozen */
    bool hold;       /* its time stands still */
    int64_t left;    /* hold: µs of its time that it has when it goes on; 0: its time is over */
    int64_t charged; /* hold: µs counted in `held` when it began */
};

struct lb_request {
    char *id;
    int state, basis; /* enum lb_state, enum lb_basis */
    char *host, *account, *engineer, *key, *service, *scope, *rhost, *tty;
    int64_t uid;
    char *ticket, *ticket_url, *reason, *rule, *previous, *grant, *extends;
    int64_t requested_at;
    int64_t duration; /* µs: asked for, then granted */
    int64_t closed_at; /* when it reached a final state; 0: open */
    struct lb_deadline decide_by, begin_at, use_by, not_after; /* each counts in its own states only;
                                                                  begin_at is zero where nobody put it off */
    int64_t not_before;  /* when access begins (or began), 0: not known yet */
    struct lb_terms terms;
    char **reviewers, **entitled;
    char *nonce;    /* what a signed decision has to name, at the stage where it is or was last; NULL: none */
    int64_t warned; /* the last warning given, µs before the end; 0: none */
    int64_t turn;            /* how often its deadline was moved in any way */
    int64_t held;            /* µs for which its time stood still, the longest that a pause may still last included */
    struct lb_pause pause;
    int64_t acknowledged_at; /* an emergency: when an approver had seen it; 0: not yet */
    struct lb_list approvals, messages, sessions;
    struct lb_script script;
    struct lb_end end;
    struct lb_left_behind left_behind;
};

extern const struct lb_field lb_request_fields[], lb_left_behind_fields[];

bool lb_state_is_open(int state);      /* not final */
bool lb_state_is_access(int state);    /* active, paused: sessions may run */
bool lb_state_is_waiting(int state);   /* review, pending */

/* A window, which the customer opened beforehand: others' requests come through it, and nobody is in it himself. */
bool lb_request_is_window(const struct lb_request *r);

/* Sessions not closed yet. */
size_t lb_request_open_sessions(const struct lb_request *r);
/* The open session led by this process, or NULL. */
struct lb_session *lb_request_session(const struct lb_request *r, int64_t pid, int64_t pid_started);

/* Whether it is frozen when its time is over, instead of ending: OnEnd=freeze, and there is something to freeze and
 * more time to be had. */
bool lb_request_freezes(const struct lb_request *r);

/* Whether it is frozen because its time is over. */
bool lb_request_is_at_end(const struct lb_request *r);

/* When time alone next changes something: the moment from which lb_request_due() may have another answer. */
struct lb_deadline lb_request_deadline(const struct lb_request *r, const struct lb_time *now);

/* Whether an approved access may begin by the clocks: no approver put it off, or that time has come on both. */
bool lb_request_may_begin(const struct lb_request *r, const struct lb_time *now);

/* The event that time demands now, LB_EVENT_NONE if none. For LB_EVENT_WARNED *ret_warning is the warning to give. */
int lb_request_due(const struct lb_request *r, const struct lb_time *now, int64_t *ret_warning);

/* The access of a reviewed script: no login has a part in it. */
bool lb_request_is_script(const struct lb_request *r);

/* Same account, engineer, key and scope: what an access is bound to. That of a script is for no login. */
bool lb_request_is_for(const struct lb_request *r, const char *account, const char *engineer, const char *key,
                       const char *scope);

struct lb_request *lb_request_free(struct lb_request *r); /* NULL is fine; returns NULL */
