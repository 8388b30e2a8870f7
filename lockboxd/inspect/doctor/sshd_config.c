/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/sshd_config.h"

#include <ctype.h>
#include <strings.h>

#include "policy/base.h"

#define DEPTH_MAX 16 /* as sshd */

bool lb_sshd_value(const char *text, const char *keyword, const char **at, char *buf, size_t size)
{
    const char *line = at && *at ? *at : text;
    size_t k = strlen(keyword);

    while (*line) {
        size_t n = strcspn(line, "\n");
        const char *next = line + n + (line[n] == '\n');
        if (n >= k && strncasecmp(line, keyword, k) == 0 && (n == k || line[k] == ' ')) {
            snprintf(buf, size, "%.*s", n == k ? 0 : (int)(n - k - 1), n == k ? "" : line + k + 1);
            if (at)
                *at = next;
            return true;
        }
        line = next;
    }
    return false;
}

int64_t lb_sshd_seconds(const char *text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
    int64_t total = 0;

    if (!*text)
        return -1;
    while (*text) {
        char *end = NULL;
        long n = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
        size_t i = 0;
        if (n < 0)
            return -1;
        if (*end == '.') /* as penalties are printed */
            strtol(end + 1, &end, 10);
        while (*end && i < LB_ELEMENTS(units) && units[i].unit != tolower((unsigned char)*end))
            i++;
        if (i == LB_ELEMENTS(units))
            return -1;
        total += n * (*end ? units[i].seconds : 1);
        text = *end ? end + 1 : end;
    }
    return total;
}

static bool look(const struct lb_host *host, const char *path, const char *keyword, int depth, char **ret_file,
                 unsigned *ret_line);

/* Include PATTERN…: a relative one is below /etc/ssh. */
static bool look_included(const struct lb_host *host, char *patterns, const char *keyword, int depth, char **ret_file,
                          unsigned *ret_line)
{
    char *save = NULL;
    bool found = false;

    for (char *p = strtok_r(patterns, " \t\"", &save); p && !found; p = strtok_r(NULL, " \t\"", &save)) {
        LB_FREE char *pattern = NULL;
        char **paths = NULL;
        if (asprintf(&pattern, "%s%s", *p == '/' ? "" : "/etc/ssh/", p) < 0 ||
            lb_host_glob(host, pattern, &paths) < 0)
            return false;
        for (char **path = paths; path && *path && !found; path++)
            found = look(host, *path, keyword, depth + 1, ret_file, ret_line);
        lb_strings_free(paths);
    }
    return found;
}

static bool look(const struct lb_host *host, const char *path, const char *keyword, int depth, char **ret_file,
                 unsigned *ret_line)
{
    LB_FREE char *text = NULL;
    char *at = NULL;
    unsigned number = 0;
    bool found = false;

    if (depth >= DEPTH_MAX || lb_host_read(host, path, &text) < 0)
        return false;
    at = text;
    for (char *line = NULL; !found && (line = lb_host_line(&at));) {
        size_t n = 0;
        number++;
        line += strspn(line, " \t");
        n = strcspn(line, " \t=");
        if (n == strlen(keyword) && strncasecmp(line, keyword, n) == 0) {
            *ret_file = strdup(path);
            *ret_line = number;
            return *ret_file;
        }
        if (n == strlen("include") && strncasecmp(line, "include", n) == 0)
            found = look_included(host, line + n + strspn(line + n, " \t="), keyword, depth, ret_file, ret_line);
    }
    return found;
}

bool lb_sshd_place(const struct lb_host *host, const char *config, const char *keyword, char **ret_file,
                   unsigned *ret_line)
{
    return look(host, config, keyword, 0, ret_file, ret_line);
}
