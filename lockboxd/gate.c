/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/gate.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <sys/random.h>

#include "lockboxd/behind.h"
#include "lockboxd/clock.h"
#include "lockboxd/effects.h"
#include "lockboxd/launch.h"
#include "lockboxd/log.h"
#include "lockboxd/unsaved.h"
#include "policy/base.h"
#include "policy/id.h"

#define RETRY_EVERY (2 * LB_USEC_PER_SEC)

/* --- live requests ------------------------------------------------------------------------------------------------ */

/* Thousands may wait, so an ID is looked up in a tree and not in the list. */
static int compare_ids(const void *a, const void *b)
{
    return strcmp(((const struct lb_live *)a)->request->id, ((const struct lb_live *)b)->request->id);
}

struct lb_live *lb_gate_find(const struct lb_gate *g, const char *id)
{
    struct lb_request request = { .id = (char *)(id ? id : "") };
    struct lb_live wanted = { .request = &request };
    struct lb_live *const *found = tfind(&wanted, &g->by_id, compare_ids);

    return found ? *found : NULL;
}

struct lb_live *lb_gate_find_session(const struct lb_gate *g, int64_t session)
{
    for (size_t i = 0; i < g->n_live; i++) {
        const struct lb_list *sessions = &g->live[i]->request->sessions;
        const struct lb_session *s = sessions->items;

        for (size_t k = 0; k < sessions->n; k++)
            if (!s[k].foreign && s[k].session == session)
                return g->live[i];
    }
    return NULL;
}

struct lb_live *lb_gate_blocker(const struct lb_live *live)
{
    const struct lb_request *r = live->request;

    /* a window has no engineer itself, so nobody is in its way: it opens when it was said */
    for (size_t i = 0; i < live->gate->n_live && !lb_streq(r->engineer, ""); i++) {
        const struct lb_request *other = live->gate->live[i]->request;
        bool runs = lb_state_is_access(other->state) || other->state == LB_STATE_ENDING;

        /* a grant that nobody is in yet has no engineer, and is in nobody's way */
        if (!runs || lb_streq(other->engineer, "") || !lb_streq(other->account, r->account) ||
            lb_request_is_script(other) || !(other->terms.exclusive || r->terms.exclusive))
            continue;
        if (!lb_streq(other->engineer, r->engineer) || !lb_streq(other->key, r->key))
            return live->gate->live[i];
    }
    return NULL;
}

struct lb_live *lb_gate_add(struct lb_gate *g, struct lb_request *request)
{
    struct lb_live *live = calloc(1, sizeof(*live));
    struct lb_live **grown = reallocarray(g->live, g->n_live + 1, sizeof(*grown));

    if (grown)
        g->live = grown;
    if (live)
        *live = (struct lb_live){ .gate = g, .request = request };
    if (!live || !grown || !tsearch(live, &g->by_id, compare_ids)) {
        free(live);
        return NULL;
    }
    g->live[g->n_live++] = live;
    return live;
}

static void live_free(struct lb_live *live)
{
    while (live->waiters)
        lb_gate_unpark(live->waiters);
    sd_event_source_disable_unref(live->boot_timer);
    sd_event_source_disable_unref(live->wall_timer);
    lb_systemd_call_free(live->arming);
    sd_event_source_disable_unref(live->freezing);
    lb_reaper_free(live->reaper);
    lb_units_free(live->units);
    lb_launch_free(live->launch);
    lb_behind_free(live->behind);
    lb_request_free(live->request);
    free(live);
}

void lb_gate_drop(struct lb_live *live)
{
    struct lb_gate *g = live->gate;

    tdelete(live, &g->by_id, compare_ids);
    for (size_t i = 0; i < g->n_live; i++)
        if (g->live[i] == live) {
            g->live[i] = g->live[--g->n_live];
            break;
        }
    lb_sessions_forget(g->sessions, live->request->id);
    live_free(live);
}

void lb_gate_park(struct lb_live *live, struct lb_waiter *w)
{
    w->next = live->waiters;
    w->self = &live->waiters;
    w->live = live;
    if (w->next)
        w->next->self = &w->next;
    live->waiters = w;
}

void lb_gate_unpark(struct lb_waiter *w)
{
    if (!w->self)
        return;
    *w->self = w->next;
    if (w->next)
        w->next->self = w->self;
    w->next = NULL;
    w->self = NULL;
}

/* --- commit ------------------------------------------------------------------------------------------------------- */

/* What is signed names the nonce of its stage, which so is a new one in each event that begins one. */
static int set_nonce(struct lb_event *e)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];

    if (e->nonce || (e->kind != LB_EVENT_REVIEW && e->kind != LB_EVENT_REQUESTED && e->kind != LB_EVENT_REVIEWED))
        return 0;
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return -EIO;
    e->nonce = calloc(1, 2 * sizeof(bytes) + 1);
    for (size_t i = 0; e->nonce && i < sizeof(bytes); i++) {
        e->nonce[2 * i] = hex[bytes[i] >> 4];
        e->nonce[2 * i + 1] = hex[bytes[i] & 15];
    }
    return e->nonce ? 0 : -ENOMEM;
}

/* What every event says, whoever made it. */
static int fill(struct lb_gate *g, struct lb_event *e, const struct lb_request *r)
{
    const struct { char **to; const char *from; } strings[] = {
        { &e->host, g->host },
        { &e->request, r ? r->id : NULL },
        { &e->account, r ? r->account : NULL },
        { &e->engineer, r ? r->engineer : NULL },
        { &e->ticket, r ? r->ticket : NULL },
        { &e->reason, r ? r->reason : NULL },
    };
    int error;

    e->time = lb_clock_now();
    for (size_t i = 0; i < LB_ELEMENTS(strings); i++)
        if (!*strings[i].to && strings[i].from && !(*strings[i].to = strdup(strings[i].from)))
            return -ENOMEM;
    error = set_nonce(e);
    return error < 0 ? error : lb_event_mend(e);
}

static void announce(struct lb_gate *g)
{
    int64_t seq = g->store ? lb_store_last(g->store, NULL) : 0;

    if (!g->store)
        return;
    if (g->journal) {
        lb_store_set_journal_position(g->store, lb_journal_position(g->journal));
        lb_journal_notify(g->journal, seq);
    }
    if (g->committed)
        g->committed(g->userdata, seq);
}

static void unsaved_pop(struct lb_gate *g)
{
    struct lb_event *first = g->unsaved.items;

    if (g->runtime_directory)
        lb_unsaved_forget(g->runtime_directory, g->unsaved_first);
    g->unsaved_first++;
    lb_event_clear(first);
    memmove(first, first + 1, --g->unsaved.n * sizeof(*first));
}

/* What could not be written goes first, so that the log keeps the order of things. */
int lb_gate_save(struct lb_gate *g)
{
    while (g->unsaved.n > 0) {
        int r = lb_store_append(g->store, g->unsaved.items, 1);

        if (r < 0)
            return r;
        unsaved_pop(g);
        announce(g);
    }
    return 0;
}

void lb_gate_store_error(struct lb_gate *g, int error)
{
    char *text = NULL;

    if (error == 0 && g->store_error)
        lb_log(LOG_NOTICE, "Events can be recorded again in %s.", g->state_directory);
    if (error < 0 && asprintf(&text, "cannot record events in %s: %s", g->state_directory,
                              error == -EUCLEAN ? "the database is damaged" : strerror(-error)) < 0)
        text = NULL;
    if (text && !lb_streq(text, g->store_error))
        lb_log(LOG_ALERT, "Nothing is opened: %s", text);
    free(g->store_error);
    g->store_error = text;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_gate *g = userdata;

    (void)source;
    (void)usec;
    if (!g->store)
        lb_gate_open_store(g);
    else if (lb_gate_save(g) == 0 && lb_store_flush(g->store) == 0)
        lb_gate_store_error(g, 0);
    if (!g->store || g->store_error || g->unsaved.n > 0)
        lb_gate_retry_later(g);
    return 0;
}

void lb_gate_retry_later(struct lb_gate *g)
{
    int r;

    g->retry = sd_event_source_disable_unref(g->retry);
    r = sd_event_add_time_relative(g->event, &g->retry, CLOCK_BOOTTIME, RETRY_EVERY, 0, on_retry, g);
    if (r < 0 && r != -ESTALE) /* the loop is over at a clean stop: the next start tries it again */
        lb_log(LOG_ALERT, "What failed is not tried again: %s", strerror(-r));
}

static int append(struct lb_gate *g, struct lb_event *events, size_t n)
{
    int r = g->store ? lb_gate_save(g) : -EIO;

    if (r == 0)
        r = lb_store_append(g->store, events, n);
    if (g->store)
        lb_gate_store_error(g, r);
    if (r < 0)
        lb_gate_retry_later(g);
    return r;
}

int lb_gate_keep(struct lb_gate *g, const struct lb_event *e)
{
    struct lb_event *kept = lb_list_append(&g->unsaved, sizeof(*kept));

    return kept ? lb_event_copy(kept, e) : -ENOMEM;
}

/* Keeps an event of a closed door until the disk takes it. */
static void keep_unsaved(struct lb_gate *g, const struct lb_event *e)
{
    int64_t number = g->unsaved_first + (int64_t)g->unsaved.n;

    if (lb_gate_keep(g, e) < 0)
        lb_log(LOG_ALERT, "Out of memory: event %s of %s is not recorded.", lb_event_names[e->kind], e->request);
    else if (g->runtime_directory && lb_unsaved_keep(g->runtime_directory, number, e) < 0)
        lb_log(LOG_ALERT, "Event %s of %s is in memory only.", lb_event_names[e->kind], e->request);
}

/* Once more with the reserve given back if the disk is full: closing needs few bytes. It waits for none. */
static void append_closing(struct lb_gate *g, struct lb_event *events, size_t n)
{
    int r = append(g, events, n);

    if (r == -ENOSPC) {
        lb_store_release_reserve(g->store);
        r = append(g, events, n);
    }
    for (size_t i = 0; r < 0 && i < n; i++)
        keep_unsaved(g, &events[i]);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void note_illegal(struct lb_gate *g, const struct lb_request *r, const struct lb_event *refused)
{
    struct lb_event e = { .kind = LB_EVENT_ILLEGAL, .state = r->state };

    if (asprintf(&e.note, "\"%s\" is not possible while %s", lb_event_names[refused->kind],
                 lb_state_names[r->state]) < 0)
        e.note = NULL;
    if (refused->by || refused->approver)
        e.by = strdup(refused->by ? refused->by : refused->approver);
    if (fill(g, &e, r) == 0)
        lb_gate_note(g, &e);
    else
        lb_event_clear(&e);
}

/* Fills the events in and checks them, one after the other. */
static int check(struct lb_gate *g, const struct lb_request *r, struct lb_event *events, size_t n,
                 unsigned *ret_effects)
{
    int state = r ? r->state : LB_STATE_NONE, error = 0;

    *ret_effects = 0;
    for (size_t i = 0; error == 0 && i < n; i++) {
        unsigned effects = 0;

        error = fill(g, &events[i], r);
        if (error == 0)
            error = lb_lifecycle_check(r, state, &events[i], &state, &effects);
        events[i].state = state;
        *ret_effects |= effects;
    }
    return error;
}

/* What is on disk is so. Without the memory for it, starting again and reading the log is the way. */
static void apply(struct lb_request **r, const struct lb_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lb_lifecycle_apply(r, &events[i]) < 0) {
            lb_log(LOG_ALERT, "Out of memory after event %s of %s: starting again.", lb_event_names[events[i].kind],
                   events[i].request);
            abort();
        }
}

static void clear_events(struct lb_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lb_event_clear(&events[i]);
}

static void set_timer(struct lb_live *live, sd_event_source **timer, clockid_t clock, int64_t at);

struct lb_event lb_gate_due(const struct lb_live *live, const struct lb_time *now)
{
    const struct lb_request *r = live->request;
    struct lb_event e = { 0 };

    e.kind = lb_request_due(r, now, &e.warning);
    if (e.kind == LB_EVENT_BEGUN && lb_gate_blocker(live))
        e.kind = LB_EVENT_NONE;
    if (e.kind == LB_EVENT_FROZEN)
        e.duration = r->terms.freeze;
    if (e.kind != LB_EVENT_NONE)
        e.by = strdup(r->pause.hold && r->pause.left > 0 ? "pause" : LB_BY_CLOCK);
    return e;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_live *live = userdata;
    struct lb_time now = lb_clock_now();
    struct lb_event e = lb_gate_due(live, &now);

    (void)source;
    (void)usec;
    if (e.kind == LB_EVENT_NONE) {
        lb_effects_wake(live); /* a first use may be possible now */
        lb_gate_arm(live);
        return 0;
    }
    if (lb_gate_step(live, &e) < 0) /* a warning that cannot be recorded: the end must still come */
        set_timer(live, &live->boot_timer, CLOCK_BOOTTIME, now.boot + LB_USEC_PER_SEC);
    return 0;
}

static void set_timer(struct lb_live *live, sd_event_source **timer, clockid_t clock, int64_t at)
{
    if (at == LB_NEVER) {
        *timer = sd_event_source_disable_unref(*timer);
        return;
    }
    if (!*timer) {
        if (sd_event_add_time(live->gate->event, timer, clock, (uint64_t)at, 1, on_deadline, live) < 0)
            lb_log(LOG_ALERT, "Out of memory: no timer for %s; PID 1's deadline will end it.", live->request->id);
        return;
    }
    sd_event_source_set_time(*timer, (uint64_t)at);
    sd_event_source_set_enabled(*timer, SD_EVENT_ONESHOT);
}

void lb_gate_arm(struct lb_live *live)
{
    struct lb_time now = lb_clock_now();
    struct lb_deadline d = lb_request_deadline(live->request, &now);

    set_timer(live, &live->boot_timer, CLOCK_BOOTTIME, d.boot_id == now.boot_id ? d.boot : LB_NEVER);
    set_timer(live, &live->wall_timer, CLOCK_REALTIME, d.wall);
}

/* Lets approved accesses begin that waited for another engineer's to end. */
static void begin_waiting(struct lb_gate *g, const char *account)
{
    struct lb_time now = lb_clock_now();

    for (size_t i = 0; i < g->n_live; i++) {
        struct lb_live *live = g->live[i];
        struct lb_event e = lb_gate_begun();

        if (!lb_request_may_begin(live->request, &now) || !lb_streq(live->request->account, account) ||
            lb_gate_blocker(live))
            continue;
        if (live->request->terms.starts == LB_STARTS_APPROVAL)
            lb_gate_step(live, &e);
        else
            lb_effects_wake(live);
    }
}

struct lb_event lb_gate_begun(void)
{
    return (struct lb_event){ .kind = LB_EVENT_BEGUN };
}

/* More time for what is over is not to be had. */
static void close_extensions(struct lb_gate *g, const char *id)
{
    for (size_t i = g->n_live; i-- > 0;) {
        struct lb_event e = { .kind = LB_EVENT_EXPIRED };

        if (!g->live[i]->request->extends || !lb_streq(g->live[i]->request->extends, id) ||
            !lb_state_is_waiting(g->live[i]->request->state))
            continue;
        e.by = strdup("the access is over");
        lb_gate_step(g->live[i], &e);
    }
}

/* What has been committed (or closes) takes place. */
static void install(struct lb_live *live, unsigned effects)
{
    struct lb_gate *g = live->gate;
    LB_FREE char *account = NULL;

    lb_effects_run(live, effects);
    if (live->request->state == LB_STATE_ENDING)
        close_extensions(g, live->request->id);
    if (lb_state_is_open(live->request->state)) {
        lb_gate_arm(live);
        return;
    }
    account = strdup(live->request->account);
    lb_gate_drop(live);
    if (account)
        begin_waiting(g, account);
}

int lb_gate_steps(struct lb_live *live, struct lb_event *events, size_t n)
{
    struct lb_gate *g = live->gate;
    unsigned effects;
    int r = check(g, live->request, events, n, &effects);

    if (r == -EPERM)
        note_illegal(g, live->request, &events[0]);
    if (r == 0 && (effects & LB_EFFECT_REAP))
        lb_effects_reap(live);
    if (r == 0 && (effects & LB_EFFECT_CLOSING))
        append_closing(g, events, n);
    else if (r == 0)
        r = append(g, events, n);
    if (r == 0) {
        apply(&live->request, events, n);
        install(live, effects);
        announce(g); /* who waits is answered first, and who follows then */
    }
    clear_events(events, n);
    return r;
}

int lb_gate_extend(struct lb_live *linked, struct lb_event *events, size_t n, struct lb_live *access,
                   struct lb_event *extended, size_t n_extended)
{
    struct lb_gate *g = linked->gate;
    struct lb_event all[4] = { 0 };
    unsigned effects, access_effects;
    int r = n + n_extended <= LB_ELEMENTS(all) ? check(g, linked->request, events, n, &effects) : -E2BIG;

    if (r == -EPERM)
        note_illegal(g, linked->request, &events[0]);
    if (r == 0 && (r = check(g, access->request, extended, n_extended, &access_effects)) == -EPERM)
        note_illegal(g, access->request, &extended[0]);
    if (r == 0) { /* the events stay whose they are; only the bytes go together */
        memcpy(all, events, n * sizeof(*all));
        memcpy(all + n, extended, n_extended * sizeof(*all));
        r = append(g, all, n + n_extended);
    }
    if (r == 0) {
        apply(&access->request, extended, n_extended);
        apply(&linked->request, events, n);
        install(access, access_effects);
        install(linked, effects);
        announce(g);
    }
    clear_events(events, n);
    clear_events(extended, n_extended);
    return r;
}

int lb_gate_step(struct lb_live *live, struct lb_event *e)
{
    return lb_gate_steps(live, e, 1);
}

int lb_gate_new_request(struct lb_gate *g, struct lb_event *e, struct lb_live **ret)
{
    LB_CLEANUP(lb_event_clear) struct lb_event event = *e;
    struct lb_request *request = NULL;
    unsigned effects;
    int r = check(g, NULL, &event, 1, &effects);

    *e = (struct lb_event){ 0 };
    if (r == 0)
        r = append(g, &event, 1);
    if (r < 0)
        return r;
    apply(&request, &event, 1);
    *ret = lb_gate_add(g, request);
    if (!*ret)
        abort(); /* as in apply() */
    lb_effects_run(*ret, effects);
    lb_gate_arm(*ret);
    announce(g);
    return 0;
}

int lb_gate_note(struct lb_gate *g, struct lb_event *e)
{
    int r = fill(g, e, NULL);

    if (r == 0)
        r = append(g, e, 1);
    if (r == 0)
        announce(g);
    else /* the words at least reach standard error */
        lb_log(LOG_WARNING, "Not recorded: %s %s %s", lb_event_names[e->kind], e->account ? e->account : "",
               e->note ? e->note : "");
    lb_event_clear(e);
    return r;
}

int lb_gate_make_id(struct lb_gate *g, char **ret)
{
    char id[LB_ID_PRINTED_MAX];
    struct lb_request *known = NULL;
    uint64_t bits;
    int r;

    do {
        known = lb_request_free(known);
        if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
            return -EIO;
        lb_id_make(bits, id);
        r = g->store ? lb_store_load(g->store, id, &known) : -EIO;
    } while (r == 0);
    if (r != -ENOENT)
        return r;
    *ret = strdup(id);
    return *ret ? 0 : -ENOMEM;
}

const char *lb_gate_problem(const struct lb_gate *g)
{
    if (g->config_error)
        return g->config_error;
    if (!g->policy)
        return g->policy_error ? g->policy_error : "no policy is loaded";
    if (!g->store || g->store_error)
        return g->store_error ? g->store_error : "the event log is not open";
    return NULL;
}
