/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/pace.h"

#include "policy/base.h"
#include "policy/deadline.h"

#define MINUTE (60 * LB_USEC_PER_SEC)

struct minute {
    uid_t uid;
    int64_t began, n;
};

/* His minute that is not over, or a new one. Those that are over go. */
static struct minute *find(struct lb_pace *p, uid_t uid, int64_t boot)
{
    struct minute *m = p->minutes.items, *found = NULL;

    for (size_t i = p->minutes.n; i-- > 0;)
        if (boot - m[i].began >= MINUTE)
            m[i] = m[--p->minutes.n];
    for (size_t i = 0; i < p->minutes.n && !found; i++)
        if (m[i].uid == uid)
            found = &m[i];
    if (!found && (found = lb_list_append(&p->minutes, sizeof(*found))))
        *found = (struct minute){ .uid = uid, .began = boot };
    return found;
}

bool lb_pace_take(struct lb_pace *p, uid_t uid, int64_t boot, int64_t most)
{
    struct minute *m = find(p, uid, boot);

    return m && m->n < most && ++m->n;
}

void lb_pace_clear(struct lb_pace *p)
{
    free(p->minutes.items);
    p->minutes = (struct lb_list){ 0 };
}
