/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/rules_parse.h"

#include <errno.h>

#include "policy/base.h"
#include "policy/ini.h"
#include "policy/rules_index.h"
#include "policy/rules_values.h"
#include "policy/span.h"

/* The whole grammar. */
static const struct lb_rules_key keys[] = {
#define ROW(section_, name_, kind, member, ...) \
    { .section = section_, .name = name_, .read = lb_rules_read_##kind, .offset = offsetof(struct lb_rule, member), \
      __VA_ARGS__ }
#define MATCH(name, key) ROW("Match", name, match, match[key])
#define TERM(section, name, kind, member, ...) ROW(section, name, kind, terms.member, __VA_ARGS__)
#define NOT_YET(section_, name_, ...) \
    { .section = section_, .name = name_, .read = lb_rules_read_nothing_yet, .later = true, __VA_ARGS__ }
    MATCH("Account", LB_MATCH_ACCOUNT),
    MATCH("Service", LB_MATCH_SERVICE),
    MATCH("Scope", LB_MATCH_SCOPE),
    MATCH("RemoteHost", LB_MATCH_REMOTE_HOST),
    MATCH("Key", LB_MATCH_KEY),
    MATCH("Identity", LB_MATCH_IDENTITY),
    MATCH("Command", LB_MATCH_COMMAND),
    MATCH("Time", LB_MATCH_TIME),
    ROW("Rule", "Action", enum, action, .names = lb_action_names),
    ROW("Rule", "Description", text, description),
    TERM("Request", "Ticket", enum, ticket, .names = lb_need_names),
    TERM("Request", "TicketPattern", pattern, ticket_pattern),
    TERM("Request", "TicketURL", url, ticket_url),
    TERM("Request", "Reason", enum, reason, .names = lb_need_names),
    TERM("Request", "ExpireAfter", span, expire_after),
    TERM("Request", "MaxPending", number, max_pending),
    TERM("Approval", "Internal", names, internal, .may_be_empty = true),
    TERM("Approval", "Customer", names, customer),
    TERM("Approval", "Quorum", number, quorum),
    TERM("Approval", "Evidence", enum, evidence, .names = lb_evidence_names),
    TERM("Access", "Duration", span, duration),
    TERM("Access", "MaxDuration", span, max_duration),
    TERM("Access", "Starts", enum, starts, .names = lb_starts_names),
    TERM("Access", "UseBy", span, use_by),
    TERM("Access", "Units", units, units, .may_be_empty = true),
    TERM("Access", "OnEnd", on_end, on_end),
    TERM("Access", "Warn", warn, warn, .may_be_empty = true),
    TERM("Access", "OnReboot", enum, on_reboot, .names = lb_on_reboot_names),
    TERM("Access", "Record", enum, record, .names = lb_need_names, .later = true),
    TERM("Access", "MaxSessions", number, max_sessions),
    TERM("Access", "Exclusive", boolean, exclusive),
    TERM("BreakGlass", "Allow", boolean, emergency),
    TERM("BreakGlass", "Duration", span, emergency_duration),
    ROW("Run", "User", user, run.user),
    ROW("Run", "Arguments", arguments, run.arguments),
    ROW("Run", "Environment", environment, run.environment),
};

static const char *const sections[] = { "Match", "Rule", "Request", "Approval", "Access", "BreakGlass", "Run", NULL };

/* One file while it is read. */
struct reader {
    struct lb_rule *rule;
    bool in_rule; /* [Rule] was there */
    unsigned run; /* the line of [Run]; 0: not there */
    unsigned lines[LB_ELEMENTS(keys)]; /* where each key stood; 0: nowhere */
    bool wrong[LB_ELEMENTS(keys)];
};

static const char *section_of(const char *name)
{
    for (const struct lb_rules_key *k = keys; k < keys + LB_ELEMENTS(keys); k++)
        if (strcasecmp(k->name, name) == 0)
            return k->section;
    return NULL;
}

static void tell_unknown_key(const char *section, const char *name, const struct lb_ini_place *at)
{
    const char *known[LB_ELEMENTS(keys) + 1] = {}, *meant;
    size_t n = 0;

    for (const struct lb_rules_key *k = keys; k < keys + LB_ELEMENTS(keys); k++)
        if (strcmp(k->section, section) == 0)
            known[n++] = k->name;
    meant = lb_ini_suggest(name, known);
    if (meant)
        lb_ini_error(at->errors, at->path, at->line, "unknown key %s= in [%s] (did you mean %s=?)", name, section,
                     meant);
    else if (section_of(name))
        lb_ini_error(at->errors, at->path, at->line, "unknown key %s= in [%s] (it belongs in [%s])", name, section,
                     section_of(name));
    else
        lb_ini_error(at->errors, at->path, at->line, "unknown key %s= in [%s]", name, section);
}

static int read_section(struct reader *reader, const char *name, const struct lb_ini_place *at)
{
    const char *meant;

    reader->in_rule |= strcmp(name, "Rule") == 0;
    if (strcmp(name, "Run") == 0)
        reader->run = at->line;
    for (const char *const *s = sections; *s; s++)
        if (strcmp(*s, name) == 0)
            return 0;
    meant = lb_ini_suggest(name, sections);
    lb_ini_error(at->errors, at->path, at->line, "unknown section [%s]%s%s%s", name, meant ? " (did you mean [" : "",
                 meant ? meant : "", meant ? "]?)" : "");
    return 0;
}

static int read_key(struct reader *reader, const struct lb_rules_key *key, const char *value,
                    const struct lb_ini_place *at)
{
    size_t i = (size_t)(key - keys), mistakes = at->errors->n;
    int r;

    reader->lines[i] = at->line;
    if (!*value && !key->may_be_empty) {
        lb_ini_error(at->errors, at->path, at->line, "%s= is empty; leave the line out for the default", key->name);
        r = 0;
    } else {
        r = key->read(key, at, value, (char *)reader->rule + key->offset);
    }
    if (r > 0 && key->later)
        lb_ini_error(at->errors, at->path, at->line, "%s=%s is not supported by this version", key->name,
                     key->read == lb_rules_read_nothing_yet ? "" : value);
    reader->wrong[i] = at->errors->n > mistakes;
    return r < 0 ? r : 0;
}

static int on_row(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                  const char *value, struct lb_ini_errors *errors)
{
    const struct lb_ini_place at = { errors, path, line, key };
    struct reader *reader = userdata;

    if (!key)
        return read_section(reader, section, &at);
    for (const struct lb_rules_key *k = keys; k < keys + LB_ELEMENTS(keys); k++)
        if (strcmp(k->section, section) == 0 && strcmp(k->name, key) == 0)
            return read_key(reader, k, value, &at);
    for (const char *const *s = sections; *s; s++)
        if (strcmp(*s, section) == 0)
            tell_unknown_key(section, key, &at); /* of an unknown section one mistake is enough */
    return 0;
}

static size_t key_index(const char *section, const char *name)
{
    size_t i = 0;

    while (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0)
        i++;
    return i;
}

/* What may run is permitted by its digest, and only then has a [Run]. */
static void check_script(const struct reader *reader, const char *path, struct lb_ini_errors *errors)
{
    size_t command = key_index("Match", "Command"), action = key_index("Rule", "Action");
    const struct lb_rule *rule = reader->rule;
    unsigned line = reader->lines[command];

    if (!line && reader->run)
        lb_ini_error(errors, path, reader->run, "[Run] is for rules that name a script with Command=");
    if (reader->wrong[command])
        return;
    if (line && rule->action != LB_ACTION_PERMIT && reader->lines[action] && !reader->wrong[action])
        lb_ini_error(errors, path, line, "Command= is for rules with Action=permit: what it does not name is refused "
                     "anyway");
    if (line && !reader->lines[key_index("Run", "User")])
        lb_ini_error(errors, path, line, "Command= needs to know who the script runs as: User= in [Run]");
}

/* What no single line shows. */
static void check_whole(const struct reader *reader, const char *path, struct lb_ini_errors *errors)
{
    size_t action = key_index("Rule", "Action"), duration = key_index("Access", "Duration"),
           most = key_index("Access", "MaxDuration");
    const struct lb_terms *terms = &reader->rule->terms;
    char a[LB_SPAN_MAX], b[LB_SPAN_MAX];

    if (!reader->in_rule)
        lb_ini_error(errors, path, 0, "no [Rule] section; a rule says its Action=");
    else if (!reader->lines[action])
        lb_ini_error(errors, path, 0, "[Rule] does not say its Action=");
    if (terms->duration > terms->max_duration && !reader->wrong[duration] && !reader->wrong[most])
        lb_ini_error(errors, path, reader->lines[duration] ? reader->lines[duration] : reader->lines[most],
                     "Duration=%s%s is longer than MaxDuration=%s%s",
                     lb_span_format(terms->duration, a, sizeof(a)), reader->lines[duration] ? "" : " (the default)",
                     lb_span_format(terms->max_duration, b, sizeof(b)), reader->lines[most] ? "" : " (the default)");
}

static int read_file(const struct lb_policy_text *file, struct lb_rule *rule, const struct lb_terms *defaults,
                     struct lb_ini_errors *errors)
{
    struct reader reader = { .rule = rule };
    int r = lb_terms_copy(&rule->terms, defaults);

    rule->path = strdup(file->path);
    rule->file = strdup(basename(file->path));
    if (r < 0 || !rule->path || !rule->file)
        return -ENOMEM;
    r = lb_ini_parse(file->path, file->text, file->size, on_row, &reader, errors);
    if (r < 0)
        return r;
    check_whole(&reader, file->path, errors);
    check_script(&reader, file->path, errors);
    return errors->oom ? -ENOMEM : 0;
}

static int read_files(const struct lb_policy_text *files, size_t n, struct lb_ruleset *set,
                      struct lb_ini_errors *errors)
{
    int r = lb_terms_defaults(&set->defaults);

    set->rules = calloc(n + 1, sizeof(*set->rules));
    if (r < 0 || !set->rules)
        return -ENOMEM;
    for (; set->n < n && r == 0; set->n++)
        r = read_file(&files[set->n], &set->rules[set->n], &set->defaults, errors);
    return r;
}

/* What makes a good set quick to ask. */
static int prepare(struct lb_ruleset *set)
{
    set->groups = lb_rules_groups(set);
    return set->groups ? lb_rules_index_new(set, &set->index) : -ENOMEM;
}

int lb_rules_parse(const struct lb_policy_text *files, size_t n, struct lb_ruleset **ret, char **ret_error)
{
    struct lb_ruleset *set = calloc(1, sizeof(*set));
    struct lb_ini_errors errors = {};
    int r = set ? read_files(files, n, set, &errors) : -ENOMEM;

    if (r == 0 && errors.n > 0) {
        *ret_error = LB_TAKE(errors.text);
        r = -EINVAL;
    }
    if (r == 0)
        r = prepare(set);
    if (r == 0)
        *ret = LB_TAKE(set);
    free(errors.text);
    lb_ruleset_free(set);
    return r;
}
