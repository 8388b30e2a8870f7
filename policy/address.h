/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IP addresses and networks. An IPv4 address written as IPv6 (::ffff:192.0.2.1) is the IPv4 address. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lb_address {
    unsigned bits; /* 32 or 128 */
    uint8_t bytes[16];
};

struct lb_network {
    struct lb_address address; /* host bits are zero */
    unsigned prefix;
};

/* Numeric only; the zone of an IPv6 address (%eth0) is dropped. -EINVAL. */
int lb_address_parse(const char *text, struct lb_address *ret);

/* "192.0.2.0/24", or an address alone. 1 if host bits were set: *ret is then the network that was probably meant.
 * -EINVAL, also for a zone. */
int lb_network_parse(const char *text, struct lb_network *ret);

bool lb_network_contains(const struct lb_network *network, const struct lb_address *address);

/* Makes the prefix one bit shorter; false when there is none left. */
bool lb_network_widen(struct lb_network *network);

/* "192.0.2.0/24". Returns buf. */
const char *lb_network_format(const struct lb_network *network, char *buf, size_t size);
#define LB_NETWORK_MAX 64
