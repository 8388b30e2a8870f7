/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One table of verbs, and the command line that names one of them. */
#include <errno.h>
#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "policy/ini.h"

#define BIT(option) (UINT64_C(1) << LB_OPTION_##option)
#define COMMON (BIT(HELP) | BIT(VERSION) | BIT(SOCKET))
#define ACT (BIT(JSON) | BIT(NOTE))
#define COURIER (BIT(JSON) | BIT(COURIER_SOCKET))

#define TALKING "review pending approved active paused" /* states in which there is something to talk about */
#define EVER TALKING " ending completed ended revoked"  /* … and those in which there was an access */

static const struct lb_verb verbs[] = {
    { "list", "", "requests that are open", verb_list,
      BIT(JSON) | BIT(PENDING) | BIT(ACTIVE) | BIT(RECENT) | BIT(ALL) | BIT(ACCOUNT) | BIT(ENGINEER) | BIT(TICKET) |
          BIT(STATE) | BIT(SINCE) | BIT(UNTIL) | BIT(FOLLOW) },
    { "show", "[ID]", "all there is to know of one request", verb_show, BIT(JSON), 1,
      .states = TALKING " ending" },
    { "approve", "[ID]", "let the engineer in; without an ID it asks", verb_approve,
      ACT | BIT(FOR) | BIT(FROM) | BIT(SIGN) | BIT(APPROVER), 1, .states = "review pending",
      .question = "Approve this for" },
    { "deny", "[ID]", "do not let the engineer in", verb_deny, ACT | BIT(SIGN) | BIT(APPROVER), 1,
      .states = "review pending" },
    { "statement", "[ID]", "the text to sign for a decision", verb_statement,
      ACT | BIT(DECISION) | BIT(APPROVER) | BIT(FOR) | BIT(FROM) | BIT(QR), 1, .needs = BIT(DECISION),
      .states = "review pending" },
    { "submit", "[FILE [SIGNATURE]]", "hand a signed statement in; without FILE from standard input", verb_submit,
      BIT(JSON), 2 },
    { "ask", "[ID] TEXT", "say something to the engineer", verb_ask, BIT(JSON), 2, .text = true, .states = TALKING },
    { "answer", "[ID] TEXT", "say something to the approvers of your request", verb_answer, BIT(JSON), 2,
      .text = true, .states = TALKING, .own = true },
    { "revoke", "[ID]", "stop an access at once", verb_revoke, ACT, 1, .states = "approved active paused ending" },
    { "pause", "[ID]", "freeze an access; resume lets it go on", verb_pause, ACT | BIT(FOR) | BIT(HOLD), 1,
      .states = "active" },
    { "resume", "[ID]", "let a paused access go on", verb_resume, ACT, 1, .states = "paused" },
    { "done", "[ID]", "hand your own access back", verb_done, BIT(JSON), 1, .states = "active paused", .own = true },
    { "withdraw", "[ID]", "take your own request back", verb_withdraw, BIT(JSON), 1,
      .states = "review pending approved", .own = true },
    { "extend", "[ID]", "ask for more time; without an ID it asks you first", verb_extend,
      BIT(JSON) | BIT(FOR) | BIT(REASON), 1, .needs = BIT(FOR), .states = "active paused", .own = true,
      .question = "Ask to extend this by" },
    { "request", "", "ask for access beforehand", verb_request,
      BIT(JSON) | BIT(TICKET) | BIT(REASON) | BIT(SCOPE) | BIT(FOR) | BIT(WAIT) },
    { "grant", "", "open an account beforehand, for a ticket", verb_grant,
      ACT | BIT(ACCOUNT) | BIT(TICKET) | BIT(SCOPE) | BIT(FROM) | BIT(FOR), .needs = BIT(ACCOUNT) | BIT(TICKET) },
    { "acknowledge", "[ID]", "you have seen an emergency access", verb_acknowledge, ACT, 1, .states = EVER,
      .which = "recent", .fits = lb_show_is_unseen },
    { "run", "SCRIPT [ARG...]", "run a reviewed script that the policy names", verb_run, 0, -1 },
    { "sessions", "", "who is inside now", verb_sessions, BIT(JSON) },
    { "events", "[ID]", "what happened; --since -20: the last twenty", verb_events,
      BIT(JSON) | BIT(FOLLOW) | BIT(SINCE) | BIT(JOURNAL_DIRECTORY), 1 },
    { "audit verify", "[PATH]", "is the trail whole, and as it was written?", verb_audit_verify,
      BIT(JSON) | BIT(JOURNAL) | BIT(KNOWN) | BIT(KEY), 1 },
    { "audit export", "", "the trail, for a spreadsheet or a program", verb_audit_export,
      BIT(FORMAT) | BIT(SINCE) | BIT(UNTIL) },
    { "audit checkpoint", "", "what the log is now, signed by the host, to keep elsewhere", verb_audit_checkpoint,
      BIT(OUTPUT) | BIT(SIGN) | BIT(APPROVER) },
    { "audit countersign", "[FILE [SIGNATURE]]", "hand in your signature of a checkpoint", verb_audit_countersign,
      BIT(JSON) | BIT(APPROVER), 2 },
    { "audit pack", "[ID]", "the evidence of an access, to be verified without lockbox", verb_audit_pack,
      BIT(OUTPUT), 1, .needs = BIT(OUTPUT), .states = EVER, .which = "recent" },
    { "audit key", "", "the key by which the host signs checkpoints", verb_audit_key, BIT(JSON) },
    { "policy check", "[FILE...]", "is the policy without mistakes?", verb_policy_check, BIT(POLICY_DIRECTORY), -1 },
    { "policy explain", "", "which rule decides a login, and why", verb_policy_explain,
      BIT(JSON) | BIT(POLICY_DIRECTORY) | BIT(ACCOUNT) | BIT(SERVICE) | BIT(SCOPE) | BIT(RHOST) | BIT(KEY) |
          BIT(IDENTITY) | BIT(AT) },
    { "courier status", "", "is everybody told? what waits, what fails", verb_courier_status, COURIER },
    { "courier test", "CHANNEL [NAME]", "send one, and show what happens: mail, webhook, ...", verb_courier_test,
      COURIER, 2 },
    { "courier dead", "", "what was given up", verb_courier_dead, COURIER },
    { "courier retry", "[LETTER]", "let what was given up go after all", verb_courier_retry, COURIER, 1 },
    { "status", "", "is lockboxd well?", verb_status, BIT(JSON) | BIT(COURIER_SOCKET) },
    { "doctor", "", "does every way into this host pass the gate?", verb_doctor, BIT(JSON) | BIT(ROOT) },
};

static const char later_verbs[] = "watch play setup";

/* --- help --------------------------------------------------------------------------------------------------------- */

#define USAGE_WIDTH 24
#define BELOW "\n                          " /* what follows begins in its column */

static void print_usage(FILE *out, const struct lb_verb *verb)
{
    LB_FREE char *usage = NULL;

    if (asprintf(&usage, "%s%s%s", verb->name, *verb->args ? " " : "", verb->args) >= 0)
        fprintf(out, "  %-*s%s%s\n", USAGE_WIDTH, usage, strlen(usage) < USAGE_WIDTH ? "" : BELOW, verb->help);
}

/* The verbs of two words that begin with this one, such as "audit". False if there are none. */
static bool print_group(const struct lb_ctl *ctl, const char *first)
{
    size_t n = strlen(first);
    bool found = false;

    for (size_t i = 0; i < LB_ELEMENTS(verbs); i++) {
        if (strncmp(verbs[i].name, first, n) != 0 || verbs[i].name[n] != ' ')
            continue;
        print_usage(ctl->out.out, &verbs[i]);
        found = true;
    }
    return found;
}

static void print_help(const struct lb_ctl *ctl)
{
    FILE *out = ctl->out.out;

    if (ctl->verb) {
        fprintf(out, "lockboxctl %s%s%s [OPTION...]: %s\n\n", ctl->verb->name, *ctl->verb->args ? " " : "",
                ctl->verb->args, ctl->verb->help);
        lb_ctl_print_options(out, ctl->verb->options);
        lb_ctl_print_options(out, COMMON);
        return;
    }
    fputs("lockboxctl COMMAND [ID] [OPTION...]: who may come in, who is inside, and what happened\n\n", out);
    for (size_t i = 0; i < LB_ELEMENTS(verbs); i++)
        print_usage(out, &verbs[i]);
    fputs("\nAn ID looks like 7F3K-9QXM; case and dash do not matter. It may be left out where only one request fits.\n"
          "A command's own options: lockboxctl COMMAND --help\n\n", out);
    lb_ctl_print_options(out, COMMON);
    fputs("\nExit status: 0 done, 1 refused or failed, 2 usage, 3 no such request, 4 not permitted,\n"
          "5 lockboxd not reachable\n", out);
}

/* --- reading the command line ------------------------------------------------------------------------------------- */

/* The verb of one word that was probably meant, or NULL. */
static const char *nearest(const char *word)
{
    const char *names[LB_ELEMENTS(verbs) + 1] = { NULL };

    for (size_t i = 0; i < LB_ELEMENTS(verbs); i++)
        names[i] = verbs[i].name;
    return lb_ini_suggest(word, names);
}

/* Matches one word or two, and takes them from the arguments. */
static int read_verb(struct lb_ctl *ctl)
{
    const char *first = ctl->args[0], *second = first ? ctl->args[1] : NULL, *near;

    for (size_t i = 0; i < LB_ELEMENTS(verbs) && first; i++) {
        const char *space = strchr(verbs[i].name, ' ');
        size_t n = space ? (size_t)(space - verbs[i].name) : strlen(verbs[i].name);
        if (strlen(first) != n || strncmp(first, verbs[i].name, n) != 0 || (space && !lb_streq(space + 1, second)))
            continue;
        ctl->verb = &verbs[i];
        ctl->args += space ? 2 : 1;
        return LB_EXIT_DONE;
    }
    if (ctl->options[LB_OPTION_HELP] && !first)
        return LB_EXIT_DONE;
    if (first && lb_show_is_one_of(first, later_verbs))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s: not supported by this version", first);
    if (first && strcmp(first, "policy") == 0)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "policy what? lockboxctl policy check, lockboxctl policy explain");
    if (first && strcmp(first, "audit") == 0)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "audit what? verify, export, pack, checkpoint, countersign, key; "
                           "see: lockboxctl --help");
    if (first && strcmp(first, "courier") == 0)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "courier what? lockboxctl courier status, test, dead, retry");
    near = first ? nearest(first) : NULL;
    return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s%s%s%s%sthe commands that there are: lockboxctl --help",
                       first ? first : "", first ? " is no command" : "", near ? " (did you mean " : "",
                       near ? near : "", near ? "?); " : first ? "; " : "");
}

static int check_arguments(const struct lb_ctl *ctl)
{
    int n = 0;

    while (ctl->args[n])
        n++;
    if (ctl->verb->text && (n == 0 || n > ctl->verb->max_args))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s what? Put the words into quotes: lockboxctl %s ID 'TEXT'",
                           ctl->verb->name, ctl->verb->name);
    if (ctl->verb->max_args >= 0 && n > ctl->verb->max_args)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "%s: what is %s? See: lockboxctl %s --help", ctl->verb->name,
                           ctl->args[ctl->verb->max_args], ctl->verb->name);
    return LB_EXIT_DONE;
}

/* Nobody is asked, and nothing shown or written, where there is nothing to sign it with. */
static int check_key(const struct lb_ctl *ctl)
{
    const char *key = ctl->options[LB_OPTION_SIGN];
    LB_FREE char *public = NULL;
    int error = key && access(key, R_OK) < 0 ? errno : 0;

    if (error && asprintf(&public, "%s.pub", key) < 0) {
        public = NULL;
        return lb_ctl_lost(ctl, -ENOMEM);
    }
    if (!error || access(public, R_OK) == 0) /* the key is in an agent */
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "--sign %s: %s", key, strerrordesc_np(error));
}

int lb_ctl_run(struct lb_ctl *ctl, int argc, char **argv)
{
    int r = lb_ctl_read_options(ctl, argc, argv);

    if (r == LB_EXIT_DONE && ctl->options[LB_OPTION_VERSION]) {
        fputs("lockboxctl " LB_VERSION "\n", ctl->out.out);
        return LB_EXIT_DONE;
    }
    if (r == LB_EXIT_DONE && ctl->options[LB_OPTION_HELP] && ctl->args[0] && !ctl->args[1] &&
        print_group(ctl, ctl->args[0]))
        return LB_EXIT_DONE;
    if (r == LB_EXIT_DONE)
        r = read_verb(ctl);
    if (r == LB_EXIT_DONE && ctl->options[LB_OPTION_HELP]) {
        print_help(ctl);
        return LB_EXIT_DONE;
    }
    if (r == LB_EXIT_DONE)
        r = lb_ctl_check_options(ctl, ctl->verb->options | COMMON);
    if (r == LB_EXIT_DONE)
        r = check_arguments(ctl);
    if (r == LB_EXIT_DONE)
        r = check_key(ctl);
    if (r == LB_EXIT_DONE && ctl->verb->states)
        r = lb_ctl_choose(ctl);
    return r == LB_EXIT_DONE ? ctl->verb->run(ctl) : r;
}
