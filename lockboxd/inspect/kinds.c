/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/inspect.h"

const struct lb_kind lb_inspect_kinds[] = {
    { "account", lb_read_accounts },
    { "group", lb_read_groups },
    { "shadow", lb_read_shadow },
    { "sudoers", lb_read_trees },
    { "authorized-keys", lb_read_keys },
    { "pam", NULL },
    { "sshd", NULL },
    { "unit", NULL },
    { "timer", NULL },
    { "user-unit", NULL },
    { "cron", NULL },
    { "at", NULL },
    { "linger", NULL },
    { "setuid", lb_read_privileged },
    { "capability", NULL },
    { "listener", lb_read_listeners },
    { "module", lb_read_modules },
    { 0 },
};
