/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockbox-inspect: what has to read everything on a host, in a process that is gone when it has said what it saw. */
#include <locale.h>
#include <stdio.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* exit status */
    const char *help;
} commands[] = {
    { "snapshot", lb_inspect_snapshot, "[--root DIR] [-o FILE]: what accounts, keys, units, listeners … there are" },
    { "compare", lb_inspect_compare, "BEFORE AFTER [-o FILE]: what is different between two of them" },
    { "doctor", lb_doctor_main, "[--json] [--root DIR]: does every way into this host pass the gate?" },
};

static int help(FILE *out, int status)
{
    fputs("lockbox-inspect COMMAND [OPTION...]\n\n", out);
    for (size_t i = 0; i < LB_ELEMENTS(commands); i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("\nSnapshots are taken by lockboxd(8), in units of their own. lockboxctl doctor runs the doctor.\n", out);
    return status;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return puts("lockbox-inspect " LB_VERSION) < 0;
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return help(stdout, 0);
    for (size_t i = 0; argc > 1 && i < LB_ELEMENTS(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return help(stderr, 2);
}
