/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/unit_files.h"

#include <errno.h>
#include <fnmatch.h>

#include "policy/base.h"

#define GENERATED "/run/systemd/generator"

/* The first that has a unit's file counts. */
static const char *const directories[] = {
    "/etc/systemd/system", "/run/systemd/system", GENERATED, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
};

static const struct lb_field setting_fields[] = {
    { "value", LB_FIELD_STRING, offsetof(struct lb_unit_setting, value) },
    { "file", LB_FIELD_STRING, offsetof(struct lb_unit_setting, file) },
    { 0 },
};

static void clear_settings(struct lb_list *list)
{
    struct lb_unit_setting *settings = list->items;

    for (size_t i = 0; i < list->n; i++)
        lb_fields_clear(setting_fields, &settings[i]);
    list->n = 0;
}

void lb_unit_files_free(struct lb_list *units)
{
    struct lb_unit *unit = units->items;

    for (size_t i = 0; i < units->n; i++) {
        struct lb_list *lists[] = { &unit[i].starts, &unit[i].listens, &unit[i].sets };
        for (size_t j = 0; j < LB_ELEMENTS(lists); j++) {
            clear_settings(lists[j]);
            free(lists[j]->items);
        }
        free(unit[i].name);
    }
    free(units->items);
    *units = (struct lb_list){ 0 };
}

const struct lb_unit *lb_unit_files_find(const struct lb_list *units, const char *name)
{
    const struct lb_unit *unit = units->items;

    for (size_t i = 0; i < units->n; i++)
        if (strcmp(unit[i].name, name) == 0)
            return &unit[i];
    return NULL;
}

bool lb_unit_files_is_enabled(const struct lb_list *units, const struct lb_unit *unit)
{
    size_t n = strcspn(unit->name, "@.");
    LB_FREE char *name = NULL;
    const struct lb_unit *socket = NULL;

    if (unit->enabled || asprintf(&name, "%.*s.socket", (int)n, unit->name) < 0)
        return true;
    socket = lb_unit_files_find(units, name);
    return !unit->masked && socket && socket->enabled && !socket->masked;
}

/* --- a file ------------------------------------------------------------------------------------------------------- */

static int set(struct lb_list *list, const char *value, const char *path, unsigned line)
{
    struct lb_unit_setting *setting = NULL;

    if (!*value) {
        clear_settings(list);
        return 0;
    }
    setting = lb_list_append(list, sizeof(*setting));
    if (setting)
        *setting = (struct lb_unit_setting){ strdup(value), strdup(path), line };
    return setting && setting->value && setting->file ? 0 : -ENOMEM;
}

static int take_line(struct lb_unit *unit, char *line, const char *path, unsigned number)
{
    const struct {
        const char *key;
        struct lb_list *list;
    } known[] = { { "ExecStart", &unit->starts }, { "ListenStream", &unit->listens }, { "Environment", &unit->sets } };
    char *equals = strchr(line, '=');
    int r = 0;

    for (size_t i = 0; equals && r == 0 && i < LB_ELEMENTS(known); i++) {
        size_t n = strlen(known[i].key);
        if (strncmp(line, known[i].key, n) == 0 && strspn(line + n, " \t") == (size_t)(equals - line) - n)
            r = set(known[i].list, equals + 1 + strspn(equals + 1, " \t"), path, number);
    }
    return r;
}

/* Lines that end with a backslash go on in the next. */
static int read_unit(const struct lb_host *host, struct lb_unit *unit, const char *path)
{
    LB_FREE char *text = NULL;
    char *at = NULL;
    unsigned number = 0;
    int r = lb_host_read(host, path, &text);

    for (at = text; r == 0 && at && *at;) {
        unsigned first = ++number;
        char *line = at, *end = strchrnul(at, '\n');
        while (*end && end > line && end[-1] == '\\') {
            end[-1] = *end = ' ';
            end = strchrnul(end, '\n');
            number++;
        }
        at = *end ? end + 1 : end;
        *end = '\0';
        line += strspn(line, " \t");
        if (*line != '#' && *line != ';')
            r = take_line(unit, line, path, first);
    }
    return r == -ENOMEM ? r : 0;
}

/* --- a unit ------------------------------------------------------------------------------------------------------- */

static int read_drop_ins(const struct lb_host *host, struct lb_unit *unit)
{
    int r = 0;

    for (size_t i = LB_ELEMENTS(directories); r == 0 && i-- > 0;) { /* the administrator's last */
        LB_FREE char *pattern = NULL;
        char **paths = NULL;
        r = asprintf(&pattern, "%s/%s.d/*.conf", directories[i], unit->name) < 0 ? -ENOMEM : 0;
        if (r == 0)
            r = lb_host_glob(host, pattern, &paths);
        for (char **path = paths; r == 0 && path && *path; path++)
            r = read_unit(host, unit, *path);
        lb_strings_free(paths);
    }
    return r;
}

static int read_fragment(const struct lb_host *host, struct lb_unit *unit)
{
    for (size_t i = 0; i < LB_ELEMENTS(directories); i++) {
        LB_FREE char *path = NULL, *target = NULL;
        if (asprintf(&path, "%s/%s", directories[i], unit->name) < 0)
            return -ENOMEM;
        target = lb_host_link(host, path);
        unit->masked = target && strcmp(target, "/dev/null") == 0;
        if (unit->masked)
            return 0;
        if (target) {
            const char *slash = strrchr(target, '/');
            unit->alias = strcmp(slash ? slash + 1 : target, unit->name) != 0;
        }
        if (lb_host_has(host, path)) {
            unit->enabled = strcmp(directories[i], GENERATED) == 0;
            return read_unit(host, unit, path);
        }
    }
    return 0;
}

/* A template is wanted by way of an instance: getty@tty1.service. */
static bool is_wanted(const char *wanted, const char *name)
{
    const char *at = strchr(name, '@'), *dot = strrchr(wanted, '.');

    if (!at || at[1] != '.')
        return strcmp(wanted, name) == 0;
    return strncmp(wanted, name, (size_t)(at - name) + 1) == 0 && dot && strcmp(dot, at + 1) == 0;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static int add_names(const struct lb_host *host, const char *directory, char ***names)
{
    char **found = NULL;
    int r = lb_host_list(host, directory, &found);

    for (char **name = found; r == 0 && name && *name; name++)
        if ((fnmatch("*.service", *name, 0) == 0 || fnmatch("*.socket", *name, 0) == 0) &&
            !lb_strings_contain(*names, *name))
            r = lb_strings_append(names, *name);
    lb_strings_free(found);
    return r;
}

static int add_wanted(const struct lb_host *host, const char *directory, char ***wanted)
{
    char **found = NULL;
    int r = lb_host_list(host, directory, &found);

    for (char **name = found; r == 0 && name && *name; name++) {
        LB_FREE char *path = NULL;
        if (fnmatch("*.wants", *name, 0) != 0 && fnmatch("*.requires", *name, 0) != 0)
            continue;
        r = asprintf(&path, "%s/%s", directory, *name) < 0 ? -ENOMEM : add_names(host, path, wanted);
    }
    lb_strings_free(found);
    return r;
}

static int read_one(const struct lb_host *host, const char *name, char *const *wanted, struct lb_list *units)
{
    struct lb_unit *unit = lb_list_append(units, sizeof(*unit));
    int r = unit && (unit->name = strdup(name)) ? 0 : -ENOMEM;

    if (r == 0)
        r = read_fragment(host, unit);
    if (r == 0 && !unit->masked)
        r = read_drop_ins(host, unit);
    for (; r == 0 && wanted && *wanted; wanted++)
        unit->enabled = !unit->masked && (unit->enabled || is_wanted(*wanted, name));
    return r;
}

int lb_unit_files_read(const struct lb_host *host, struct lb_list *ret)
{
    char **names = NULL, **wanted = NULL;
    struct lb_list units = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < LB_ELEMENTS(directories); i++) {
        r = add_names(host, directories[i], &names);
        if (r == 0)
            r = add_wanted(host, directories[i], &wanted);
    }
    for (char **name = names; r == 0 && name && *name; name++)
        r = read_one(host, *name, wanted, &units);
    lb_strings_free(names);
    lb_strings_free(wanted);
    if (r < 0)
        lb_unit_files_free(&units);
    else
        *ret = units;
    return r;
}

int lb_unit_files_words(const char *command, char ***ret)
{
    const char *at = command + strspn(command, "-@:+!");
    char **words = NULL;
    int r = 0;

    for (at += strspn(at, " \t"); r == 0 && *at; at += strspn(at, " \t")) {
        LB_FREE char *word = calloc(1, strlen(at) + 1);
        size_t n = 0;
        char quote = '\0';
        for (; word && *at && (quote || !strchr(" \t", *at)); at++) {
            if (*at == quote)
                quote = '\0';
            else if (!quote && (*at == '"' || *at == '\''))
                quote = *at;
            else
                word[n++] = *at;
        }
        r = word ? lb_strings_append(&words, word) : -ENOMEM;
    }
    if (r < 0)
        lb_strings_free(words);
    else
        *ret = words;
    return r;
}
