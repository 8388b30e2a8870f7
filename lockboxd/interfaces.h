/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The interface files of proto/, built in for GetInterfaceDescription. */
#pragma once

struct lb_interface {
    const char *name, *description;
};
extern const struct lb_interface lb_interfaces[]; /* ended by a NULL name */
