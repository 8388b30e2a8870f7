/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Anybody who holds a key of a gated account can be refused as often as he likes. Each refusal costs a commit and a
 * place in the log for ever, so beyond the first ones they are counted in memory. How many there were is never lost but
 * by a crash: sshd's own log has every login, too.
 */
#include "lockboxd/refusals.h"

#include <stdio.h>

#include "policy/base.h"

#define WINDOW (10 * 60 * LB_USEC_PER_SEC)
#define EACH 20 /* of an account in a window that are recorded each */

struct refused {
    char *account; /* "": none that there is */
    size_t n;
};

static struct refused *find(struct lb_gate *g, const char *account)
{
    struct refused *r = g->refusals.items;

    for (size_t i = 0; i < g->refusals.n; i++)
        if (lb_streq(r[i].account, account))
            return &r[i];
    r = lb_list_append(&g->refusals, sizeof(*r));
    if (r && !(r->account = strdup(account))) {
        g->refusals.n--;
        return NULL;
    }
    return r;
}

void lb_refusals_clear(struct lb_gate *g)
{
    struct refused *r = g->refusals.items;

    for (size_t i = 0; i < g->refusals.n; i++)
        free(r[i].account);
    free(g->refusals.items);
    g->refusals = (struct lb_list){ 0 };
    g->refusals_end = sd_event_source_disable_unref(g->refusals_end);
}

void lb_refusals_flush(struct lb_gate *g)
{
    struct refused *r = g->refusals.items;

    for (size_t i = 0; i < g->refusals.n; i++) {
        struct lb_event e = { .kind = LB_EVENT_REFUSED };

        if (r[i].n <= EACH)
            continue;
        e.account = strdup(r[i].account);
        if (asprintf(&e.note, "%zu more times, not recorded each", r[i].n - EACH) < 0)
            e.note = NULL;
        lb_gate_note(g, &e);
    }
    lb_refusals_clear(g);
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    lb_refusals_flush(userdata);
    return 0;
}

void lb_refusals_note(struct lb_gate *g, struct lb_event *e)
{
    struct refused *r = find(g, e->account ? e->account : "");

    if (r && !g->refusals_end &&
        sd_event_add_time_relative(g->event, &g->refusals_end, CLOCK_BOOTTIME, WINDOW, 0, on_end, g) < 0)
        r = NULL; /* with no end of the window, all are recorded */
    if (!r || ++r->n <= EACH)
        lb_gate_note(g, e);
    else
        lb_event_clear(e);
}
