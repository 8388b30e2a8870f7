/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The courier's own socket: how it is, and whether something arrives (org.lockbox.Courier). */
#pragma once

#include "lockboxd/courier/courier.h"

extern const char lb_courier_interface[]; /* the text of its interface file */

/* Listens on RUNTIME-DIRECTORY/control.socket. */
int lb_control_new(struct lb_courier *courier, struct lb_control **ret);
struct lb_control *lb_control_free(struct lb_control *c); /* NULL is fine; returns NULL */

/* The settings are read anew: tests that run end. */
void lb_control_break_off(struct lb_control *c);
