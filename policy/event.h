/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An event: one line of the log that is the truth. Everything a request is, is a fold over its events (lifecycle.h).
 * Each kind uses some of the members; the others stay zero and are not written.
 */
#pragma once

#include <stdint.h>

#include "policy/deadline.h"
#include "policy/fields.h"
#include "policy/terms.h"

enum lb_event_kind {
    LB_EVENT_NONE,
    /* a request begins */
    LB_EVENT_REVIEW,      /* waits for the vendor's own approver */
    LB_EVENT_REQUESTED,   /* waits for the customer */
    LB_EVENT_PERMITTED,   /* a rule lets it in */
    LB_EVENT_GRANTED,     /* the customer opens a window beforehand */
    LB_EVENT_PREAPPROVED, /* a login inside such a window */
    LB_EVENT_SCRIPT_STARTED, /* a rule lets a reviewed script run */
    /* before access */
    LB_EVENT_REVIEWED, /* the vendor's approver says yes: now the customer */
    LB_EVENT_VOTED,    /* one yes of several that are needed */
    LB_EVENT_APPROVED,
    LB_EVENT_DENIED,
    LB_EVENT_EXPIRED,
    LB_EVENT_WITHDRAWN,
    LB_EVENT_UNDECIDABLE,
    LB_EVENT_MESSAGE,
    LB_EVENT_EMERGENCY, /* break-glass: access begins at once */
    /* access */
    LB_EVENT_BEGUN,
    LB_EVENT_LAPSED,
    LB_EVENT_OPENED, /* a session */
    LB_EVENT_CLOSED, /* a session */
    LB_EVENT_WARNED,
    LB_EVENT_REBOOTED,
    LB_EVENT_ADDED,    /* a request for more time has done its work: what it links to is … */
    LB_EVENT_EXTENDED,
    LB_EVENT_UNIT_FAILED, /* one of the units that the access unlocks, or locks again */
    LB_EVENT_SCRIPT_ENDED, /* by itself, or with its access */
    LB_EVENT_PAUSED,
    LB_EVENT_FROZEN, /* the time is over; frozen, so that more can be approved before everything ends */
    LB_EVENT_RESUMED,
    /* the end: why … */
    LB_EVENT_TIME_OVER,
    LB_EVENT_HANDED_BACK,
    LB_EVENT_STOPPED,
    LB_EVENT_STUCK,
    LB_EVENT_LEFT_BEHIND, /* what the access has changed on the host */
    LB_EVENT_NO_REPORT,   /* … is not known */
    /* … and its receipts */
    LB_EVENT_COMPLETED,
    LB_EVENT_ENDED,
    LB_EVENT_REVOKED,
    LB_EVENT_ACKNOWLEDGED, /* the customer has seen an emergency */
    LB_EVENT_REQUEST_MAX_, /* up to here they are a request's and go through the lifecycle table */
    /* the gate's own */
    LB_EVENT_REFUSED = LB_EVENT_REQUEST_MAX_, /* a gated login that got no request or did not fit its access */
    LB_EVENT_ILLEGAL,                         /* an event that the request's state does not allow */
    LB_EVENT_UNACCOUNTED,                     /* processes of a gated account that no access covers */
    LB_EVENT_STARTED,
    LB_EVENT_STOPPING,
    LB_EVENT_POLICY_LOADED,
    LB_EVENT_POLICY_REFUSED,
    LB_EVENT_CHECKPOINT,    /* the host has signed what the log is: policy/checkpoint.h */
    LB_EVENT_COUNTERSIGNED, /* … and so has somebody else, who keeps it elsewhere */
    LB_EVENT_UNDELIVERED, /* somebody was to be told of something, and could not be */
    LB_EVENT_MAX_,
};

enum lb_state {
    LB_STATE_NONE,
    LB_STATE_REVIEW,
    LB_STATE_PENDING,
    LB_STATE_APPROVED,
    LB_STATE_ACTIVE,
    LB_STATE_PAUSED,
    LB_STATE_ENDING,
    LB_STATE_COMPLETED,
    LB_STATE_ENDED,
    LB_STATE_REVOKED,
    LB_STATE_DENIED,
    LB_STATE_EXPIRED,
    LB_STATE_WITHDRAWN,
    LB_STATE_LAPSED,
    LB_STATE_UNDECIDABLE,
    LB_STATE_MAX_,
};

enum lb_basis { LB_BASIS_NONE, LB_BASIS_APPROVAL, LB_BASIS_PERMIT, LB_BASIS_PREAPPROVED, LB_BASIS_EMERGENCY };

extern const char *const lb_state_names[]; /* by enum lb_state */
extern const char *const lb_basis_names[];

/* How many processes ended with an access, by where they were. */
struct lb_killed {
    int64_t session;    /* in a session's own scope */
    int64_t scope;      /* in a scope of another name: tmux, systemd-run --scope */
    int64_t service;    /* below the account's user manager, itself included */
    int64_t connection; /* sshd */
    int64_t other;
};

extern const struct lb_field lb_killed_fields[];

struct lb_event {
    int kind;       /* enum lb_event_kind */
    int64_t seq;    /* from 1, without gaps; set by the store */
    struct lb_time time;
    char *host;
    char *request;  /* ID, or NULL for the gate's own */
    int state;      /* enum lb_state after this event; set by the gate */

    /* the request, in every one of its events */
    char *account, *engineer, *ticket, *reason;

    /* its begin */
    int basis;
    int64_t uid;
    char *key, *service, *scope, *rhost, *tty, *ticket_url, *rule, *previous;
    char *grant;             /* ID of the window that let it in */
    char *extends;           /* ID of the access that it asks more time for */
    int64_t duration;        /* µs that are granted, or would be */
    int64_t asked;           /* µs that were asked for, where that was more */
    char *clamp;             /* what made it less */
    int64_t not_before;      /* APPROVED: access begins then, µs since 1970; 0: at once */
    struct lb_terms terms;
    char **reviewers, **entitled; /* the people who could decide when it was made: the vendor's, the customer's */

    /* decisions and words */
    char *approver, *role, *stage, *evidence, *note; /* role: "customer" */
    char *from;
    char *nonce;             /* a stage begins: what a signed decision at it has to name */
    char *statement, *signature, *signer; /* evidence "signed", CHECKPOINT, COUNTERSIGNED: the text, its OpenSSH
                                             signature, "ED25519 SHA256:…" */

    /* sessions */
    int64_t session;         /* audit session id */
    int64_t pid;             /* leader */
    int64_t pid_started;     /* its start time, clock ticks since boot: pid and this never come again */
    bool foreign;            /* the audit session is not the account's own (su): never swept */

    /* a script */
    char *script;            /* name of its file */
    char *command;           /* "sha256:…": what runs, as the rule names it */
    char **arguments;
    char *user;              /* account of the host as which it runs */
    int64_t exit_status;     /* its own, or 128 and the signal that killed it */
    int64_t bytes;           /* of its output, as far as that was kept */
    char *output;            /* "sha256:…" of them */

    /* ends and receipts */
    char *by;                /* who or what: a name, "clock", "reboot", "engineer" */
    int64_t left_usec;       /* REBOOTED: until the deadline; PAUSED, RESUMED: of the access's time */
    int64_t wait_usec;       /* REBOOTED: until the beginning that an approver has put off */
    bool hold;               /* PAUSED: that time stands still, for `duration` at most */
    int64_t warning;         /* WARNED: which of the terms' warnings, µs before the end */
    int64_t killed, left, ms;
    struct lb_killed kinds;  /* of those killed */
    int64_t shared;          /* alive, outside of any session, and perhaps another engineer's on the same account */

    /* LEFT_BEHIND: how many changes there are; of each kind the first ones, and a line that says how many more */
    int64_t count;           /* CHECKPOINT, COUNTERSIGNED: of events, up to the one that it names */
    struct lb_list changes;  /* struct lb_change */
};

/* Something on the host that is not what it was when the access began. All of it is text for a person. */
struct lb_change {
    char *kind;   /* "account", "unit" … */
    char *name;   /* which one: an account's name, a path; none where it is about all of the kind */
    char *change; /* "added", "removed", "changed"; "more": others are not listed; "unknown": could not be looked at */
    char *detail;
};
extern const struct lb_field lb_change_fields[];

extern const struct lb_field lb_event_fields[];
extern const char *const lb_event_names[]; /* by enum lb_event_kind */

/* What is told of a kind: its journal MESSAGE_ID, its syslog priority, and a sentence (sentence.h), whose {names} are
 * those of fields. */
struct lb_event_class {
    const char *message_id;
    int priority;
    const char *sentence;
};
extern const struct lb_event_class lb_event_classes[LB_EVENT_MAX_];

/* LB_EVENT_NONE if there is no such kind. */
int lb_event_kind_from_name(const char *name);

/* One sentence for a person; owned, NULL when out of memory. */
char *lb_event_sentence(const struct lb_event *e);

/* What is not UTF-8 in its text is exchanged for U+FFFD (as by lb_text_clean), so that no name of the host's keeps it
 * out of the log. -ENOMEM. */
int lb_event_mend(struct lb_event *e);

int lb_event_copy(struct lb_event *to, const struct lb_event *from);
void lb_event_clear(struct lb_event *e);
