/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/pam_args.h"

#include <ctype.h>
#include <errno.h>

#include "policy/base.h"

#define DEFAULT_WAIT_S 90

/* Both may be given again and again. */
int lb_pam_args_gated(const struct lb_host *host, const struct lb_pam_line *line, char ***ret)
{
    LB_FREE char *args = strdup(line->args ? line->args : "");
    bool groups = false;
    char *save = NULL;
    int r = args ? 0 : -ENOMEM;

    for (char *arg = r < 0 ? NULL : strtok_r(args, " \t[]", &save); r == 0 && arg; arg = strtok_r(NULL, " \t[]",
    &save)) {
        bool of_groups = strncmp(arg, "groups=", 7) == 0;
        char *inner = NULL, *at = strchr(arg, '=');
        groups = groups || of_groups;
        if (!of_groups && strncmp(arg, "users=", 6) != 0)
            continue;
        for (char *name = strtok_r(at + 1, ",", &inner); r == 0 && name; name = strtok_r(NULL, ",", &inner))
            if (of_groups)
                r = lb_host_add_members(host, name, ret);
            else if (!lb_strings_contain(*ret, name))
                r = lb_strings_append(ret, name);
    }
    return r == 0 && !groups ? lb_host_add_members(host, LB_PAM_DEFAULT_GROUP, ret) : r;
}

int64_t lb_pam_args_wait(const struct lb_pam_line *line)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 } };
    char text[32] = "", *end = NULL;
    long n = 0;

    if (!line || !lb_pam_line_arg(line, "wait=", text, sizeof(text)) || !isdigit((unsigned char)*text))
        return DEFAULT_WAIT_S;
    n = strtol(text, &end, 10);
    for (size_t i = 0; i < LB_ELEMENTS(units); i++)
        if (strcmp(end, units[i].name) == 0)
            return n * units[i].seconds;
    return DEFAULT_WAIT_S;
}

const char *lb_pam_args_unknown(const struct lb_pam_line *line, size_t *ret_size)
{
    static const char *const known[] = { "users=", "groups=", "scope=", "socket=", "wait=", "quiet" };

    for (const char *at = line->args; at && *(at += strspn(at, " \t[]"));) {
        size_t n = strcspn(at, " \t]"), i = 0;
        while (i < LB_ELEMENTS(known) && strncmp(at, known[i], strlen(known[i])) != 0)
            i++;
        if (i == LB_ELEMENTS(known)) {
            *ret_size = n;
            return at;
        }
        at += n;
    }
    return NULL;
}
