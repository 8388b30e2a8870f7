/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/ctl/terms.h"
#include "lockboxd/people.h"
#include "lockboxd/policy_files.h"
#include "policy/deadline.h"
#include "policy/shadow.h"
#include "policy/week.h"

#define GATED "lockbox-gated" /* of pam_lockbox's, where its line has no groups= */

static void ruleset_freep(struct lb_ruleset **set)
{
    lb_ruleset_free(*set);
}

static void strings_freep(char ***strings)
{
    lb_strings_free(*strings);
}

/* A host need not have every directory; one that somebody names is there, or it was a slip. */
static int check_directories(const struct lb_ctl *ctl)
{
    for (size_t i = 0; ctl->directories && ctl->directories[i]; i++)
        if (access(ctl->directories[i], R_OK | X_OK) < 0)
            return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", ctl->directories[i], strerrordesc_np(errno));
    return LB_EXIT_DONE;
}

/* Reads what the daemon would read, or the files that were named. Mistakes are told with file and line. */
static int load(const struct lb_ctl *ctl, const char *const *files, struct lb_ruleset **ret)
{
    LB_FREE char *error = NULL;
    int r = check_directories(ctl);

    if (r != LB_EXIT_DONE)
        return r;
    if (files && *files)
        r = lb_policy_files_load_named(files, ret, &error);
    else
        r = lb_policy_files_load(ctl->directories ? (const char *const *)ctl->directories : lb_policy_directories,
                                 ret, &error);
    if (r == -ENOMEM)
        return lb_ctl_lost(ctl, r);
    if (r == 0)
        return LB_EXIT_DONE;
    lb_terminal_write_lines(&ctl->err, "", "", error);
    return LB_EXIT_FAILED;
}

struct shadows {
    const struct lb_ctl *ctl;
    size_t n;
    bool oom;
};

static void tell_shadow(void *userdata, const struct lb_rule *rule, const struct lb_rule *by)
{
    struct shadows *shadows = userdata;
    LB_FREE char *line = NULL;

    shadows->n++;
    if (asprintf(&line, "%s: never matches: %s always decides first", rule->path, by->path) < 0) {
        line = NULL;
        shadows->oom = true;
        return;
    }
    lb_terminal_write_lines(&shadows->ctl->err, "", "", line);
}

int verb_policy_check(struct lb_ctl *ctl)
{
    LB_CLEANUP(ruleset_freep) struct lb_ruleset *set = NULL;
    struct shadows shadows = { .ctl = ctl };
    int r = load(ctl, ctl->args, &set);

    if (r != LB_EXIT_DONE)
        return r;
    lb_rules_shadowed(set, tell_shadow, &shadows);
    if (shadows.oom)
        return lb_ctl_lost(ctl, -ENOMEM);
    if (shadows.n > 0)
        return LB_EXIT_FAILED;
    fprintf(ctl->out.out, "The policy is good: %zu rule%s.\n", set->n, set->n == 1 ? "" : "s");
    if (set->n == 0)
        fputs("Without a rule every gated login needs an approval, by the defaults.\n", ctl->out.out);
    return LB_EXIT_DONE;
}

/* --- explain ------------------------------------------------------------------------------------------------------ */

/* The words of --key → enum lb_proof bits. */
static int read_proof(const struct lb_ctl *ctl, unsigned *ret)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        { "plain", LB_PROOF_PLAIN }, { "certificate", LB_PROOF_CERTIFICATE }, { "hardware", LB_PROOF_HARDWARE },
    };
    const char *at = ctl->options[LB_OPTION_KEY];

    for (; at && *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ", "), i = 0;
        while (i < LB_ELEMENTS(words) && (strlen(words[i].word) != n || strncmp(at, words[i].word, n) != 0))
            i++;
        if (i == LB_ELEMENTS(words))
            return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--key %s: it is plain, certificate, hardware, or several of them "
                               "with commas", ctl->options[LB_OPTION_KEY]);
        *ret |= words[i].bit;
        at += n;
    }
    return LB_EXIT_DONE;
}

/* Whom no rule is asked about. The module's own lines may say otherwise. */
static void tell_not_gated(const struct lb_ctl *ctl, const char *account, gid_t gid)
{
    if (lb_people_in_group(account, gid, GATED) == 0)
        lb_ctl_fail(ctl, 0, "%s is not in the group " GATED ": its logins wait for nobody, unless the PAM lines "
                    "name it or another group of it", account);
}

/* The account under its canonical name and its groups, as the daemon sees them. One that does not exist here can be
 * asked about too; it is in no group. */
static int read_account(const struct lb_ctl *ctl, const struct lb_ruleset *set, char **ret_name, char ***ret_groups)
{
    const char *typed = ctl->options[LB_OPTION_ACCOUNT];
    LB_FREE const char **names = lb_rules_groups(set);
    uid_t uid = 0;
    gid_t gid = 0;
    int r = names ? lb_people_account(typed, ret_name, &uid, &gid) : -ENOMEM;

    if (r == -ENOENT) {
        lb_ctl_fail(ctl, 0, "there is no account %s on this host; @group patterns do not fit it", typed);
        *ret_name = strdup(typed);
        return *ret_name ? LB_EXIT_DONE : lb_ctl_lost(ctl, -ENOMEM);
    }
    if (r >= 0)
        r = lb_people_groups(*ret_name, gid, names, ret_groups);
    if (r == -ENOMEM)
        return lb_ctl_lost(ctl, r);
    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "the groups of %s are not known (%s), so a login is refused now; look "
                           "with: id %s", typed, strerrordesc_np(-r), typed);
    tell_not_gated(ctl, *ret_name, gid);
    return LB_EXIT_DONE;
}

#define WHEN_MAX 32

struct explanation {
    const struct lb_ctl *ctl;
    const struct lb_facts *facts;
    char at[WHEN_MAX], when[WHEN_MAX]; /* the time that is asked about: RFC 3339, and as Time= says it */
    struct lb_table *table;
    json_t *rules;
    int r;
};

/* What the login has for this key. */
static const char *fact(const struct explanation *e, const char *key)
{
    const struct lb_ctl *ctl = e->ctl;
    const struct lb_facts *facts = e->facts;
    const struct {
        const char *key, *value;
    } known[] = {
        { "Account", facts->account }, { "Service", facts->service }, { "Scope", facts->scope },
        { "RemoteHost", *facts->rhost ? facts->rhost : "local" },     { "Key", ctl->options[LB_OPTION_KEY] },
        { "Identity", facts->identity }, { "Time", e->when },
    };

    for (size_t i = 0; i < LB_ELEMENTS(known); i++)
        if (strcmp(known[i].key, key) == 0 && known[i].value && *known[i].value)
            return known[i].value;
    return "none";
}

static void explain_row(void *userdata, const struct lb_rule *rule, const char *key, const char *pattern)
{
    struct explanation *e = userdata;
    LB_FREE char *why = NULL;

    if (key && asprintf(&why, "%s=%s does not fit %s", key, pattern, fact(e, key)) < 0)
        why = NULL;
    const struct lb_cell cells[] = {
        { rule->path, key ? LB_COLOUR_DIM : LB_COLOUR_BOLD },
        { key ? "no" : "decides", key ? LB_COLOUR_DIM : LB_COLOUR_GREEN },
        { key ? why : rule->description, key ? LB_COLOUR_DIM : LB_COLOUR_NONE },
    };
    if ((key && !why) || lb_table_add(e->table, cells) < 0 ||
        json_array_append_new(e->rules, json_pack("{s:s, s:b, s:s*, s:s*}", "file", rule->path, "fits", !key,
                                                  "key", key, "pattern", pattern)) < 0)
        e->r = -ENOMEM;
}

static int print_json(const struct explanation *e, const struct lb_verdict *verdict)
{
    const struct lb_facts *facts = e->facts;
    LB_JSON json_t *value = json_pack(
        "{s:{s:s, s:s, s:s, s:s, s:s*, s:s*, s:s}, s:O, s:s*, s:s, s:s*, s:o}",
        "login", "account", facts->account, "service", facts->service, "scope", facts->scope, "rhost", facts->rhost,
        "key", e->ctl->options[LB_OPTION_KEY], "identity", facts->identity,
        "at", e->at, "rules", e->rules, "decides", verdict->rule ? verdict->rule->path : NULL,
        "action", lb_action_names[verdict->action], "description", verdict->rule ? verdict->rule->description : NULL,
        "terms", lb_terms_json(verdict->terms));

    if (!value)
        return lb_ctl_lost(e->ctl, -ENOMEM);
    lb_ctl_print_json(e->ctl, value);
    return LB_EXIT_DONE;
}

static int print_text(const struct explanation *e, const struct lb_verdict *verdict)
{
    const struct lb_terminal *out = &e->ctl->out;
    LB_FREE char *terms = lb_terms_text(verdict->terms);

    if (!terms || lb_table_print(e->table) < 0)
        return lb_ctl_lost(e->ctl, -ENOMEM);
    if (!verdict->rule)
        fputs("No rule fits: the defaults decide.\n", out->out);
    fprintf(out->out, "\nAction: %s%s%s\n", lb_terminal_colour(out, LB_COLOUR_BOLD), lb_action_names[verdict->action],
            lb_terminal_colour(out, LB_COLOUR_NONE));
    if (verdict->action == LB_ACTION_DENY)
        return LB_EXIT_DONE;
    fputs("Terms:\n\n", out->out);
    lb_terminal_write_lines(out, "  ", "  ", terms);
    return LB_EXIT_DONE;
}

/* The time that the rules are asked about, as the daemon will see it: in the zone of this host, not in the reader's. */
static int read_time(const struct lb_ctl *ctl, time_t *ret, struct lb_facts *facts)
{
    int64_t at = ctl->now;
    struct tm local;
    int r = lb_ctl_option_time(ctl, LB_OPTION_AT, &at);

    if (r != LB_EXIT_DONE)
        return r;
    *ret = (time_t)(at / LB_USEC_PER_SEC);
    unsetenv("TZ");
    tzset();
    if (!localtime_r(ret, &local))
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "the time is none that a calendar has");
    facts->weekday = (local.tm_wday + 6) % 7; /* from Sunday to Monday */
    facts->minute = local.tm_hour * 60 + local.tm_min;
    return LB_EXIT_DONE;
}

static void write_time(struct explanation *e, time_t time)
{
    struct tm utc;

    if (gmtime_r(&time, &utc))
        strftime(e->at, sizeof(e->at), "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(e->when, sizeof(e->when), "%s %02d:%02d", lb_week_days[e->facts->weekday], e->facts->minute / 60,
             e->facts->minute % 60);
}

static int explain(const struct lb_ctl *ctl, const struct lb_ruleset *set, const struct lb_facts *facts, time_t time)
{
    static const struct lb_column columns[] = { { NULL, false, 0 }, { NULL, false, 0 }, { NULL, false, 0 } };
    LB_TABLE struct lb_table *table = lb_table_new(&ctl->out, columns, LB_ELEMENTS(columns));
    LB_JSON json_t *rules = json_array();
    struct explanation e = { ctl, facts, "", "", table, rules, 0 };
    struct lb_verdict verdict = lb_rules_decide(set, facts);

    write_time(&e, time);
    if (table && rules)
        lb_rules_explain(set, facts, explain_row, &e);
    if (!table || !rules || e.r < 0)
        return lb_ctl_lost(ctl, -ENOMEM);
    return ctl->options[LB_OPTION_JSON] ? print_json(&e, &verdict) : print_text(&e, &verdict);
}

static const char *option_or(const struct lb_ctl *ctl, enum lb_option option, const char *otherwise)
{
    return ctl->options[option] ? ctl->options[option] : otherwise;
}

int verb_policy_explain(struct lb_ctl *ctl)
{
    LB_CLEANUP(ruleset_freep) struct lb_ruleset *set = NULL;
    LB_CLEANUP(strings_freep) char **groups = NULL;
    LB_FREE char *account = NULL;
    struct lb_facts facts = {
        .service = option_or(ctl, LB_OPTION_SERVICE, "sshd"),
        .scope = option_or(ctl, LB_OPTION_SCOPE, "login"),
        .rhost = option_or(ctl, LB_OPTION_RHOST, ""),
        .identity = ctl->options[LB_OPTION_IDENTITY],
    };
    time_t time = 0;
    int r = LB_EXIT_DONE;

    if (strcmp(facts.rhost, "local") == 0)
        facts.rhost = "";
    if (facts.identity && !ctl->options[LB_OPTION_KEY])
        ctl->options[LB_OPTION_KEY] = "certificate"; /* nothing else has a Key ID */
    r = read_proof(ctl, &facts.proof);
    if (r == LB_EXIT_DONE)
        r = read_time(ctl, &time, &facts);
    if (r == LB_EXIT_DONE && !ctl->options[LB_OPTION_ACCOUNT])
        r = lb_ctl_fail(ctl, LB_EXIT_USAGE, "whose login? lockboxctl policy explain --account NAME");
    if (r == LB_EXIT_DONE)
        r = load(ctl, NULL, &set);
    if (r == LB_EXIT_DONE)
        r = read_account(ctl, set, &account, &groups);
    if (r != LB_EXIT_DONE)
        return r;
    facts.account = account;
    facts.groups = groups;
    return explain(ctl, set, &facts, time);
}
