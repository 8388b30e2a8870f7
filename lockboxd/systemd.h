/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PID 1: a deadline of its own for each access, so that it ends on time while the daemon is dead or hung. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "policy/deadline.h"

/* PID 1's deadlines come so much after ours, so that it acts only where we do not. */
#define LB_PID1_SLACK (2 * LB_USEC_PER_SEC)

struct lb_systemd;

/* Connects on first use, and again whenever the bus was away. The directories are passed to the reaper. */
int lb_systemd_new(sd_event *event, const char *state_directory, const char *runtime_directory,
                   struct lb_systemd **ret);
struct lb_systemd *lb_systemd_free(struct lb_systemd *s); /* NULL is fine; returns NULL */

/*
 * Starts lockbox-end-ID.timer, which runs `lockboxd --reap ID --uid UID` after `left` µs or at wall-clock time `at`,
 * whichever comes first. One that stands already stays as it is; so an access that got more time gets a timer of its
 * next turn (lockbox-end-ID-1.timer …), and what an earlier one starts finds that there is nothing to end yet.
 * `armed` is told once, from the event loop: NULL when it stands, else why it does not. -errno: PID 1 could not be
 * asked, and nothing is told.
 */
struct lb_systemd_call;
typedef void lb_systemd_armed(void *userdata, const char *error);
int lb_systemd_arm(struct lb_systemd *s, const char *id, int64_t turn, int64_t uid, int64_t left, int64_t at,
                   lb_systemd_armed *armed, void *userdata, struct lb_systemd_call **ret);

/* Nobody is told any more; what was asked of PID 1 stays asked. NULL is fine; returns NULL. */
struct lb_systemd_call *lb_systemd_call_free(struct lb_systemd_call *call);

/* Stops it. */
void lb_systemd_disarm(struct lb_systemd *s, const char *id, int64_t turn);

/* A unit on its way up or down. `result` is told once, from the event loop: "done", "failed", "timeout", "canceled",
 * "dependency", "skipped", or an error of the bus. */
struct lb_systemd_job;
typedef void lb_systemd_result(void *userdata, const char *result);

/* Asks PID 1 to start or stop a unit. -errno: it could not be asked. */
int lb_systemd_job_new(struct lb_systemd *s, const char *unit, bool start, lb_systemd_result *result, void *userdata,
                       struct lb_systemd_job **ret);
struct lb_systemd_job *lb_systemd_job_free(struct lb_systemd_job *job); /* NULL is fine; returns NULL */

/* --- a reviewed script -------------------------------------------------------------------------------------------- */

struct lb_systemd_script {
    const char *id;        /* of its request: the unit is lockbox-run-ID.service */
    const char *path;      /* of the bytes */
    const char *name;      /* under which it sees itself: /run/lockbox/script/NAME */
    const char *user;
    char *const *arguments, *const *environment, *const *units; /* NULL: none. units: it waits for them */
    int output[2];         /* standard output and error; stay the caller's */
    int64_t limit;         /* µs after which PID 1 itself ends it */
};

/* The unit is over, or could not be started at all (`error`, else NULL). `code` is CLD_EXITED, CLD_KILLED …, 0 where
 * nothing ever ran; `status` the exit status or signal. Told once, from the event loop. */
typedef void lb_systemd_ended(void *userdata, const char *error, int code, int status);

struct lb_systemd_run;

/* Starts the script as a transient unit: as the user, with this environment and none of the caller's, from bytes that
 * nobody can exchange. -errno: PID 1 could not be asked. */
int lb_systemd_run_new(struct lb_systemd *s, const struct lb_systemd_script *script, lb_systemd_ended *ended,
                       void *userdata, struct lb_systemd_run **ret);

/* Has PID 1 end it; `ended` is told when that is so. -errno: it could not be asked. */
int lb_systemd_run_stop(struct lb_systemd_run *run);
struct lb_systemd_run *lb_systemd_run_free(struct lb_systemd_run *run); /* NULL is fine; returns NULL */
/* What PID 1 runs for us, with other rights than ours and no more than these: a unit that is gone when it is done. */
struct lb_systemd_task {
    const char *unit, *description;
    const char *const *commands[3]; /* each an argv that ends with NULL, run one after the other while they succeed */
    const char *writable;           /* the one directory that it may write */
    uint64_t capabilities;
    int64_t timeout;                /* µs, then it is killed */
};

/* Starts it; the result is a job's. -errno: PID 1 could not be asked. */
int lb_systemd_task_new(struct lb_systemd *s, const struct lb_systemd_task *task, lb_systemd_result *result,
                        void *userdata, struct lb_systemd_job **ret);

/* The account's user manager was killed on purpose: it need not stand as failed. */
void lb_systemd_forgive(struct lb_systemd *s, int64_t uid);
