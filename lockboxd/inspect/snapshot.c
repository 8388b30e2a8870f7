/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sub-commands that make the report of what an access left behind: a picture before, one after, the difference. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

struct arguments {
    const char *root, *output, *files[2];
};

/* 0; 2 for a mistake in the arguments. */
static int parse(int argc, char **argv, int n_files, struct arguments *ret)
{
    static const struct option options[] = { { "root", required_argument, NULL, 'r' },
                                             { "output", required_argument, NULL, 'o' }, { 0 } };
    int c;

    *ret = (struct arguments){ .root = "/" };
    optind = 1;
    while ((c = getopt_long(argc, argv, "o:", options, NULL)) >= 0)
        switch (c) {
        case 'r': ret->root = optarg; break;
        case 'o': ret->output = optarg; break;
        default: return 2;
        }
    if (argc - optind != n_files) {
        fprintf(stderr, "lockbox-inspect %s: %s. Try: lockbox-inspect --help\n", argv[0],
                n_files ? "two file names are needed, the earlier one first" : "no file names are needed");
        return 2;
    }
    for (int i = 0; i < n_files; i++)
        ret->files[i] = argv[optind + i];
    return 0;
}

static int fail(const char *path, int error)
{
    fprintf(stderr, "lockbox-inspect: %s: %s\n", path ? path : "standard output",
            error == -EBADMSG ? "is not what lockbox-inspect writes" : strerror(-error));
    return EXIT_FAILURE;
}

int lb_inspect_snapshot(int argc, char **argv)
{
    struct arguments a;
    struct lb_picture picture;
    json_auto_t *json = NULL;
    int r = parse(argc, argv, 0, &a);

    if (r != 0)
        return r;
    r = lb_picture_open(&picture, a.root);
    if (r < 0)
        return fail(a.root, r);
    lb_picture_take(&picture);
    json = lb_picture_json(&picture);
    lb_picture_clear(&picture);
    r = json ? lb_inspect_write(a.output, json) : -ENOMEM;
    return r < 0 ? fail(a.output, r) : EXIT_SUCCESS;
}

int lb_inspect_compare(int argc, char **argv)
{
    struct arguments a;
    json_auto_t *before = NULL, *after = NULL, *changes = NULL;
    int r = parse(argc, argv, 2, &a);

    if (r != 0)
        return r;
    r = lb_inspect_load(a.files[0], &before);
    if (r < 0)
        return fail(a.files[0], r);
    r = lb_inspect_load(a.files[1], &after);
    if (r < 0)
        return fail(a.files[1], r);
    changes = lb_inspect_changes(before, after);
    if (!changes)
        return fail(a.files[0], -EBADMSG);
    r = lb_inspect_write(a.output, changes);
    return r < 0 ? fail(a.output, r) : EXIT_SUCCESS;
}
