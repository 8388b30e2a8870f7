/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/jobs.h"

#include "policy/base.h"

bool lb_jobs_may_leave(const struct lb_host *host, const char *which, const char *account)
{
    static const char *const names[] = { "allow", "deny" };

    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        char path[64];
        LB_FREE char *text = NULL;
        bool named = false;
        char *at = NULL;
        snprintf(path, sizeof(path), "/etc/%s.%s", which, names[i]);
        if (lb_host_read(host, path, &text) < 0)
            continue;
        at = text;
        for (char *line = NULL; (line = lb_host_line(&at));) {
            line[strcspn(line, " \t#")] = '\0';
            named = named || strcmp(line, account) == 0;
        }
        return named == (i == 0);
    }
    return true;
}

bool lb_jobs_has_crontab(const struct lb_host *host, const char *account)
{
    static const char *const spools[] = { "/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron" };

    for (size_t i = 0; i < LB_ELEMENTS(spools); i++) {
        LB_FREE char *path = NULL;
        if (asprintf(&path, "%s/%s", spools[i], account) < 0 || lb_host_has(host, path))
            return true;
    }
    return false;
}
