/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What programs outside read: org.lockbox.Access.Request, on the socket and in what the courier sends. */
#pragma once

#include <jansson.h>

#include "policy/request.h"

/* A new object; NULL when out of memory. */
json_t *lb_public_request(const struct lb_request *r);
