/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/trouble.h"

#include "lockboxd/clock.h"
#include "lockboxd/log.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/text.h"

#define TEXT_MAX 400

int64_t lb_trouble_meet(struct lb_trouble *t, const struct lb_patience *patience, const char *problem)
{
    LB_FREE char *text = lb_text_clean(problem ? problem : "out of memory", TEXT_MAX);
    int64_t delay = patience->first;

    for (unsigned i = 0; i < t->failures && delay < patience->most; i++)
        delay *= 2;
    t->failures++;
    if (t->failures == 1)
        t->since = lb_clock_now().wall;
    if (text && !lb_streq(text, t->text)) {
        lb_log(LOG_WARNING, "%s: %s", t->who, text);
        free(t->text);
        t->text = LB_TAKE(text);
    }
    return delay < patience->most ? delay : patience->most;
}

void lb_trouble_over(struct lb_trouble *t)
{
    if (t->text)
        lb_log(LOG_NOTICE, "%s: it goes on again", t->who);
    lb_trouble_clear(t);
}

void lb_trouble_clear(struct lb_trouble *t)
{
    free(t->text);
    *t = (struct lb_trouble){ .who = t->who };
}

json_t *lb_trouble_status(const char *problem, int64_t since, int64_t worked_at, json_t *more)
{
    static const struct lb_field fields[] = {
        { "since", LB_FIELD_INT, 0, LB_FIELD_TIME },
        { "worked_at", LB_FIELD_INT, sizeof(int64_t), LB_FIELD_TIME },
        { 0 },
    };
    const int64_t times[] = { problem ? since : 0, worked_at };
    json_auto_t *told = lb_json_pack(fields, times, LB_JSON_PUBLIC);

    const char *state = problem ? "failing" : worked_at ? "connected" : "idle";

    if (json_object_set_new(more, "state", json_string(state)) < 0 ||
        (problem && json_object_set_new(more, "problem", json_string(problem)) < 0) ||
        json_object_update(more, told) < 0) {
        json_decref(more);
        return NULL;
    }
    return more;
}
