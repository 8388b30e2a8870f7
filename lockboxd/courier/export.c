/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/export.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/clock.h"
#include "lockboxd/courier/collect.h"
#include "lockboxd/courier/object.h"
#include "lockboxd/courier/packer.h"
#include "lockboxd/courier/spool.h"
#include "lockboxd/courier/trouble.h"
#include "lockboxd/log.h"
#include "policy/base.h"

#define SECOND LB_USEC_PER_SEC
#define SLOWEST (32 * 1024) /* bytes a second, below which a transfer is given up, to be tried again */

static const struct lb_patience patience = { SECOND, 600 * SECOND };

/* Three things go on beside one another, and each has troubles of its own. */
enum part { PART_COLLECT, PART_PACK, PART_SEND, PART_MAX_ };

struct lb_export {
    struct lb_export_means means;
    struct lb_spool *spool;
    struct lb_collect *collect;
    sd_event_source *every;
    struct lb_child *packer;
    struct lb_transfer *transfer;
    char *name; /* of the file that is being sent … */
    FILE *file;
    struct {
        struct lb_trouble trouble;
        sd_event_source *again;
    } parts[PART_MAX_];
    int64_t sent_at;
};

static void pack(struct lb_export *x);
static void send_next(struct lb_export *x);

static void arm(sd_event_source *timer, int64_t delay)
{
    if (sd_event_source_set_time_relative(timer, (uint64_t)delay) < 0 ||
        sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT) < 0)
        lb_log(LOG_ERR, "export: it does not go on: no timer");
}

static void meet(struct lb_export *x, enum part part, const char *problem, int64_t at_least)
{
    int64_t delay = lb_trouble_meet(&x->parts[part].trouble, &patience, problem);

    arm(x->parts[part].again, delay > at_least ? delay : at_least);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void put_down(struct lb_export *x)
{
    x->transfer = NULL;
    free(LB_TAKE(x->name));
    if (x->file)
        fclose(x->file);
    x->file = NULL;
}

static void on_sent(void *userdata, const struct lb_transfer_result *result)
{
    LB_FREE char *reason = result->sent ? NULL : lb_object_reason(result->body), *problem = NULL;
    struct lb_export *x = userdata;
    int r = result->sent ? lb_spool_done(x->spool, x->name) : 0;

    if (!result->sent && asprintf(&problem, "%s: %s%s%s%s", x->name, result->problem, reason ? " (" : "",
                                  reason ? reason : "", reason ? ")" : "") < 0)
        problem = NULL;
    put_down(x);
    if (!result->sent || r < 0) {
        meet(x, PART_SEND, r < 0 ? strerrordesc_np(-r) : problem, result->retry_after * SECOND);
        return;
    }
    x->sent_at = lb_clock_now().wall;
    lb_trouble_over(&x->parts[PART_SEND].trouble);
    send_next(x);
}

static int begin_to_send(struct lb_export *x, char **ret_error)
{
    bool batch = strstr(x->name, ".jsonl") != NULL;
    const char *host = x->means.config->host;
    LB_FREE char *url = lb_object_url(&x->means.config->export, batch ? "events" : "packs", host, x->name);
    struct lb_object_bytes bytes = { .file = lb_spool_read(x->spool, x->name, &bytes.size) };
    struct curl_slist *headers = NULL;
    CURL *easy = NULL;
    int r;

    x->file = bytes.file;
    if (!url || !x->file)
        return url ? -errno : -ENOMEM;
    r = lb_object_open(x->means.config, url, batch ? "application/x-ndjson" : "application/x-tar", &bytes,
                       &easy, &headers, ret_error);
    if (r < 0)
        return r;
    return lb_transfer_start(x->means.transfers, easy, headers, NULL, 60 * SECOND + bytes.size / SLOWEST * SECOND,
                             on_sent, NULL, x, &x->transfer);
}

/* One after the other, the batches in their order. */
static void send_next(struct lb_export *x)
{
    LB_FREE char *error = NULL;
    int r = x->name ? 0 : lb_spool_next(x->spool, &x->name);

    if (r == 0)
        return;
    if (r > 0)
        r = begin_to_send(x, &error);
    if (r < 0) {
        put_down(x);
        meet(x, PART_SEND, error ? error : strerrordesc_np(-r), 0);
    }
}

/* --- packs -------------------------------------------------------------------------------------------------------- */

static void on_packed(void *userdata, const char *output, const char *problem)
{
    struct lb_export *x = userdata;
    int r = problem ? 0 : lb_spool_take_pack(x->spool);

    (void)output;
    if (problem || r < 0)
        meet(x, PART_PACK, problem ? problem : strerrordesc_np(-r), 0);
    else
        lb_trouble_over(&x->parts[PART_PACK].trouble);
    x->packer = lb_child_free(x->packer);
    if (problem || r < 0)
        return;
    send_next(x);
    pack(x);
}

static void pack(struct lb_export *x)
{
    LB_FREE char *request = NULL, *path = NULL;
    int r = x->packer ? 0 : lb_spool_next_pack(x->spool, &request, &path);

    if (r > 0)
        r = lb_packer_new(x->means.event, x->means.packer, request, path, on_packed, x, &x->packer);
    if (r < 0)
        meet(x, PART_PACK, strerrordesc_np(-r), 0);
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

static void on_collected(void *userdata, const char *problem)
{
    struct lb_export *x = userdata;

    if (problem)
        meet(x, PART_COLLECT, problem, 0);
    else
        lb_trouble_over(&x->parts[PART_COLLECT].trouble);
    send_next(x);
    pack(x);
}

/* Its directory may be mended while everything else goes on. */
static int open_spool(struct lb_export *x)
{
    LB_FREE char *directory = NULL;
    int r;

    if (asprintf(&directory, "%s/export", x->means.directory) < 0) {
        directory = NULL;
        return -ENOMEM;
    }
    r = lb_spool_open(directory, &x->spool);
    if (r < 0)
        return r;
    return lb_collect_new(x->means.queries, x->spool, x->means.config->export.packs, on_collected, x, &x->collect);
}

void lb_export_run(struct lb_export *x)
{
    LB_FREE char *problem = NULL;
    int r = x->collect ? 0 : open_spool(x);

    if (r == 0) {
        lb_collect_run(x->collect);
        return;
    }
    x->spool = lb_spool_close(x->spool);
    if (asprintf(&problem, "%s/export: %s", x->means.directory,
                 r == -EBADMSG ? "the file position is not ours" : strerrordesc_np(-r)) < 0)
        problem = NULL;
    meet(x, PART_COLLECT, problem, 0);
}

void lb_export_hurry(struct lb_export *x)
{
    for (int i = 0; i < PART_MAX_; i++)
        if (x->parts[i].trouble.failures)
            arm(x->parts[i].again, 0);
}

static int on_every(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct lb_export *x = userdata;

    (void)usec;
    arm(source, x->means.config->export.every);
    lb_export_run(x);
    return 0;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

#define AGAIN(name, what)                                                             \
    static int on_again_##name(sd_event_source *source, uint64_t usec, void *userdata) \
    {                                                                                 \
        (void)source;                                                                 \
        (void)usec;                                                                   \
        what(userdata);                                                               \
        return 0;                                                                     \
    }
AGAIN(collect, lb_export_run)
AGAIN(pack, pack)
AGAIN(send, send_next)

static int begin(struct lb_export *x)
{
    static const sd_event_time_handler_t again[] = {
        [PART_COLLECT] = on_again_collect, [PART_PACK] = on_again_pack, [PART_SEND] = on_again_send,
    };
    const struct lb_export_means *m = &x->means;
    int r = 0;

    for (int i = 0; r >= 0 && i < PART_MAX_; i++) {
        x->parts[i].trouble.who = "export";
        r = sd_event_add_time_relative(m->event, &x->parts[i].again, CLOCK_BOOTTIME, 0, 0, again[i], x);
        if (r >= 0)
            r = sd_event_source_set_enabled(x->parts[i].again, SD_EVENT_OFF);
    }
    if (r >= 0) /* at once, and then every so often */
        r = sd_event_add_time_relative(m->event, &x->every, CLOCK_BOOTTIME, 0, 0, on_every, x);
    return r;
}

int lb_export_new(const struct lb_export_means *means, struct lb_export **ret)
{
    struct lb_export *x = calloc(1, sizeof(*x));
    int r = x ? 0 : -ENOMEM;

    if (r == 0) {
        x->means = *means;
        r = means->config->export.url ? begin(x) : 0;
    }
    if (r < 0) {
        lb_export_free(x);
        return r;
    }
    *ret = x;
    return 0;
}

struct lb_export *lb_export_free(struct lb_export *x)
{
    if (!x)
        return NULL;
    lb_transfer_free(x->transfer);
    put_down(x);
    lb_child_free(x->packer);
    lb_collect_free(x->collect);
    sd_event_source_disable_unref(x->every);
    for (int i = 0; i < PART_MAX_; i++) {
        lb_trouble_clear(&x->parts[i].trouble);
        sd_event_source_disable_unref(x->parts[i].again);
    }
    lb_spool_close(x->spool);
    free(x);
    return NULL;
}

void lb_export_status(const struct lb_export *x, struct lb_export_status *ret)
{
    *ret = (struct lb_export_status){ .sent_at = x->sent_at };
    if (!x->spool)
        return;
    ret->position = lb_spool_position(x->spool);
    ret->waiting = lb_spool_count(x->spool);
    for (int i = 0; i < PART_MAX_; i++) {
        const struct lb_trouble *t = &x->parts[i].trouble;

        if (t->text && (!ret->problem || t->since < ret->since)) {
            ret->problem = t->text;
            ret->since = t->since;
        }
    }
}
