/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel says: sockets that anybody can reach, modules that are loaded. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

/* A table of /proc/net, and the state in which a socket waits for whoever comes. */
static const struct protocol {
    const char *name, *path;
    unsigned listening;
} protocols[] = {
    { "tcp", "proc/net/tcp", 0x0A },         { "tcp", "proc/net/tcp6", 0x0A },
    { "udp", "proc/net/udp", 0x07 },         { "udp", "proc/net/udp6", 0x07 },
    { "udplite", "proc/net/udplite", 0x07 }, { "udplite", "proc/net/udplite6", 0x07 },
    { "raw", "proc/net/raw", 0x07 },         { "raw", "proc/net/raw6", 0x07 },
};

struct reader {
    struct lb_picture *picture;
    const struct protocol *protocol;
};

/* The kernel prints each 32 bits of an address as a number of this machine's. */
static bool format_address(const char *hex, char ret[static INET6_ADDRSTRLEN + 2])
{
    size_t words = strlen(hex) / 8;
    char address[INET6_ADDRSTRLEN];
    uint32_t word[4];

    if (words != 1 && words != 4)
        return false;
    for (size_t i = 0; i < words; i++)
        if (sscanf(hex + 8 * i, "%8" SCNx32, &word[i]) != 1)
            return false;
    if (!inet_ntop(words == 1 ? AF_INET : AF_INET6, word, address, sizeof(address)))
        return false;
    snprintf(ret, INET6_ADDRSTRLEN + 2, words == 1 ? "%s" : "[%s]", address);
    return true;
}

/* "  0: 0100007F:0016 00000000:0000 0A … UID …" */
static void on_socket(void *userdata, char *line)
{
    const struct reader *r = userdata;
    char local[33], address[INET6_ADDRSTRLEN + 2], name[96], detail[32];
    unsigned port, remote_port, state, uid;

    if (sscanf(line, "%*u: %32[0-9A-F]:%x %*32[0-9A-F]:%x %x %*x:%*x %*x:%*x %*x %u", local, &port, &remote_port,
               &state, &uid) != 5 ||
        state != r->protocol->listening || remote_port != 0 || !format_address(local, address))
        return;
    snprintf(name, sizeof(name), "%s %s:%u", r->protocol->name, address, port);
    snprintf(detail, sizeof(detail), "uid %u", uid);
    lb_picture_add(r->picture, "listener", name, detail, "");
}

void lb_read_listeners(struct lb_picture *p)
{
    for (size_t i = 0; i < LB_ELEMENTS(protocols); i++) {
        struct reader reader = { p, &protocols[i] };
        LB_FREE char *text = NULL;

        if (lb_picture_read(p, "listener", protocols[i].path, &text) == 0)
            lb_picture_lines(text, on_socket, &reader);
    }
}

static void on_module(void *userdata, char *line)
{
    lb_picture_add(userdata, "module", strsep(&line, " "), "", "");
}

void lb_read_modules(struct lb_picture *p)
{
    LB_FREE char *text = NULL;

    if (lb_picture_read(p, "module", "proc/modules", &text) == 0)
        lb_picture_lines(text, on_module, p);
}
