/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A window that a customer opens beforehand: a login inside it, with its ticket, waits for nobody. */
#pragma once

#include "lockboxd/decide.h"

struct lb_grant {
    char *account, *scope, *ticket, *note;
    int64_t from;     /* µs since 1970; 0: now */
    int64_t duration; /* µs; 0: as the rule has it */
};

/* Opens it in the name of the person. A window is one approver's word, so the rule must ask for no more. */
void lb_grant_open(struct lb_gate *gate, const struct lb_person *person, const struct lb_grant *grant,
                   struct lb_outcome *ret);
