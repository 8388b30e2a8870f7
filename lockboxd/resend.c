/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/resend.h"

#include <errno.h>

#include "policy/base.h"

#define UNWRITTEN (6 * 60 * LB_USEC_PER_SEC) /* journald's five minutes, and one for what was under way */
#define LOOKED_AT_MAX 50000                  /* events: more than these minutes can have, and a second of every start */

struct moment {
    int kind;
    struct lb_time time;
};

static int read_moment(void *userdata, int64_t seq, const char *hash, const char *json)
{
    LB_CLEANUP(lb_event_clear) struct lb_event e = { 0 };
    struct moment *m = userdata;
    int r = lb_chain_decode(json, &e, NULL);

    (void)seq;
    (void)hash;
    if (r == 0)
        *m = (struct moment){ e.kind, e.time };
    return r == -EBADMSG ? 0 : r; /* what is damaged is of no known time, nor sent */
}

int64_t lb_resend_position(struct lb_store *store, int64_t position, int64_t boot_id)
{
    struct lb_time last; /* of the boot that is looked at */
    int64_t seq = lb_store_last(store, &last), least = seq - LOOKED_AT_MAX;

    if (position > seq) /* somebody has cut the log off: what follows is told, so that it shows */
        position = seq;
    if (!boot_id || !last.boot_id || last.boot_id == boot_id)
        return position;
    for (bool ends_boot = true; seq > 0 && seq > least; seq--, ends_boot = false) {
        struct moment m = { 0 };

        if (lb_store_events(store, seq, NULL, 1, read_moment, &m) < 0)
            break;
        if (!m.kind)
            continue;
        if (m.time.boot_id != last.boot_id) {
            ends_boot = true;
            last = m.time;
        }
        if ((ends_boot && m.kind == LB_EVENT_STOPPING) || last.boot - m.time.boot > UNWRITTEN)
            break;
    }
    return seq < position ? seq : position;
}
