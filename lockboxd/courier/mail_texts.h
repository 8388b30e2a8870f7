/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of packaging/mail/, built in. */
#pragma once

struct lb_mail_text {
    const char *name, *text; /* "action.txt" */
};
extern const struct lb_mail_text lb_mail_texts[]; /* ended by a NULL name */
