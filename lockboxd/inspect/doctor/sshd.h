/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an sshd's effective configuration means for the gate. */
#pragma once

#include "lockboxd/inspect/doctor/doctor.h"

/* One sshd, by the options that tell it from another. */
struct lb_sshd {
    char *program;  /* owned by root, and run to be asked */
    char **options; /* -f, -o, -p, -h, -c with their values; NULL-terminated, NULL: none */
    char *way;      /* "sshd", "sshd -f /etc/ssh/other" */
};

/* How `sshd -T -C …` is got: for the account (NULL: any) at the port (0: any). Owned text, or NULL and
 * *ret_error, owned, where sshd refuses. -ENOMEM, -errno. */
typedef int lb_sshd_ask(void *userdata, const struct lb_sshd *sshd, const char *account, int port, char **ret_text,
                        char **ret_error);

/* All that is to be said about one of them. */
void lb_sshd_examine(struct lb_doctor *d, const struct lb_sshd *sshd, lb_sshd_ask *ask, void *userdata);

/* The sshds that run here, that units start, or that the configuration describes: struct lb_sshd. -ENOMEM. */
int lb_sshd_instances(const struct lb_doctor *d, struct lb_list *ret);
void lb_sshd_instances_free(struct lb_list *instances);
