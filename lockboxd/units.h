/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The systemd units that an access unlocks: started in order when it begins, stopped in reverse when it ends. */
#pragma once

#include "lockboxd/systemd.h"

struct lb_units;

/* One unit could not be started or stopped; `result` is systemd's word for it ("failed", "timeout", an error). */
typedef void lb_units_failed(void *userdata, const char *unit, bool start, const char *result);
/* All have been tried. */
typedef void lb_units_done(void *userdata);

/* Starts (or stops) the NULL-terminated units one after the other. The callbacks come from the event loop, never from
 * inside this call; `done` may free the run. -ENOMEM. */
int lb_units_run(struct lb_systemd *systemd, sd_event *event, char *const *units, bool start, lb_units_failed *failed,
                 lb_units_done *done, void *userdata, struct lb_units **ret);
struct lb_units *lb_units_free(struct lb_units *u); /* gives up; NULL is fine; returns NULL */
