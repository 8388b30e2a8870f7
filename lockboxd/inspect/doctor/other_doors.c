/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that let people in from outside and ask no PAM, or only where somebody told them to. */
#include <errno.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "lockboxd/inspect/doctor/processes.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "policy/base.h"

static const char *const programs[] = {
    "dropbear", "tinysshd", "lshd", "ttyd", "gotty", "shellinaboxd", "teleport", "in.rshd", "in.rexecd", "tailscaled",
};

/* The kernel keeps 15 bytes of a name. */
static const char *known_as(const char *name)
{
    for (size_t i = 0; i < LB_ELEMENTS(programs); i++)
        if (strncmp(programs[i], name, 15) == 0)
            return programs[i];
    return NULL;
}

static void tell(struct lb_doctor *d, const char *program, struct lb_place at, const char *unit)
{
    bool tailscale = strcmp(program, "tailscaled") == 0;

    if (lb_doctor_has_trouble(d, program))
        return;
    if (tailscale)
        lb_doctor_find(d, LB_WAY_WARNING, program, at, "with Tailscale SSH switched on it lets in without sshd, and "
                       "not by its PAM service\ntailscale set --ssh=false");
    else
        lb_doctor_find(d, LB_WAY_HOLE, program, at, "lets people in without asking PAM\nsystemctl disable --now %s",
                       unit);
}

static void check_units(struct lb_doctor *d)
{
    const struct lb_unit *unit = d->units.items;

    for (size_t i = 0; i < d->units.n; i++) {
        const struct lb_unit_setting *start = unit[i].starts.items;
        for (size_t j = 0; j < unit[i].starts.n && lb_unit_files_is_enabled(&d->units, &unit[i]); j++) {
            char **words = NULL;
            const char *base = NULL, *program = NULL;
            int r = lb_unit_files_words(start[j].value, &words);
            lb_doctor_keep(d, r);
            base = r == 0 && words ? strrchr(words[0], '/') : NULL;
            program = base ? known_as(base + 1) : NULL;
            if (program)
                tell(d, program, (struct lb_place){ start[j].file, (unsigned)start[j].line }, unit[i].name);
            lb_strings_free(words);
        }
    }
}

static void check_processes(struct lb_doctor *d)
{
    struct lb_list processes = { 0 };
    int r = lb_processes_read(&processes);
    const struct lb_process *p = processes.items;

    lb_doctor_keep(d, r);
    for (size_t i = 0; r == 0 && i < processes.n; i++)
        if (known_as(p[i].name))
            tell(d, known_as(p[i].name), LB_NOWHERE, "the unit that started it");
    lb_processes_free(&processes);
}

void lb_doctor_other_doors(struct lb_doctor *d)
{
    check_units(d);
    if (lb_host_is_this(&d->host))
        check_processes(d);
}
