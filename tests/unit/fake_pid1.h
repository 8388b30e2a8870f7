/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PID 1 that writes down what it is asked for, and answers when it is told to: the other end of the "system bus",
 * which the linker finds here first. It lives on the same event loop.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#define FAKE_PID1 "org.freedesktop.systemd1"

static struct {
    sd_event *event; /* NULL: the bus is away */
    sd_bus *bus;
    bool holds;            /* deadlines are not answered for now */
    sd_bus_message *held;  /* the last of those */
    const char *refuses;   /* deadlines, with this word; NULL: it does not */
    uint32_t jobs;
    char said[1024]; /* "what unit; " */
} fake_pid1;

static void fake_pid1_answer(sd_bus_message *m)
{
    if (fake_pid1.refuses)
        sd_bus_reply_method_errorf(m, "org.example.Refused", "%s", fake_pid1.refuses);
    else
        sd_bus_reply_method_return(m, "o", "/job");
}

/* What was held is answered now. */
static void fake_pid1_let_go(void)
{
    fake_pid1.holds = false;
    fake_pid1_answer(fake_pid1.held);
    fake_pid1.held = sd_bus_message_unref(fake_pid1.held);
}

static int fake_pid1_job(sd_bus_message *m, const char *unit, const char *result)
{
    sd_bus_message *signal = NULL;
    char path[32];
    int r;

    snprintf(path, sizeof(path), "/job/%u", ++fake_pid1.jobs);
    r = sd_bus_reply_method_return(m, "o", path);
    if (r >= 0)
        r = sd_bus_message_new_signal(fake_pid1.bus, &signal, "/org/freedesktop/systemd1", FAKE_PID1 ".Manager",
                                      "JobRemoved");
    if (r >= 0)
        r = sd_bus_message_append(signal, "uoss", fake_pid1.jobs, path, unit, result);
    if (r >= 0)
        r = sd_bus_send(fake_pid1.bus, signal, NULL);
    sd_bus_message_unref(signal);
    return r;
}

static int fake_pid1_call(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *member = sd_bus_message_get_member(m), *unit = "";
    size_t n = strlen(fake_pid1.said);

    (void)userdata, (void)error;
    if (strcmp(member, "Subscribe") == 0)
        return sd_bus_reply_method_return(m, NULL);
    sd_bus_message_read(m, "s", &unit);
    if (strncmp(unit, "lockbox-inspect-", 16) == 0) /* no picture can be taken of this machine */
        return fake_pid1_job(m, unit, "failed");
    snprintf(fake_pid1.said + n, sizeof(fake_pid1.said) - n, "%s %s; ", member, unit);
    if (strcmp(member, "StartTransientUnit") == 0 && fake_pid1.holds)
        fake_pid1.held = sd_bus_message_ref(m);
    else if (strcmp(member, "StartTransientUnit") == 0)
        fake_pid1_answer(m);
    else
        return fake_pid1_job(m, unit, "done");
    return 1;
}

static int fake_pid1_serve(int fd)
{
    sd_id128_t id = { .qwords = { 1, 1 } };
    int r = sd_bus_new(&fake_pid1.bus);

    if (r >= 0)
        r = sd_bus_set_fd(fake_pid1.bus, fd, fd);
    if (r >= 0)
        r = sd_bus_set_server(fake_pid1.bus, 1, id);
    if (r >= 0)
        r = sd_bus_set_anonymous(fake_pid1.bus, 1);
    if (r >= 0) /* there is no broker that says from whom its signals are */
        r = sd_bus_set_sender(fake_pid1.bus, FAKE_PID1);
    if (r >= 0)
        r = sd_bus_start(fake_pid1.bus);
    if (r >= 0)
        r = sd_bus_add_object(fake_pid1.bus, NULL, "/org/freedesktop/systemd1", fake_pid1_call, NULL);
    if (r >= 0)
        r = sd_bus_attach_event(fake_pid1.bus, fake_pid1.event, 0);
    return r;
}

int sd_bus_open_system(sd_bus **ret)
{
    int fds[2];
    int r;

    if (!fake_pid1.event)
        return -ENOENT;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    r = fake_pid1_serve(fds[1]);
    if (r >= 0)
        r = sd_bus_new(ret);
    if (r >= 0)
        r = sd_bus_set_fd(*ret, fds[0], fds[0]);
    return r >= 0 ? sd_bus_start(*ret) : r;
}

static void fake_pid1_clear(void)
{
    sd_bus_message_unref(fake_pid1.held);
    sd_bus_close_unref(fake_pid1.bus);
    memset(&fake_pid1, 0, sizeof(fake_pid1));
}
