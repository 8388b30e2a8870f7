/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/human.h"
#include "policy/deadline.h"
#include "policy/span.h"
#include "policy/text.h"

/* getopt's values for long options, beyond every character. */
#define LONG 256

static const struct {
    const char *name, *value, *help; /* no help: of a later version */
    size_t max;                      /* bytes that the daemon keeps; 0: it is no text of a person's */
} options[LB_OPTION_MAX_] = {
    [LB_OPTION_HELP] = { "help", NULL, "show this help, or that of a command" },
    [LB_OPTION_VERSION] = { "version", NULL, "show the version" },
    [LB_OPTION_SOCKET] = { "socket", "PATH", "where lockboxd listens (" LB_CONTROL_SOCKET ")" },
    [LB_OPTION_POLICY_DIRECTORY] = { "policy-directory", "DIR", "where policy is, not the host's; repeatable" },
    [LB_OPTION_JSON] = { "json", NULL, "for programs: JSON, times in UTC, durations in seconds" },
    [LB_OPTION_PENDING] = { "pending", NULL, "those that wait for a decision" },
    [LB_OPTION_ACTIVE] = { "active", NULL, "those that are approved, running or ending" },
    [LB_OPTION_RECENT] = { "recent", NULL, "also those closed within 28 days" },
    [LB_OPTION_ALL] = { "all", NULL, "every one there is" },
    [LB_OPTION_ACCOUNT] = { "account", "NAME", "the gated account" },
    [LB_OPTION_ENGINEER] = { "engineer", "NAME", "the engineer" },
    [LB_OPTION_TICKET] = { "ticket", "ID", "the support ticket", LB_TICKET_MAX },
    [LB_OPTION_STATE] = { "state", "STATE", "pending, approved, active, denied, ..." },
    [LB_OPTION_SINCE] = { "since", "TIME", "not before: 2024-05-03 18:00, 18:00, yesterday, -2h" },
    [LB_OPTION_UNTIL] = { "until", "TIME", "not after" },
    [LB_OPTION_FOLLOW] = { "follow", NULL, "go on as things happen" },
    [LB_OPTION_FOR] = { "for", "SPAN", "how long: 4h, 30min, 1h 30min" },
    [LB_OPTION_NOTE] = { "note", "TEXT", "words that are kept with it", LB_NOTE_MAX },
    [LB_OPTION_REASON] = { "reason", "TEXT", "why access is needed", LB_REASON_MAX },
    [LB_OPTION_SCOPE] = { "scope", "SCOPE", "what for: login (the default), root, or a name of the policy" },
    [LB_OPTION_WAIT] = { "wait", NULL, "until somebody has decided; 0 only if access was given" },
    [LB_OPTION_SERVICE] = { "service", "NAME", "the PAM service: sshd (the default), login, sudo, ..." },
    [LB_OPTION_RHOST] = { "rhost", "ADDRESS", "where the login comes from; local without it" },
    [LB_OPTION_KEY] = { "key", "KEY",
                        "explain: what was proven (plain, certificate, hardware); verify: the host's, a file" },
    [LB_OPTION_IDENTITY] = { "identity", "KEYID", "the certificate's Key ID" },
    [LB_OPTION_AT] = { "at", "TIME", "as if it were then: 2024-05-03 18:00, 18:00, tomorrow 09:00" },
    [LB_OPTION_FROM] = { "from", "TIME", "access begins then: tomorrow 09:00, 2024-05-03 18:00, +2h" },
    [LB_OPTION_SIGN] = { "sign", "KEY", "sign it with this key: its file, or its .pub where an agent has it" },
    [LB_OPTION_ROOT] = { "root", "DIR", "the host whose files are under DIR, not this one" },
    [LB_OPTION_DECISION] = { "decision", "WORD", "approve or deny" },
    [LB_OPTION_APPROVER] = { "approver", "NAME", "in whose name it is signed; in yours without it" },
    [LB_OPTION_JOURNAL] = { "journal", NULL, "the journal's copy, of this host or in PATH" },
    [LB_OPTION_JOURNAL_DIRECTORY] = { "journal-directory", "DIR", "from the journal files in DIR, not from this host" },
    [LB_OPTION_KNOWN] = { "known", "KNOWN",
                          "what an earlier verify said (SEQ:HASH), or a file: a checkpoint that was kept" },
    [LB_OPTION_QR] = { "qr", NULL, "also as a QR code, on a terminal that has room for it" },
    [LB_OPTION_FORMAT] = { "format", "FORMAT", "jsonl (the default) or csv" },
    [LB_OPTION_OUTPUT] = { "output", "FILE", "-o FILE: write it there, not to standard output" },
    [LB_OPTION_COURIER_SOCKET] = { "courier-socket", "PATH", "where lockbox-courier listens" },
    [LB_OPTION_HOLD] = { "hold", NULL, "the access's time stands still, for --for (1h) at most" },
};

void lb_ctl_print_options(FILE *out, uint64_t which)
{
    for (size_t i = 0; i < LB_OPTION_MAX_; i++) {
        LB_FREE char *option = NULL;
        if (!(which & UINT64_C(1) << i) || !options[i].help ||
            asprintf(&option, "--%s%s%s", options[i].name, options[i].value ? " " : "",
                     options[i].value ? options[i].value : "") < 0)
            continue;
        fprintf(out, "  %-23s %s\n", option, options[i].help);
    }
}

/* --policy-directory is the one option that is given again and again. */
static int keep(struct lb_ctl *ctl, int option, const char *value)
{
    size_t n = 0;
    const char **more = NULL;

    ctl->options[option] = value ? value : "";
    if (option != LB_OPTION_POLICY_DIRECTORY)
        return LB_EXIT_DONE;
    while (ctl->directories && ctl->directories[n])
        n++;
    more = reallocarray(ctl->directories, n + 2, sizeof(*more));
    if (!more)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
    more[n] = value;
    more[n + 1] = NULL;
    ctl->directories = more;
    return LB_EXIT_DONE;
}

/* Where the verb stands, or 0 if there is none. */
static int find_verb(int argc, char **argv, const struct option *known)
{
    int c = 0, found;

    opterr = 0;
    while (c != -1)
        c = getopt_long(argc, argv, "+ho:", known, NULL);
    found = optind < argc ? optind : 0;
    opterr = 1;
    optind = 0; /* from the begin again */
    return found;
}

/* Behind `run SCRIPT` everything is the script's own, options too; behind any other verb options may stand anywhere. */
int lb_ctl_read_options(struct lb_ctl *ctl, int argc, char **argv)
{
    struct option known[LB_OPTION_MAX_ + 1] = { 0 };
    int c = 0, r = LB_EXIT_DONE, verb, run;
    const char *name;

    for (int i = 0; i < LB_OPTION_MAX_; i++)
        known[i] = (struct option){ options[i].name, options[i].value != NULL, NULL, LONG + i };
    verb = find_verb(argc, argv, known);
    name = verb ? argv[verb] : "";
    run = strcmp(name, "run") == 0 ? verb : 0;
    while (r == LB_EXIT_DONE) {
        c = getopt_long(argc, argv, run ? "+ho:" : "ho:", known, NULL);
        if (c == '?') /* getopt has told which */
            return lb_ctl_fail(ctl, LB_EXIT_USAGE, "the options that there are: lockboxctl %s%s--help", name,
                               *name ? " " : "");
        if (c == -1 && !(run && optind == run))
            break;
        if (c == -1) /* its own options, up to the script */
            optind++;
        else
            r = keep(ctl, c == 'h' ? LB_OPTION_HELP : c == 'o' ? LB_OPTION_OUTPUT : c - LONG, optarg);
    }
    if (run && optind > run)
        argv[--optind] = argv[run]; /* over an option that has been read */
    ctl->args = (const char *const *)argv + optind;
    return r;
}

/* The daemon would cut it; whoever wrote it should know what is read. */
static int check_length(const struct lb_ctl *ctl, int option)
{
    size_t n = strlen(ctl->options[option]);

    if (!options[option].max || n <= options[option].max)
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--%s has %zu bytes, and at most %zu are kept: say it shorter",
                       options[option].name, n, options[option].max);
}

static int check_needed(const struct lb_ctl *ctl)
{
    for (int i = 0; i < LB_OPTION_MAX_; i++)
        if (ctl->verb->needs & UINT64_C(1) << i && !(ctl->options[i] && *ctl->options[i]))
            return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s needs --%s %s; see: lockboxctl %s --help", ctl->verb->name,
                               options[i].name, options[i].value, ctl->verb->name);
    return LB_EXIT_DONE;
}

int lb_ctl_check_options(const struct lb_ctl *ctl, uint64_t known)
{
    for (int i = 0; i < LB_OPTION_MAX_; i++) {
        if (!ctl->options[i])
            continue;
        if (!(known & UINT64_C(1) << i))
            return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s takes no --%s; see: lockboxctl %s --help", ctl->verb->name,
                               options[i].name, ctl->verb->name);
        if (!options[i].help)
            return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--%s: not supported by this version", options[i].name);
        if (check_length(ctl, i) != LB_EXIT_DONE)
            return LB_EXIT_USAGE;
    }
    return check_needed(ctl);
}

int lb_ctl_option_time(const struct lb_ctl *ctl, enum lb_option option, int64_t *ret)
{
    const char *text = ctl->options[option];

    if (!text || lb_human_time_parse(text, ctl->now, ret) == 0)
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_USAGE,
                       "--%s %s: a time is 2024-05-03 18:00, 2024-05-03, 18:00, yesterday, -2h, +2h",
                       options[option].name, text);
}

/* "18:00", typed during that minute, still means now. */
int lb_ctl_option_from(const struct lb_ctl *ctl, int64_t *ret)
{
    const char *text = ctl->options[LB_OPTION_FROM];
    int64_t usec = ctl->now;
    int r = lb_ctl_option_time(ctl, LB_OPTION_FROM, &usec);
    char distance[LB_HUMAN_MAX];

    if (r == LB_EXIT_DONE && usec <= ctl->now - 60 * LB_USEC_PER_SEC)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--from %s: that was %s; a time to come is tomorrow 09:00, "
                           "2024-05-03 18:00, +2h", text, lb_human_distance(usec, ctl->now, distance));
    if (r == LB_EXIT_DONE && text)
        *ret = usec;
    return r;
}

int lb_ctl_option_span(const struct lb_ctl *ctl, int64_t *ret)
{
    const char *text = ctl->options[LB_OPTION_FOR];
    int64_t usec = 0;

    if (text && (lb_span_parse(text, &usec) < 0 || usec == LB_NEVER || usec < LB_USEC_PER_SEC))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--for %s: a duration is 4h, 30min, 1h 30min", text);
    if (text)
        *ret = usec / LB_USEC_PER_SEC;
    return LB_EXIT_DONE;
}
