/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole of a small file that an administrator wrote. */
#pragma once

#include "policy/ini.h"

/*
 * 1 and *ret (owned, NUL-terminated; *ret_size bytes without that) if there is a text. 0 if there is none: the file is
 * masked (empty, or a link to /dev/null), does not exist where it need not, or cannot be read, which is noted among the
 * errors. -ENOMEM.
 */
int lb_read_text(const char *path, bool must_exist, char **ret, size_t *ret_size, struct lb_ini_errors *errors);

/* Settings: `path`, where it is there, and then the *.conf of the directory `path`.d in name order, by lb_ini_parse. 0
 * also when there were mistakes; -ENOMEM. */
int lb_read_conf(const char *path, lb_ini_row *row, void *userdata, struct lb_ini_errors *errors);
