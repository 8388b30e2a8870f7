/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/aside.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "policy/base.h"
#include "policy/fields.h"

#define SOCKETS 4 /* at a time, while it is found out which of a server's addresses answers */

struct lb_aside {
    struct lb_aside_calls calls;
    void *userdata;
    CURL *easy; /* the thread's */
    pthread_t thread;
    bool begun, told;
    int wake;
    sd_event_source *io;

    pthread_mutex_t lock; /* for what follows */
    int sockets[SOCKETS]; /* -1: none */
    char **steps;
    CURLcode code;
    long status;
    bool performed, over, stopped;
};

/* --- in the thread ----------------------------------------------------------------------------------------------- */

/* Exchanges one of the sockets for another; false: there is none such, or it is to stop. */
static bool exchange(struct lb_aside *a, int from, int into)
{
    bool found = false;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; !found && i < SOCKETS && !(a->stopped && into >= 0); i++)
        if (a->sockets[i] == from) {
            a->sockets[i] = into;
            found = true;
        }
    if (from >= 0)
        close(from);
    pthread_mutex_unlock(&a->lock);
    return found;
}

static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

    (void)purpose;
    if (fd >= 0 && !exchange(userdata, -1, fd)) {
        close(fd);
        fd = -1;
    }
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int close_socket(void *userdata, curl_socket_t fd)
{
    exchange(userdata, fd, -1);
    return 0;
}

/* Comes once a second at least. */
static int on_progress(void *userdata, curl_off_t down, curl_off_t down_now, curl_off_t up, curl_off_t up_now)
{
    struct lb_aside *a = userdata;
    bool stopped;

    (void)down;
    (void)down_now;
    (void)up;
    (void)up_now;
    pthread_mutex_lock(&a->lock);
    stopped = a->stopped;
    pthread_mutex_unlock(&a->lock);
    return stopped;
}

static void note(struct lb_aside *a, bool *what)
{
    pthread_mutex_lock(&a->lock);
    *what = true;
    eventfd_write(a->wake, 1);
    pthread_mutex_unlock(&a->lock);
}

void lb_aside_say(struct lb_aside *a, const char *text)
{
    pthread_mutex_lock(&a->lock);
    lb_strings_append(&a->steps, text);
    eventfd_write(a->wake, 1);
    pthread_mutex_unlock(&a->lock);
}

static void *perform(void *userdata)
{
    struct lb_aside *a = userdata;

    a->code = curl_easy_perform(a->easy);
    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_setopt(a->easy, CURLOPT_ERRORBUFFER, NULL); /* it is read from now on */
    note(a, &a->performed);
    curl_easy_cleanup(a->easy); /* says QUIT, and waits */
    note(a, &a->over);
    return NULL;
}

/* --- in the loop ------------------------------------------------------------------------------------------------- */

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_aside *a = userdata;
    bool performed, over;
    eventfd_t n;
    char **steps;

    (void)source;
    (void)revents;
    eventfd_read(fd, &n);
    pthread_mutex_lock(&a->lock);
    steps = LB_TAKE(a->steps);
    performed = a->performed;
    over = a->over;
    pthread_mutex_unlock(&a->lock);
    for (char **step = steps; step && *step; step++)
        a->calls.step(a->userdata, *step);
    lb_strings_free(steps);
    if (performed && !a->told) {
        a->told = true;
        a->calls.done(a->userdata, a->code, a->status);
    }
    if (over)
        a->calls.over(a->userdata);
    return 0;
}

static CURLcode prepare(struct lb_aside *a)
{
    CURLcode r = CURLE_OK;

#define SET(option, value) (r = r == CURLE_OK ? curl_easy_setopt(a->easy, option, value) : r)
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, a);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, a);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, a);
    SET(CURLOPT_NOPROGRESS, 0L);
#undef SET
    return r;
}

int lb_aside_new(sd_event *event, CURL *easy, const struct lb_aside_calls *calls, void *userdata, struct lb_aside **ret)
{
    struct lb_aside *a = calloc(1, sizeof(*a));
    int r;

    if (!a)
        return -ENOMEM;
    *a = (struct lb_aside){ .calls = *calls, .userdata = userdata, .easy = easy,
                            .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .sockets = { -1, -1, -1, -1 } };
    pthread_mutex_init(&a->lock, NULL);
    r = a->wake < 0 ? -errno : prepare(a) != CURLE_OK ? -ENOMEM : 0;
    if (r == 0)
        r = sd_event_add_io(event, &a->io, a->wake, EPOLLIN, on_wake, a);
    if (r >= 0) {
        *ret = a;
        r = -pthread_create(&a->thread, NULL, perform, a);
        a->begun = r == 0;
    }
    if (r < 0) {
        *ret = NULL;
        lb_aside_free(a);
    }
    return r;
}

void lb_aside_stop(struct lb_aside *a)
{
    pthread_mutex_lock(&a->lock);
    a->stopped = true;
    for (size_t i = 0; i < SOCKETS; i++)
        if (a->sockets[i] >= 0)
            shutdown(a->sockets[i], SHUT_RDWR);
    pthread_mutex_unlock(&a->lock);
}

struct lb_aside *lb_aside_free(struct lb_aside *a)
{
    if (!a)
        return NULL;
    if (a->begun) {
        lb_aside_stop(a);
        pthread_join(a->thread, NULL);
    }
    sd_event_source_disable_unref(a->io);
    if (a->wake >= 0)
        close(a->wake);
    pthread_mutex_destroy(&a->lock);
    lb_strings_free(a->steps);
    free(a);
    return NULL;
}
