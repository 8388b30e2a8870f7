/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The leaders of open sessions, each held by a pidfd, so that its end is noticed whoever caused it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct lb_sessions;

/* A leader is gone. */
typedef void lb_sessions_gone(void *userdata, const char *request, pid_t pid, int64_t started);

int lb_sessions_new(sd_event *event, lb_sessions_gone *gone, void *userdata, struct lb_sessions **ret);
struct lb_sessions *lb_sessions_free(struct lb_sessions *s); /* NULL is fine; returns NULL */

/* Watches a leader. -ESRCH if it is gone already (then `gone` is not called). */
int lb_sessions_watch(struct lb_sessions *s, const char *request, pid_t pid, int64_t started);

/* Tells at once of those of this request that are gone and whose turn in the loop has not come yet. */
void lb_sessions_settle(struct lb_sessions *s, const char *request);

/* Watches no leader of this request any more. */
void lb_sessions_forget(struct lb_sessions *s, const char *request);
