/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/courier.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/control.h"
#include "lockboxd/courier/reading.h"
#include "lockboxd/courier/target.h"
#include "lockboxd/log.h"
#include "lockboxd/read_text.h"
#include "policy/base.h"

#define LOOK_EVERY (LB_TARGET_PATIENCE / 2)
#define LOOKS 3 /* that find the same: it lasts for LB_TARGET_PATIENCE */

/* --- settings ----------------------------------------------------------------------------------------------------- */

static int load_approvers(const char *path, struct lb_approvers **ret, char **ret_error)
{
    struct lb_ini_errors errors = { 0 };
    LB_FREE char *text = NULL;
    size_t size = 0;
    int r = lb_read_text(path, false, &text, &size, &errors);

    if (r == 0 && errors.n > 0) {
        *ret_error = errors.text;
        return -EINVAL;
    }
    return r > 0 ? lb_approvers_parse(path, text, size, ret, ret_error) : r;
}

void lb_courier_read_approvers(struct lb_courier *c)
{
    struct lb_approvers *approvers = NULL;
    LB_FREE char *error = NULL;
    int r = load_approvers(c->options->approvers_path, &approvers, &error);

    if (r < 0) {
        lb_log(LOG_ERR, "The last good approvers stay in force: %s", error ? error : strerrordesc_np(-r));
        return;
    }
    lb_approvers_free(c->approvers);
    c->approvers = approvers;
}

static int load(const struct lb_courier_options *o, struct lb_courier_config *config, struct lb_approvers **approvers,
                char **ret_error)
{
    int r = lb_courier_config_load(o->config_path, config, ret_error);

    if (r == 0 && (r = load_approvers(o->approvers_path, approvers, ret_error)) < 0)
        lb_courier_config_clear(config);
    return r;
}

static void say_good(const struct lb_courier_config *config)
{
    static const char *const channels[] = { "mail", "webhook", "remote", "export" };
    const char *before = ": ";

    fputs("The settings are good", stdout);
    for (size_t i = 0; i < LB_ELEMENTS(channels); i++) {
        if (!lb_courier_config_has(config, channels[i]))
            continue;
        printf("%s%s", before, channels[i]);
        before = ", ";
    }
    puts(*before == ':' ? ", and nobody is told: they name no channel" : "");
}

int lb_courier_check(const struct lb_courier_options *o)
{
    LB_CLEANUP(lb_courier_config_clear) struct lb_courier_config config = { 0 };
    struct lb_approvers *approvers = NULL;
    LB_FREE char *error = NULL;
    int r = load(o, &config, &approvers, &error);

    lb_approvers_free(approvers);
    if (r < 0)
        fprintf(stderr, "%s", error ? error : "out of memory\n");
    else
        say_good(&config);
    return r;
}

static void stop_parts(struct lb_courier *c)
{
    for (size_t i = 0; lb_parts[i]; i++) {
        if (c->parts[i])
            lb_parts[i]->stop(c->parts[i]);
        c->parts[i] = NULL;
    }
}

static int start_parts(struct lb_courier *c)
{
    int r = 0;

    for (size_t i = 0; r == 0 && lb_parts[i]; i++)
        r = lb_parts[i]->start(c, &c->parts[i]);
    return r;
}

/* Whatever refers to the settings that were goes before them. */
static int put_in_force(struct lb_courier *c, struct lb_courier_config *config, struct lb_approvers *approvers)
{
    int r;

    stop_parts(c);
    lb_control_break_off(c->control);
    lb_post_configure(c->post, NULL, NULL);
    c->transfers = lb_transfers_free(c->transfers);
    lb_courier_config_clear(&c->config);
    lb_approvers_free(c->approvers);
    c->config = *config;
    c->approvers = approvers;
    r = lb_transfers_new(c->event, &c->transfers);
    if (r == 0)
        r = start_parts(c);
    if (r < 0)
        return r;
    lb_post_configure(c->post, &c->config, c->transfers);
    c->configured = true;
    return c->reading ? 0 : lb_reading_new(c, &c->reading);
}

/* What is no good changes nothing. */
static int configure(struct lb_courier *c)
{
    struct lb_courier_config config = { 0 };
    struct lb_approvers *approvers = NULL;
    char *error = NULL;
    int r = load(c->options, &config, &approvers, &error);

    free(c->config_error);
    c->config_error = error;
    if (r == -EINVAL) {
        lb_log(LOG_ERR, "Settings refused, %s: %s", c->configured ? "the last good ones stay in force"
                                                                  : "nothing is sent before they are mended", error);
        return 0;
    }
    return r < 0 ? r : put_in_force(c, &config, approvers);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
    struct lb_courier *c = userdata;
    int r;

    (void)source;
    (void)si;
    sd_notify(false, "RELOADING=1");
    r = configure(c);
    sd_notify(false, "READY=1");
    return r < 0 ? sd_event_exit(c->event, r) : 0;
}

/* --- what the parts say to one another ---------------------------------------------------------------------------- */

static void on_failing(void *userdata, const char *channel, const char *target, const char *request,
                       const char *problem)
{
    struct lb_courier *c = userdata;

    lb_tell_failing(c->tell, channel, target, request, problem);
}

static void on_given_up(void *userdata)
{
    struct lb_courier *c = userdata;

    lb_tell_given_up(c->tell);
}

/* What a part cannot do for so long is told in the trail once, as of a target that letters do not reach. */
static void look_at(struct lb_courier *c, size_t i)
{
    json_auto_t *status = c->parts[i] && lb_parts[i]->status ? lb_parts[i]->status(c->parts[i]) : NULL;
    const char *problem = json_string_value(json_object_get(status, "problem"));

    if (!problem)
        c->failing[i] = 0;
    else if (++c->failing[i] == LOOKS)
        lb_tell_failing(c->tell, lb_parts[i]->name, lb_parts[i]->name, NULL, problem);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_courier *c = userdata;

    (void)usec;
    for (size_t i = 0; lb_parts[i]; i++)
        look_at(c, i);
    sd_event_source_set_time_relative(source, LOOK_EVERY);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- from begin to end -------------------------------------------------------------------------------------------- */

/* One that is damaged is put aside: what waited in it is lost, what happens from now on is told. */
static int open_outbox(struct lb_courier *c)
{
    const char *directory = c->options->state_directory;
    LB_FREE char *path = NULL, *aside = NULL, *wal = NULL;
    int r = lb_outbox_open(directory, &c->outbox);

    if (r == -EUCLEAN && asprintf(&path, "%s/outbox.db", directory) > 0 && asprintf(&aside, "%s.damaged", path) > 0 &&
        asprintf(&wal, "%s-wal", path) > 0 && rename(path, aside) == 0) {
        unlink(wal);
        lb_log(LOG_ALERT, "The outbox was damaged; it is %s now, and what waited in it is not sent.", aside);
        r = lb_outbox_open(directory, &c->outbox);
    }
    if (r == -EPROTONOSUPPORT)
        lb_log(LOG_ERR, "The outbox in %s is of a later version of lockbox: install that one again, or move outbox.db* "
                        "away, and what waits in it is not sent. Then: systemctl restart lockbox-courier", directory);
    else if (r < 0)
        lb_log(LOG_ERR, "The outbox in %s cannot be used: %s", directory, strerrordesc_np(-r));
    return r;
}

static int start(struct lb_courier *c)
{
    static const struct lb_post_calls calls = { on_failing, on_given_up };
    int r = sd_event_default(&c->event);

    signal(SIGPIPE, SIG_IGN); /* curl writes to connections that are gone */
    c->started_at = lb_clock_now().wall;
    if (r >= 0)
        r = sd_event_add_signal(c->event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload, c);
    if (r >= 0)
        r = sd_event_set_signal_exit(c->event, true);
    if (r >= 0)
        r = open_outbox(c);
    if (r == 0)
        r = lb_queries_new(c->event, c->options->socket, &c->queries);
    if (r == 0)
        r = lb_tell_new(c->event, c->outbox, c->queries, &c->tell);
    if (r == 0)
        r = lb_post_new(c->event, c->outbox, &calls, c, &c->post);
    if (r == 0)
        r = lb_control_new(c, &c->control);
    if (r == 0)
        r = sd_event_add_time_relative(c->event, &c->look, CLOCK_BOOTTIME, LOOK_EVERY, 0, on_look, c);
    return r < 0 ? r : configure(c);
}

static void clear(struct lb_courier *c)
{
    sd_event_source_disable_unref(c->look);
    stop_parts(c);
    lb_reading_free(c->reading);
    lb_control_free(c->control);
    lb_post_free(c->post);
    lb_tell_free(c->tell);
    lb_queries_free(c->queries);
    lb_transfers_free(c->transfers);
    lb_outbox_close(c->outbox);
    lb_courier_config_clear(&c->config);
    lb_approvers_free(c->approvers);
    sd_event_unref(c->event);
    free(c->config_error);
}

int lb_courier_run(const struct lb_courier_options *options)
{
    LB_CLEANUP(clear) struct lb_courier c = { .options = options };
    int r = start(&c);

    if (r < 0) {
        lb_log(LOG_ERR, "Cannot start: %s", strerrordesc_np(-r));
        return r;
    }
    sd_event_set_watchdog(c.event, true);
    sd_notify(false, "READY=1");
    r = sd_event_loop(c.event);
    sd_notify(false, "STOPPING=1");
    return r;
}
