/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/reaped.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/clock.h"
#include "lockboxd/freezer.h"
#include "lockboxd/log.h"
#include "lockboxd/reaper.h"
#include "lockboxd/store.h"
#include "policy/base.h"

/* How long one run of PID 1's deadline goes on at most. */
#define PATIENCE (60 * LB_USEC_PER_SEC)

static char *note_path(const char *runtime_directory, const char *id)
{
    char *path;

    return asprintf(&path, "%s/reaped/%s", runtime_directory, id) < 0 ? NULL : path;
}

#define NOTE "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 "\n"

void lb_reaped_add(const char *runtime_directory, const char *id, struct lb_reap_result *result)
{
    LB_FREE char *path = note_path(runtime_directory, id);
    FILE *f = path ? fopen(path, "re") : NULL;
    struct lb_killed *to = &result->kinds, k;
    int64_t killed, ms;

    if (!f)
        return;
    if (fscanf(f, NOTE, &killed, &ms, &k.session, &k.scope, &k.service, &k.connection, &k.other) == 7) {
        *to = (struct lb_killed){ to->session + k.session, to->scope + k.scope, to->service + k.service,
                                  to->connection + k.connection, to->other + k.other };
        result->killed += killed;
        result->ms = ms > result->ms ? ms : result->ms;
    }
    fclose(f);
}

void lb_reaped_forget(const char *runtime_directory, const char *id)
{
    LB_FREE char *path = note_path(runtime_directory, id);

    if (path)
        unlink(path);
}

void lb_reaped_write(const char *runtime_directory, const char *id, const struct lb_reap_result *result)
{
    LB_FREE char *path = note_path(runtime_directory, id), *directory = NULL;
    const struct lb_killed *k = &result->kinds;
    FILE *f;

    if (!path || asprintf(&directory, "%s/reaped", runtime_directory) < 0)
        return;
    mkdir(directory, 0700);
    f = fopen(path, "we");
    if (!f) {
        lb_log(LOG_WARNING, "Cannot write %s: %s", path, strerror(errno));
        return;
    }
    fprintf(f, NOTE, result->killed, result->ms, k->session, k->scope, k->service, k->connection, k->other);
    fclose(f);
}

struct others {
    struct lb_store *store;
    const struct lb_request *request;
    bool found;
};

/* Looks for another access to the same account that has (or had, and left something of) sessions. */
static int is_other(void *userdata, const char *id)
{
    struct others *o = userdata;
    struct lb_request *r = NULL;

    if (lb_streq(id, o->request->id) || lb_store_load(o->store, id, &r) < 0)
        return 0;
    o->found |= r->uid == o->request->uid && lb_state_is_access(r->state) && r->sessions.n > 0;
    lb_request_free(r);
    return 0;
}

static int reap(const char *runtime_directory, const char *id, const struct lb_reap_target *target)
{
    struct lb_reaper *reaper = lb_reaper_new(runtime_directory, id, target);
    struct lb_reap_result result;
    bool done;

    if (!reaper)
        return EXIT_FAILURE;
    done = lb_reaper_run(reaper, PATIENCE);
    result = lb_reaper_result(reaper);
    lb_reaper_free(reaper);
    lb_reaped_add(runtime_directory, id, &result);
    lb_reaped_write(runtime_directory, id, &result);
    lb_log(done ? LOG_WARNING : LOG_ALERT,
           "The daemon did not end access %s, PID 1's deadline did: %" PRId64 " processes ended in %" PRId64
           " ms, %" PRId64 " left.", id, result.killed, result.ms, result.left);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int lb_reaped_main(const char *state_directory, const char *runtime_directory, const char *id, int64_t uid)
{
    struct others others = { 0 };
    struct lb_request *request = NULL;
    struct lb_time now = lb_clock_now();
    struct lb_store_filter open_ones = { .open_only = true };
    int64_t warning;
    bool over;
    int due;
    int r = lb_store_open(state_directory, true, 0, &others.store);

    if (r == 0)
        r = lb_store_load(others.store, id, &request);
    if (r < 0) { /* without the log: everything of the account */
        lb_log(LOG_ALERT, "Cannot read access %s (%s); ending all of uid %" PRId64 ".", id, strerror(-r), uid);
        lb_store_close(others.store);
        return reap(runtime_directory, id, &(struct lb_reap_target){ .uid = uid, .slice = true });
    }
    due = lb_request_due(request, &now, &warning);
    over = request->state == LB_STATE_ENDING || due == LB_EVENT_TIME_OVER || due == LB_EVENT_FROZEN;
    r = EXIT_SUCCESS;
    if (over) {
        int64_t over_at = request->state == LB_STATE_ENDING ? request->end.at : request->not_after.wall;

        others.request = request;
        lb_store_list(others.store, &open_ones, is_other, &others);
        r = reap(runtime_directory, id,
                 &(struct lb_reap_target){ .uid = request->uid,
                                           .sessions = request->sessions.items,
                                           .n = request->sessions.n,
                                           .slice = request->sessions.n > 0 && !others.found,
                                           .account = request->account,
                                           .late = now.wall > over_at ? now.wall - over_at : 0 });
    }
    lb_request_free(request);
    lb_store_close(others.store);
    return r;
}
