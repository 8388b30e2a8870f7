/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as lockboxd would give them, from a journal that was copied from its host. */
#include <errno.h>
#include <inttypes.h>

#include "lockboxd/ctl/audit.h"
#include "lockboxd/ctl/human.h"
#include "lockboxd/ctl/reader.h"
#include "lockboxd/proto/json.h"

static int match(struct lb_reader *reader, const char *id)
{
    int r = lb_reader_rewind(reader);

    if (r >= 0)
        r = lb_reader_match(reader, "_SYSTEMD_UNIT=lockboxd.service");
    if (r >= 0)
        r = lb_reader_match(reader, "_UID=0");
    return r < 0 ? r : lb_reader_match(reader, "LOCKBOX_REQUEST=%s", id);
}

static void add_text(json_t *event, const char *member, const char *text)
{
    if (text && *text)
        json_object_set_new(event, member, json_string(text));
}

/* What the daemon tells of an event beside its bytes. NULL: it is none. */
static json_t *event_of(struct lb_reader *reader)
{
    LB_FREE char *json = lb_reader_bytes(reader, "LOCKBOX_JSON"), *hash = lb_reader_text(reader, "LOCKBOX_HASH"),
                 *message = lb_reader_text(reader, "MESSAGE");
    LB_JSON json_t *own = json ? lb_json_load(json, strlen(json)) : NULL, *event = NULL;
    const char *request = lb_ctl_string(own, "request"), *sentence = message ? message : "";
    char stamp[LB_HUMAN_MAX];

    if (!own || lb_ctl_int(own, "seq") <= 0)
        return NULL;
    if (strncmp(sentence, request, strlen(request)) == 0 && strncmp(sentence + strlen(request), ": ", 2) == 0)
        sentence += strlen(request) + 2;
    event = json_pack("{s:I, s:s, s:s}", "seq", (json_int_t)lb_ctl_int(own, "seq"), "time",
                      lb_human_rfc3339(lb_ctl_int(own, "time"), stamp), "message", sentence);
    if (!event)
        return NULL;
    add_text(event, "event", lb_ctl_string(own, "event"));
    add_text(event, "request", request);
    add_text(event, "state", lb_ctl_string(own, "state"));
    add_text(event, "hash", hash);
    add_text(event, "json", json);
    return LB_TAKE(event);
}

/* A journal has an event at least once. */
static int read_events(const struct lb_ctl *ctl, struct lb_reader *reader, lb_ctl_page *page, void *userdata,
                       int64_t *ret_last)
{
    int status = LB_EXIT_DONE, r = 1;

    while (status == LB_EXIT_DONE && (r = lb_reader_next(reader)) > 0) {
        LB_JSON json_t *event = event_of(reader), *events = event ? json_pack("[O]", event) : NULL;

        if (!events || lb_ctl_int(event, "seq") <= *ret_last)
            continue;
        *ret_last = lb_ctl_int(event, "seq");
        status = page(ctl, events, userdata);
    }
    return r < 0 ? lb_ctl_fail(ctl, LB_EXIT_FAILED, "the journal cannot be read: %s", strerrordesc_np(-r)) : status;
}

int lb_copy_events(const struct lb_ctl *ctl, const char *directory, const char *id, lb_ctl_page *page, void *userdata)
{
    LB_READER struct lb_reader *reader = NULL;
    int64_t last = 0;
    int r = lb_reader_open(directory, &reader);

    if (r == 0)
        r = match(reader, id);
    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", directory, strerrordesc_np(-r));
    r = read_events(ctl, reader, page, userdata, &last);
    if (r == LB_EXIT_DONE && last == 0)
        return lb_ctl_fail(ctl, LB_EXIT_NO_REQUEST, "in %s there is no event of %s that lockboxd wrote; are there "
                           "journal files in it, which you may read?", directory, id);
    return r;
}
