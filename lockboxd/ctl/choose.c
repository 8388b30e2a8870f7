/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/deadline.h"
#include "policy/span.h"
#include "policy/text.h"

/* The requests that the verb fits. */
static int candidates(const struct lb_ctl *ctl, json_t **ret)
{
    LB_JSON json_t *reply = NULL, *fitting = json_array();
    json_t *request = NULL;
    size_t i = 0;
    int r = lb_ctl_call(ctl, LB_ACCESS "List", json_pack("{s:s*}", "which", ctl->verb->which), &reply);

    if (r != LB_EXIT_DONE)
        return r;
    json_array_foreach (json_object_get(reply, "requests"), i, request) {
        bool mine = !ctl->verb->own || geteuid() == 0 || lb_ctl_int(request, "uid") == geteuid();
        bool fits = !ctl->verb->fits || ctl->verb->fits(request);
        if (mine && fits && lb_show_is_one_of(lb_ctl_string(request, "state"), ctl->verb->states))
            json_array_append(fitting, request);
    }
    *ret = LB_TAKE(fitting);
    return LB_EXIT_DONE;
}

static bool can_ask(const struct lb_ctl *ctl)
{
    return isatty(STDIN_FILENO) && ctl->out.width;
}

/* "Approve this for 4h, from tomorrow 09:00? [y/N] " */
static int put_question(const struct lb_ctl *ctl, const json_t *request)
{
    char span[LB_SHOW_DURATION_MAX], time[LB_HUMAN_MAX];
    bool waits = lb_show_is_one_of(lb_ctl_string(request, "state"), "review pending");
    int64_t seconds = 0, from = 0;
    int r = lb_ctl_option_span(ctl, &seconds);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_option_from(ctl, &from);
    if (r != LB_EXIT_DONE)
        return r;
    lb_show_duration(request, span);
    if (seconds && (!waits || seconds < lb_ctl_int(request, "duration"))) /* more than was asked for is not given */
        lb_span_format(seconds * LB_USEC_PER_SEC, span, sizeof(span));
    fprintf(ctl->out.out, "\n%s %s%s%s? [y/N] ", ctl->verb->question, span, from ? ", from " : "",
            from ? lb_human_time(from, ctl->now, time) : "");
    return fflush(ctl->out.out) == 0 ? LB_EXIT_DONE : LB_EXIT_FAILED;
}

/* Nobody is asked for a yes that does not count. */
static int check_evidence(const struct lb_ctl *ctl, const json_t *request)
{
    bool signs = ctl->verb->options & (UINT64_C(1) << LB_OPTION_SIGN);

    if (!signs || ctl->options[LB_OPTION_SIGN] || !json_object_get(request, "evidence"))
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_NOT_PERMITTED,
                       "only a signed approval counts for %s: lockboxctl approve %s --sign KEY", ctl->id, ctl->id);
}

/* Shows who, where, why and how long; anything but a yes is a no. */
static int ask(struct lb_ctl *ctl, const json_t *request)
{
    LB_FREE char *answer = NULL;
    size_t size = 0;
    int r = check_evidence(ctl, request);

    if (r == LB_EXIT_DONE)
        r = lb_show_request(ctl, request);

    if (r == LB_EXIT_DONE)
        r = put_question(ctl, request);
    if (r != LB_EXIT_DONE)
        return r;
    if (getline(&answer, &size, stdin) > 0 && (*answer == 'y' || *answer == 'Y'))
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "nothing was changed");
}

static int choose_only(struct lb_ctl *ctl)
{
    LB_JSON json_t *fitting = NULL;
    const json_t *only = NULL;
    int r = LB_EXIT_DONE;

    if (ctl->verb->question && !can_ask(ctl))
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
    return ctl->verb->question ? ask(ctl, only) : LB_EXIT_DONE;
}

/* The words are the last argument. One argument that could be an ID is taken for one, with the words forgotten: else
 * they would be sent to somebody. */
static int take_text(struct lb_ctl *ctl)
{
    const char *text = ctl->args[1] ? ctl->args[1] : ctl->args[0];
    LB_FREE char *clean = lb_text_clean(text, strlen(text));

    if (!ctl->args[1] && *lb_id_format(text, ctl->id))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s what? lockboxctl %s %s 'TEXT'; if %s is the text, name the request "
                           "before it", ctl->verb->name, ctl->verb->name, ctl->id, text);
    if (!clean || !*clean)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "there is nothing in the text: lockboxctl %s ID 'TEXT'",
                           ctl->verb->name);
    if (strlen(text) > LB_NOTE_MAX)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "the text has %zu bytes, and at most %d are kept: say it shorter",
                           strlen(text), LB_NOTE_MAX);
    ctl->text = text;
    return LB_EXIT_DONE;
}

int lb_ctl_choose(struct lb_ctl *ctl)
{
    int r = ctl->verb->text ? take_text(ctl) : LB_EXIT_DONE;

    if (r != LB_EXIT_DONE)
        return r;
    if (!ctl->args[ctl->verb->text ? 1 : 0])
        return choose_only(ctl);
    lb_id_format(ctl->args[0], ctl->id);
    if (*ctl->id)
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_USAGE,
                       "%s is no request's ID: one looks like 7F3K-9QXM; those that there are: "
                       "lockboxctl list",
                       ctl->args[0]);
}
