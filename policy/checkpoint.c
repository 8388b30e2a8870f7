/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/id.h"

#define TITLE "Lockbox checkpoint, version 1"
#define EVENTS_MAX 24

const char *lb_checkpoint_principal(const char *host, char buf[static LB_CHECKPOINT_PRINCIPAL_MAX])
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    snprintf(buf, LB_CHECKPOINT_PRINCIPAL_MAX, "%s", host);
    for (char *c = buf + strspn(buf, plain); *c; c += strspn(c, plain))
        *c = '_';
    return buf;
}

static bool is_id(const char *id)
{
    char printed[LB_ID_PRINTED_MAX];

    return lb_streq(lb_id_format(id, printed), id);
}

int lb_checkpoint_make(const struct lb_checkpoint *c, char **ret)
{
    char events[EVENTS_MAX], time[LB_LINES_TIME_MAX];
    const struct lb_line lines[] = {
        { "Host", c->host }, { "Events", events }, { "Hash", c->hash }, { "Time", time }, { "Access", c->access },
    };

    if (lb_streq(c->host, "") || c->events < 1 || !c->hash || strlen(c->hash) != LB_CHECKPOINT_HASH ||
        strspn(c->hash, "0123456789abcdef") != LB_CHECKPOINT_HASH || (c->access && !is_id(c->access)) ||
        lb_lines_format_time(c->time, time) < 0)
        return -EINVAL;
    snprintf(events, sizeof(events), "%" PRId64, c->events);
    return lb_lines_write(TITLE, lines, LB_ELEMENTS(lines), ret);
}

/* The number that the text spells, or 0. */
static int64_t read_number(const char *text)
{
    char *end = NULL;
    long long n;

    errno = 0;
    n = text ? strtoll(text, &end, 10) : 0;
    return errno || (end && *end) ? 0 : n;
}

int lb_checkpoint_parse(const char *text, struct lb_checkpoint *ret)
{
    LB_CLEANUP(lb_checkpoint_clear) struct lb_checkpoint c = {
        .host = lb_lines_find(text, "Host"), .hash = lb_lines_find(text, "Hash"),
        .access = lb_lines_find(text, "Access"),
    };
    LB_FREE char *events = lb_lines_find(text, "Events"), *time = lb_lines_find(text, "Time"), *again = NULL;
    int r;

    c.events = read_number(events);
    if (!time || lb_lines_parse_time(time, &c.time) < 0)
        return -EINVAL;
    r = lb_checkpoint_make(&c, &again);
    if (r < 0)
        return r;
    if (strcmp(again, text) != 0)
        return -EINVAL;
    *ret = c;
    c = (struct lb_checkpoint){ 0 };
    return 0;
}

void lb_checkpoint_clear(struct lb_checkpoint *c)
{
    free(c->host);
    free(c->hash);
    free(c->access);
    *c = (struct lb_checkpoint){ 0 };
}
