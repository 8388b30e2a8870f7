/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lockboxd/ctl/execve.h"
#include "lockboxd/ctl/human.h"
#include "lockboxd/ctl/reader.h"
#include "lockboxd/proto/json.h"
#include "policy/text.h"

#define OURS "_SYSTEMD_UNIT=lockboxd.service"
#define MATCHES_MAX 64 /* beyond, to read all of the boot is quicker than to look each of them up */

/* A boot's session. */
struct place {
    char boot[LB_READER_BOOT_MAX];
    int64_t session;
};

/* One that an event told of. */
struct session {
    int64_t number, boot_id;
    char hash[65]; /* of that event */
};

const char lb_commands_execve[] = "EXECVE";

struct lb_commands {
    const struct lb_ctl *ctl;
    const char *directory;
    struct lb_reader *reader, *mates; /* `mates`: for the other records of one audit event */
    struct session *sessions;
    struct place *places; /* sorted */
    size_t n_sessions, n_places;
    int64_t since;        /* when the first session was opened */
};

static int tell(const struct lb_ctl *ctl, const char *directory, int r)
{
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s cannot be read: %s", directory ? directory : "the journal",
                       strerrordesc_np(-r));
}

int lb_commands_open(const struct lb_ctl *ctl, const char *directory, struct lb_commands **ret)
{
    LB_COMMANDS struct lb_commands *c = calloc(1, sizeof(*c));
    int r = c ? 0 : -ENOMEM;

    if (r == 0) {
        c->ctl = ctl;
        c->directory = directory;
        r = lb_reader_open(directory, &c->reader);
    }
    if (r < 0)
        return tell(ctl, directory, r);
    *ret = LB_TAKE(c);
    return LB_EXIT_DONE;
}

struct lb_commands *lb_commands_close(struct lb_commands *c)
{
    if (!c)
        return NULL;
    lb_reader_close(c->reader);
    lb_reader_close(c->mates);
    free(c->sessions);
    free(c->places);
    free(c);
    return NULL;
}

/* --- the sessions ------------------------------------------------------------------------------------------------- */

static int learn_one(struct lb_commands *c, const json_t *event)
{
    const char *bytes = lb_ctl_string(event, "json");
    LB_JSON json_t *own = NULL;
    struct session *more = NULL;

    if (strcmp(lb_ctl_string(event, "event"), lb_event_names[LB_EVENT_OPENED]) != 0)
        return 0;
    own = lb_json_load(bytes, strlen(bytes));
    if (lb_ctl_int(own, "session") <= 0 || json_is_true(json_object_get(own, "foreign")))
        return 0;
    more = reallocarray(c->sessions, c->n_sessions + 1, sizeof(*more));
    if (!more)
        return -ENOMEM;
    c->sessions = more;
    if (c->n_sessions == 0)
        c->since = lb_ctl_int(own, "time");
    more += c->n_sessions++;
    *more = (struct session){ .number = lb_ctl_int(own, "session"), .boot_id = lb_ctl_int(own, "boot_id") };
    snprintf(more->hash, sizeof(more->hash), "%s", lb_ctl_string(event, "hash"));
    return 0;
}

int lb_commands_learn(const struct lb_ctl *ctl, const json_t *events, void *commands)
{
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event)
        if (learn_one(commands, event) < 0)
            return lb_ctl_lost(ctl, -ENOMEM);
    return LB_EXIT_DONE;
}

/* The boot of the entry by which lockboxd told the event: in a container its own boot ID may be the host's. */
static int find_boot(struct lb_commands *c, const struct session *s, char ret[static LB_READER_BOOT_MAX])
{
    LB_FREE char *boot = NULL;
    int r = lb_reader_rewind(c->reader);

    if (r >= 0)
        r = lb_reader_match(c->reader, OURS);
    if (r >= 0)
        r = lb_reader_match(c->reader, "_UID=0");
    if (r >= 0)
        r = lb_reader_match(c->reader, "LOCKBOX_HASH=%s", s->hash);
    if (r >= 0)
        r = lb_reader_next(c->reader);
    if (r > 0)
        boot = lb_reader_bytes(c->reader, "_BOOT_ID");
    if (r < 0 || !boot)
        return r < 0 ? r : -ENOENT;
    snprintf(ret, LB_READER_BOOT_MAX, "%s", boot);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct place *one = a, *other = b;
    int r = strcmp(one->boot, other->boot);

    return r ? r : (one->session > other->session) - (one->session < other->session);
}

/* Sessions that are tied to no boot that the journal knows have nothing in it. */
static int find_places(struct lb_commands *c)
{
    char named[LB_READER_BOOT_MAX] = "";
    int known = -ENOENT;

    c->places = calloc(c->n_sessions, sizeof(*c->places));
    if (!c->places)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_sessions; i++) {
        const struct session *s = &c->sessions[i];
        struct place *p = &c->places[c->n_places];
        int r;

        if (i == 0 || s->boot_id != s[-1].boot_id)
            known = s->boot_id ? lb_reader_boot(c->reader, s->boot_id, named) : -ENOENT;
        memcpy(p->boot, named, sizeof(named));
        r = known == -ENOENT ? find_boot(c, s, p->boot) : known;
        if (r < 0 && r != -ENOENT)
            return r;
        p->session = s->number;
        c->n_places += r == 0;
    }
    qsort(c->places, c->n_places, sizeof(*c->places), compare);
    return 0;
}

static int match_places(struct lb_commands *c)
{
    int r = lb_reader_rewind(c->reader);

    for (size_t i = 0; r >= 0 && i < c->n_places; i++) {
        const struct place *p = &c->places[i];

        if (i == 0 || strcmp(p->boot, p[-1].boot) != 0) {
            r = i == 0 ? 0 : lb_reader_or(c->reader);
            if (r >= 0)
                r = lb_reader_match(c->reader, "_BOOT_ID=%s", p->boot);
        }
        if (r >= 0 && c->n_places <= MATCHES_MAX)
            r = lb_reader_match(c->reader, "_AUDIT_SESSION=%" PRId64, p->session);
    }
    return r;
}

/* Why there are none to be seen, although there may have been some. */
static const char *why_none(const struct lb_commands *c)
{
    if (!c->directory && !lb_reader_may())
        return "the journal is for root and the group systemd-journal: usermod -aG systemd-journal YOU";
    if (!lb_reader_knows(c->reader, "_AUDIT_SESSION"))
        return "journald does not say of which audit session an entry is, as in a container it may not; "
               "by time it is: journalctl --since";
    return NULL;
}

int lb_commands_begin(struct lb_commands *c)
{
    const char *why = c->n_sessions ? why_none(c) : NULL;
    int64_t begins = lb_reader_begins(c->reader);
    char stamp[LB_HUMAN_MAX];
    int r;

    if (why)
        lb_ctl_fail(c->ctl, 0, "what its sessions logged is not shown: %s", why);
    if (why || c->n_sessions == 0)
        return LB_EXIT_DONE;
    if (begins > c->since)
        lb_ctl_fail(c->ctl, 0, "the journal begins %s: what the sessions logged before that is not in it",
                    lb_human_stamp(begins, stamp));
    r = find_places(c);
    if (r >= 0)
        r = match_places(c);
    return r < 0 ? tell(c->ctl, c->directory, r) : LB_EXIT_DONE;
}

/* --- an entry ----------------------------------------------------------------------------------------------------- */

static bool is_ours(struct lb_commands *c)
{
    LB_FREE char *boot = lb_reader_bytes(c->reader, "_BOOT_ID");
    struct place here = { .session = lb_reader_number(c->reader, "_AUDIT_SESSION") };

    snprintf(here.boot, sizeof(here.boot), "%s", boot ? boot : "");
    return bsearch(&here, c->places, c->n_places, sizeof(here), compare);
}

static const struct { const char *member, *field; bool number; } members[] = {
    { "session", "_AUDIT_SESSION", true }, { "identifier", "SYSLOG_IDENTIFIER", false },
    { "message", "MESSAGE", false },       { "pid", "_PID", true },
    { "uid", "_UID", true },               { "exe", "_EXE", false },
    { "command", "_CMDLINE", false },      { "transport", "_TRANSPORT", false },
    { "audit", "_AUDIT_TYPE_NAME", false },
};

static int add_members(json_t *command, struct lb_reader *reader)
{
    for (size_t i = 0; i < LB_ELEMENTS(members); i++) {
        LB_FREE char *text = members[i].number ? NULL : lb_reader_text(reader, members[i].field);
        int64_t number = members[i].number ? lb_reader_number(reader, members[i].field) : -1;

        if (text && json_object_set_new(command, members[i].member, json_string(text)) < 0)
            return -ENOMEM;
        if (number >= 0 && json_object_set_new(command, members[i].member, json_integer(number)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Goes before the records with the arguments that belong to this one, which says whose they are. -ENOENT. */
static int find_execve(struct lb_commands *c)
{
    LB_FREE char *boot = lb_reader_bytes(c->reader, "_BOOT_ID");
    int64_t id = lb_reader_number(c->reader, "_AUDIT_ID");
    int r = c->mates ? 0 : lb_reader_open(c->directory, &c->mates);

    if (r >= 0 && (!boot || id < 0))
        return -ENOENT;
    if (r >= 0)
        r = lb_reader_rewind(c->mates);
    if (r >= 0)
        r = lb_reader_match(c->mates, "_BOOT_ID=%s", boot);
    if (r >= 0)
        r = lb_reader_match(c->mates, "_AUDIT_ID=%" PRId64, id);
    if (r >= 0)
        r = lb_reader_match(c->mates, "_TRANSPORT=audit");
    if (r >= 0)
        r = lb_reader_match(c->mates, "_AUDIT_TYPE_NAME=%s", lb_commands_execve);
    return r;
}

/* All of them in one text: the kernel begins another record where one is full. */
static int read_execve(struct lb_commands *c, char **ret)
{
    LB_FREE char *text = NULL;
    size_t size;
    int r = find_execve(c);
    FILE *f = r < 0 ? NULL : open_memstream(&text, &size);

    if (!f)
        return r < 0 ? r : -ENOMEM;
    while ((r = lb_reader_next(c->mates)) > 0) {
        LB_FREE char *record = lb_reader_bytes(c->mates, "MESSAGE");

        fprintf(f, "%s ", record ? record : "");
    }
    if (fclose(f) != 0)
        return -ENOMEM;
    *ret = LB_TAKE(text);
    return r;
}

static int add_execve(struct lb_commands *c, json_t *command)
{
    LB_FREE char *record = NULL, *words = NULL, *safe = NULL;
    int r;

    if (strcmp(lb_ctl_string(command, "audit"), "SYSCALL") != 0 ||
        strcmp(lb_ctl_string(command, "transport"), "audit") != 0)
        return 0;
    r = read_execve(c, &record);
    words = record ? lb_execve_text(record) : NULL;
    if (!words)
        return r == -ENOENT ? 0 : r;
    safe = lb_text_clean(words, LB_TEXT_GROWS * strlen(words));
    if (!safe || json_object_set_new(command, "audit", json_string(lb_commands_execve)) < 0 ||
        json_object_set_new(command, "command", json_string(safe)) < 0)
        return -ENOMEM;
    json_object_del(command, "message"); /* the system call's numbers */
    return 0;
}

int lb_commands_next(struct lb_commands *c, int64_t *ret_time, json_t **ret)
{
    LB_JSON json_t *command = NULL;
    char stamp[LB_HUMAN_MAX];
    int64_t time;
    int r = 0;

    do
        r = c->n_places ? lb_reader_next(c->reader) : 0;
    while (r > 0 && !is_ours(c));
    if (r <= 0)
        return r;
    time = lb_reader_time(c->reader);
    command = json_pack("{s:s, s:s}", "source", "journal", "time", lb_human_rfc3339(time, stamp));
    r = command ? add_members(command, c->reader) : -ENOMEM;
    if (r == 0)
        r = add_execve(c, command);
    if (r < 0)
        return r;
    *ret_time = time;
    *ret = LB_TAKE(command);
    return 1;
}

int lb_commands_each(const struct lb_ctl *ctl, const char *id, lb_commands_row *row, void *userdata)
{
    LB_COMMANDS struct lb_commands *c = NULL;
    int r = lb_commands_open(ctl, NULL, &c), more = 1;
    int64_t time;

    if (r == LB_EXIT_DONE)
        r = lb_ctl_pages(ctl, 1, id, lb_commands_learn, c);
    if (r == LB_EXIT_DONE)
        r = lb_commands_begin(c);
    while (r == LB_EXIT_DONE && more > 0) {
        LB_JSON json_t *command = NULL;

        more = lb_commands_next(c, &time, &command);
        if (more < 0)
            return tell(ctl, NULL, more);
        if (more > 0)
            r = row(ctl, command, userdata);
    }
    return r;
}
