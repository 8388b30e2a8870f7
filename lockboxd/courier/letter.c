/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/letter.h"

const char *const lb_notice_names[] = {
    [LB_NOTICE_NONE] = "",
    [LB_NOTICE_ACTION] = "action",
    [LB_NOTICE_REMINDER] = "reminder",
    [LB_NOTICE_MESSAGE] = "message",
    [LB_NOTICE_OUTCOME] = "outcome",
    [LB_NOTICE_URGENT] = "urgent",
    [LB_NOTICE_ALARM] = "alarm",
    [LB_NOTICE_TEST] = "test",
    [LB_NOTICE_MAX_] = NULL,
};
