/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/systemd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "lockboxd/log.h"
#include "policy/base.h"

#define DESTINATION "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT_MAX 64

struct lb_systemd {
    sd_event *event;
    sd_bus *bus;
    char *state_directory, *runtime_directory;
};

int lb_systemd_new(sd_event *event, const char *state_directory, const char *runtime_directory, struct lb_systemd **ret)
{
    struct lb_systemd *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->event = sd_event_ref(event);
    s->state_directory = strdup(state_directory);
    s->runtime_directory = strdup(runtime_directory);
    if (!s->state_directory || !s->runtime_directory) {
        lb_systemd_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

struct lb_systemd *lb_systemd_free(struct lb_systemd *s)
{
    if (!s)
        return NULL;
    sd_bus_flush_close_unref(s->bus);
    sd_event_unref(s->event);
    free(s->state_directory);
    free(s->runtime_directory);
    free(s);
    return NULL;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)userdata;
    (void)error;
    if (e && !sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
        lb_log(LOG_ERR, "PID 1 refused: %s", e->message);
    return 0;
}

/* The bus, connected anew if it was lost. */
static int connect_bus(struct lb_systemd *s)
{
    int r;

    if (s->bus && sd_bus_is_open(s->bus) > 0)
        return 0;
    s->bus = sd_bus_close_unref(s->bus);
    r = sd_bus_open_system(&s->bus);
    if (r >= 0)
        r = sd_bus_attach_event(s->bus, s->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0) /* else PID 1 does not say when a job is over */
        r = sd_bus_call_method_async(s->bus, NULL, DESTINATION, PATH, MANAGER, "Subscribe", on_reply, s, NULL);
    return r;
}

static int send(struct lb_systemd *s, sd_bus_message *m)
{
    return sd_bus_call_async(s->bus, NULL, m, on_reply, s, 0);
}

static int new_call(struct lb_systemd *s, const char *member, sd_bus_message **ret)
{
    return sd_bus_message_new_method_call(s->bus, ret, DESTINATION, PATH, MANAGER, member);
}

static int stop_unit(struct lb_systemd *s, const char *unit)
{
    sd_bus_message *m = NULL;
    int r = new_call(s, "StopUnit", &m);

    if (r >= 0)
        r = sd_bus_message_append(m, "ss", unit, "replace");
    if (r >= 0)
        r = send(s, m);
    sd_bus_message_unref(m);
    return r;
}

static int append_timer(sd_bus_message *m, const char *id, int64_t left, int64_t at)
{
    char when[64], description[128];
    time_t seconds = (time_t)((at + LB_USEC_PER_SEC - 1) / LB_USEC_PER_SEC);
    struct tm tm;

    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&seconds, &tm));
    snprintf(description, sizeof(description), "End of the access %s should lockboxd not end it", id);
    return sd_bus_message_append(m, "a(sv)", 5, "Description", "s", description, "TimersMonotonic", "a(st)", 1,
                                 "OnActiveSec", (uint64_t)left, "TimersCalendar", "a(ss)", 1, "OnCalendar", when,
                                 "AccuracyUSec", "t", (uint64_t)1, "RemainAfterElapse", "b", 0);
}

/* The same reaper, as a service with the same rights as the daemon's. */
static int append_service(const struct lb_systemd *s, sd_bus_message *m, const char *service, const char *id,
                          int64_t uid)
{
    const char *program = LB_SBINDIR "/lockboxd";
    uint64_t kill = UINT64_C(1) << 5; /* CAP_KILL */
    char account[32];

    snprintf(account, sizeof(account), "%" PRId64, uid);
    return sd_bus_message_append(m, "a(sa(sv))", 1, service, 6, "Description", "s", "End an access whose time is over",
                                 "Type", "s", "oneshot", "ExecStart", "a(sasb)", 1, program, 9, program, "--reap", id,
                                 "--uid", account, "--state-directory", s->state_directory, "--runtime-directory",
                                 s->runtime_directory, 0, "CapabilityBoundingSet", "t", kill, "PrivateNetwork", "b", 1,
                                 "NoNewPrivileges", "b", 1);
}

static void unit_name(char ret[static UNIT_MAX], const char *id, int64_t turn, const char *type)
{
    if (turn == 0)
        snprintf(ret, UNIT_MAX, "lockbox-end-%s.%s", id, type);
    else
        snprintf(ret, UNIT_MAX, "lockbox-end-%s-%" PRId64 ".%s", id, turn, type);
}

static int new_timer(struct lb_systemd *s, const char *id, int64_t turn, int64_t uid, int64_t left, int64_t at,
                     sd_bus_message **ret)
{
    char timer[UNIT_MAX], service[UNIT_MAX];
    sd_bus_message *m = NULL;
    int r = new_call(s, "StartTransientUnit", &m);

    unit_name(timer, id, turn, "timer");
    unit_name(service, id, turn, "service");
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", timer, "replace");
    if (r >= 0)
        r = append_timer(m, id, left, at);
    if (r >= 0)
        r = append_service(s, m, service, id, uid);
    if (r >= 0)
        *ret = LB_TAKE(m);
    sd_bus_message_unref(m);
    return r;
}

void lb_systemd_disarm(struct lb_systemd *s, const char *id, int64_t turn)
{
    char timer[UNIT_MAX];
    int r = connect_bus(s);

    unit_name(timer, id, turn, "timer");
    if (r >= 0)
        r = stop_unit(s, timer);
    if (r < 0)
        lb_log(LOG_WARNING, "Cannot take back PID 1's deadline of %s: %s", id, strerror(-r));
}

void lb_systemd_forgive(struct lb_systemd *s, int64_t uid)
{
    char unit[UNIT_MAX];
    int r = connect_bus(s);

    snprintf(unit, sizeof(unit), "user@%" PRId64 ".service", uid);
    if (r >= 0)
        r = sd_bus_call_method_async(s->bus, NULL, DESTINATION, PATH, MANAGER, "ResetFailedUnit", on_reply, s, "s",
                                     unit);
    if (r < 0)
        lb_log(LOG_WARNING, "%s stays failed: %s", unit, strerror(-r));
}

struct lb_systemd_call {
    lb_systemd_armed *armed;
    void *userdata;
    sd_bus_slot *slot;
};

/* A timer that is there already is the same one, set before this daemon started. To stop it first would lose it: PID 1
 * refuses the new one while the old one goes. */
static int on_armed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct lb_systemd_call *call = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)error;
    if (e && sd_bus_error_has_name(e, "org.freedesktop.systemd1.UnitExists"))
        e = NULL;
    call->armed(call->userdata, !e ? NULL : e->message ? e->message : e->name);
    return 0;
}

int lb_systemd_arm(struct lb_systemd *s, const char *id, int64_t turn, int64_t uid, int64_t left, int64_t at,
                   lb_systemd_armed *armed, void *userdata, struct lb_systemd_call **ret)
{
    struct lb_systemd_call *call = calloc(1, sizeof(*call));
    sd_bus_message *m = NULL;
    int r = call ? connect_bus(s) : -ENOMEM;

    if (r >= 0)
        r = new_timer(s, id, turn, uid, left, at, &m);
    if (r >= 0) {
        *call = (struct lb_systemd_call){ .armed = armed, .userdata = userdata };
        r = sd_bus_call_async(s->bus, &call->slot, m, on_armed, call, 0);
    }
    sd_bus_message_unref(m);
    if (r < 0) {
        lb_systemd_call_free(call);
        return r;
    }
    *ret = call;
    return 0;
}

struct lb_systemd_call *lb_systemd_call_free(struct lb_systemd_call *call)
{
    if (!call)
        return NULL;
    sd_bus_slot_unref(call->slot);
    free(call);
    return NULL;
}

/* --- units -------------------------------------------------------------------------------------------------------- */

struct lb_systemd_job {
    lb_systemd_result *result;
    void *userdata;
    char *path; /* of the job, once PID 1 has told it */
    sd_bus_slot *call, *signal;
};

/* A job is over: perhaps ours. Signals come in order behind the call's reply, so the path is known by then. */
static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct lb_systemd_job *job = userdata;
    const char *path, *unit, *result;
    uint32_t id;

    (void)error;
    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && job->path && strcmp(path, job->path) == 0)
        job->result(job->userdata, result);
    return 0;
}

static int on_job(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct lb_systemd_job *job = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    const char *path;

    (void)error;
    if (!e && sd_bus_message_read(m, "o", &path) >= 0 && (job->path = strdup(path)))
        return 0;
    job->result(job->userdata, e && e->message ? e->message : "out of memory");
    return 0;
}

/* A job whose end is listened for; PID 1 is not asked for it yet. */
static int job_prepare(struct lb_systemd *s, lb_systemd_result *result, void *userdata, struct lb_systemd_job **ret)
{
    struct lb_systemd_job *job = calloc(1, sizeof(*job));
    int r = job ? connect_bus(s) : -ENOMEM;

    if (r >= 0) {
        *job = (struct lb_systemd_job){ .result = result, .userdata = userdata };
        r = sd_bus_match_signal_async(s->bus, &job->signal, DESTINATION, PATH, MANAGER, "JobRemoved", on_job_removed,
                                      NULL, job);
    }
    if (r < 0) {
        lb_systemd_job_free(job);
        return r;
    }
    *ret = job;
    return 0;
}

int lb_systemd_job_new(struct lb_systemd *s, const char *unit, bool start, lb_systemd_result *result, void *userdata,
                       struct lb_systemd_job **ret)
{
    struct lb_systemd_job *job = NULL;
    int r = job_prepare(s, result, userdata, &job);

    if (r >= 0)
        r = sd_bus_call_method_async(s->bus, &job->call, DESTINATION, PATH, MANAGER, start ? "StartUnit" : "StopUnit",
                                     on_job, job, "ss", unit, "replace");
    if (r < 0) {
        lb_systemd_job_free(job);
        return r;
    }
    *ret = job;
    return 0;
}

/* ExecStart=, once for each command. */
static int append_commands(sd_bus_message *m, const char *const *const *commands)
{
    int r = sd_bus_message_open_container(m, 'r', "sv");

    if (r >= 0)
        r = sd_bus_message_append(m, "s", "ExecStart");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', "a(sasb)");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sasb)");
    for (; *commands && r >= 0; commands++) {
        r = sd_bus_message_open_container(m, 'r', "sasb");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", (*commands)[0]);
        if (r >= 0)
            r = sd_bus_message_append_strv(m, (char **)*commands);
        if (r >= 0)
            r = sd_bus_message_append(m, "b", 0);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    for (int i = 0; i < 3 && r >= 0; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

/* It may read what there is, write one directory, and do little else. No NoNewPrivileges=, which shows it every mount
 * as nosuid: it has to see which are. */
static int append_task(sd_bus_message *m, const struct lb_systemd_task *t)
{
    int r = sd_bus_message_open_container(m, 'a', "(sv)");

    if (r >= 0)
        r = append_commands(m, t->commands);
    if (r >= 0)
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", t->description,
                                  "Type", "s", "oneshot", "CollectMode", "s", "inactive-or-failed", "TimeoutStartUSec",
                                  "t", (uint64_t)t->timeout, "CapabilityBoundingSet", "t", t->capabilities, "UMask",
                                  "u", 0077, "Nice", "i", 5, "MemoryMax", "t", UINT64_C(512) << 20, "TasksMax", "t",
                                  UINT64_C(4), "ReadWritePaths", "as", 1, t->writable);
    if (r >= 0)
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "ProtectSystem", "s", "strict",
                                  "ProtectClock", "b", 1, "ProtectControlGroups", "b", 1, "ProtectKernelLogs", "b", 1,
                                  "ProtectKernelModules", "b", 1, "ProtectKernelTunables", "b", 1, "LockPersonality",
                                  "b", 1, "MemoryDenyWriteExecute", "b", 1, "RestrictRealtime", "b", 1,
                                  "RestrictNamespaces", "t", UINT64_C(0), "RestrictAddressFamilies", "(bas)", 1, 0,
                                  "SystemCallFilter", "(bas)", 1, 1, "@system-service");
    return r >= 0 ? sd_bus_message_close_container(m) : r;
}

int lb_systemd_task_new(struct lb_systemd *s, const struct lb_systemd_task *t, lb_systemd_result *result,
                        void *userdata, struct lb_systemd_job **ret)
{
    struct lb_systemd_job *job = NULL;
    sd_bus_message *m = NULL;
    int r = job_prepare(s, result, userdata, &job);

    if (r >= 0)
        r = new_call(s, "StartTransientUnit", &m);
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", t->unit, "replace");
    if (r >= 0)
        r = append_task(m, t);
    if (r >= 0)
        r = sd_bus_message_append(m, "a(sa(sv))", 0);
    if (r >= 0)
        r = sd_bus_call_async(s->bus, &job->call, m, on_job, job, 0);
    sd_bus_message_unref(m);
    if (r < 0) {
        lb_systemd_job_free(job);
        return r;
    }
    *ret = job;
    return 0;
}

struct lb_systemd_job *lb_systemd_job_free(struct lb_systemd_job *job)
{
    if (!job)
        return NULL;
    sd_bus_slot_unref(job->call);
    sd_bus_slot_unref(job->signal);
    free(job->path);
    free(job);
    return NULL;
}

/* --- a reviewed script -------------------------------------------------------------------------------------------- */

/* Only in the unit's own name space: nothing of it is to be seen on the host. */
#define SCRIPT_FOLDER "/run/lockbox/script"
#define STOP_TIMEOUT (10 * LB_USEC_PER_SEC)

struct lb_systemd_run {
    struct lb_systemd *systemd;
    lb_systemd_ended *ended;
    void *userdata;
    char unit[UNIT_MAX];
    char *path; /* of the unit's object */
    int32_t code, status;
    bool told;
    sd_bus_slot *start, *changes, *stop;
};

static void tell_ended(struct lb_systemd_run *run, const char *error)
{
    if (!run->told) {
        run->told = true;
        run->ended(run->userdata, error, run->code, run->status);
    }
}

static int append_strings(sd_bus_message *m, const char *name, char *const *strings)
{
    int r = sd_bus_message_open_container(m, 'r', "sv");

    if (r >= 0)
        r = sd_bus_message_append(m, "s", name);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', "as");
    if (r >= 0)
        r = sd_bus_message_append_strv(m, (char **)strings);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Word by word: "$HOME" among the arguments stays what it is. */
static int append_command(sd_bus_message *m, const char *path, char *const *arguments)
{
    static char *const flags[] = { (char *)"no-env-expand", NULL };
    static const struct { char type; const char *contents; } nested[] = {
        { 'r', "sv" }, { 'v', "a(sasas)" }, { 'a', "(sasas)" }, { 'r', "sasas" } };
    int r = sd_bus_message_open_container(m, nested[0].type, nested[0].contents);

    if (r >= 0)
        r = sd_bus_message_append(m, "s", "ExecStartEx");
    for (size_t i = 1; i < LB_ELEMENTS(nested) && r >= 0; i++)
        r = sd_bus_message_open_container(m, nested[i].type, nested[i].contents);
    if (r >= 0)
        r = sd_bus_message_append(m, "s", path);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "s");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", path);
    for (; arguments && *arguments && r >= 0; arguments++)
        r = sd_bus_message_append(m, "s", *arguments);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append_strv(m, (char **)flags);
    for (size_t i = 0; i < LB_ELEMENTS(nested) && r >= 0; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static int append_script(sd_bus_message *m, const struct lb_systemd_script *s)
{
    char place[sizeof(SCRIPT_FOLDER) + 256], description[128];
    int r;

    snprintf(place, sizeof(place), SCRIPT_FOLDER "/%s", s->name);
    snprintf(description, sizeof(description), "Reviewed script of the access %s", s->id);
    r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", description, "Type", "s", "exec",
                              "Slice", "s", "system.slice", "CollectMode", "s", "inactive-or-failed", "User", "s",
                              s->user, "RuntimeMaxUSec", "t", (uint64_t)s->limit, "TimeoutStopUSec", "t",
                              (uint64_t)STOP_TIMEOUT);
    if (r >= 0)
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "StandardOutputFileDescriptor", "h", s->output[0],
                                  "StandardErrorFileDescriptor", "h", s->output[1], "TemporaryFileSystem", "a(ss)", 1,
                                  SCRIPT_FOLDER, "mode=0755", "BindReadOnlyPaths", "a(ssbt)", 1, s->path, place, 0,
                                  UINT64_C(0));
    if (r >= 0)
        r = append_strings(m, "Environment", s->environment);
    if (r >= 0)
        r = append_strings(m, "Wants", s->units);
    if (r >= 0)
        r = append_strings(m, "After", s->units);
    return r < 0 ? r : append_command(m, place, s->arguments);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);

    (void)error;
    if (e)
        tell_ended(userdata, e->message ? e->message : e->name);
    return 0;
}

/* A unit that is not there any more is what was wanted; its end may have been told while nobody listened. */
static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    (void)error;
    if (sd_bus_message_get_error(m))
        tell_ended(userdata, NULL);
    return 0;
}

/* One of the properties that matter: the value is read in any case. */
static int read_property(struct lb_systemd_run *run, sd_bus_message *m, const char **ret_active, uint32_t *ret_job)
{
    const char *name, *job;
    int r = sd_bus_message_read(m, "s", &name);

    if (r < 0)
        return r;
    if (strcmp(name, "ExecMainCode") == 0)
        return sd_bus_message_read(m, "v", "i", &run->code);
    if (strcmp(name, "ExecMainStatus") == 0)
        return sd_bus_message_read(m, "v", "i", &run->status);
    if (strcmp(name, "ActiveState") == 0)
        return sd_bus_message_read(m, "v", "s", ret_active);
    if (strcmp(name, "Job") == 0)
        return sd_bus_message_read(m, "v", "(uo)", ret_job, &job);
    return sd_bus_message_skip(m, "v");
}

/* PID 1 tells what became of the service before it tells that the unit is not active any more. */
static int on_changes(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct lb_systemd_run *run = userdata;
    const char *interface, *active = "";
    uint32_t job = 0;
    int r = sd_bus_message_read(m, "s", &interface);

    (void)error;
    if (r >= 0)
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = read_property(run, m, &active, &job);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    if (r < 0)
        lb_log(LOG_ERR, "What PID 1 says about %s cannot be understood: %s", run->unit, strerror(-r));
    else if (job == 0 && (strcmp(active, "inactive") == 0 || strcmp(active, "failed") == 0))
        tell_ended(run, NULL);
    return 0;
}

static int ask_to_start(struct lb_systemd_run *run, const struct lb_systemd_script *script)
{
    sd_bus_message *m = NULL;
    int r = new_call(run->systemd, "StartTransientUnit", &m);

    if (r >= 0)
        r = sd_bus_message_append(m, "ss", run->unit, "fail");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sv)");
    if (r >= 0)
        r = append_script(m, script);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append(m, "a(sa(sv))", 0);
    if (r >= 0)
        r = sd_bus_call_async(run->systemd->bus, &run->start, m, on_started, run, 0);
    sd_bus_message_unref(m);
    return r;
}

int lb_systemd_run_new(struct lb_systemd *s, const struct lb_systemd_script *script, lb_systemd_ended *ended,
                       void *userdata, struct lb_systemd_run **ret)
{
    struct lb_systemd_run *run = calloc(1, sizeof(*run));
    int r = run ? connect_bus(s) : -ENOMEM;

    if (r >= 0) {
        *run = (struct lb_systemd_run){ .systemd = s, .ended = ended, .userdata = userdata };
        snprintf(run->unit, sizeof(run->unit), "lockbox-run-%s.service", script->id);
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", run->unit, &run->path);
    }
    if (r >= 0)
        r = sd_bus_match_signal_async(s->bus, &run->changes, DESTINATION, run->path, "org.freedesktop.DBus.Properties",
                                      "PropertiesChanged", on_changes, NULL, run);
    if (r >= 0)
        r = ask_to_start(run, script);
    if (r < 0) {
        lb_systemd_run_free(run);
        return r;
    }
    *ret = run;
    return 0;
}

int lb_systemd_run_stop(struct lb_systemd_run *run)
{
    if (run->stop)
        return 0;
    if (sd_bus_is_open(run->systemd->bus) <= 0)
        return -ENOTCONN;
    return sd_bus_call_method_async(run->systemd->bus, &run->stop, DESTINATION, PATH, MANAGER, "StopUnit", on_stopped,
                                    run, "ss", run->unit, "replace");
}

struct lb_systemd_run *lb_systemd_run_free(struct lb_systemd_run *run)
{
    if (!run)
        return NULL;
    sd_bus_slot_unref(run->start);
    sd_bus_slot_unref(run->changes);
    sd_bus_slot_unref(run->stop);
    free(run->path);
    free(run);
    return NULL;
}
