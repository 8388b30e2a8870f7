/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The story of one request, with what its sessions did between the events; or the events of all. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/audit.h"
#include "lockboxd/ctl/commands.h"
#include "lockboxd/ctl/human.h"
#include "lockboxd/peek.h"

struct story {
    int64_t since;      /* sequence number, or minus so many from the end */
    int64_t not_before; /* µs since 1970 */
    struct lb_commands *commands; /* NULL: none are shown … */
    json_t *next;                 /* … the next one of them; NULL: there is none */
    int64_t next_time;
    bool failed;                  /* the journal did; the events go on */
};

static void story_clear(struct story *s)
{
    lb_commands_close(s->commands);
    json_decref(s->next);
}

static void print_begin(const struct lb_ctl *ctl, int64_t time, const char *id)
{
    char stamp[LB_HUMAN_MAX], printed[LB_ID_PRINTED_MAX];

    fprintf(ctl->out.out, "%s%s%s  ", lb_terminal_colour(&ctl->out, LB_COLOUR_DIM), lb_human_stamp(time, stamp),
            lb_terminal_colour(&ctl->out, LB_COLOUR_NONE));
    fprintf(ctl->out.out, "%-*s  ", LB_ID_PRINTED_MAX - 1, lb_id_format(id, printed));
}

/* Time, request, sentence; or the event with the hash and the very bytes that were hashed. */
static void print(const struct lb_ctl *ctl, const json_t *event)
{
    if (ctl->options[LB_OPTION_JSON]) {
        lb_ctl_print_json(ctl, event);
        return;
    }
    print_begin(ctl, lb_ctl_time(event, "time"), lb_ctl_string(event, "request"));
    lb_terminal_write(&ctl->out, lb_ctl_string(event, "message"));
    fputc('\n', ctl->out.out);
}

/* What a program said, with its name; what the kernel saw it start. */
static void print_command(const struct lb_ctl *ctl, int64_t time, json_t *command)
{
    const char *text = lb_ctl_string(command, "message"), *who = lb_ctl_string(command, "identifier");

    if (ctl->options[LB_OPTION_JSON]) {
        json_object_set_new(command, "request", json_string(ctl->id));
        lb_ctl_print_json(ctl, command);
        return;
    }
    if (strcmp(lb_ctl_string(command, "audit"), lb_commands_execve) == 0) {
        text = lb_ctl_string(command, "command");
        who = "exec";
    }
    print_begin(ctl, time, ctl->id);
    fputs("  ", ctl->out.out);
    lb_terminal_write(&ctl->out, *who ? who : "?");
    fputs(": ", ctl->out.out);
    lb_terminal_write(&ctl->out, text);
    fputc('\n', ctl->out.out);
}

/* --- what the sessions did ---------------------------------------------------------------------------------------- */

static void take_next(const struct lb_ctl *ctl, struct story *s)
{
    int r;

    json_decref(LB_TAKE(s->next));
    r = s->commands ? lb_commands_next(s->commands, &s->next_time, &s->next) : 0;
    s->failed |= r < 0;
    if (r < 0)
        lb_ctl_fail(ctl, LB_EXIT_FAILED, "the journal cannot be read: %s", strerrordesc_np(-r));
}

/* Everything from before that time. The journal's order stays, also where the clock was moved. */
static void print_commands(const struct lb_ctl *ctl, struct story *s, int64_t before)
{
    for (; s->next && s->next_time < before; take_next(ctl, s))
        if (s->next_time >= s->not_before)
            print_command(ctl, s->next_time, s->next);
}

/* To the microsecond; what the event says of itself is cut to the second. */
static int64_t time_of(const json_t *event)
{
    const char *bytes = lb_ctl_string(event, "json");
    struct lb_slice members[LB_MEMBER_MAX_];
    int64_t time = lb_peek(bytes, strlen(bytes), members) == 0 ? lb_slice_number(members[LB_MEMBER_TIME]) : -1;

    return time >= 0 ? time : lb_ctl_time(event, "time");
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static int print_page(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct story *s = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event) {
        int64_t time = time_of(event);

        if (s->since < 0 && s->not_before == INT64_MIN) /* the first of so many */
            s->not_before = time;
        print_commands(ctl, s, time);
        if (time >= s->not_before)
            print(ctl, event);
    }
    return fflush(ctl->out.out) == 0 ? LB_EXIT_DONE : LB_EXIT_FAILED;
}

/* A step of following: the log is open at its end. */
static int print_new(struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    return print_page(ctl, events, userdata) == LB_EXIT_DONE ? -1 : LB_EXIT_FAILED;
}

static int each_page(const struct lb_ctl *ctl, int64_t since, lb_ctl_page *page, void *userdata)
{
    const char *directory = ctl->options[LB_OPTION_JOURNAL_DIRECTORY], *id = *ctl->id ? ctl->id : NULL;

    return directory ? lb_copy_events(ctl, directory, id, page, userdata)
                     : lb_ctl_pages(ctl, since, id, page, userdata);
}

/* Twice over the events: whose sessions they are has to be known before the first entry is looked for. Without this
 * host's journal there are still the events. */
static int tell_story(const struct lb_ctl *ctl, struct story *s)
{
    const char *directory = ctl->options[LB_OPTION_JOURNAL_DIRECTORY];
    int r = LB_EXIT_DONE;

    s->failed = lb_commands_open(ctl, directory, &s->commands) != LB_EXIT_DONE;
    if (s->failed && directory)
        return LB_EXIT_FAILED;
    if (s->commands)
        r = each_page(ctl, 1, lb_commands_learn, s->commands);
    if (r == LB_EXIT_DONE && s->commands)
        s->failed = lb_commands_begin(s->commands) != LB_EXIT_DONE;
    if (s->failed)
        s->commands = lb_commands_close(s->commands);
    take_next(ctl, s);
    if (r == LB_EXIT_DONE)
        r = each_page(ctl, s->since, print_page, s);
    if (r != LB_EXIT_DONE)
        return r;
    print_commands(ctl, s, INT64_MAX);
    return s->failed ? LB_EXIT_FAILED : LB_EXIT_DONE;
}

/* "-20" counts events, anything else is a time. */
static int read_since(const struct lb_ctl *ctl, struct story *ret)
{
    const char *since = ctl->options[LB_OPTION_SINCE];
    char *end = NULL;

    *ret = (struct story){ .since = 1, .not_before = INT64_MIN };
    if (since && since[0] == '-' && since[1] && since[1 + strspn(since + 1, "0123456789")] == '\0') {
        errno = 0;
        ret->since = strtoll(since, &end, 10);
        return errno || !ret->since ? lb_ctl_fail(ctl, LB_EXIT_USAGE, "--since %s: how many?", since) : LB_EXIT_DONE;
    }
    return lb_ctl_option_time(ctl, LB_OPTION_SINCE, &ret->not_before);
}

/* In a copy there is nobody who counts or follows, and there may be several hosts' logs. */
static int check_copy(const struct lb_ctl *ctl, const struct story *s)
{
    if (!ctl->options[LB_OPTION_JOURNAL_DIRECTORY])
        return LB_EXIT_DONE;
    if (!ctl->args[0])
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "with --journal-directory, of which request? lockboxctl events ID "
                           "--journal-directory DIR; all of them: journalctl -D DIR _SYSTEMD_UNIT=lockboxd.service "
                           "_UID=0");
    if (ctl->options[LB_OPTION_FOLLOW] || s->since < 0)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "with --journal-directory, neither --follow nor a number of events");
    return LB_EXIT_DONE;
}

int verb_events(struct lb_ctl *ctl)
{
    LB_CLEANUP(story_clear) struct story story = { 0 };
    struct lb_ctl_follow follow = { .tick_ms = -1, .step = print_new, .userdata = &story };
    int r = read_since(ctl, &story);

    if (r == LB_EXIT_DONE)
        r = check_copy(ctl, &story);
    if (r == LB_EXIT_DONE && ctl->args[0])
        r = lb_ctl_choose(ctl);
    if (r != LB_EXIT_DONE)
        return r;
    if (!ctl->options[LB_OPTION_FOLLOW])
        return *ctl->id ? tell_story(ctl, &story) : each_page(ctl, story.since, print_page, &story);
    follow.request = *ctl->id ? ctl->id : NULL;
    follow.since = story.since;
    return lb_ctl_follow(ctl, &follow);
}
