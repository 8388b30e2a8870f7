/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/journal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <time.h>

#include "lockboxd/log.h"
#include "lockboxd/store.h"
#include "policy/base.h"

#define SOCKET "/run/systemd/journal/socket"
#define PAGE 100
#define FIELDS_MAX 24

/* Shared with the thread; freed by whoever leaves last, because a thread that journald blocks cannot be joined. */
struct lb_journal {
    char *directory;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t wanted, position; /* under lock */
    bool stop, left;          /* under lock */
};

struct fields {
    struct iovec items[FIELDS_MAX];
    int n;
    bool lacking; /* one of them: an entry without it would be no copy of its event */
};

static void field(struct fields *f, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void field(struct fields *f, const char *name, const char *format, ...)
{
    LB_FREE char *value = NULL;
    char *text;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&value, format, args);
    va_end(args);
    if (n < 0)
        value = NULL;
    n = value && f->n < FIELDS_MAX ? asprintf(&text, "%s=%s", name, value) : -1;
    f->lacking |= n < 0;
    if (n > 0)
        f->items[f->n++] = (struct iovec){ text, (size_t)n };
}

static void fields_clear(struct fields *f)
{
    while (f->n > 0)
        free(f->items[--f->n].iov_base);
}

/* One journal entry for one event: a sentence, the fields to search by, and the very bytes that were hashed. -EBADMSG:
 * these are none. */
static int send_entry(int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(fields_clear) struct fields f = { 0 };
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    LB_FREE char *sentence = NULL;
    char prev[LB_HASH_MAX];
    int r = lb_chain_decode(json, &e, prev);

    if (r < 0)
        return r;
    sentence = lb_event_sentence(&e);
    if (!sentence)
        return -ENOMEM;
    field(&f, "MESSAGE", "%s%s%s", e.request ? e.request : "", e.request ? ": " : "", sentence);
    field(&f, "MESSAGE_ID", "%s", lb_event_classes[e.kind].message_id);
    field(&f, "PRIORITY", "%d", lb_event_classes[e.kind].priority);
    field(&f, "SYSLOG_IDENTIFIER", "lockboxd");
    field(&f, "LOCKBOX_EVENT", "%s", lb_event_names[e.kind]);
    field(&f, "LOCKBOX_SEQ", "%lld", (long long)seq);
    field(&f, "LOCKBOX_HASH", "%s", hash);
    field(&f, "LOCKBOX_PREV", "%s", prev);
    field(&f, "LOCKBOX_JSON", "%s", json);
    const struct { const char *name, *value; } strings[] = {
        { "LOCKBOX_REQUEST", e.request }, { "LOCKBOX_STATE", lb_state_names[e.state] },
        { "LOCKBOX_ACCOUNT", e.account }, { "LOCKBOX_ENGINEER", e.engineer }, { "LOCKBOX_TICKET", e.ticket },
        { "LOCKBOX_REASON", e.reason },   { "LOCKBOX_APPROVER", e.approver },
    };
    for (size_t i = 0; i < LB_ELEMENTS(strings); i++)
        if (strings[i].value && *strings[i].value)
            field(&f, strings[i].name, "%s", strings[i].value);
    if (f.lacking)
        return -ENOMEM;
    return access(SOCKET, F_OK) < 0 ? -errno : sd_journal_sendv(f.items, f.n); /* without the socket sendv says 0 */
}

/* What is damaged in the log stays so, and does not keep back what follows: the copy shows the gap. */
static int pass_over(int64_t seq)
{
    lb_log(LOG_ALERT, "Event %lld of the log is damaged and is not in the journal: lockboxctl audit verify",
           (long long)seq);
    return 0;
}

static int send_event(void *userdata, int64_t seq, const char *hash, const char *json)
{
    struct lb_journal *j = userdata;
    int r = send_entry(seq, hash, json);

    if (r == -EBADMSG)
        r = pass_over(seq);
    if (r < 0)
        return r;
    pthread_mutex_lock(&j->lock);
    j->position = seq;
    r = j->stop && j->left;
    pthread_mutex_unlock(&j->lock);
    return r;
}

static void free_journal(struct lb_journal *j)
{
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->changed);
    free(j->directory);
    free(j);
}

/* In so many µs, by a clock that nobody sets. */
static struct timespec after(int64_t usec)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += usec / LB_USEC_PER_SEC;
    return until;
}

/* Waits for something to send. False when there is nothing more to do. */
static bool wait_for_work(struct lb_journal *j, bool failed)
{
    struct timespec until = after(LB_USEC_PER_SEC);

    if (failed && !j->stop)
        pthread_cond_clockwait(&j->changed, &j->lock, CLOCK_MONOTONIC, &until);
    while (!j->stop && j->position >= j->wanted)
        pthread_cond_wait(&j->changed, &j->lock);
    return !j->stop || (j->position < j->wanted && !failed);
}

static void *follow(void *userdata)
{
    struct lb_journal *j = userdata;
    struct lb_store *store = NULL;
    bool failed = false, left;
    int64_t since;

    pthread_mutex_lock(&j->lock);
    while (!j->left && wait_for_work(j, failed)) {
        since = j->position + 1;
        pthread_mutex_unlock(&j->lock);
        failed = (!store && lb_store_open(j->directory, true, 0, &store) < 0) ||
                 lb_store_events(store, since, NULL, PAGE, send_event, j) < 0;
        if (failed)
            store = lb_store_close(store);
        pthread_mutex_lock(&j->lock);
    }
    left = j->left;
    j->left = true;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
    lb_store_close(store);
    if (left)
        free_journal(j);
    return NULL;
}

int lb_journal_start(const char *state_directory, int64_t position, struct lb_journal **ret)
{
    struct lb_journal *j = calloc(1, sizeof(*j));
    sigset_t all, before;
    pthread_t thread;
    int r;

    if (!j || !(j->directory = strdup(state_directory))) {
        free(j);
        return -ENOMEM;
    }
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    j->position = j->wanted = position;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    r = pthread_create(&thread, NULL, follow, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        free_journal(j);
        return -r;
    }
    pthread_detach(thread);
    *ret = j;
    return 0;
}

void lb_journal_notify(struct lb_journal *j, int64_t seq)
{
    pthread_mutex_lock(&j->lock);
    j->wanted = seq;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

int64_t lb_journal_position(struct lb_journal *j)
{
    int64_t position;

    pthread_mutex_lock(&j->lock);
    position = j->position;
    pthread_mutex_unlock(&j->lock);
    return position;
}

int64_t lb_journal_stop(struct lb_journal *j, int64_t timeout)
{
    struct timespec until = after(timeout);
    int64_t position;
    bool gone;

    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_signal(&j->changed);
    while (!j->left && pthread_cond_clockwait(&j->changed, &j->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    gone = j->left;
    j->left = true;
    position = j->position;
    pthread_mutex_unlock(&j->lock);
    if (gone)
        free_journal(j);
    return position;
}
