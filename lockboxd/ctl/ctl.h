/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lockboxctl's verbs share. A verb reads its options, makes one or two calls and shows the answer; whoever meets a
 * mistake tells it on standard error, with what to do next, and returns the exit status.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "lockboxd/ctl/table.h"
#include "lockboxd/proto/client.h"
#include "policy/base.h"
#include "policy/event.h"
#include "policy/id.h"
#include "policy/request.h"

#define LB_ACCESS "org.lockbox.Access."
#define LB_AUDIT "org.lockbox.Audit."
#define LB_JSON LB_CLEANUP(lb_json_decrefp)
#define LB_CLIENT LB_CLEANUP(lb_client_closep)

enum lb_exit {
    LB_EXIT_DONE,
    LB_EXIT_FAILED,
    LB_EXIT_USAGE,
    LB_EXIT_NO_REQUEST,
    LB_EXIT_NOT_PERMITTED,
    LB_EXIT_NO_DAEMON,
};

enum lb_option {
    LB_OPTION_HELP, LB_OPTION_VERSION, LB_OPTION_SOCKET, LB_OPTION_POLICY_DIRECTORY, LB_OPTION_JSON,
    LB_OPTION_PENDING, LB_OPTION_ACTIVE, LB_OPTION_RECENT, LB_OPTION_ALL,
    LB_OPTION_ACCOUNT, LB_OPTION_ENGINEER, LB_OPTION_TICKET, LB_OPTION_STATE, LB_OPTION_SINCE, LB_OPTION_UNTIL,
    LB_OPTION_FOLLOW, LB_OPTION_FOR, LB_OPTION_NOTE, LB_OPTION_REASON, LB_OPTION_SCOPE, LB_OPTION_WAIT,
    LB_OPTION_SERVICE, LB_OPTION_RHOST, LB_OPTION_KEY, LB_OPTION_IDENTITY, LB_OPTION_AT, LB_OPTION_FROM,
    LB_OPTION_SIGN, LB_OPTION_ROOT, LB_OPTION_HOLD, LB_OPTION_DECISION, LB_OPTION_APPROVER,
    LB_OPTION_JOURNAL, LB_OPTION_KNOWN, LB_OPTION_FORMAT, LB_OPTION_JOURNAL_DIRECTORY, LB_OPTION_QR, LB_OPTION_OUTPUT,
    LB_OPTION_COURIER_SOCKET,
    LB_OPTION_MAX_,
};

struct lb_ctl;

struct lb_verb {
    const char *name; /* one word or two */
    const char *args, *help;
    int (*run)(struct lb_ctl *ctl); /* enum lb_exit */
    uint64_t options;   /* bits by enum lb_option, besides those that every verb takes */
    int max_args;       /* -1: any number */
    uint64_t needs;     /* those of the options that have to be given */
    bool text;          /* the last argument is words for the other side */
    const char *states; /* not NULL: needs an ID; a request in one of these states may be meant without one */
    const char *which;  /* … of those that List gives for this word; NULL: the open ones */
    bool own;           /* … and only one's own */
    bool (*fits)(const json_t *request); /* … and only if it says so; NULL: any */
    const char *question; /* … and only after a yes to this, which ends before the duration */
};

struct lb_ctl {
    const struct lb_verb *verb;
    const char *options[LB_OPTION_MAX_]; /* the value, "" for an option without one, NULL: not given */
    const char **directories;            /* --policy-directory, NULL-terminated; NULL: the host's */
    const char *const *args;             /* after the verb, NULL-terminated */
    char id[LB_ID_PRINTED_MAX];          /* the request that is meant; "" where the verb needs none */
    const char *text;                    /* of a verb with words; NULL otherwise */
    struct lb_terminal out, err;
    int64_t now;
};

static inline void lb_json_decrefp(json_t **json)
{
    json_decref(*json);
}

static inline void lb_client_closep(struct lb_client **client)
{
    lb_client_close(*client);
}

/* --- command.c: the verbs ----------------------------------------------------------------------------------------- */

/* Reads the command line and runs its verb. `ctl` has its streams, the time and the socket. enum lb_exit. */
int lb_ctl_run(struct lb_ctl *ctl, int argc, char **argv);

/* --- call.c: the daemon ------------------------------------------------------------------------------------------- */

/* Tells a mistake (status 0: something to know) on standard error: "lockboxctl: …", made safe. Returns `status`. */
int lb_ctl_fail(const struct lb_ctl *ctl, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define LB_CTL_CONNECT_MS 5000

/*
 * One call, on a connection of its own, and its reply. Takes the parameters; NULL is told as text that is not UTF-8.
 * enum lb_exit; a mistake and the daemon's refusal have been told.
 */
int lb_ctl_call(const struct lb_ctl *ctl, const char *method, json_t *parameters, json_t **ret);

/* Tells what it means that no answer came (a -errno of lb_client_…); returns the exit status. */
int lb_ctl_lost(const struct lb_ctl *ctl, int r);

/* Tells the error in a reply; returns its exit status. */
int lb_ctl_refused(const struct lb_ctl *ctl, const char *error, const json_t *parameters);

/* The request ctl->id. enum lb_exit. */
int lb_ctl_get(const struct lb_ctl *ctl, json_t **ret);

/* A member of an object; "", 0 or NULL where there is none. Times are µs since 1970. */
const char *lb_ctl_string(const json_t *object, const char *key);
int64_t lb_ctl_int(const json_t *object, const char *key);
int64_t lb_ctl_time(const json_t *object, const char *key);

/* Calls page with each page of events that the caller may read, from sequence number `since` (negative: so many from
 * the end) on, of one request (NULL: all), until it returns another status than LB_EXIT_DONE. enum lb_exit. */
typedef int lb_ctl_page(const struct lb_ctl *ctl, const json_t *events, void *userdata);
int lb_ctl_pages(const struct lb_ctl *ctl, int64_t since, const char *request, lb_ctl_page *page, void *userdata);

/* Prints one JSON value in one line. */
void lb_ctl_print_json(const struct lb_ctl *ctl, const json_t *value);

/* The wall clock, µs since 1970. */
int64_t lb_ctl_now(void);

/* --- options.c ---------------------------------------------------------------------------------------------------- */

/* The command line → ctl->options, directories and args. enum lb_exit. */
int lb_ctl_read_options(struct lb_ctl *ctl, int argc, char **argv);

/* Options that are not among those known here, of a later version, too long for the daemon, or that the verb needs and
 * has not got, are mistakes. enum lb_exit. */
int lb_ctl_check_options(const struct lb_ctl *ctl, uint64_t known);

/* A line of help for each of these. */
void lb_ctl_print_options(FILE *out, uint64_t which);

/* --since, --until → µs since 1970; *ret is untouched where the option is absent. enum lb_exit. */
int lb_ctl_option_time(const struct lb_ctl *ctl, enum lb_option option, int64_t *ret);

/* --from → µs since 1970, no time that is over; *ret is untouched where it is absent. enum lb_exit. */
int lb_ctl_option_from(const struct lb_ctl *ctl, int64_t *ret);

/* --for → seconds; *ret is untouched where it is absent. enum lb_exit. */
int lb_ctl_option_span(const struct lb_ctl *ctl, int64_t *ret);

/* --- choose.c: the request that is meant -------------------------------------------------------------------------- */

/* Sets ctl->id from the first argument, or from the one request that the verb fits; ctl->text from the last argument of
 * a verb with words. enum lb_exit. */
int lb_ctl_choose(struct lb_ctl *ctl);

/* --- follow.c: what happens from now on --------------------------------------------------------------------------- */

/* Called with the new events (NULL when only time has passed). Returns -1 to go on, else the exit status. */
typedef int lb_ctl_step(struct lb_ctl *ctl, const json_t *events, void *userdata);

struct lb_ctl_follow {
    const char *request; /* only its events; NULL: all */
    int64_t since;       /* sequence number; kept up to date */
    int tick_ms;         /* < 0: no calls for time alone */
    lb_ctl_step *step;
    void *userdata;
};

/* Goes on until step says otherwise; a daemon that is restarted is waited for. enum lb_exit. */
int lb_ctl_follow(struct lb_ctl *ctl, struct lb_ctl_follow *follow);

/* The sequence number that the next event will have. enum lb_exit. */
int lb_ctl_end_of_log(const struct lb_ctl *ctl, int64_t *ret);

/*
 * Waits until ctl->id has left the states (a list of words), or timeout_ms are over (< 0: for ever), and gives the
 * request as it is then. What is said about it meanwhile is told on standard error. enum lb_exit.
 */
int lb_ctl_await(struct lb_ctl *ctl, const char *states, int timeout_ms, json_t **ret);

/* --- show.c: requests in a person's words ------------------------------------------------------------------------- */

/* A request's state: `pending` reads "Action needed". */
const char *lb_show_state(const json_t *request);
enum lb_colour lb_show_colour(const json_t *request);

/* A window that was opened beforehand for whoever comes with its ticket: it has no engineer. */
bool lb_show_is_window(const json_t *request);

bool lb_show_is_emergency(const json_t *request);
/* … that no approver has acknowledged yet. */
bool lb_show_is_unseen(const json_t *request);

/* Whether it is frozen because its time is over, not by an approver. */
bool lb_show_is_at_end(const json_t *request);

/* How long it is for: "8h", and "8h more" where it asks more time for another one. Returns buf. */
#define LB_SHOW_DURATION_MAX 40
const char *lb_show_duration(const json_t *request, char *buf);

/* "1 of 2 approvals" while more than one is needed, "" otherwise. Returns buf. */
#define LB_SHOW_VOTES_MAX 64
const char *lb_show_votes(const json_t *request, char *buf);

/* "12 processes ended in 34 ms, nothing left"; "" while there is no receipt. Returns buf. */
#define LB_SHOW_RECEIPT_MAX 320
const char *lb_show_receipt(const json_t *request, char *buf);

/* All of it, a line a fact. enum lb_exit. */
int lb_show_request(const struct lb_ctl *ctl, const json_t *request);

/* left_behind.c: the report of what the access changed on the host, in a line ("" where there is none yet; returns
 * buf), and as a table of all that it lists (nothing where that is nothing). 0, -ENOMEM. */
#define LB_SHOW_LEFT_MAX 256
const char *lb_show_left_behind(const json_t *request, char *buf);
int lb_show_changes(const struct lb_ctl *ctl, const json_t *request);

/* True if the word is in the list of words. */
bool lb_show_is_one_of(const char *word, const char *words);

/* A table, a line a request (list.c). enum lb_exit. */
int lb_list_print(const struct lb_ctl *ctl, const struct lb_terminal *terminal, const json_t *requests);

/* --- act.c: doing something, and saying so ------------------------------------------------------------------------ */

/* A line for a person; a program that asked for JSON gets the request alone. */
void lb_act_say(const struct lb_ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls a method of Access that answers with the request, and sets ctl->id to it. What the daemon has to say besides
 * goes to standard error, where it is seen also when the answer goes into a program. enum lb_exit. */
int lb_act(struct lb_ctl *ctl, const char *method, json_t *parameters, json_t **ret);

/* The last word: the request as JSON, or what was done to whom and where. */
void lb_act_say_done(const struct lb_ctl *ctl, const char *done, const json_t *request, const char *rest);

/* lb_act for ctl->id with the words of --note (or `note`), and lb_act_say_done. enum lb_exit. */
int lb_act_once(struct lb_ctl *ctl, const char *method, const char *note, const char *done, const char *rest);

/* " for 4h, until today 22:00" and the like, with what is not known yet said so. Returns buf. */
#define LB_ACT_PERIOD_MAX 200
const char *lb_act_period(const struct lb_ctl *ctl, const json_t *request, char *buf);

/* Parameters with the time of --for and --from, where they are given. Takes the parameters (NULL is fine), which are
 * freed on a mistake. enum lb_exit. */
int lb_act_with_times(const struct lb_ctl *ctl, json_t *parameters, json_t **ret);

/* The last word after a decision, which is the request's newest: what it was, and what comes next. */
void lb_act_say_decision(const struct lb_ctl *ctl, const json_t *request);

/* --- sign.c: decisions that are signatures ------------------------------------------------------------------------ */

/* Takes the decision ("approve", "deny") on ctl->id with a signature by the key of --sign. enum lb_exit. */
int lb_sign_decision(struct lb_ctl *ctl, const char *decision);

/* --- courier.c ---------------------------------------------------------------------------------------------------- */

#define LB_COURIER_SOCKET "/run/lockbox-courier/control.socket"
#define LB_COURIER_CONFIG "/etc/lockbox/courier.conf"

/* The courier's lines of a status; none where there is no courier, and none is wanted. */
void lb_courier_print(const struct lb_ctl *ctl);

/* --- the verbs ---------------------------------------------------------------------------------------------------- */

int verb_list(struct lb_ctl *ctl);
int verb_show(struct lb_ctl *ctl);
int verb_sessions(struct lb_ctl *ctl);
int verb_approve(struct lb_ctl *ctl);
int verb_deny(struct lb_ctl *ctl);
int verb_revoke(struct lb_ctl *ctl);
int verb_statement(struct lb_ctl *ctl);
int verb_submit(struct lb_ctl *ctl);
int verb_pause(struct lb_ctl *ctl);
int verb_resume(struct lb_ctl *ctl);
int verb_ask(struct lb_ctl *ctl);
int verb_answer(struct lb_ctl *ctl);
int verb_grant(struct lb_ctl *ctl);
int verb_acknowledge(struct lb_ctl *ctl);
int verb_extend(struct lb_ctl *ctl);
int verb_done(struct lb_ctl *ctl);
int verb_withdraw(struct lb_ctl *ctl);
int verb_request(struct lb_ctl *ctl);
int verb_run(struct lb_ctl *ctl);
int verb_events(struct lb_ctl *ctl);
int verb_audit_verify(struct lb_ctl *ctl);
int verb_audit_export(struct lb_ctl *ctl);
int verb_audit_key(struct lb_ctl *ctl);
int verb_audit_pack(struct lb_ctl *ctl);
int verb_audit_checkpoint(struct lb_ctl *ctl);
int verb_audit_countersign(struct lb_ctl *ctl);
int verb_policy_check(struct lb_ctl *ctl);
int verb_policy_explain(struct lb_ctl *ctl);
int verb_status(struct lb_ctl *ctl);
int verb_doctor(struct lb_ctl *ctl);
int verb_courier_status(struct lb_ctl *ctl);
int verb_courier_test(struct lb_ctl *ctl);
int verb_courier_dead(struct lb_ctl *ctl);
int verb_courier_retry(struct lb_ctl *ctl);
