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
        r = sd_bus_call_method_async(s->bus, NULL, DESTINATION, PATH, MANAGER, "ResetFailedUnit", on_reply, s, "s", unit);
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

/* --- units ----------------------------------------------------------------------------------------------------------- */

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

int lb_systemd_job_new(struct lb_systemd *s, const char *unit, bool start, lb_systemd_result *result, void *userdata,
                       struct lb_systemd_job **ret)
{
    struct lb_systemd_job *job = calloc(1, sizeof(*job));
    int r = job ? connect_bus(s) : -ENOMEM;

    if (r >= 0) {
        *job = (struct lb_systemd_job){ .result = result, .userdata = userdata };
        r = sd_bus_match_signal_async(s->bus, &job->signal, DESTINATION, PATH, MANAGER, "JobRemoved", on_job_removed,
                                      NULL, job);
    }
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
