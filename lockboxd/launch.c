/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "lockboxd/chain.h"
#include "lockboxd/clock.h"
#include "lockboxd/effects.h"
#include "lockboxd/log.h"
#include "lockboxd/make.h"
#include "lockboxd/people.h"
#include "lockboxd/scripts.h"
#include "policy/script.h"
#include "policy/text.h"

#define SERVICE "lockboxctl"
#define SCOPE "run"
#define DIGEST_MAX (sizeof("sha256:") + LB_HASH_MAX)

/* As shells say what did not run at all, and what a signal ended. */
#define STATUS_NOT_STARTED 126
#define STATUS_SIGNAL 128

/* What was killed is gone whether PID 1 says so or not. */
#define STOP_PATIENCE (15 * LB_USEC_PER_SEC)

struct lb_launch {
    struct lb_live *live;
    struct lb_output *output;
    struct lb_systemd_run *unit; /* NULL: over */
    sd_event_source *patience;
};

struct lb_launch *lb_launch_free(struct lb_launch *l)
{
    if (!l)
        return NULL;
    sd_event_source_disable_unref(l->patience);
    lb_systemd_run_free(l->unit);
    lb_output_free(l->output);
    free(l);
    return NULL;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* What is known of the output, from who has read it or, where he was killed, from the file. */
static void set_output(const struct lb_live *live, struct lb_event *e)
{
    char digest[LB_OUTPUT_DIGEST_MAX] = "";

    if (live->launch) {
        lb_output_end(live->launch->output);
        e->bytes = lb_output_size(live->launch->output);
        lb_output_digest(live->launch->output, digest);
    } else if (lb_output_measure(live->gate->state_directory, live->request->id, &e->bytes, digest) < 0) {
        return;
    }
    if (*digest && asprintf(&e->output, "sha256:%s", digest) < 0)
        e->output = NULL;
}

/* What else there is to say, as one note. */
static char *join_note(const char *how, const char *missing)
{
    char *note = NULL;

    if (!how || !missing)
        return lb_dup(how ? how : missing);
    return asprintf(&note, "%s; %s", how, missing) < 0 ? NULL : note;
}

static void record(struct lb_live *live, int64_t status, const char *how)
{
    struct lb_event e = { .kind = LB_EVENT_SCRIPT_ENDED, .exit_status = status };
    struct lb_output *output = live->launch ? live->launch->output : NULL;
    LB_FREE char *note = NULL;

    if (live->request->script.ended_at)
        return;
    set_output(live, &e);
    note = join_note(how, output ? lb_output_problem(output) : NULL);
    e.script = strdup(live->request->script.name);
    e.by = strdup(live->request->script.name);
    e.note = lb_dup(note);
    lb_gate_step(live, &e);
    lb_scripts_remove(live->gate->state_directory, live->request->id);
    if (output)
        lb_output_tell(output, status, note);
}

/* What PID 1's own statuses mean, where the script itself never ran. */
static const char *reason_of(int status)
{
    return status == 203   ? "systemd could not execute it: is there what its first line names?"
           : status == 217 ? "systemd cannot run as the rule's user"
           : status == 226 ? "systemd could not make its name space"
                           : NULL;
}

static void on_ended(void *userdata, const char *error, int code, int status)
{
    struct lb_launch *l = userdata;
    struct lb_live *live = l->live;
    bool stopped = live->request->state == LB_STATE_ENDING, killed = code == CLD_KILLED || code == CLD_DUMPED;
    LB_FREE char *how = NULL;

    if (error || (code == 0 && !stopped)) {
        if (asprintf(&how, "it could not be started: %s", error ? error : "systemd gives no reason") < 0)
            how = NULL;
        record(live, STATUS_NOT_STARTED, how);
    } else if (killed || code == 0) {
        int number = killed ? status : SIGKILL;
        const char *name = sigabbrev_np(number);

        if (asprintf(&how, "%s by SIG%s", stopped ? "stopped" : "killed", name ? name : "RT") < 0)
            how = NULL;
        record(live, STATUS_SIGNAL + number, how);
    } else {
        record(live, status, reason_of(status));
    }
    l->patience = sd_event_source_disable_unref(l->patience);
    l->unit = lb_systemd_run_free(l->unit);
    if (!live->reaper) /* the end has waited for this */
        lb_effects_lock(live);
}

bool lb_launch_is_up(const struct lb_live *live)
{
    return live->launch && live->launch->unit;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    on_ended(userdata, NULL, 0, 0);
    return 0;
}

void lb_launch_stop(struct lb_live *live)
{
    struct lb_launch *l = live->launch;
    int r = l->patience ? 0
                        : sd_event_add_time_relative(live->gate->event, &l->patience, CLOCK_BOOTTIME, STOP_PATIENCE, 0,
                                                     on_patience, l);

    if (r >= 0)
        r = lb_systemd_run_stop(l->unit);
    if (r < 0) /* nobody who could say it */
        on_ended(l, NULL, 0, 0);
}

void lb_launch_settle(struct lb_live *live)
{
    if (lb_request_is_script(live->request))
        record(live, STATUS_SIGNAL + SIGKILL, "stopped; lockboxd was not there to see how");
}

void lb_launch_lost(struct lb_live *live)
{
    struct lb_event e = { .kind = LB_EVENT_TIME_OVER, .by = strdup("restart") };

    lb_gate_step(live, &e);
}

/* --- the begin ---------------------------------------------------------------------------------------------------- */

/* A refusal of the policy's: recorded, and said. */
#define REFUSE(a, o, ...)                                              \
    ({                                                                 \
        LB_CLEANUP(lb_answer_clear) struct lb_answer answer_ = { 0 };  \
        lb_attempt_refuse(a, &answer_, __VA_ARGS__);                   \
        lb_outcome_refuse(o, LB_REFUSAL_NOT_PERMITTED, "%s",           \
                          answer_.message ? answer_.message : "refused"); \
    })

/* How many scripts of this account run already. */
static int64_t count_running(const struct lb_attempt *a)
{
    int64_t n = 0;

    for (size_t i = 0; i < a->gate->n_live; i++)
        n +=
            lb_request_is_script(a->gate->live[i]->request) && lb_streq(a->gate->live[i]->request->account, a->account);
    return n;
}

/* Only a permit rule that names these bytes says yes, and only to these arguments. */
static bool is_permitted(const struct lb_attempt *a, const struct lb_launch_call *call, const char *name,
                         const char *digest, struct lb_outcome *o)
{
    const struct lb_rule *rule = a->verdict.rule;
    const char *file = rule ? rule->file : "";
    uid_t uid;
    gid_t gid;
    LB_FREE char *user = NULL;

    if (a->verdict.action != LB_ACTION_PERMIT || !rule || !rule->match[LB_MATCH_COMMAND] || !rule->run.user)
        REFUSE(a, o, "no rule permits the script %s, Command=%s%s%s%s", name, digest, *file ? " (" : "", file,
               *file ? " decides)" : "");
    else if (!lb_run_takes(&rule->run, (const char *const *)call->arguments))
        REFUSE(a, o, "the rule %s does not let the script %s have these arguments", file, name);
    else if (lb_people_account(rule->run.user, &user, &uid, &gid) < 0)
        REFUSE(a, o, "the rule %s runs the script as %s, and there is no such account now", file, rule->run.user);
    else if (count_running(a) >= a->verdict.terms->max_sessions)
        REFUSE(a, o, "%s has as many scripts running as the rule %s allows", a->account, file);
    return !o->refusal;
}

/* "--unit x.service", for people; programs find the arguments one by one. */
static char *join_arguments(char *const *arguments)
{
    LB_FREE char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    for (; f && arguments && *arguments; arguments++)
        fprintf(f, "%s ", *arguments);
    return f && fclose(f) == 0 ? lb_text_clean(text, LB_NOTE_MAX) : NULL;
}

static int first_event(const struct lb_attempt *a, const struct lb_launch_call *call, const char *name,
                       const char *digest, struct lb_event *ret)
{
    int r = lb_make_script(a, ret);

    if (r < 0)
        return r;
    memset(ret->terms.warn, 0, sizeof(ret->terms.warn)); /* nobody sits there who could be told */
    ret->terms.max_duration = ret->duration;             /* its time is the rule's, there is no more */
    ret->script = strdup(name);
    ret->command = strdup(digest);
    ret->user = strdup(a->verdict.rule->run.user);
    ret->arguments = lb_strings_copy(call->arguments);
    ret->note = join_arguments(call->arguments);
    return ret->script && ret->command && ret->user && ret->arguments ? 0 : -ENOMEM;
}

static void start(struct lb_launch *l, const struct lb_run *run, const int ends[static LB_STREAM_MAX_])
{
    const struct lb_request *r = l->live->request;
    struct lb_gate *g = l->live->gate;
    LB_FREE char *path = lb_scripts_path(g->state_directory, r->id);
    struct lb_time now = lb_clock_now();
    const struct lb_systemd_script script = {
        .id = r->id, .path = path, .name = r->script.name, .user = r->script.user, .arguments = r->script.arguments,
        .environment = run->environment, .units = r->terms.units,
        .output = { ends[LB_STREAM_OUT], ends[LB_STREAM_ERR] },
        .limit = lb_deadline_left(&r->not_after, &now) + LB_PID1_SLACK,
    };
    int error = path ? lb_systemd_run_new(g->systemd, &script, on_ended, l, &l->unit) : -ENOMEM;

    if (error < 0)
        on_ended(l, strerror(-error), 0, 0);
}

/* The bytes and the place for its output are on disk before it is an access, and that is before anything runs. */
static int launch(const struct lb_attempt *a, const struct lb_launch_call *call, struct lb_event *e,
                  struct lb_outcome *o, struct lb_output **ret_output)
{
    struct lb_gate *g = a->gate;
    struct lb_launch *l = calloc(1, sizeof(*l));
    int ends[LB_STREAM_MAX_] = { -1, -1 };
    int r = l ? lb_scripts_put(g->state_directory, e->request, call->bytes, call->n) : -ENOMEM;

    o->id = strdup(e->request);
    if (r == 0)
        r = lb_output_new(g->event, g->state_directory, e->request, ends, &l->output);
    if (r >= 0)
        r = lb_gate_new_request(g, e, &l->live);
    if (r >= 0) {
        l->live->launch = l;
        *ret_output = l->output;
        start(l, &a->verdict.rule->run, ends);
    } else {
        if (o->id) {
            lb_scripts_remove(g->state_directory, o->id);
            lb_output_remove(g->state_directory, o->id);
        }
        lb_launch_free(l);
    }
    for (int i = 0; i < LB_STREAM_MAX_; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    return r;
}

/* Who asks, and what the rules say to these bytes. */
static int ask_rules(struct lb_attempt *a, struct lb_gate *g, const struct lb_person *p, struct lb_login *login,
                     const char *digest)
{
    const struct lb_request *from = p->from ? p->from->request : NULL;
    struct lb_facts facts;
    int r;

    *login = (struct lb_login){ .account = from ? from->account : p->account, .service = (char *)SERVICE,
                                .scope = (char *)SCOPE, .rhost = from ? from->rhost : NULL };
    r = lb_attempt_fill(a, g, &p->peer, login);
    if (r < 0)
        return r;
    facts = lb_attempt_facts(a);
    facts.command = digest;
    a->verdict = lb_rules_decide(g->policy, &facts);
    return 0;
}

void lb_launch_begin(struct lb_gate *g, const struct lb_person *p, const struct lb_launch_call *call,
                     struct lb_outcome *o, struct lb_output **ret_output)
{
    LB_CLEANUP(lb_attempt_clear) struct lb_attempt a = { 0 };
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    LB_FREE char *name = lb_script_name(call->name);
    const char *problem = lb_script_problem(call->bytes, call->n);
    char hash[LB_HASH_MAX], digest[DIGEST_MAX];
    struct lb_login login;
    int r = !name ? -ENOMEM : g->systemd ? lb_chain_hash(call->bytes, call->n, hash) : -ENOTCONN;

    if (!problem)
        problem = lb_script_arguments_problem(call->arguments);
    if (problem) {
        lb_outcome_refuse(o, LB_REFUSAL_INVALID, "%s", problem);
        return;
    }
    if (r == 0) {
        snprintf(digest, sizeof(digest), "sha256:%s", hash);
        r = ask_rules(&a, g, p, &login, digest);
    }
    if (r == 0 && !is_permitted(&a, call, name, digest, o))
        return;
    if (r == 0)
        r = first_event(&a, call, name, digest, &e);
    if (r == 0)
        r = launch(&a, call, &e, o, ret_output);
    if (r < 0)
        lb_outcome_refuse(o, LB_REFUSAL_UNAVAILABLE, "%s", lb_gate_problem(g) ? lb_gate_problem(g) : strerror(-r));
}
