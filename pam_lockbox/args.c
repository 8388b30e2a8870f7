/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One row for each argument. */
#include "pam_lockbox/args.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <sys/un.h>

#include "lockboxd/proto/client.h"
#include "policy/base.h"
#include "policy/fields.h"

#define DEFAULT_GROUP "lockbox-gated"
#define DEFAULT_WAIT_MS (90 * 1000)
#define WAIT_MAX_S (24 * 3600)

static int take_list(char ***list, const char *value)
{
    for (; *value; value += strspn(value, ",")) {
        size_t n = strcspn(value, ",");
        LB_FREE char *name = strndup(value, n);

        if (!name || (n > 0 && lb_strings_append(list, name) < 0))
            return -ENOMEM;
        value += n;
    }
    return 0;
}

static int take_users(struct lb_args *args, const char *value)
{
    return take_list(&args->users, value);
}

static int take_groups(struct lb_args *args, const char *value)
{
    if (!args->groups && !(args->groups = calloc(1, sizeof(*args->groups)))) /* given, so no default */
        return -ENOMEM;
    return take_list(&args->groups, value);
}

static int take_scope(struct lb_args *args, const char *value)
{
    args->scope = value;
    return *value ? 0 : -EINVAL;
}

static int take_socket(struct lb_args *args, const char *value)
{
    if (*value != '/' || strlen(value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -EINVAL;
    args->socket = value;
    return 0;
}

static int take_wait(struct lb_args *args, const char *value)
{
    static const struct {
        const char *name;
        int seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 } };
    char *end;
    long n;

    if (!isdigit((unsigned char)*value))
        return -EINVAL;
    n = strtol(value, &end, 10);
    for (size_t i = 0; i < LB_ELEMENTS(units); i++) {
        if (strcmp(end, units[i].name) == 0 && n <= WAIT_MAX_S / units[i].seconds) {
            args->wait_ms = (int)n * units[i].seconds * 1000;
            return 0;
        }
    }
    return -EINVAL;
}

static int take_quiet(struct lb_args *args, const char *value)
{
    args->quiet = true;
    return *value ? -EINVAL : 0;
}

static const struct {
    const char *prefix;
    int (*take)(struct lb_args *args, const char *value);
} rows[] = {
    { "users=", take_users },   { "groups=", take_groups }, { "scope=", take_scope },
    { "socket=", take_socket }, { "wait=", take_wait },     { "quiet", take_quiet },
};

static int take(struct lb_args *args, const char *argument)
{
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        size_t n = strlen(rows[i].prefix);

        if (strncmp(argument, rows[i].prefix, n) == 0)
            return rows[i].take(args, argument + n);
    }
    return -EINVAL;
}

int lb_args_parse(int argc, const char **argv, struct lb_args *ret)
{
    struct lb_args args = { .scope = "login", .socket = LB_LOGIN_SOCKET, .wait_ms = DEFAULT_WAIT_MS };
    int r = 0;

    for (int i = 0; r == 0 && i < argc; i++) {
        r = take(&args, argv[i]);
        if (r == -EINVAL) {
            args.bad = args.bad ? args.bad : argv[i];
            r = 0;
        }
    }
    if (r == 0 && !args.groups)
        r = take_groups(&args, DEFAULT_GROUP);
    if (r < 0)
        lb_args_clear(&args);
    else
        *ret = args;
    return r;
}

void lb_args_clear(struct lb_args *args)
{
    args->users = lb_strings_free(args->users);
    args->groups = lb_strings_free(args->groups);
}
