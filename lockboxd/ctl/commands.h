/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the sessions of an access wrote into the journal: sudo's lines, the programs' own, and where the host has audit
 * rules every program that was started. journald itself ties an entry to an audit session (_AUDIT_SESSION, and for its
 * numbers begin anew with each boot _BOOT_ID): nobody can put one into another's session, or leave it out of his own.
 */
#pragma once

#include "lockboxd/ctl/ctl.h"

struct lb_commands;

extern const char lb_commands_execve[];

/* Of this host's journal, or of the files in `directory` (NULL: this host's). enum lb_exit; a mistake has been told. */
int lb_commands_open(const struct lb_ctl *ctl, const char *directory, struct lb_commands **ret);
struct lb_commands *lb_commands_close(struct lb_commands *commands); /* NULL is fine; returns NULL */
#define LB_COMMANDS LB_CLEANUP(lb_commands_closep)
static inline void lb_commands_closep(struct lb_commands **commands)
{
    lb_commands_close(*commands);
}

/* Looks for sessions in events of the access, as lb_ctl_pages gives them: an lb_ctl_page. A session that is somebody
 * else's, who came by su, is none of the access. */
int lb_commands_learn(const struct lb_ctl *ctl, const json_t *events, void *commands);

/* No more events: goes to the first entry. Where the caller may not read the journal, or it does not go back so far,
 * that is told, and there are none, or less. enum lb_exit. */
int lb_commands_begin(struct lb_commands *commands);

/*
 * 1 and the next entry in the journal's order, 0 if there is none, -errno. ret_time is µs since 1970; *ret (owned) is
 * { "source": "journal", time, session, identifier, message, pid, uid, exe, command, transport, audit }, with what is
 * not known left out and every text made safe to show. A program that the kernel's audit saw is one entry, with its
 * arguments in `command` and `audit` being lb_commands_execve.
 */
int lb_commands_next(struct lb_commands *commands, int64_t *ret_time, json_t **ret);

/* All of that for the access `id` of this host's lockboxd, until row returns another status than LB_EXIT_DONE. Members
 * of the object may be added by row. enum lb_exit. */
typedef int lb_commands_row(const struct lb_ctl *ctl, json_t *command, void *userdata);
int lb_commands_each(const struct lb_ctl *ctl, const char *id, lb_commands_row *row, void *userdata);
