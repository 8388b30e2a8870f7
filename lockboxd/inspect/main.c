/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "snapshot", lb_inspect_snapshot, "[--root DIR] [-o FILE]   what accounts, keys, units, listeners … there are" },
    { "compare", lb_inspect_compare, "BEFORE AFTER [-o FILE]   what is different between two of them" },
};

static int help(void)
{
    puts("lockbox-inspect COMMAND [OPTIONS]\n"
         "Looks at what only root may read. Run by lockboxd, in units of their own; prints JSON.\n");
    for (size_t i = 0; i < LB_ELEMENTS(commands); i++)
        printf("  %-9s %s\n", commands[i].name, commands[i].help);
    puts("\n  --help  --version\n\nSee lockboxd(8).");
    return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return help();
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return puts("lockbox-inspect " LB_VERSION) < 0;
    for (size_t i = 0; argc > 1 && i < LB_ELEMENTS(commands); i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "Try: lockbox-inspect --help\n");
    return 2;
}
