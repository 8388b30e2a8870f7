/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the gate begins and stops: the log is replayed, what should have ended meanwhile is ended first. */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/behind.h"
#include "lockboxd/clock.h"
#include "lockboxd/effects.h"
#include "lockboxd/launch.h"
#include "lockboxd/freezer.h"
#include "lockboxd/log.h"
#include "lockboxd/pause.h"
#include "lockboxd/policy_files.h"
#include "lockboxd/read_text.h"
#include "lockboxd/refusals.h"
#include "lockboxd/resend.h"
#include "lockboxd/rights.h"
#include "lockboxd/scripts.h"
#include "lockboxd/thaw.h"
#include "lockboxd/unsaved.h"
#include "policy/base.h"
#include "policy/text.h"

#define POLICY_NOTE_MAX 4000 /* bytes of what is wrong with a policy; the rest is in policy check */
#define STOP_PATIENCE (3 * LB_USEC_PER_SEC)

/* A leader is gone: the session is closed. */
static void on_leader_gone(void *userdata, const char *request, pid_t pid, int64_t started)
{
    struct lb_live *live = lb_gate_find(userdata, request);
    struct lb_session *s = live ? lb_request_session(live->request, pid, started) : NULL;
    struct lb_event e = { .kind = LB_EVENT_CLOSED, .pid = pid, .pid_started = started };

    if (!s)
        return;
    e.session = s->session;
    lb_gate_step(live, &e);
}

int lb_gate_new(sd_event *event, struct lb_gate **ret)
{
    struct lb_gate *g = calloc(1, sizeof(*g));

    if (!g)
        return -ENOMEM;
    g->event = sd_event_ref(event);
    g->started_at = lb_clock_now().wall;
    if (lb_sessions_new(event, on_leader_gone, g, &g->sessions) < 0) {
        lb_gate_free(g);
        return -ENOMEM;
    }
    *ret = g;
    return 0;
}

struct lb_gate *lb_gate_free(struct lb_gate *g)
{
    struct lb_event *unsaved;

    if (!g)
        return NULL;
    while (g->n_live > 0)
        lb_gate_drop(g->live[0]);
    unsaved = g->unsaved.items;
    for (size_t i = 0; i < g->unsaved.n; i++)
        lb_event_clear(&unsaved[i]);
    free(g->unsaved.items);
    sd_event_source_disable_unref(g->retry);
    lb_refusals_clear(g);
    if (g->journal)
        lb_journal_stop(g->journal, 0);
    lb_sessions_free(g->sessions);
    lb_systemd_free(g->systemd);
    lb_store_close(g->store);
    lb_ruleset_free(g->policy);
    lb_approvers_free(g->approvers);
    sd_event_unref(g->event);
    free(g->live);
    free(g->host);
    free(g->state_directory);
    free(g->runtime_directory);
    free(g->config_error);
    free(g->policy_error);
    free(g->store_error);
    free(g);
    return NULL;
}

/* --- policy ------------------------------------------------------------------------------------------------------- */

static void note_policy(struct lb_gate *g, int kind, const char *text)
{
    struct lb_event e = { .kind = kind, .note = lb_text_clean(text, POLICY_NOTE_MAX) };

    if (g->store)
        lb_gate_note(g, &e);
    else
        lb_event_clear(&e);
}

void lb_gate_close_undecidable(struct lb_live *live)
{
    struct lb_event e = { .kind = LB_EVENT_UNDECIDABLE };

    if (!lb_state_is_waiting(live->request->state) || lb_rights_decidable(live->gate, live->request))
        return;
    e.by = strdup("policy");
    lb_gate_step(live, &e);
}

/* approvers.conf; no file names nobody. -EINVAL and *ret_error as for policy. */
static int load_approvers(const struct lb_gate *g, struct lb_approvers **ret, char **ret_error)
{
    LB_FREE char *text = NULL;
    struct lb_ini_errors errors = { 0 };
    size_t size = 0;
    int r = lb_read_text(g->approvers_path, false, &text, &size, &errors);

    if (r > 0)
        r = lb_approvers_parse(g->approvers_path, text, size, ret, ret_error);
    if (r == 0 && errors.n > 0) {
        *ret_error = LB_TAKE(errors.text);
        r = -EINVAL;
    }
    free(errors.text);
    return r;
}

/* Rules and people together, so that neither names what the other has not got. */
static int load_policy(struct lb_gate *g, struct lb_ruleset **ret, struct lb_approvers **ret_approvers,
                       char **ret_error)
{
    int r = load_approvers(g, ret_approvers, ret_error);

    if (r == 0)
        r = lb_policy_files_load(g->policy_directories, ret, ret_error);
    if (r < 0)
        *ret_approvers = lb_approvers_free(*ret_approvers);
    return r;
}

int lb_gate_reload(struct lb_gate *g)
{
    struct lb_ruleset *set = NULL;
    struct lb_approvers *approvers = NULL;
    char *error = NULL, text[64];
    int r = load_policy(g, &set, &approvers, &error);

    free(g->policy_error);
    g->policy_error = r < 0 && !error ? strdup(strerror(-r)) : error;
    if (r < 0) {
        if (!g->store) /* else the event says it */
            lb_log(LOG_ERR, "Policy refused: %s", g->policy_error);
        note_policy(g, LB_EVENT_POLICY_REFUSED, g->policy_error ? g->policy_error : "out of memory");
        return r;
    }
    lb_ruleset_free(g->policy);
    lb_approvers_free(g->approvers);
    g->policy = set;
    g->approvers = approvers;
    g->policy_loaded_at = lb_clock_now().wall;
    snprintf(text, sizeof(text), "%zu rule%s.", set->n, set->n == 1 ? "" : "s");
    note_policy(g, LB_EVENT_POLICY_LOADED, text);
    for (size_t i = g->store ? g->n_live : 0; i-- > 0;) /* closed under the new policy, not left to hang */
        lb_gate_close_undecidable(g->live[i]);
    return 0;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static int load_live(void *userdata, const char *id)
{
    struct lb_gate *g = userdata;
    struct lb_request *request = NULL;
    int r = lb_store_load(g->store, id, &request);

    if (r < 0)
        return r;
    if (lb_gate_add(g, request))
        return 0;
    lb_request_free(request);
    return -ENOMEM;
}

/* What was closed before the last end of the daemon, and has not reached the disk, is closed. */
static int close_again(void *userdata, int64_t number, struct lb_event *e)
{
    struct lb_gate *g = userdata;
    struct lb_live *live = lb_gate_find(g, e->request);
    int r = -EINVAL;

    if (g->unsaved.n == 0)
        g->unsaved_first = number;
    if (live && number == g->unsaved_first + (int64_t)g->unsaved.n)
        r = lb_gate_keep(g, e);
    if (r == 0)
        r = lb_lifecycle_apply(&live->request, e);
    if (r == 0 && !lb_state_is_open(live->request->state))
        lb_gate_drop(live);
    if (r < 0 && r != -ENOMEM) /* it had reached the disk, after all */
        lb_unsaved_forget(g->runtime_directory, number);
    lb_event_clear(e);
    return r == -ENOMEM ? r : 0;
}

static void recover_reboot(struct lb_live *live, const struct lb_time *last, const struct lb_time *now)
{
    const struct lb_request *r = live->request;
    struct lb_deadline d = lb_state_is_waiting(r->state)        ? r->decide_by
                           : r->state == LB_STATE_APPROVED ? r->use_by
                                                           : r->not_after;
    struct lb_event e = { .kind = LB_EVENT_REBOOTED };

    if (lb_state_is_access(r->state) && r->terms.on_reboot == LB_ON_REBOOT_END)
        e.kind = LB_EVENT_TIME_OVER;
    e.by = strdup("reboot");
    e.left_usec = lb_deadline_left_after_reboot(&d, last, now);
    e.wait_usec = lb_deadline_wait_after_reboot(&r->begin_at, last, now);
    if (r->state != LB_STATE_ENDING)
        lb_gate_step(live, &e);
    else
        lb_event_clear(&e);
}

/* Holds the leaders that are still there; the sessions of the others are over. */
static void recover_sessions(struct lb_live *live)
{
    const struct lb_session *s = live->request->sessions.items;

    for (size_t i = 0; i < live->request->sessions.n; i++) {
        pid_t pid = (pid_t)s[i].pid;
        int64_t started = s[i].pid_started;

        if (s[i].closed_at || lb_sessions_watch(live->gate->sessions, live->request->id, pid, started) == 0)
            continue;
        on_leader_gone(live->gate, live->request->id, pid, started);
        s = live->request->sessions.items; /* made anew by the event */
    }
}

/* False when the request is closed now. */
static bool recover_deadline(struct lb_live *live)
{
    struct lb_gate *g = live->gate;
    struct lb_time now = lb_clock_now();
    struct lb_event e = lb_gate_due(live, &now);

    if (e.kind == LB_EVENT_NONE)
        return true;
    lb_gate_step(live, &e);
    for (size_t i = 0; i < g->n_live; i++)
        if (g->live[i] == live)
            return true;
    return false;
}

/* What the log says is frozen stays so; what is at its end is killed first and thawed then. */
static bool stays_frozen(void *userdata, const char *id)
{
    const struct lb_live *live = lb_gate_find(userdata, id);

    return live && (live->request->state == LB_STATE_PAUSED || live->request->state == LB_STATE_ENDING);
}

static void recover_one(struct lb_live *live, bool rebooted, const struct lb_time *last)
{
    struct lb_time now = lb_clock_now();

    if (rebooted)
        recover_reboot(live, last, &now);
    if (!recover_deadline(live))
        return;
    if (live->request->state == LB_STATE_ENDING)
        lb_effects_reap(live);
    else if (lb_request_is_script(live->request))
        lb_launch_lost(live);
    else if (lb_state_is_access(live->request->state)) {
        lb_effects_run(live, LB_EFFECT_ARM | LB_EFFECT_UNLOCK);
        if (live->request->state == LB_STATE_PAUSED)
            lb_pause_freeze_now(live);
        recover_sessions(live);
    }
    lb_gate_arm(live);
}

/* Everything that stood before stands again. To end one may close others: each is looked for anew. */
static int recover_live(struct lb_gate *g, const struct lb_time *last)
{
    bool rebooted = last->boot_id && last->boot_id != lb_clock_now().boot_id;
    char **ids = NULL;
    int r = 0;

    for (size_t i = g->n_live; i-- > 0 && r == 0;)
        r = lb_strings_append(&ids, g->live[i]->request->id);
    for (char **id = ids; r == 0 && id && *id; id++) {
        struct lb_live *live = lb_gate_find(g, *id);

        if (live)
            recover_one(live, rebooted, last);
    }
    lb_strings_free(ids);
    return r;
}

static bool is_live(void *userdata, const char *id)
{
    return lb_gate_find(userdata, id);
}

/* The place to begin at is kept with the first event of this boot: a daemon that dies before all was sent again begins
 * there, too. */
static int start_journal(struct lb_gate *g)
{
    int64_t position = lb_resend_position(g->store, lb_store_journal_position(g->store), lb_clock_now().boot_id);

    lb_store_set_journal_position(g->store, position);
    return lb_journal_start(g->state_directory, position, &g->journal);
}

static int replay(struct lb_gate *g)
{
    struct lb_store_filter open_ones = { .open_only = true };
    struct lb_event started = { .kind = LB_EVENT_STARTED };
    struct lb_time last = { 0 };
    int r;

    lb_store_last(g->store, &last);
    r = lb_store_list(g->store, &open_ones, load_live, g);
    if (r == 0 && g->runtime_directory)
        r = lb_unsaved_each(g->runtime_directory, close_again, g);
    if (r == 0)
        r = start_journal(g);
    if (r < 0)
        return r;
    lb_scripts_sweep(g->state_directory, is_live, g);
    lb_gate_note(g, &started); /* a disk that takes nothing keeps what is open from opening, not from ending */
    r = recover_live(g, &last);
    if (r < 0)
        return r;
    if (g->runtime_directory)
        lb_freezer_thaw_all(g->runtime_directory, stays_frozen, g);
    lb_behind_sweep(g);
    return 0;
}

int lb_gate_open_store(struct lb_gate *g)
{
    int r = lb_store_open(g->state_directory, false, g->reserve, &g->store);

    if (r == 0)
        r = replay(g);
    if (r == 0)
        return 0;
    lb_gate_store_error(g, r);
    while (g->n_live > 0)
        lb_gate_drop(g->live[0]);
    if (g->journal)
        lb_journal_stop(g->journal, 0);
    g->journal = NULL;
    g->store = lb_store_close(g->store);
    lb_gate_retry_later(g);
    return r;
}

int lb_gate_start(struct lb_gate *g)
{
    if (lb_gate_open_store(g) < 0 && g->runtime_directory)
        lb_freezer_thaw_all(g->runtime_directory, lb_thaw_keeps, NULL);
    lb_gate_reload(g);
    return 0;
}

void lb_gate_stop(struct lb_gate *g)
{
    struct lb_event e = { .kind = LB_EVENT_STOPPING };

    if (!g->store)
        return;
    lb_refusals_flush(g);
    lb_gate_note(g, &e);
    lb_store_set_journal_position(g->store, lb_journal_stop(g->journal, STOP_PATIENCE));
    g->journal = NULL;
    lb_store_flush(g->store);
}
