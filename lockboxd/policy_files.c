/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/policy_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "lockboxd/read_text.h"
#include "policy/base.h"
#include "policy/ini.h"
#include "policy/rules_parse.h"

#define SUFFIX ".policy"

const char *const lb_policy_directories[] = {
    "/usr/lib/lockbox/policy.d",
    "/run/lockbox/policy.d",
    "/etc/lockbox/policy.d",
    NULL,
};

struct file {
    char *path;
    const char *name; /* the end of path */
};

struct files {
    struct lb_list list; /* of struct file */
    struct lb_ini_errors errors;
};

static void files_clear(struct files *files)
{
    struct file *file = files->list.items;

    for (size_t i = 0; i < files->list.n; i++)
        free(file[i].path);
    free(file);
    free(files->errors.text);
}

/* Here each struct lb_policy_text owns its path and text. */
static void texts_clear(struct lb_list *texts)
{
    struct lb_policy_text *text = texts->items;

    for (size_t i = 0; i < texts->n; i++) {
        free((char *)text[i].path);
        free((char *)text[i].text);
    }
    free(text);
}

/* Takes the path, also when it fails. */
static int files_put(struct files *files, char *path)
{
    const char *name = strrchr(path, '/') + 1;
    struct file *file = files->list.items;
    size_t i = 0;

    while (i < files->list.n && strcmp(file[i].name, name) != 0)
        i++;
    if (i < files->list.n) {
        free(file[i].path);
        file = &file[i];
    } else {
        file = lb_list_append(&files->list, sizeof(*file));
    }
    if (!file) {
        free(path);
        return -ENOMEM;
    }
    *file = (struct file){ path, name };
    return 0;
}

static bool is_policy(const char *name)
{
    size_t n = strlen(name), suffix = strlen(SUFFIX);

    return name[0] != '.' && n > suffix && strcmp(name + n - suffix, SUFFIX) == 0;
}

static void closedirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static int files_scan(struct files *files, const char *directory)
{
    LB_CLEANUP(closedirp) DIR *dir = opendir(directory);
    const struct dirent *entry = NULL;

    if (!dir && errno != ENOENT)
        lb_ini_error(&files->errors, directory, 0, "cannot be read: %s", strerrordesc_np(errno));
    if (!dir)
        return 0;
    while (errno = 0, (entry = readdir(dir))) {
        char *path = NULL;
        if (!is_policy(entry->d_name))
            continue;
        if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0)
            return -ENOMEM;
        if (files_put(files, path) < 0)
            return -ENOMEM;
    }
    if (errno)
        lb_ini_error(&files->errors, directory, 0, "cannot be read: %s", strerrordesc_np(errno));
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* Reads one file into the list. What is wrong with it is noted; only -ENOMEM is returned. */
static int texts_read(struct lb_list *texts, const char *path, struct lb_ini_errors *errors)
{
    LB_FREE char *content = NULL;
    struct lb_policy_text *text;
    size_t size = 0;
    int r = lb_read_text(path, true, &content, &size, errors);

    if (r <= 0)
        return r;
    text = lb_list_append(texts, sizeof(*text));
    if (!text)
        return -ENOMEM;
    *text = (struct lb_policy_text){ strdup(path), LB_TAKE(content), size };
    return text->path ? 0 : -ENOMEM;
}

static int finish(const struct lb_list *texts, struct lb_ini_errors *errors, struct lb_ruleset **ret, char **ret_error)
{
    if (errors->oom)
        return -ENOMEM;
    if (!errors->n)
        return lb_rules_parse(texts->items, texts->n, ret, ret_error);
    *ret_error = LB_TAKE(errors->text);
    return -EINVAL;
}

int lb_policy_files_load(const char *const *directories, struct lb_ruleset **ret, char **ret_error)
{
    LB_CLEANUP(files_clear) struct files files = { 0 };
    LB_CLEANUP(texts_clear) struct lb_list texts = { 0 };
    const struct file *file = NULL;

    for (; *directories; directories++)
        if (files_scan(&files, *directories) < 0)
            return -ENOMEM;
    file = files.list.items;
    if (file)
        qsort(files.list.items, files.list.n, sizeof(*file), by_name);
    for (size_t i = 0; i < files.list.n; i++)
        if (texts_read(&texts, file[i].path, &files.errors) < 0)
            return -ENOMEM;
    return finish(&texts, &files.errors, ret, ret_error);
}

int lb_policy_files_load_named(const char *const *paths, struct lb_ruleset **ret, char **ret_error)
{
    LB_CLEANUP(files_clear) struct files files = { 0 };
    LB_CLEANUP(texts_clear) struct lb_list texts = { 0 };

    for (; *paths; paths++)
        if (texts_read(&texts, *paths, &files.errors) < 0)
            return -ENOMEM;
    return finish(&texts, &files.errors, ret, ret_error);
}
