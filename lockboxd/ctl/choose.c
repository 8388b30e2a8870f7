/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "policy/deadline.h"
#include "policy/span.h"

/* The open requests that the verb fits. */
static int candidates(const struct lb_ctl *ctl, json_t **ret)
{
    LB_JSON json_t *reply = NULL, *fitting = json_array();
    json_t *request = NULL;
    size_t i = 0;
    int r = lb_ctl_call(ctl, LB_ACCESS "List", json_object(), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    json_array_foreach (json_object_get(reply, "requests"), i, request) {
        bool mine = !ctl->verb->own || geteuid() == 0 || lb_ctl_int(request, "uid") == geteuid();
        if (mine && lb_show_is_one_of(lb_ctl_string(request, "state"), ctl->verb->states))
            json_array_append(fitting, request);
    }
    *ret = LB_TAKE(fitting);
    return LB_EXIT_DONE;
}

static bool can_ask(const struct lb_ctl *ctl)
{
    return isatty(STDIN_FILENO) && ctl->out.width;
}

/* Shows who, where, why and how long; anything but a yes is a no. */
static int ask(struct lb_ctl *ctl, const json_t *request)
{
    LB_FREE char *answer = NULL;
    size_t size = 0;
    char span[LB_SPAN_MAX];
    int64_t seconds = lb_ctl_int(request, "duration");
    int r = lb_ctl_option_span(ctl, &seconds);

    if (r == LB_EXIT_DONE)
        r = lb_show_request(ctl, request);
    if (r != LB_EXIT_DONE)
        return r;
    lb_span_format(seconds * LB_USEC_PER_SEC, span, sizeof(span));
    fprintf(ctl->out.out, "\n%c%s this for %s? [y/N] ", toupper(*ctl->verb->name), ctl->verb->name + 1, span);
    fflush(ctl->out.out);
    if (getline(&answer, &size, stdin) > 0 && (*answer == 'y' || *answer == 'Y'))
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "nothing was changed");
}

static int choose_only(struct lb_ctl *ctl)
{
    LB_JSON json_t *fitting = NULL;
    const json_t *only = NULL;
    int r = LB_EXIT_DONE;

    if (ctl->verb->asks && !can_ask(ctl))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE,
                           "nobody can be asked here, so name the request: lockboxctl %s ID; "
                           "those that there are: lockboxctl list",
                           ctl->verb->name);
    r = candidates(ctl, &fitting);
    if (r != LB_EXIT_DONE)
        return r;
    if (json_array_size(fitting) == 0)
        return lb_ctl_fail(ctl, LB_EXIT_NO_REQUEST,
                           "there is no request now that %s could mean; look with: lockboxctl "
                           "list --recent",
                           ctl->verb->name);
    if (json_array_size(fitting) > 1) {
        lb_list_print(ctl, &ctl->err, fitting);
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "which of these? lockboxctl %s ID", ctl->verb->name);
    }
    only = json_array_get(fitting, 0);
    if (!*lb_id_format(lb_ctl_string(only, "id"), ctl->id))
        return lb_ctl_lost(ctl, -EBADMSG);
    return ctl->verb->asks ? ask(ctl, only) : LB_EXIT_DONE;
}

int lb_ctl_choose(struct lb_ctl *ctl)
{
    if (!ctl->args[0])
        return choose_only(ctl);
    lb_id_format(ctl->args[0], ctl->id);
    if (*ctl->id)
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_USAGE,
                       "%s is no request's ID: one looks like 7F3K-9QXM; those that there are: "
                       "lockboxctl list",
                       ctl->args[0]);
}
