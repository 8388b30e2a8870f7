/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "lockboxd/daemon.h"
#include "lockboxd/policy_files.h"
#include "lockboxd/reaped.h"
#include "lockboxd/thaw.h"
#include "policy/base.h"

#define DIRECTORIES_MAX 8

static const char *arg_reap;
static int64_t arg_uid = -1;
static bool arg_thaw;
static const char *arg_policy[DIRECTORIES_MAX + 1];
static size_t arg_policies;
static struct lb_options arg = {
    .config_path = "/etc/lockbox/lockboxd.conf",
    .approvers_path = "/etc/lockbox/approvers.conf",
    .signers_path = "/etc/lockbox/allowed_signers",
    .runtime_directory = "/run/lockbox",
};

static void help(void)
{
    puts("lockboxd [OPTIONS]\n"
         "Keeps the gate: decides with the policy who waits for approval, opens and ends accesses, keeps the log.\n\n"
         "  --config FILE              settings (default /etc/lockbox/lockboxd.conf, and FILE.d/*.conf)\n"
         "  --state-directory DIR      the event log (default /var/lib/lockbox)\n"
         "  --runtime-directory DIR    the sockets (default /run/lockbox)\n"
         "  --policy-directory DIR     policy; may be given several times, later ones override\n"
         "                             (default /usr/lib, /run and /etc/lockbox/policy.d)\n"
         "  --approvers FILE           the people who decide (default /etc/lockbox/approvers.conf)\n"
         "  --allowed-signers FILE     whose signature is whose (default /etc/lockbox/allowed_signers), and beside it\n"
         "                             revoked_signers, the keys that are good no more\n"
         "  --no-systemd               do not give PID 1 deadlines of its own\n"
         "  --reap ID --uid UID        end one access now if its time is over, and exit: what PID 1 runs\n"
         "  --thaw                     let go on what is frozen without a reason, and exit: what PID 1 runs\n"
         "  --help  --version\n\n"
         "SIGHUP reads the policy again; SIGTERM stops. See lockboxd(8).");
}

static int parse(int argc, char *argv[])
{
    enum { CONFIG = 256, STATE, RUNTIME, POLICY, APPROVERS, SIGNERS, NO_SYSTEMD, REAP, UID, THAW, HELP, VERSION };
    static const struct option options[] = {
        { "config", required_argument, NULL, CONFIG },
        { "state-directory", required_argument, NULL, STATE },
        { "runtime-directory", required_argument, NULL, RUNTIME },
        { "policy-directory", required_argument, NULL, POLICY },
        { "approvers", required_argument, NULL, APPROVERS },
        { "allowed-signers", required_argument, NULL, SIGNERS },
        { "no-systemd", no_argument, NULL, NO_SYSTEMD },
        { "reap", required_argument, NULL, REAP },
        { "uid", required_argument, NULL, UID },
        { "thaw", no_argument, NULL, THAW },
        { "help", no_argument, NULL, HELP },
        { "version", no_argument, NULL, VERSION },
        { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
        switch (c) {
        case CONFIG: arg.config_path = optarg; break;
        case STATE: arg.state_directory = optarg; break;
        case RUNTIME: arg.runtime_directory = optarg; break;
        case POLICY:
            if (arg_policies == DIRECTORIES_MAX)
                return -E2BIG;
            arg_policy[arg_policies++] = optarg;
            break;
        case APPROVERS: arg.approvers_path = optarg; break;
        case SIGNERS: arg.signers_path = optarg; break;
        case NO_SYSTEMD: arg.no_systemd = true; break;
        case REAP: arg_reap = optarg; break;
        case UID: arg_uid = strtoll(optarg, NULL, 10); break;
        case THAW: arg_thaw = true; break;
        case HELP: help(); return 0;
        case VERSION: puts("lockboxd " LB_VERSION); return 0;
        default: return -EINVAL;
        }
    return optind == argc ? 1 : -EINVAL;
}

int main(int argc, char *argv[])
{
    const char *state;
    int r = parse(argc, argv);

    if (r == 0)
        return EXIT_SUCCESS;
    if (r < 0) {
        fprintf(stderr, "Try: lockboxd --help\n");
        return 2;
    }
    state = arg.state_directory ? arg.state_directory : "/var/lib/lockbox";
    if (arg_reap)
        return lb_reaped_main(state, arg.runtime_directory, arg_reap, arg_uid);
    if (arg_thaw)
        return lb_thaw_main(state, arg.runtime_directory);
    arg.policy_directories = arg_policies ? arg_policy : (const char **)lb_policy_directories;
    return lb_daemon_run(&arg) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
