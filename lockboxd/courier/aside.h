/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transfer in a thread of its own: mail. libcurl waits for what a mail server answers to the end of a mail, and to
 * QUIT, without returning meanwhile, also where everything else of it is done from a loop; and a server may take its
 * time. The thread has the handle and nothing else; whatever comes of it comes from the loop.
 */
#pragma once

#include <curl/curl.h>
#include <systemd/sd-event.h>

struct lb_aside;

struct lb_aside_calls {
    void (*step)(void *userdata, const char *text); /* what lb_aside_say was given, in its order */
    void (*done)(void *userdata, CURLcode code, long status); /* once; must not free it */
    void (*over)(void *userdata); /* behind it: the connection is closed, too, and it is to be freed */
};

/* Begins, and takes the handle, which it cleans up at the end. What the handle refers to stays until `over`, or the
 * free. *ret is set before the thread begins. -ENOMEM, -EAGAIN. */
int lb_aside_new(sd_event *event, CURL *easy, const struct lb_aside_calls *calls, void *userdata,
                 struct lb_aside **ret);

/* From the thread: has `step` called with the text. */
void lb_aside_say(struct lb_aside *a, const char *text);

/* Breaks it off: it is over soon. */
void lb_aside_stop(struct lb_aside *a);

/* Breaks it off, waits for the thread, a second at most, and calls nothing any more. NULL is fine; returns NULL. */
struct lb_aside *lb_aside_free(struct lb_aside *a);
