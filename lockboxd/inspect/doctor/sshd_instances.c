/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every sshd there is on the host: the stock one, those that run, those that an enabled unit starts. */
#include <errno.h>

#include "lockboxd/inspect/doctor/processes.h"
#include "lockboxd/inspect/doctor/sshd.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "policy/base.h"

static const char *const programs[] = { "/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd" };

static bool is_sshd(const char *path)
{
    const char *base = strrchr(path, '/');

    return base && strcmp(base, "/sshd") == 0;
}

void lb_sshd_instances_free(struct lb_list *instances)
{
    struct lb_sshd *sshd = instances->items;

    for (size_t i = 0; i < instances->n; i++) {
        free(sshd[i].program);
        free(sshd[i].way);
        lb_strings_free(sshd[i].options);
    }
    free(sshd);
    *instances = (struct lb_list){ 0 };
}

static bool is_stock(const char *program)
{
    for (size_t i = 0; i < LB_ELEMENTS(programs); i++)
        if (strcmp(programs[i], program) == 0)
            return true;
    return false;
}

static int name(const char *program, char *const *words, char **ret)
{
    LB_FREE char *joined = strdup(is_stock(program) ? "sshd" : program);

    for (; joined && words && *words; words++) {
        char *longer = NULL;
        if (asprintf(&longer, "%s %s", joined, *words) < 0)
            return -ENOMEM;
        free(joined);
        joined = longer;
    }
    *ret = LB_TAKE(joined);
    return *ret ? 0 : -ENOMEM;
}

/* Each once, by its options. Takes the options. */
static int add(struct lb_list *instances, const char *program, char **options)
{
    const struct lb_sshd *known = instances->items;
    LB_FREE char *way = NULL;
    struct lb_sshd *sshd = NULL;
    int r = name(program, options, &way);

    for (size_t i = 0; r == 0 && i < instances->n; i++)
        if (strcmp(known[i].way, way) == 0) {
            lb_strings_free(options);
            return 0;
        }
    sshd = r == 0 ? lb_list_append(instances, sizeof(*sshd)) : NULL;
    if (!sshd) {
        lb_strings_free(options);
        return -ENOMEM;
    }
    *sshd = (struct lb_sshd){ strdup(program), options, LB_TAKE(way) };
    return sshd->program ? 0 : -ENOMEM;
}

/* Sshd takes no arguments but options, so that all words up to the next one are the value: where it tells its own
 * command line, there are no quotes. *at is left at the last of them. */
static int read_value(char *const **at, char **ret)
{
    char *value = strdup((**at)[2] ? **at + 2 : "");

    while (value && (*at)[1] && ((*at)[1][0] != '-' || !*value)) {
        char *longer = NULL;
        if (asprintf(&longer, "%s%s%s", value, *value ? " " : "", *++*at) < 0)
            longer = NULL;
        free(value);
        value = longer;
    }
    *ret = value;
    return value ? 0 : -ENOMEM;
}

/* What makes a difference to `sshd -T`. What a unit puts in by a variable is seen on the sshd that runs. */
static int keep_options(char *const *words, char ***ret)
{
    char **kept = NULL;
    int r = 0;

    for (; r == 0 && *words; words++) {
        char option[3] = { '-', (*words)[0] == '-' ? (*words)[1] : '\0', '\0' };
        LB_FREE char *value = NULL;
        if (!option[1] || !strchr("fophc", option[1]))
            continue;
        r = read_value(&words, &value);
        if (r < 0 || strchr(value, '$') || (option[1] == 'f' && strcmp(value, "/etc/ssh/sshd_config") == 0))
            continue;
        r = lb_strings_append(&kept, option);
        if (r == 0)
            r = lb_strings_append(&kept, value);
    }
    if (r < 0)
        lb_strings_free(kept);
    else
        *ret = kept;
    return r;
}

static int add_command(struct lb_list *instances, const char *command)
{
    char **words = NULL, **options = NULL;
    int r = lb_unit_files_words(command, &words);

    if (r == 0 && words && is_sshd(words[0])) {
        r = keep_options(words + 1, &options);
        if (r == 0)
            r = add(instances, words[0], options);
    }
    lb_strings_free(words);
    return r;
}

/* The one that listens calls itself "sshd: /usr/sbin/sshd -D -f … [listener] 0 of 10-100 startups". So can who is not
 * root; but what he runs lets in nobody but himself. */
static int add_running(struct lb_list *instances)
{
    struct lb_list processes = { 0 };
    int r = lb_processes_read(&processes);
    const struct lb_process *p = processes.items;

    for (size_t i = 0; r == 0 && i < processes.n; i++) {
        const char *listener = strstr(p[i].command, " [listener]");
        LB_FREE char *command = NULL;
        if (!p[i].ours || strncmp(p[i].command, "sshd: ", 6) != 0 || !listener)
            continue;
        command = strndup(p[i].command + 6, (size_t)(listener - p[i].command) - 6);
        r = command ? add_command(instances, command) : -ENOMEM;
    }
    lb_processes_free(&processes);
    return r;
}

static int add_units(const struct lb_doctor *d, struct lb_list *instances)
{
    const struct lb_unit *unit = d->units.items;
    int r = 0;

    for (size_t i = 0; r == 0 && i < d->units.n; i++) {
        const struct lb_unit_setting *start = unit[i].starts.items;
        for (size_t j = 0; r == 0 && j < unit[i].starts.n && lb_unit_files_is_enabled(&d->units, &unit[i]); j++)
            r = add_command(instances, start[j].value);
    }
    return r;
}

int lb_sshd_instances(const struct lb_doctor *d, struct lb_list *ret)
{
    struct lb_list instances = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && instances.n == 0 && i < LB_ELEMENTS(programs); i++)
        if (lb_host_has(&d->host, programs[i]))
            r = add(&instances, programs[i], NULL);
    if (r == 0 && lb_host_is_this(&d->host))
        r = add_running(&instances);
    if (r == 0)
        r = add_units(d, &instances);
    if (r < 0)
        lb_sshd_instances_free(&instances);
    else
        *ret = instances;
    return r;
}
