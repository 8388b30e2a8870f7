/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/config.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/read_text.h"
#include "policy/base.h"
#include "policy/ini.h"
#include "policy/text.h"

int lb_config_defaults(struct lb_config *ret)
{
    char name[256] = "";
    struct lb_config c = { .reserve = 4 * 1024 * 1024, .limits = { 1000, 32, 8 } };

    gethostname(name, sizeof(name) - 1);
    c.host = strdup(*name ? name : "localhost");
    c.state_directory = strdup("/var/lib/lockbox");
    if (!c.host || !c.state_directory) {
        lb_config_clear(&c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

void lb_config_clear(struct lb_config *c)
{
    free(c->host);
    free(c->state_directory);
    *c = (struct lb_config){ 0 };
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Each sets the member and returns NULL, or says what was meant. */
static const char *set_name(void *member, const char *value)
{
    if (!*value || !lb_text_is_clean(value, LB_NAME_MAX))
        return "expected a name of printable characters";
    free(*(char **)member);
    *(char **)member = strdup(value);
    return *(char **)member ? NULL : "out of memory";
}

static const char *set_path(void *member, const char *value)
{
    return *value == '/' ? set_name(member, value) : "expected an absolute path";
}

static const char *set_unaccounted(void *member, const char *value)
{
    bool kill = strcmp(value, "kill") == 0;

    if (!kill && strcmp(value, "alarm") != 0)
        return "expected alarm or kill";
    *(bool *)member = kill;
    return NULL;
}

static const char *set_count(void *member, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);

    if (*end || end == value || n < 1 || n > 1000000)
        return "expected a whole number from 1 to 1000000";
    *(int64_t *)member = n;
    return NULL;
}

static const char *set_bytes(void *member, const char *value)
{
    static const char units[] = "KMG";
    char *end;
    long long n = strtoll(value, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;

    if (end == value || n < 0 || n > 1024 * 1024 || (*end && (!unit || end[1])))
        return "expected a size such as 4M, at most 1048576 of a unit";
    *(int64_t *)member = n << (unit ? 10 * (unit - units + 1) : 0);
    return NULL;
}

#define AT(member) offsetof(struct lb_config, member)

static const struct row {
    const char *section, *key;
    const char *(*set)(void *member, const char *value); /* NULL: a later version's */
    size_t offset;
} rows[] = {
    { "Host", "Name", set_name, AT(host) },
    { "State", "Directory", set_path, AT(state_directory) },
    { "State", "Reserve", set_bytes, AT(reserve) },
    { "Sessions", "Unaccounted", set_unaccounted, AT(kill_unaccounted) },
    { "Recordings", "Keep", NULL, 0 },
    { "Limits", "Connections", set_count, AT(limits.connections) },
    { "Limits", "PerUser", set_count, AT(limits.per_user) },
    { "Limits", "Waiters", set_count, AT(limits.waiters) },
};

static bool is_section(const char *name)
{
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        if (strcmp(rows[i].section, name) == 0)
            return true;
    return false;
}

/* Of an unknown section only the section is told. */
static void unknown(const char *path, unsigned line, const char *section, const char *key,
                    struct lb_ini_errors *errors)
{
    const char *known[LB_ELEMENTS(rows) + 1] = { 0 }, *near;
    size_t n = 0;

    if (key && !is_section(section))
        return;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        if (!key || strcmp(rows[i].section, section) == 0)
            known[n++] = key ? rows[i].key : rows[i].section;
    near = lb_ini_suggest(key ? key : section, known);
    lb_ini_error(errors, path, line, "unknown %s \"%s\"%s%s%s", key ? "key" : "section", key ? key : section,
                 near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
}

static int on_row(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                  const char *value, struct lb_ini_errors *errors)
{
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        const char *wrong;

        if (strcmp(rows[i].section, section) != 0 || (key && strcmp(rows[i].key, key) != 0))
            continue;
        if (!key)
            return 0;
        wrong = rows[i].set ? rows[i].set((char *)userdata + rows[i].offset, value) : "not supported by this version";
        if (wrong)
            lb_ini_error(errors, path, line, "%s=%s: %s", key, value, wrong);
        return 0;
    }
    unknown(path, line, section, key, errors);
    return 0;
}

int lb_config_load(const char *path, struct lb_config *c, char **ret_error)
{
    struct lb_ini_errors errors = { 0 };
    int r = lb_read_conf(path, on_row, c, &errors);

    if (r == 0 && errors.n > 0) {
        *ret_error = errors.text;
        return -EINVAL;
    }
    free(errors.text);
    return r;
}
