/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "lockboxd/log.h"
#include "lockboxd/notary.h"
#include "lockboxd/unaccounted.h"
#include "policy/base.h"

struct daemon {
    const struct lb_options *options;
    struct lb_config config;
    sd_event *event;
    struct lb_gate *gate;
    struct lb_server *server;
    struct lb_unaccounted *unaccounted;
    struct lb_notary *notary;
};

static void daemon_clear(struct daemon *d)
{
    lb_unaccounted_free(d->unaccounted);
    lb_server_free(d->server);
    lb_notary_free(d->notary);
    lb_gate_free(d->gate);
    sd_event_unref(d->event);
    lb_config_clear(&d->config);
}

/* The settings anew: limits and Unaccounted= at once, the host's name and the directory at the next start. What is no
 * good changes nothing. */
static void reload_config(struct daemon *d)
{
    struct lb_config config = { 0 };
    LB_FREE char *error = NULL;
    int r = lb_config_defaults(&config);

    if (r == 0)
        r = lb_config_load(d->options->config_path, &config, &error);
    if (r < 0)
        lb_log(LOG_ERR, "Settings refused, the last good ones stay in force: %s", error ? error : strerror(-r));
    if (r == 0) {
        d->config.limits = d->server->limits = config.limits;
        d->config.kill_unaccounted = config.kill_unaccounted;
        free(LB_TAKE(d->gate->config_error));
    }
    lb_config_clear(&config);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    struct daemon *d = userdata;

    (void)source;
    (void)si;
    sd_notify(false, "RELOADING=1");
    reload_config(d);
    lb_gate_reload(d->gate);
    sd_notifyf(false, "READY=1\nSTATUS=%s", d->gate->policy_error ? "Policy refused, the last good one is in force"
                                                                  : "Policy loaded");
    return 0;
}

static void on_committed(void *userdata, int64_t seq)
{
    struct daemon *d = userdata;

    if (d->server)
        lb_server_committed(d->server, seq);
}

static int make_gate(struct daemon *d)
{
    const struct lb_options *o = d->options;
    struct lb_gate *g;
    int r = lb_gate_new(d->event, &d->gate);

    if (r < 0)
        return r;
    g = d->gate;
    g->host = strdup(d->config.host);
    g->state_directory = strdup(o->state_directory ? o->state_directory : d->config.state_directory);
    g->runtime_directory = strdup(o->runtime_directory);
    if (!g->host || !g->state_directory || !g->runtime_directory)
        return -ENOMEM;
    g->reserve = d->config.reserve;
    g->policy_directories = o->policy_directories;
    g->approvers_path = o->approvers_path;
    g->signers_path = o->signers_path;
    g->committed = on_committed;
    g->userdata = d;
    return o->no_systemd ? 0 : lb_systemd_new(d->event, g->state_directory, g->runtime_directory, &g->systemd);
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

static const struct { const char *name, *file; int door; mode_t mode; } doors[] = {
    { "login", "login.socket", LB_DOOR_LOGIN, 0600 },
    { "control", "control.socket", LB_DOOR_CONTROL, 0666 },
};

/* The sockets that systemd passed; each is known by its FileDescriptorName=. */
static int take_sockets(struct daemon *d, unsigned *ret_doors)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(true, &names), r = n < 0 ? n : 0;

    for (int i = 0; i < n && r >= 0; i++) {
        r = -EINVAL;
        for (size_t k = 0; k < LB_ELEMENTS(doors); k++)
            if (lb_streq(names[i], doors[k].name)) {
                r = lb_server_listen(d->server, SD_LISTEN_FDS_START + i, doors[k].door);
                *ret_doors |= (unsigned)doors[k].door;
            }
        if (r == -EINVAL)
            lb_log(LOG_ERR, "Socket \"%s\" is neither login nor control.", names[i]);
    }
    lb_strings_free(names);
    return r;
}

static int open_sockets(struct daemon *d)
{
    unsigned passed = 0;
    int r = take_sockets(d, &passed);

    for (size_t k = 0; k < LB_ELEMENTS(doors) && r >= 0; k++) {
        if (passed & (unsigned)doors[k].door)
            continue;
        mkdir(d->options->runtime_directory, 0755);
        r = lb_caller_listen(d->options->runtime_directory, doors[k].file, doors[k].mode);
        if (r < 0)
            lb_log(LOG_ERR, "Cannot listen on %s/%s: %s", d->options->runtime_directory, doors[k].file, strerror(-r));
        else
            r = lb_server_listen(d->server, r, doors[k].door);
    }
    return r;
}

/* --- from begin to end -------------------------------------------------------------------------------------------- */

/* Settings that are no good keep the gate closed; what has to end still ends. */
static int load_config(struct daemon *d, char **ret_error)
{
    int r = lb_config_defaults(&d->config);

    if (r == 0)
        r = lb_config_load(d->options->config_path, &d->config, ret_error);
    if (r == -EINVAL) {
        lb_log(LOG_ERR, "Nothing is opened: %s", *ret_error);
        r = 0;
    }
    return r;
}

static int start(struct daemon *d)
{
    LB_FREE char *error = NULL;
    int r = load_config(d, &error);

    if (r >= 0)
        r = sd_event_default(&d->event);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload, d);
    if (r >= 0)
        r = sd_event_set_signal_exit(d->event, true);
    if (r >= 0)
        r = make_gate(d);
    if (r < 0)
        return r;
    d->gate->config_error = LB_TAKE(error);
    r = lb_gate_start(d->gate); /* what should have ended is ended before anybody is let in */
    if (r >= 0)
        r = lb_unaccounted_new(d->gate, &d->config.kill_unaccounted, &d->unaccounted);
    if (r >= 0)
        r = lb_notary_new(d->gate, &d->notary);
    if (r < 0)
        return r;
    d->server = lb_server_new(d->event, d->gate, &d->config.limits);
    return d->server ? open_sockets(d) : -ENOMEM;
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int lb_daemon_run(const struct lb_options *options)
{
    LB_CLEANUP(daemon_clear) struct daemon d = { .options = options };
    int r;

    raise_file_limit();
    r = start(&d);
    if (r < 0) {
        lb_log(LOG_ERR, "Cannot start: %s", strerror(-r));
        return r;
    }
    sd_event_set_watchdog(d.event, true);
    sd_notify(false, "READY=1");
    r = sd_event_loop(d.event);
    sd_notify(false, "STOPPING=1");
    lb_gate_stop(d.gate);
    return r;
}
