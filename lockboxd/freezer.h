/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stops what belongs to an access where it stands, and lets it go on.
 *
 * What is frozen is written to RUNTIME/frozen/ID before it is: a cgroup a line, or "PID STARTED" for a process that is
 * in none of the access's cgroups and therefore got SIGSTOP (a process of root's own may let such a one go on: it is
 * listed, and the end of the access finds it). Whoever comes after a kill -9 thaws by that list. Several processes may
 * freeze and thaw the same access at once: what is not on the list afterwards is not frozen.
 *
 * A slice is never frozen: PID 1 puts helpers of its own into it and would wait for them.
 */
#pragma once

#include "lockboxd/footprint.h"

/*
 * Freezes the access's cgroups and stops what it has elsewhere, again until a look finds nothing new and all stands
 * still. Takes some ms, and no more than about 30. 0: all stands still (or there is nothing). -EINPROGRESS: all that
 * was found is told to, but not all has obeyed yet, or more came up; call again. -ECANCELED: it was thawed meanwhile,
 * and nothing is frozen. Other errors are of the list's file: nothing more was frozen.
 */
int lb_freezer_freeze(const char *runtime_directory, const char *id, const struct lb_reap_target *target);

/* The same, but cgroups alone: for who kills at once, and with that should not stop an administrator's su. */
int lb_freezer_freeze_cgroups(const char *runtime_directory, const char *id, const struct lb_reap_target *target);

/* Whether anything is listed as frozen. */
bool lb_freezer_is_frozen(const char *runtime_directory, const char *id);

/* Thaws all that RUNTIME/frozen/ID lists and removes it; fine where there is none. -errno: something could not be
 * thawed, and the list stays for the next try. */
int lb_freezer_thaw(const char *runtime_directory, const char *id);

/* Thaws every access that is listed, except where `keep` returns true. `keep` NULL: none is kept. The first error of
 * lb_freezer_thaw(); the others are thawed all the same. */
int lb_freezer_thaw_all(const char *runtime_directory, bool (*keep)(void *userdata, const char *id), void *userdata);
