/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "lockboxd/courier/courier.h"
#include "lockboxd/proto/client.h"

static struct lb_courier_options arg = {
    .config_path = "/etc/lockbox/courier.conf",
    .approvers_path = "/etc/lockbox/approvers.conf",
    .socket = LB_CONTROL_SOCKET,
    .state_directory = "/var/lib/lockbox-courier",
    .runtime_directory = "/run/lockbox-courier",
    .packer = LB_BINDIR "/lockboxctl",
};
static bool arg_check;

static void help(void)
{
    puts("lockbox-courier [OPTIONS]\n"
         "Tells those who are not there what happens on the host: by mail, webhooks, and what else courier.conf "
         "names.\n\n"
         "  --config FILE              settings (default /etc/lockbox/courier.conf, and FILE.d/*.conf)\n"
         "  --approvers FILE           the people who decide (default /etc/lockbox/approvers.conf)\n"
         "  --socket PATH              where lockboxd listens (default " LB_CONTROL_SOCKET ")\n"
         "  --state-directory DIR      the outbox (default /var/lib/lockbox-courier)\n"
         "  --runtime-directory DIR    its own socket (default /run/lockbox-courier)\n"
         "  --packer PROGRAM           makes evidence packs (default " LB_BINDIR "/lockboxctl)\n"
         "  --check                    are the settings without mistakes? Says which there are, and exits\n"
         "  --help  --version\n\n"
         "SIGHUP reads the settings again; SIGTERM stops. See lockbox-courier(8).");
}

static int parse(int argc, char *argv[])
{
    enum { CONFIG = 256, APPROVERS, SOCKET, STATE, RUNTIME, PACKER, CHECK, HELP, VERSION };
    static const struct option options[] = {
        { "config", required_argument, NULL, CONFIG },
        { "approvers", required_argument, NULL, APPROVERS },
        { "socket", required_argument, NULL, SOCKET },
        { "state-directory", required_argument, NULL, STATE },
        { "runtime-directory", required_argument, NULL, RUNTIME },
        { "packer", required_argument, NULL, PACKER },
        { "check", no_argument, NULL, CHECK },
        { "help", no_argument, NULL, HELP },
        { "version", no_argument, NULL, VERSION },
        { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
        switch (c) {
        case CONFIG: arg.config_path = optarg; break;
        case APPROVERS: arg.approvers_path = optarg; break;
        case SOCKET: arg.socket = optarg; break;
        case STATE: arg.state_directory = optarg; break;
        case RUNTIME: arg.runtime_directory = optarg; break;
        case PACKER: arg.packer = optarg; break;
        case CHECK: arg_check = true; break;
        case HELP: help(); return 0;
        case VERSION: puts("lockbox-courier " LB_VERSION); return 0;
        default: return -1;
        }
    return optind == argc ? 1 : -1;
}

/* With 78 the unit is not started again: see RestartPreventExitStatus= there. */
static int status_of(int r)
{
    return r == -EPROTONOSUPPORT ? EX_CONFIG : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
    int r = parse(argc, argv);

    if (r == 0)
        return EXIT_SUCCESS;
    if (r < 0) {
        fprintf(stderr, "Try: lockbox-courier --help\n");
        return 2;
    }
    return status_of(arg_check ? lb_courier_check(&arg) : lb_courier_run(&arg));
}
