/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "policy/base.h"

static const uint8_t mapped[12] = { [10] = 0xFF, [11] = 0xFF };

static int parse_bytes(const char *text, size_t n, struct lb_address *ret)
{
    struct lb_address a = {};
    char copy[INET6_ADDRSTRLEN];

    if (n >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    a.bits = strchr(copy, ':') ? 128 : 32;
    if (inet_pton(a.bits == 128 ? AF_INET6 : AF_INET, copy, a.bytes) != 1)
        return -EINVAL;
    *ret = a;
    return 0;
}

static bool unmap(struct lb_address *a)
{
    if (a->bits != 128 || memcmp(a->bytes, mapped, sizeof(mapped)) != 0)
        return false;
    memcpy(a->bytes, a->bytes + 12, 4);
    memset(a->bytes + 4, 0, 12);
    a->bits = 32;
    return true;
}

int lb_address_parse(const char *text, struct lb_address *ret)
{
    const char *zone = strchr(text, '%');
    struct lb_address a;
    int r = parse_bytes(text, zone ? (size_t)(zone - text) : strlen(text), &a);

    if (r < 0 || (zone && a.bits != 128))
        return -EINVAL;
    unmap(&a);
    *ret = a;
    return 0;
}

static int parse_prefix(const char *text, unsigned most, unsigned *ret)
{
    size_t n = strspn(text, "0123456789");
    unsigned long value = strtoul(text, NULL, 10);

    if (n == 0 || n > 3 || text[n] || (n > 1 && text[0] == '0') || value > most)
        return -EINVAL;
    *ret = (unsigned)value;
    return 0;
}

/* True if a bit was set behind the prefix. */
static bool clear_host_bits(struct lb_network *net)
{
    bool any = false;

    for (unsigned bit = net->prefix; bit < net->address.bits; bit++) {
        uint8_t one = (uint8_t)(0x80 >> bit % 8);

        any |= (net->address.bytes[bit / 8] & one) != 0;
        net->address.bytes[bit / 8] &= (uint8_t)~one;
    }
    return any;
}

int lb_network_parse(const char *text, struct lb_network *ret)
{
    const char *slash = strchr(text, '/');
    struct lb_network net;

    if (parse_bytes(text, slash ? (size_t)(slash - text) : strlen(text), &net.address) < 0)
        return -EINVAL;
    net.prefix = net.address.bits;
    if (slash && parse_prefix(slash + 1, net.address.bits, &net.prefix) < 0)
        return -EINVAL;
    if (unmap(&net.address)) {
        if (net.prefix < 96)
            return -EINVAL;
        net.prefix -= 96;
    }
    *ret = net;
    return clear_host_bits(ret);
}

bool lb_network_contains(const struct lb_network *network, const struct lb_address *address)
{
    unsigned whole = network->prefix / 8, rest = network->prefix % 8;
    uint8_t mask = (uint8_t)(0xFF00 >> rest);

    return network->address.bits == address->bits &&
           memcmp(network->address.bytes, address->bytes, whole) == 0 &&
           (rest == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0);
}

bool lb_network_widen(struct lb_network *network)
{
    if (network->prefix == 0)
        return false;
    network->prefix--;
    network->address.bytes[network->prefix / 8] &= (uint8_t)~(0x80 >> network->prefix % 8);
    return true;
}

const char *lb_network_format(const struct lb_network *network, char *buf, size_t size)
{
    char address[INET6_ADDRSTRLEN] = "";

    inet_ntop(network->address.bits == 128 ? AF_INET6 : AF_INET, network->address.bytes, address, sizeof(address));
    snprintf(buf, size, "%s/%u", address, network->prefix);
    return buf;
}
