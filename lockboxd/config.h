/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxd.conf and lockboxd.conf.d/: the daemon's settings, read as strictly as policy. */
#pragma once

#include "lockboxd/server.h"

struct lb_config {
    char *host;              /* [Host] Name=, default: the host's name */
    char *state_directory;   /* [State] Directory= */
    int64_t reserve;         /* [State] Reserve=, bytes */
    bool kill_unaccounted;   /* [Sessions] Unaccounted=kill */
    struct lb_limits limits; /* [Limits] */
};

/* The defaults. -ENOMEM. */
int lb_config_defaults(struct lb_config *ret);

/* Reads `path` and the *.conf of `path`.d in name order; a file that is not there is an empty one. -EINVAL and
 * *ret_error with a line "path:line: …" for each mistake; the lines that are right have been taken all the same. */
int lb_config_load(const char *path, struct lb_config *config, char **ret_error);
void lb_config_clear(struct lb_config *config);
