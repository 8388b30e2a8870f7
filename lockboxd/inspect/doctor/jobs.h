/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who can leave jobs with cron and at. */
#pragma once

#include "lockboxd/inspect/doctor/host.h"

/* False if cron.allow or cron.deny (`which` is "cron", or "at") keep the account out. */
bool lb_jobs_may_leave(const struct lb_host *host, const char *which, const char *account);

bool lb_jobs_has_crontab(const struct lb_host *host, const char *account);
