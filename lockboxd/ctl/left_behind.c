/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an access left behind on the host: in a line, and as a table. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"

static const struct {
    const char *change;
    enum lb_colour colour;
} changes[] = {
    { "added", LB_COLOUR_YELLOW }, { "changed", LB_COLOUR_YELLOW }, { "removed", LB_COLOUR_NONE },
    { "unknown", LB_COLOUR_RED },  { "more", LB_COLOUR_DIM },
};

static enum lb_colour colour_of(const char *change)
{
    for (size_t i = 0; i < LB_ELEMENTS(changes); i++)
        if (strcmp(changes[i].change, change) == 0)
            return changes[i].colour;
    return LB_COLOUR_NONE;
}

const char *lb_show_left_behind(const json_t *request, char *buf)
{
    const json_t *left = json_object_get(request, "left_behind");
    const char *problem = lb_ctl_string(left, "problem");
    int64_t count = lb_ctl_int(left, "count");

    *buf = '\0';
    if (*problem)
        snprintf(buf, LB_SHOW_LEFT_MAX, "not known: %s", problem);
    else if (left && count == 0)
        snprintf(buf, LB_SHOW_LEFT_MAX, "nothing");
    else if (left)
        snprintf(buf, LB_SHOW_LEFT_MAX, "%" PRId64 " change%s since it began", count, count == 1 ? "" : "s");
    return buf;
}

int lb_show_changes(const struct lb_ctl *ctl, const json_t *request)
{
    static const struct lb_column columns[] = {
        { "KIND", false, 0 }, { "CHANGE", false, 0 }, { "WHAT", true, 0 }, { "DETAIL", true, 1 },
    };
    const json_t *list = json_object_get(json_object_get(request, "left_behind"), "changes");
    LB_TABLE struct lb_table *table = lb_table_new(&ctl->out, columns, LB_ELEMENTS(columns));
    const json_t *item = NULL;
    size_t i = 0;

    if (json_array_size(list) == 0)
        return 0;
    json_array_foreach (list, i, item) {
        const char *change = lb_ctl_string(item, "change");
        const struct lb_cell cells[] = { { lb_ctl_string(item, "kind"), LB_COLOUR_NONE },
                                         { change, colour_of(change) },
                                         { lb_ctl_string(item, "name"), LB_COLOUR_NONE },
                                         { lb_ctl_string(item, "detail"), LB_COLOUR_NONE } };

        if (!table || lb_table_add(table, cells) < 0)
            return -ENOMEM;
    }
    if (!table)
        return -ENOMEM;
    fputc('\n', ctl->out.out);
    return lb_table_print(table);
}
