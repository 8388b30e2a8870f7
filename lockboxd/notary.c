/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/notary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/keygen.h"
#include "lockboxd/log.h"
#include "policy/base.h"
#include "policy/checkpoint.h"
#include "policy/identity.h"

#define TYPE "ssh-ed25519"
#define DAY (24 * 3600 * LB_USEC_PER_SEC)
#define SPACING (1 * LB_USEC_PER_SEC) /* between two that nobody asked for */
#define RETRY (60 * LB_USEC_PER_SEC)
#define AMONG 20000 /* events that are looked through at the start for what was before: some 30 ms */

struct lb_notary {
    struct lb_gate *gate;
    struct lb_child *keygen; /* at work: it makes the key, or signs */
    sd_event_source *timer;   /* the next thing to do that nobody asks for */
    char *path, *public, *signer;
    bool wanted;              /* one more */
    char *access;             /* … because this one has ended; NULL: for another reason */
    char *text;               /* what is being signed */
    int64_t events;           /* … and how many it is about */
    int64_t turn;             /* how many were begun */
    int64_t begun_at;         /* the last of them: boot clock */
    struct lb_notary_wait *waits;
    bool looked;              /* for what was before the start */
    int64_t seq, time;        /* of the newest one … */
    int64_t covered;          /* … and how many events it was about */
    char *problem;
};

static void go_on(struct lb_notary *n);

/* --- who waits ---------------------------------------------------------------------------------------------------- */

void lb_notary_forget(struct lb_notary_wait *w)
{
    if (!w->self)
        return;
    *w->self = w->next;
    if (w->next)
        w->next->self = w->self;
    *w = (struct lb_notary_wait){ 0 };
}

static void put(struct lb_notary *n, struct lb_notary_wait *w)
{
    w->next = n->waits;
    w->self = &n->waits;
    if (w->next)
        w->next->self = &w->next;
    n->waits = w;
}

/* Those who asked before it was begun. To be answered may make somebody ask anew: that is of a later turn. */
static void answer(struct lb_notary *n, const struct lb_notary_result *result)
{
    struct lb_notary_wait *w = n->waits;

    while (w) {
        void (*done)(struct lb_notary_wait *wait, const struct lb_notary_result *result) = w->done;

        if (w->turn > n->turn) {
            w = w->next;
            continue;
        }
        lb_notary_forget(w);
        done(w, result);
        w = n->waits;
    }
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static int on_time(sd_event_source *source, uint64_t usec, void *userdata);

static void schedule(struct lb_notary *n, int64_t usec)
{
    int r;

    n->timer = sd_event_source_disable_unref(n->timer);
    r = sd_event_add_time_relative(n->gate->event, &n->timer, CLOCK_BOOTTIME, (uint64_t)usec, 0, on_time, n);
    if (r < 0 && r != -ESTALE)
        lb_log(LOG_WARNING, "No checkpoint of the log is made by itself any more: %s", strerror(-r));
}

/* Told once, and again when it is another one. */
static void fail(struct lb_notary *n, const char *problem)
{
    const struct lb_notary_result result = { .problem = problem };

    n->keygen = lb_child_free(n->keygen);
    free(LB_TAKE(n->text));
    if (!lb_streq(n->problem, problem)) {
        lb_log(LOG_WARNING, "No checkpoint of the log can be signed, it is tried again: %s", problem);
        free(n->problem);
        n->problem = strdup(problem);
    }
    n->wanted = true;
    n->turn++; /* nobody waits for the next try, which comes late */
    schedule(n, RETRY);
    answer(n, &result);
}

static void fail_with(struct lb_notary *n, const char *what, const char *why)
{
    LB_FREE char *problem = NULL;

    if (asprintf(&problem, "%s: %s", what, *why ? why : "ssh-keygen gives no reason") < 0)
        problem = NULL;
    fail(n, problem ? problem : "out of memory");
}

static void run(struct lb_notary *n, const char *const *argv, int in, lb_child_done *done)
{
    const struct lb_child_call call = { .argv = argv, .in = in };
    int r = lb_keygen_new(n->gate->event, &call, done, n, &n->keygen);

    if (r < 0)
        fail_with(n, LB_KEYGEN_PROGRAM " cannot be run", strerror(-r));
}

/* --- the key ------------------------------------------------------------------------------------------------------ */

static char *beside(const struct lb_notary *n, const char *more)
{
    char *path;

    return asprintf(&path, "%s%s", n->path, more) < 0 ? NULL : path;
}

/* Takes the public half, as it stands in its file or as ssh-keygen says it: "ssh-ed25519 AAAA…", perhaps a comment. */
static int set_public(struct lb_notary *n, const char *line)
{
    LB_CLEANUP(lb_identity_clear) struct lb_identity id = { 0 };
    LB_FREE char *public = NULL, *proof = NULL, *signer = NULL;
    const char *key = strncmp(line, TYPE " ", strlen(TYPE " ")) == 0 ? line + strlen(TYPE " ") : "";

    if (asprintf(&public, TYPE " %.*s", (int)strcspn(key, " \n"), key) < 0 ||
        asprintf(&proof, "publickey %s", public) < 0)
        return -ENOMEM;
    if (!*key || lb_identity_parse(proof, &id) < 0)
        return -EINVAL;
    if (asprintf(&signer, "ED25519 %s", id.engineer) < 0)
        return -ENOMEM;
    free(n->public);
    free(n->signer);
    n->public = LB_TAKE(public);
    n->signer = LB_TAKE(signer);
    return 0;
}

static int read_public(struct lb_notary *n)
{
    LB_FREE char *path = beside(n, ".pub"), *line = NULL;
    FILE *f = path ? fopen(path, "re") : NULL;
    size_t size = 0;
    int r = -ENOENT;

    if (f && getline(&line, &size, f) > 0)
        r = set_public(n, line);
    if (f)
        fclose(f);
    return r;
}

static int write_public(const struct lb_notary *n, const char *line)
{
    LB_FREE char *path = beside(n, ".pub"), *made = beside(n, ".pub.new");
    FILE *f = path && made ? fopen(made, "we") : NULL;
    bool good = f && fputs(line, f) >= 0;

    if (f && fclose(f) != 0)
        good = false;
    return good && rename(made, path) == 0 ? 0 : -errno;
}

static void on_public(void *userdata, const char *output, const char *problem)
{
    struct lb_notary *n = userdata;
    int r = output ? set_public(n, output) : -EINVAL;

    if (r == 0)
        r = write_public(n, output);
    if (r < 0) {
        fail_with(n, n->path, problem ? problem : r == -EINVAL ? "it is no key of type ed25519" : strerror(-r));
        return;
    }
    n->keygen = lb_child_free(n->keygen);
    go_on(n);
}

/* Its name is what says that it is whole. */
static void on_made(void *userdata, const char *output, const char *problem)
{
    struct lb_notary *n = userdata;
    LB_FREE char *made = beside(n, ".new"), *public = beside(n, ".pub");
    LB_CLOSE int fd = output && made ? open(made, O_RDONLY | O_CLOEXEC) : -1;

    if (public) /* of one that was before */
        unlink(public);
    if (!output || !public || fd < 0 || fsync(fd) < 0 || rename(made, n->path) < 0) {
        fail_with(n, "a key cannot be made", problem ? problem : strerror(errno));
        return;
    }
    lb_log(LOG_NOTICE, "Made %s: it signs checkpoints of the log.", n->path);
    n->keygen = lb_child_free(n->keygen);
    go_on(n);
}

/* It is there or on its way: false. What is left of a key that was never finished goes. */
static bool lacks_key(struct lb_notary *n)
{
    LB_FREE char *made = beside(n, ".new"), *public = beside(n, ".new.pub");
    const char *const make[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                                 "checkpoints of the log of lockbox", "-f", made, NULL };
    const char *const derive[] = { "ssh-keygen", "-y", "-f", n->path, NULL };

    if (access(n->path, F_OK) == 0) {
        if (n->public || read_public(n) == 0)
            return false;
        run(n, derive, -1, on_public);
        return true;
    }
    free(LB_TAKE(n->public));
    if (made && public) {
        unlink(made);
        unlink(public);
        run(n, make, -1, on_made);
    } else {
        fail(n, "out of memory");
    }
    return true;
}

/* --- a checkpoint ------------------------------------------------------------------------------------------------- */

/* The event is in the log: who asked gets it. */
static void finish(struct lb_notary *n, const char *signature, int64_t seq, int64_t time)
{
    LB_FREE char *text = LB_TAKE(n->text);
    const struct lb_notary_result result = { text, signature, n->signer, seq, NULL };

    n->seq = seq;
    n->time = time;
    n->covered = n->events;
    n->keygen = lb_child_free(n->keygen);
    if (n->problem)
        lb_log(LOG_NOTICE, "Checkpoints of the log are signed again.");
    free(LB_TAKE(n->problem));
    schedule(n, n->wanted ? SPACING : DAY);
    answer(n, &result);
    if (n->waits)
        go_on(n);
}

static void on_signed(void *userdata, const char *output, const char *problem)
{
    struct lb_notary *n = userdata;
    struct lb_event e = { .kind = LB_EVENT_CHECKPOINT, .count = n->events };
    LB_FREE char *signature = output ? strdup(output) : NULL;
    int r;

    if (!signature) {
        fail_with(n, "ssh-keygen cannot sign", problem ? problem : "out of memory");
        return;
    }
    e.statement = strdup(n->text);
    e.signature = strdup(signature);
    e.signer = strdup(n->signer);
    r = e.statement && e.signature && e.signer && n->gate->store ? lb_gate_note(n->gate, &e) : -ENOMEM;
    if (r < 0) {
        lb_event_clear(&e);
        fail_with(n, "it cannot be recorded", strerror(-r));
        return;
    }
    finish(n, signature, lb_store_last(n->gate->store, NULL), lb_clock_now().wall);
}

static int make_text(struct lb_notary *n)
{
    const struct lb_gate *g = n->gate;
    const struct lb_checkpoint c = {
        .host = g->host, .events = lb_store_last(g->store, NULL), .hash = (char *)lb_store_last_hash(g->store),
        .time = lb_clock_now().wall, .access = n->access,
    };

    n->events = c.events;
    return lb_checkpoint_make(&c, &n->text);
}

static void begin(struct lb_notary *n)
{
    const char *const argv[] = { "ssh-keygen", "-q", "-Y", "sign", "-n", LB_CHECKPOINT_NAMESPACE, "-f", n->path, NULL };
    LB_CLOSE int text = -1;
    int r;

    n->turn++;
    n->begun_at = lb_clock_now().boot;
    r = make_text(n);
    if (r == 0)
        text = r = lb_child_file(n->text, strlen(n->text));
    if (r < 0) {
        fail_with(n, "there is no text", strerror(-r));
        return;
    }
    n->wanted = false;
    free(LB_TAKE(n->access));
    run(n, argv, text, on_signed);
}

/* What is wanted is begun, unless something is being done. A log that lacks events is not the one to sign. */
static void go_on(struct lb_notary *n)
{
    const struct lb_gate *g = n->gate;

    if (n->keygen || lacks_key(n) || !(n->wanted || n->waits))
        return;
    if (!g->store || g->unsaved.n > 0 || lb_store_last(g->store, NULL) == 0)
        fail(n, g->store_error ? g->store_error : "the log is not whole yet");
    else
        begin(n);
}

/* --- what nobody asks for ----------------------------------------------------------------------------------------- */

static int take_last(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct lb_notary *n = userdata;
    int r = lb_chain_decode(json, &e, NULL);

    (void)hash;
    if (r < 0)
        return r;
    n->seq = seq;
    n->time = e.time.wall;
    n->covered = e.count;
    return 0;
}

static int take_time(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    int r = lb_chain_decode(json, &e, NULL);

    (void)seq;
    (void)hash;
    if (r == 0)
        *(int64_t *)userdata = e.time.wall;
    return r;
}

static int found(void *userdata, int64_t seq, const char *hash, const char *json)
{
    (void)userdata;
    (void)seq;
    (void)hash;
    (void)json;
    return 1;
}

/* Whether an access has ended from there on: then the daemon has, too, before that was signed. */
static bool has_ended_since(struct lb_store *s, int64_t seq)
{
    static const int receipts[] = { LB_EVENT_COMPLETED, LB_EVENT_ENDED, LB_EVENT_REVOKED };
    bool has = false;

    for (size_t i = 0; i < LB_ELEMENTS(receipts) && !has; i++)
        has = lb_store_newest(s, lb_event_names[receipts[i]], seq, found, NULL) > 0;
    return has;
}

/* What was before the start, as far as it is near. A log without a checkpoint begins with its first event. */
static void look_back(struct lb_notary *n)
{
    struct lb_store *s = n->gate->store;
    int64_t last = lb_store_last(s, NULL), since = last > AMONG ? last - AMONG : 1;

    lb_store_newest(s, lb_event_names[LB_EVENT_CHECKPOINT], since, take_last, n);
    if (!n->seq)
        lb_store_events(s, 1, NULL, 1, take_time, &n->time);
    n->wanted |= has_ended_since(s, n->covered >= since ? n->covered + 1 : since);
    n->looked = true;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_notary *n = userdata;
    int64_t ago;

    (void)source;
    (void)usec;
    if (!n->looked && n->gate->store)
        look_back(n);
    ago = lb_clock_now().wall - n->time;
    n->wanted |= n->looked && (ago >= DAY || ago < 0); /* of a clock that was ahead: who knows when */
    schedule(n, !n->looked ? RETRY : n->wanted ? DAY : DAY - ago);
    go_on(n);
    return 0;
}

/* --- from outside ------------------------------------------------------------------------------------------------- */

void lb_notary_ended(struct lb_notary *n, const char *id)
{
    int64_t ago;

    if (!n)
        return;
    free(n->access);
    n->access = strdup(id);
    n->wanted = true;
    if (n->keygen) /* one more after it */
        return;
    ago = lb_clock_now().boot - n->begun_at;
    schedule(n, n->turn > 0 && ago < SPACING ? SPACING - ago : 0);
}

void lb_notary_ask(struct lb_notary *n, struct lb_notary_wait *w)
{
    w->turn = n->turn + 1;
    put(n, w);
    go_on(n);
}

const char *lb_notary_key(const struct lb_notary *n)
{
    return n->public;
}

int64_t lb_notary_last(const struct lb_notary *n, int64_t *ret_time)
{
    *ret_time = n->seq ? n->time : 0;
    return n->seq;
}

const char *lb_notary_problem(const struct lb_notary *n)
{
    return n->problem;
}

int lb_notary_new(struct lb_gate *g, struct lb_notary **ret)
{
    struct lb_notary *n = calloc(1, sizeof(*n));

    if (!n)
        return -ENOMEM;
    n->gate = g;
    if (asprintf(&n->path, "%s/" LB_NOTARY_KEY, g->state_directory) < 0) {
        free(n);
        return -ENOMEM;
    }
    g->notary = *ret = n;
    schedule(n, 0);
    return 0;
}

struct lb_notary *lb_notary_free(struct lb_notary *n)
{
    if (!n)
        return NULL;
    n->gate->notary = NULL;
    while (n->waits)
        lb_notary_forget(n->waits);
    lb_child_free(n->keygen);
    sd_event_source_disable_unref(n->timer);
    free(n->path);
    free(n->public);
    free(n->signer);
    free(n->access);
    free(n->text);
    free(n->problem);
    free(n);
    return NULL;
}
