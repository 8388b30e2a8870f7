/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/transfer.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/aside.h"
#include "lockboxd/courier/handle.h"
#include "policy/base.h"
#include "policy/text.h"

#define ACCURACY_USEC 1000 /* of curl's timers; the loop would take a quarter of a second, several times over */

struct lb_transfers {
    sd_event *event;
    CURLM *multi;
    sd_event_source *timer;
    struct lb_transfer *first;
    void (*over)(void *userdata); /* NULL: nobody watches */
    void *userdata;
};

struct lb_transfer {
    struct lb_transfers *all;
    struct lb_transfer *next, **self;
    CURL *easy;             /* NULL where it is in a thread … */
    struct lb_aside *aside; /* … which is this one */
    struct curl_slist *headers, *recipients;
    struct lb_upload *upload; /* NULL: it sends nothing, or what the handle knows of itself */
    bool wanted;           /* the answer's body is what it is for */
    char *body;
    size_t size, skipped;
    size_t headers_size; /* HTTP's headers, or what a mail server has said */
    char error[CURL_ERROR_SIZE];
    lb_transfer_done *done; /* NULL: nobody wants to know any more */
    lb_transfer_step *step;
    void *userdata;
};

static void destroy(struct lb_transfer *t)
{
    lb_aside_free(t->aside);
    if (t->self) {
        *t->self = t->next;
        if (t->next)
            t->next->self = t->self;
    }
    if (t->easy) {
        curl_multi_remove_handle(t->all->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->recipients);
    lb_upload_free(t->upload);
    free(t->body);
    free(t);
}

void lb_transfer_want_answer(struct lb_transfer *t)
{
    t->wanted = true;
}

struct lb_transfer *lb_transfer_free(struct lb_transfer *t)
{
    if (t && t->aside) { /* it goes when the thread is over */
        t->done = NULL;
        t->step = NULL;
        lb_aside_stop(t->aside);
    } else if (t) {
        destroy(t);
    }
    return NULL;
}

/* --- what came of it ---------------------------------------------------------------------------------------------- */

/* What the letter itself is at fault for. A server that is being moved, and a password that is wrong today, are the
 * target's affair, and that may be mended. */
static bool is_final(bool mail, long status)
{
    static const long faults[] = { 400, 411, 413, 414, 415, 422, 431 };

    if (mail)
        return status >= 500 && status <= 599 && !(status >= 530 && status <= 538);
    for (size_t i = 0; i < LB_ELEMENTS(faults); i++)
        if (status == faults[i])
            return true;
    return false;
}

/* A mail server that would not even hear of a letter has something against us, or no time: no login, no TLS, "554 no
 * service here". That may be mended, too. */
static bool was_told(const struct lb_transfer *t, CURLcode code)
{
    return code != CURLE_LOGIN_DENIED && code != CURLE_USE_SSL_FAILED && code != CURLE_REMOTE_ACCESS_DENIED &&
           (code != CURLE_WEIRD_SERVER_REPLY || (t->upload && lb_upload_has_begun(t->upload)));
}

static bool is_yes(long status)
{
    return status >= 200 && status <= 299;
}

static void tell(struct lb_transfer *t, CURLcode code, long status, curl_off_t after)
{
    struct lb_transfer_result r = { .status = status, .body = t->body ? t->body : "", .size = t->size };
    lb_transfer_done *done = LB_TAKE(t->done);
    bool mail = t->recipients != NULL;
    LB_FREE char *clean = NULL; /* curl repeats words of the server in what it says */
    char problem[CURL_ERROR_SIZE + 64] = "";

    r.retry_after = after > 0 && after < 24 * 3600 ? (long)after : 0;
    r.sent = is_yes(r.status) && (code == CURLE_OK || (!mail && !t->wanted)); /* what comes behind it is no matter */
    r.final = !r.sent && is_final(mail, r.status) && (!mail || was_told(t, code));
    if (code == CURLE_WRITE_ERROR)
        snprintf(problem, sizeof(problem), "the answer is longer than %d bytes", LB_TRANSFER_ANSWER_MAX);
    else if (code != CURLE_OK)
        snprintf(problem, sizeof(problem), "%s", *t->error ? t->error : curl_easy_strerror(code));
    else if (!r.sent)
        snprintf(problem, sizeof(problem), "the answer was %s %ld%s", mail ? "SMTP" : "HTTP", r.status,
                 r.status >= 300 && r.status <= 399 ? ", a redirect, which is not followed" : "");
    clean = r.sent ? NULL : lb_text_clean(problem, sizeof(problem));
    r.problem = r.sent ? NULL : clean ? clean : "out of memory";
    t->step = NULL;
    if (done)
        done(t->userdata, &r);
}

static void finish(struct lb_transfer *t, CURLcode code)
{
    long status = 0;
    curl_off_t after = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after);
    tell(t, code, status, after);
    destroy(t);
}

/* All that are complete; a callback may start others, or end any. */
static void drain(struct lb_transfers *all)
{
    const CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(all->multi, &left))) {
        struct lb_transfer *t = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        finish(t, m->data.result);
    }
}

/* --- curl and the loop -------------------------------------------------------------------------------------------- */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct lb_transfers *all = userdata;
    int running, what = 0;

    (void)source;
    what |= revents & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
    what |= revents & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    what |= revents & EPOLLERR ? CURL_CSELECT_ERR : 0;
    curl_multi_socket_action(all->multi, fd, what, &running);
    drain(all);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_transfers *all = userdata;
    int running;

    (void)source;
    (void)usec;
    curl_multi_socket_action(all->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(all);
    return 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *source_of)
{
    static const uint32_t masks[] = {
        [CURL_POLL_NONE] = 0, [CURL_POLL_IN] = EPOLLIN, [CURL_POLL_OUT] = EPOLLOUT,
        [CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT,
    };
    struct lb_transfers *all = userdata;
    sd_event_source *source = source_of;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        sd_event_source_disable_unref(source);
        curl_multi_assign(all->multi, fd, NULL);
        return 0;
    }
    if (source)
        return sd_event_source_set_io_events(source, masks[what]) < 0 ? -1 : 0;
    if (sd_event_add_io(all->event, &source, fd, masks[what], on_io, all) < 0)
        return -1;
    curl_multi_assign(all->multi, fd, source);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *userdata)
{
    struct lb_transfers *all = userdata;

    (void)multi;
    if (ms < 0)
        return sd_event_source_set_enabled(all->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    if (sd_event_source_set_time_relative(all->timer, (uint64_t)ms * 1000) < 0)
        return -1;
    return sd_event_source_set_enabled(all->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

int lb_transfers_new(sd_event *event, struct lb_transfers **ret)
{
    struct lb_transfers *all = calloc(1, sizeof(*all));
    int r = all && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;

    if (r == 0) {
        *all = (struct lb_transfers){ .event = sd_event_ref(event), .multi = curl_multi_init() };
        r = all->multi ? 0 : -ENOMEM;
    }
    if (r >= 0)
        r = sd_event_add_time_relative(event, &all->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_timer, all);
    if (r >= 0)
        r = sd_event_source_set_enabled(all->timer, SD_EVENT_OFF);
    if (r < 0) {
        lb_transfers_free(all);
        return r;
    }
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
    *ret = all;
    return 0;
}

struct lb_transfers *lb_transfers_free(struct lb_transfers *all)
{
    if (!all)
        return NULL;
    for (struct lb_transfer *t = all->first; t; t = t->next) /* all of them, before one is waited for */
        if (t->aside)
            lb_aside_stop(t->aside);
    while (all->first)
        destroy(all->first);
    if (all->multi)
        curl_multi_cleanup(all->multi);
    sd_event_source_disable_unref(all->timer);
    sd_event_unref(all->event);
    free(all);
    return NULL;
}

/* --- one transfer ------------------------------------------------------------------------------------------------- */

/* A yes is read out, as far as it is short: the connection is good for the next one then. */
static bool is_idle_talk(const struct lb_transfer *t)
{
    long status = 0;

    return !t->wanted && curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && is_yes(status);
}

static size_t take_body(char *bytes, size_t size, size_t n, void *userdata)
{
    struct lb_transfer *t = userdata;
    char *body;

    (void)size; /* always 1 */
    if (t->easy && is_idle_talk(t)) {
        t->skipped += n;
        return t->skipped > LB_TRANSFER_ANSWER_MAX ? CURL_WRITEFUNC_ERROR : n;
    }
    if (t->size + n > LB_TRANSFER_ANSWER_MAX || !(body = realloc(t->body, t->size + n + 1)))
        return CURL_WRITEFUNC_ERROR;
    memcpy(body + t->size, bytes, n);
    t->body = body;
    t->size += n;
    t->body[t->size] = '\0';
    return n;
}

/* curl itself reads on for as long as a mail server talks, and nothing else has its turn. */
static size_t take_header(char *bytes, size_t size, size_t n, void *userdata)
{
    struct lb_transfer *t = userdata;

    (void)bytes;
    (void)size; /* always 1 */
    t->headers_size += n;
    return t->headers_size > LB_TRANSFER_ANSWER_MAX ? CURL_WRITEFUNC_ERROR : n;
}

static void add(struct lb_transfers *all, struct lb_transfer *t)
{
    t->next = all->first;
    t->self = &all->first;
    if (t->next)
        t->next->self = &t->next;
    all->first = t;
}

/* --- a mail ------------------------------------------------------------------------------------------------------- */

static void on_said(void *userdata, const char *text)
{
    struct lb_transfer *t = userdata;

    if (t->step)
        t->step(t->userdata, text);
}

static void on_sent(void *userdata, CURLcode code, long status)
{
    tell(userdata, code, status, 0);
}

static void on_over(void *userdata)
{
    struct lb_transfer *t = userdata;
    struct lb_transfers *all = t->all;

    destroy(t);
    if (all->over)
        all->over(all->userdata);
}

size_t lb_transfers_mails(const struct lb_transfers *all)
{
    size_t n = 0;

    for (const struct lb_transfer *t = all->first; t; t = t->next)
        n += t->aside != NULL;
    return n;
}

void lb_transfers_watch(struct lb_transfers *all, void (*over)(void *userdata), void *userdata)
{
    all->over = over;
    all->userdata = userdata;
}

static int start_aside(struct lb_transfer *t)
{
    static const struct lb_aside_calls calls = { on_said, on_sent, on_over };
    CURL *easy = LB_TAKE(t->easy);
    int r = lb_aside_new(t->all->event, easy, &calls, t, &t->aside);

    if (r < 0)
        curl_easy_cleanup(easy);
    return r;
}

/* --- its begin ---------------------------------------------------------------------------------------------------- */

static int on_debug(CURL *easy, curl_infotype type, char *text, size_t size, void *userdata)
{
    bool shown = type == CURLINFO_TEXT || type == CURLINFO_HEADER_IN;
    LB_FREE char *line = shown ? strndup(text, size) : NULL;
    struct lb_transfer *t = userdata;

    (void)easy;
    if (line && t->aside)
        lb_aside_say(t->aside, line);
    else if (line)
        on_said(t, line);
    return 0;
}

int lb_transfer_start(struct lb_transfers *all, CURL *easy, struct curl_slist *headers, struct curl_slist *recipients,
                      int64_t timeout_usec, lb_transfer_done *done, lb_transfer_step *step, void *userdata,
                      struct lb_transfer **ret)
{
    struct lb_transfer *t = calloc(1, sizeof(*t));
    CURLcode r = CURLE_OK;
    int error;

    if (!t) {
        curl_slist_free_all(headers);
        curl_slist_free_all(recipients);
        lb_handle_free(easy);
        return -ENOMEM;
    }
    *t = (struct lb_transfer){ .all = all, .easy = easy, .headers = headers, .recipients = recipients, .done = done,
                               .step = step, .userdata = userdata, .upload = lb_handle_take_upload(easy) };
#define SET(option, value) (r = r == CURLE_OK ? curl_easy_setopt(easy, option, value) : r)
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_TIMEOUT_MS, (long)(timeout_usec / 1000));
    if (headers)
        SET(CURLOPT_HTTPHEADER, headers);
    if (recipients)
        SET(CURLOPT_MAIL_RCPT, recipients);
    if (step) {
        SET(CURLOPT_VERBOSE, 1L);
        SET(CURLOPT_DEBUGFUNCTION, on_debug);
        SET(CURLOPT_DEBUGDATA, t);
        SET(CURLOPT_FRESH_CONNECT, 1L);
    }
#undef SET
    add(all, t);
    error = r == CURLE_OUT_OF_MEMORY ? -ENOMEM : r != CURLE_OK ? -EIO : 0;
    if (error == 0 && recipients)
        error = start_aside(t);
    else if (error == 0 && curl_multi_add_handle(all->multi, easy) != CURLM_OK)
        error = -EIO;
    if (error < 0)
        destroy(t);
    else
        *ret = t;
    return error;
}
