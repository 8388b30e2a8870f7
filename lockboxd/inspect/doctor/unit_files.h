/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's units as far as doctor wants them: which programs they start, and whether something asks for them. */
#pragma once

#include "lockboxd/inspect/doctor/host.h"

struct lb_unit_setting {
    char *value;
    char *file;
    int64_t line;
};

struct lb_unit {
    char *name;
    bool enabled;          /* another unit wants it, or an instance of it if it is a template; or a generator made it */
    bool masked;
    bool alias;            /* a link to a unit of another name */
    struct lb_list starts; /* struct lb_unit_setting: ExecStart= as it stands after all drop-ins */
    struct lb_list listens; /* struct lb_unit_setting: ListenStream= */
    struct lb_list sets;   /* struct lb_unit_setting: Environment= */
};

/* All services and sockets, with their drop-ins, in order of their names: struct lb_unit. -ENOMEM. */
int lb_unit_files_read(const struct lb_host *host, struct lb_list *ret);
void lb_unit_files_free(struct lb_list *units);

const struct lb_unit *lb_unit_files_find(const struct lb_list *units, const char *name); /* or NULL */

/* True if the unit or the socket that starts it is enabled. */
bool lb_unit_files_is_enabled(const struct lb_list *units, const struct lb_unit *unit);

/* The words of a command line with quotes, without what precedes the path of an ExecStart= (- @ : + !). -ENOMEM. */
int lb_unit_files_words(const char *command, char ***ret);
