/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns every object, and the order in which they start and stop. */
#pragma once

#include "lockboxd/config.h"

struct lb_options {
    const char *config_path;
    const char *approvers_path;
    const char *signers_path;
    const char *state_directory;      /* NULL: the configuration's */
    const char *runtime_directory;
    const char **policy_directories;  /* NULL-terminated */
    bool no_systemd;                  /* do not talk to PID 1 */
};

/* Runs until SIGTERM or SIGINT. 0, or why it could not begin (already said). */
int lb_daemon_run(const struct lb_options *options);
