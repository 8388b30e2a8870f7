/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/unaccounted.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/log.h"
#include "lockboxd/people.h"
#include "lockboxd/proc.h"
#include "lockboxd/residents.h"
#include "lockboxd/rights.h"
#include "policy/base.h"
#include "policy/text.h"

#define LOOK_EVERY (2 * LB_USEC_PER_SEC)
#define LOOK_SHARE 50 /* a look may take one in so many of all time */
#define LOOKS 3
#define ASK_AGAIN (10 * LB_USEC_PER_SEC)
#define REMEMBER (60 * LB_USEC_PER_SEC) /* how long an account is taken for gated, or not, without asking again */

struct account {
    uid_t uid;
    bool gated;
    int64_t until;
};

/* What was found in looks that followed one another. */
struct suspect {
    struct lb_unaccounted *owner;
    struct lb_resident resident;
    int looks;
    bool seen; /* in the look just done */
    struct lb_reaper *reaper;
};

struct lb_unaccounted {
    struct lb_gate *gate;
    const bool *kill;
    sd_event_source *timer;
    struct lb_list accounts; /* struct account */
    struct lb_list suspects; /* struct suspect *: a reaper knows where its own is */
};

/* --- what a look asks --------------------------------------------------------------------------------------------- */

static int ask_gated(uid_t uid, bool *ret)
{
    LB_FREE char *name = NULL;
    gid_t gid;
    int r = lb_people_account_of(uid, &name, &gid);

    if (r == 0)
        r = lb_people_in_group(name, gid, LB_GROUP_GATED);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = r > 0;
    return 0;
}

static bool is_gated(void *userdata, uid_t uid)
{
    struct lb_unaccounted *u = userdata;
    struct account *a = u->accounts.items, *known = NULL;
    int64_t now = lb_clock_now().boot;

    for (size_t i = 0; !known && i < u->accounts.n; i++)
        known = a[i].uid == uid ? &a[i] : NULL;
    if (known && now < known->until)
        return known->gated;
    if (!known && !(known = lb_list_append(&u->accounts, sizeof(*known))))
        return false;
    known->uid = uid;
    /* where nobody knows, what was known stays, and is not asked about for each process */
    known->until = ask_gated(uid, &known->gated) == 0 ? REMEMBER : ASK_AGAIN;
    known->until += lb_clock_now().boot;
    return known->gated;
}

static bool has_session(const struct lb_request *r, int64_t session)
{
    const struct lb_session *s = r->sessions.items;

    for (size_t i = 0; i < r->sessions.n; i++)
        if (s[i].session == session)
            return true;
    return false;
}

/* What an access that ends has, the reaper is about to get. */
static bool is_accounted(void *userdata, uid_t uid, int64_t session, bool manager)
{
    const struct lb_unaccounted *u = userdata;

    for (size_t i = 0; i < u->gate->n_live; i++) {
        const struct lb_request *r = u->gate->live[i]->request;

        if (r->uid != uid || !(lb_state_is_access(r->state) || r->state == LB_STATE_ENDING))
            continue;
        if (r->state == LB_STATE_ENDING || has_session(r, session) || (manager && r->sessions.n > 0))
            return true;
    }
    return false;
}

/* --- the alarm ---------------------------------------------------------------------------------------------------- */

static void raise_alarm(const struct suspect *s, const struct lb_reap_result *killed)
{
    const struct lb_resident *r = &s->resident;
    LB_FREE char *program = lb_text_clean(r->name, sizeof(r->name));
    struct lb_event e = { .kind = LB_EVENT_UNACCOUNTED, .uid = r->uid, .pid = r->pid, .pid_started = r->started };
    char session[64], ended[96] = "";

    snprintf(session, sizeof(session), "in %s", r->service ? "a system service" : "no session");
    if (r->session != LB_AUDIT_UNSET) {
        e.session = r->session;
        e.foreign = r->foreign;
        snprintf(session, sizeof(session), "in session %" PRId64, r->session);
    }
    if (killed) {
        e.killed = killed->killed;
        e.left = killed->left;
        e.ms = killed->ms;
        snprintf(ended, sizeof(ended), "; %" PRId64 " killed, %" PRId64 " left", killed->killed, killed->left);
    }
    if (lb_people_account_of((uid_t)r->uid, &e.account, NULL) < 0)
        e.account = NULL;
    if (asprintf(&e.note, "%" PRId64 " %s, the first is %s with pid %" PRId64 "%s", r->count, session,
                 program ? program : "?", r->pid, ended) < 0)
        e.note = NULL;
    lb_gate_note(s->owner->gate, &e);
}

static void on_reaped(void *userdata, const struct lb_reap_result *result, bool done)
{
    struct suspect *s = userdata;

    raise_alarm(s, result);
    if (done) {
        s->reaper = lb_reaper_free(s->reaper);
        s->looks = 0; /* should it come back, it is told again */
    }
}

/* Whether an access of the account runs: then only the session goes, else all that the account has. */
static bool has_access(const struct lb_gate *g, int64_t uid)
{
    for (size_t i = 0; i < g->n_live; i++)
        if (g->live[i]->request->uid == uid && lb_state_is_access(g->live[i]->request->state))
            return true;
    return false;
}

static void kill_suspect(struct suspect *s)
{
    const struct lb_resident *r = &s->resident;
    struct lb_gate *g = s->owner->gate;
    struct lb_session session = { .session = r->session, .foreign = r->foreign };
    struct lb_reap_target target = { .uid = r->uid, .sessions = &session, .n = r->session != LB_AUDIT_UNSET,
                                     .slice = !has_access(g, r->uid) };
    LB_FREE char *account = NULL;
    bool gated = true;
    char id[64];

    if (ask_gated((uid_t)r->uid, &gated) == 0 && !gated) { /* not any more */
        s->looks = 0;
        return;
    }
    snprintf(id, sizeof(id), "unaccounted-%" PRId64 "-%" PRId64, r->uid, r->session);
    if (lb_people_account_of((uid_t)r->uid, &account, NULL) == 0)
        target.account = account;
    s->reaper = lb_reaper_new(g->runtime_directory, id, &target);
    if (!s->reaper || lb_reaper_start(s->reaper, g->event, on_reaped, s) < 0) {
        s->reaper = lb_reaper_free(s->reaper);
        lb_log(LOG_ALERT, "Out of memory: what runs without an access is not killed.");
        raise_alarm(s, NULL);
    }
}

static void count_look(struct suspect *s)
{
    s->looks++;
    if (s->looks != LOOKS || s->reaper)
        return;
    if (*s->owner->kill && !s->resident.service)
        kill_suspect(s);
    else
        raise_alarm(s, NULL);
}

/* --- looks -------------------------------------------------------------------------------------------------------- */

static void suspect_free(struct suspect *s)
{
    lb_reaper_free(s->reaper);
    free(s);
}

static struct suspect *find_suspect(struct lb_unaccounted *u, const struct lb_resident *r)
{
    struct suspect **known = u->suspects.items, **added;
    struct suspect *s;

    for (size_t i = 0; i < u->suspects.n; i++)
        if (known[i]->resident.uid == r->uid && known[i]->resident.session == r->session &&
            known[i]->resident.service == r->service)
            return known[i];
    s = calloc(1, sizeof(*s));
    added = s ? lb_list_append(&u->suspects, sizeof(*added)) : NULL;
    if (!added) {
        free(s);
        return NULL;
    }
    s->owner = u;
    *added = s;
    return s;
}

static void forget_gone(struct lb_unaccounted *u)
{
    struct suspect **s = u->suspects.items;
    size_t kept = 0;

    for (size_t i = 0; i < u->suspects.n; i++) {
        if (s[i]->seen || s[i]->reaper)
            s[kept++] = s[i];
        else
            suspect_free(s[i]);
    }
    for (size_t i = 0; i < kept; i++)
        s[i]->seen = false;
    u->suspects.n = kept;
}

static void look(struct lb_unaccounted *u)
{
    struct lb_residents_ask ask = { is_gated, is_accounted, u };
    struct lb_list found = { 0 };
    struct lb_resident *r;

    if (lb_residents_look(&ask, &found) < 0)
        lb_log(LOG_WARNING, "Cannot look for processes without an access.");
    r = found.items;
    for (size_t i = 0; i < found.n; i++) {
        struct suspect *s = find_suspect(u, &r[i]);

        if (!s)
            continue;
        s->resident = r[i];
        s->seen = true;
        count_look(s);
    }
    free(found.items);
    forget_gone(u);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_unaccounted *u = userdata;
    int64_t began = lb_clock_now().boot, next;

    (void)usec;
    if (u->gate->store)
        look(u);
    next = (lb_clock_now().boot - began) * LOOK_SHARE;
    sd_event_source_set_time_relative(source, (uint64_t)(next > LOOK_EVERY ? next : LOOK_EVERY));
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void lb_unaccounted_share(struct lb_unaccounted *u, int64_t uid)
{
    struct suspect **s = u ? u->suspects.items : NULL;

    for (size_t i = 0; u && i < u->suspects.n; i++)
        if (s[i]->reaper && s[i]->resident.uid == uid)
            lb_reaper_share(s[i]->reaper);
}

int lb_unaccounted_new(struct lb_gate *g, const bool *kill, struct lb_unaccounted **ret)
{
    struct lb_unaccounted *u = calloc(1, sizeof(*u));
    int r = -ENOMEM;

    if (u) {
        u->gate = g;
        u->kill = kill;
        r = sd_event_add_time_relative(g->event, &u->timer, CLOCK_BOOTTIME, LOOK_EVERY, LB_USEC_PER_SEC / 2, on_timer,
                                       u);
    }
    if (r < 0) {
        lb_unaccounted_free(u);
        return r;
    }
    *ret = g->unaccounted = u;
    return 0;
}

struct lb_unaccounted *lb_unaccounted_free(struct lb_unaccounted *u)
{
    struct suspect **s = u ? u->suspects.items : NULL;

    if (!u)
        return NULL;
    u->gate->unaccounted = NULL;
    for (size_t i = 0; i < u->suspects.n; i++)
        suspect_free(s[i]);
    sd_event_source_disable_unref(u->timer);
    free(u->suspects.items);
    free(u->accounts.items);
    free(u);
    return NULL;
}
