/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report that lockbox-inspect wrote, read strictly: it says what others have written. */
#pragma once

#include "policy/event.h"

/* The number of changes, and the list (struct lb_change) of those that it names; clear both with their event. -errno;
 * -EBADMSG for what is too long, not clean text, or no report. */
int lb_report_read(const char *path, int64_t *ret_count, struct lb_list *ret_changes);

/* "account, unit": the kinds in the list, each once. Owned; NULL for none, and out of memory. */
char *lb_report_kinds(const struct lb_list *changes);
