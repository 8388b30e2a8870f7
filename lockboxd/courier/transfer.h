/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcurl on an event loop: runs handles (handle.h), each with a bound on its time and on the bytes of its answer.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

/* Bytes of an answer's body, and of all that is before it: no more is read. That fails the transfer, but for a 2xx,
 * which is a yes whatever comes behind it (see lb_transfer_want_answer). */
#define LB_TRANSFER_ANSWER_MAX (64 * 1024)

struct lb_transfers;
struct lb_transfer;

int lb_transfers_new(sd_event *event, struct lb_transfers **ret);
/* Ends what still runs, without a word. NULL is fine; returns NULL. */
struct lb_transfers *lb_transfers_free(struct lb_transfers *t);

/* Mails that have a connection, also where there is nothing more to say on it but goodbye; `over` comes from the loop
 * when there is one less. */
size_t lb_transfers_mails(const struct lb_transfers *t);
void lb_transfers_watch(struct lb_transfers *t, void (*over)(void *userdata), void *userdata);

struct lb_transfer_result {
    bool sent;         /* the other end took it: HTTP 2xx, SMTP 250 */
    bool final;        /* not sent, and this letter never will be: HTTP 400, 413, 422 …; SMTP 5xx but 53x */
    long status;       /* HTTP's or SMTP's; 0: it did not come to that */
    long retry_after;  /* seconds that the other end wants to be left alone; 0: it did not say */
    const char *problem; /* not sent: why, for a person, safe to show; borrowed, never NULL then */
    const char *body;    /* of the answer, with a NUL behind it; borrowed; empty for a 2xx that nobody wants more of */
    size_t size;
};

/* Comes once, from the event loop; the transfer is gone then. */
typedef void lb_transfer_done(void *userdata, const struct lb_transfer_result *result);

/* What curl does, and what the other end answers, in lines; never what we send, in which there are secrets. */
typedef void lb_transfer_step(void *userdata, const char *text);

/* Begins; `step` may be NULL. With recipients it is a mail, which goes in a thread of its own (aside.h). Takes the
 * handle, which is of lb_handle_new, and the lists of headers or recipients (may be NULL; curl_slist_free_all'ed at the
 * end), also on failure. The bytes that a handle for HTTPS sends are the caller's, and stay until the end. -ENOMEM,
 * -EIO, -EAGAIN. */
int lb_transfer_start(struct lb_transfers *t, CURL *easy, struct curl_slist *headers, struct curl_slist *recipients,
                      int64_t timeout_usec, lb_transfer_done *done, lb_transfer_step *step, void *userdata,
                      struct lb_transfer **ret);

/* At once after the start, over HTTP: the answer's body is what is wanted. One that is too long, or breaks off, fails
 * the transfer also where the status is 2xx. */
void lb_transfer_want_answer(struct lb_transfer *transfer);

/* Gives up; done does not come any more. NULL is fine; returns NULL. */
struct lb_transfer *lb_transfer_free(struct lb_transfer *transfer);
