/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files: the whole grammar, every mistake with its line, and sets that are whole or refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/match.h"
#include "policy/rules_parse.h"

#define MIN (60 * LB_USEC_PER_SEC)
#define HOUR (60 * MIN)
#define FILE_(name, content) { name, content, sizeof(content) - 1 }
#define RULE "[Rule]\nAction=deny\n"
#define DIGEST "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"

static struct lb_ruleset *parse(const char *text)
{
    struct lb_policy_text file = { "/etc/p/f.policy", text, strlen(text) };
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    if (lb_rules_parse(&file, 1, &set, &error) != 0)
        fail_msg("%s%s", text, error);
    assert_null(error);
    assert_int_equal(set->n, 1);
    return set;
}

static void check_refused(const char *text, size_t size, const char *mistakes)
{
    struct lb_policy_text file = { "f", text, size };
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    if (lb_rules_parse(&file, 1, &set, &error) != -EINVAL)
        fail_msg("taken: %s", text);
    assert_null(set);
    assert_string_equal(error, mistakes);
}

static void refuse(const char *text, const char *mistakes)
{
    check_refused(text, strlen(text), mistakes);
}

static void test_every_key_reaches_its_place(void **state)
{
    struct lb_ruleset *set = parse(
        "[Match]\nAccount=a\nService=s\nScope=login\nRemoteHost=local\nKey=plain\nIdentity=*\n"
        "Command=" DIGEST "\nTime=Mon..Fri 08:00-18:00\n[Rule]\nAction=permit\nDescription=Some words ; and a comment\n"
        "[Request]\nTicket=required\nTicketPattern=CASE-[0-9]{4,}\nTicketURL=https://x.example/%t?a=%20\nReason=no\n"
        "ExpireAfter=4d\nMaxPending=7\n"
        "[Approval]\nInternal=@duty eve\nCustomer=@lockbox-approvers bob\nQuorum=2\nEvidence=signed\n"
        "[Access]\nDuration=1h 30min\nMaxDuration=2h\nStarts=login\nUseBy=1d\nUnits=a.mount b@1.service\nOnEnd=kill\n"
        "Warn=1min 15min 5min\nOnReboot=keep\nRecord=no\nMaxSessions=3\nExclusive=off\n"
        "[BreakGlass]\nAllow=yes\nDuration=30min\n"
        "[Run]\nUser=backup\nArguments=--db [a-z]+\nEnvironment=A=1 LANG=C.UTF-8 B=\n");
    const struct lb_rule *r = &set->rules[0];

    (void)state;
    assert_string_equal(r->file, "f.policy");
    assert_string_equal(r->path, "/etc/p/f.policy");
    assert_int_equal(r->action, LB_ACTION_PERMIT);
    assert_string_equal(r->description, "Some words");
    static const char *const matches[] = { "a", "s", "login", "local", "plain", "*", DIGEST,
                                          "Mon..Fri 08:00-18:00" };
    for (size_t i = 0; i < LB_MATCH_MAX_; i++)
        assert_string_equal(lb_pattern_list_text(r->match[i]), matches[i]);
    assert_int_equal(r->terms.ticket, LB_NEED_REQUIRED);
    assert_string_equal(r->terms.ticket_pattern, "CASE-[0-9]{4,}");
    assert_string_equal(r->terms.ticket_url, "https://x.example/%t?a=%20");
    assert_int_equal(r->terms.reason, LB_NEED_NO);
    assert_int_equal(r->terms.expire_after, 96 * HOUR);
    assert_int_equal(r->terms.max_pending, 7);
    assert_string_equal(r->terms.internal[0], "@duty");
    assert_string_equal(r->terms.internal[1], "eve");
    assert_null(r->terms.internal[2]);
    assert_string_equal(r->terms.customer[0], "@lockbox-approvers");
    assert_string_equal(r->terms.customer[1], "bob");
    assert_null(r->terms.customer[2]);
    assert_int_equal(r->terms.quorum, 2);
    assert_int_equal(r->terms.evidence, LB_EVIDENCE_SIGNED);
    assert_int_equal(r->terms.duration, 90 * MIN);
    assert_int_equal(r->terms.max_duration, 2 * HOUR);
    assert_int_equal(r->terms.starts, LB_STARTS_LOGIN);
    assert_int_equal(r->terms.use_by, 24 * HOUR);
    assert_string_equal(r->terms.units[0], "a.mount");
    assert_string_equal(r->terms.units[1], "b@1.service");
    assert_null(r->terms.units[2]);
    assert_int_equal(r->terms.on_end, LB_ON_END_KILL);
    static const int64_t warn[LB_WARN_MAX] = { 15 * MIN, 5 * MIN, 1 * MIN };
    assert_memory_equal(r->terms.warn, warn, sizeof(warn));
    assert_int_equal(r->terms.on_reboot, LB_ON_REBOOT_KEEP);
    assert_int_equal(r->terms.record, LB_NEED_NO);
    assert_int_equal(r->terms.max_sessions, 3);
    assert_false(r->terms.exclusive);
    assert_true(r->terms.emergency);
    assert_int_equal(r->terms.emergency_duration, 30 * MIN);
    assert_string_equal(r->run.user, "backup");
    assert_int_equal(r->run.arguments, LB_ARGUMENTS_PATTERN);
    assert_string_equal(r->run.pattern, "--db [a-z]+");
    assert_string_equal(r->run.environment[0], "A=1");
    assert_string_equal(r->run.environment[1], "LANG=C.UTF-8");
    assert_string_equal(r->run.environment[2], "B=");
    assert_null(r->run.environment[3]);
    lb_ruleset_free(set);
}

static void check_defaults(const struct lb_terms *t)
{
    static const int64_t warn[LB_WARN_MAX] = { 15 * MIN, 5 * MIN, 1 * MIN };

    assert_int_equal(t->ticket, LB_NEED_OPTIONAL);
    assert_null(t->ticket_pattern);
    assert_null(t->ticket_url);
    assert_int_equal(t->reason, LB_NEED_REQUIRED);
    assert_int_equal(t->expire_after, 12 * HOUR);
    assert_int_equal(t->max_pending, 5);
    assert_non_null(t->internal);
    assert_null(t->internal[0]);
    assert_string_equal(t->customer[0], "@lockbox-approvers");
    assert_null(t->customer[1]);
    assert_int_equal(t->quorum, 1);
    assert_int_equal(t->evidence, LB_EVIDENCE_ANY);
    assert_int_equal(t->duration, 8 * HOUR);
    assert_int_equal(t->max_duration, 12 * HOUR);
    assert_int_equal(t->starts, LB_STARTS_APPROVAL);
    assert_int_equal(t->use_by, 24 * HOUR);
    assert_non_null(t->units);
    assert_null(t->units[0]);
    assert_int_equal(t->on_end, LB_ON_END_KILL);
    assert_memory_equal(t->warn, warn, sizeof(warn));
    assert_int_equal(t->on_reboot, LB_ON_REBOOT_END);
    assert_int_equal(t->record, LB_NEED_NO);
    assert_int_equal(t->max_sessions, 10);
    assert_true(t->exclusive);
    assert_false(t->emergency);
}

static void test_what_is_not_said_is_the_default(void **state)
{
    struct lb_ruleset *set = parse("[Rule]\nAction=require-approval\n[Access]\nWarn=\n");

    (void)state;
    check_defaults(&set->defaults);
    assert_int_equal(set->rules[0].terms.warn[0], 0);
    assert_int_equal(set->rules[0].action, LB_ACTION_REQUIRE);
    assert_null(set->rules[0].description);
    assert_null(set->rules[0].run.user);
    assert_int_equal(set->rules[0].run.arguments, LB_ARGUMENTS_NONE);
    assert_null(set->rules[0].run.environment);
    for (size_t i = 0; i < LB_MATCH_MAX_; i++)
        assert_null(set->rules[0].match[i]);
    lb_ruleset_free(set);
    set = parse("[Access]\n[Rule]\nAction=deny");
    check_defaults(&set->rules[0].terms);
    lb_ruleset_free(set);
}

/* Section, key, value, and what is said of it on line 2. */
static void check_value(const char *section, const char *key, const char *value, const char *mistake)
{
    char text[1024], expected[1024];

    snprintf(text, sizeof(text), "[%s]\n%s=%s\n%s", section, key, value,
             strcmp(section, "Rule") != 0 ? RULE : strcmp(key, "Action") != 0 ? "Action=deny\n" : "");
    snprintf(expected, sizeof(expected), "f:2: %s=%s\n", key, mistake);
    refuse(text, expected);
}

static void test_values_that_are_mistaken(void **state)
{
    static const char *const cases[][4] = {
        { "Rule", "Action", "permitt", "permitt is none of deny, require-approval, permit (did you mean permit?)" },
        { "Rule", "Action", "approve", "approve is none of deny, require-approval, permit" },
        { "Request", "Ticket", "yes", "yes is none of no, optional, required" },
        { "Request", "TicketPattern", "CASE-[0-9", "CASE-[0-9: Unmatched [, [^, [:, [., or [=" },
        { "Request", "TicketPattern", "(a", "(a: Unmatched ( or \\(" },
        { "Request", "TicketPattern", "a{2,1}", "a{2,1}: Invalid content of \\{\\}" },
        { "Request", "TicketPattern", "(a)\\1", "(a)\\1: extended regular expressions have no back-references" },
        { "Request", "TicketPattern", "((a{1,20}){26})", "((a{1,20}){26}): the expression repeats too much" },
        { "Request", "TicketPattern", "a{30}{30}", "a{30}{30}: the expression repeats too much" },
        { "Request", "TicketPattern", "[])}]{501,}", "[])}]{501,}: the expression repeats too much" },
        { "Request", "TicketPattern", "(ab(c[(]){9}){26}", "(ab(c[(]){9}){26}: the expression repeats too much" },
        { "Request", "TicketURL", "ftp://x/%t", "ftp://x/%t does not begin with https://host or http://host" },
        { "Request", "TicketURL", "https://", "https:// does not begin with https://host or http://host" },
        { "Request", "TicketURL", "https:///x", "https:///x does not begin with https://host or http://host" },
        { "Request", "TicketURL", "https://x/%s",
          "https://x/%s: % is followed by t (the ticket) or two hexadecimal digits" },
        { "Request", "TicketURL", "https://x/a b", "https://x/a b: byte 12 has no place in a URL" },
        { "Request", "Reason", "require", "require is none of no, optional, required (did you mean required?)" },
        { "Request", "ExpireAfter", "12hrs", "12hrs is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Request", "ExpireAfter", "-1h", "-1h is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Request", "ExpireAfter", "infinity", "infinity is too long: a duration has to end" },
        { "Request", "ExpireAfter", "999999y", "999999y is too long: a duration has to end" },
        { "Request", "ExpireAfter", "0", "0 is no time at all" },
        { "Request", "MaxPending", "0", "0 is not a number from 1 to 1000000" },
        { "Request", "MaxPending", "-1", "-1 is not a number from 1 to 1000000" },
        { "Request", "MaxPending", "5x", "5x is not a number from 1 to 1000000" },
        { "Request", "MaxPending", "99999999999999999999", "99999999999999999999 is not a number from 1 to 1000000" },
        { "Approval", "Customer", "bob,eve",
          "bob,eve is neither a name nor @ and the name of a group; names are separated by spaces" },
        { "Approval", "Customer", "!eve",
          "!eve is neither a name nor @ and the name of a group; names are separated by spaces" },
        { "Approval", "Customer", "@",
          "@ is neither a name nor @ and the name of a group; names are separated by spaces" },
        { "Approval", "Customer", "b*",
          "b* is neither a name nor @ and the name of a group; names are separated by spaces" },
        { "Approval", "Quorum", "0", "0 is not a number from 1 to 1000000" },
        { "Approval", "Evidence", "sgned", "sgned is none of any, signed (did you mean signed?)" },
        { "Access", "Duration", "forever", "forever is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Access", "MaxDuration", "1.h", "1.h is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Access", "Starts", "aproval", "aproval is none of approval, login (did you mean approval?)" },
        { "Access", "UseBy", "soon", "soon is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Access", "OnEnd", "kil", "kil is none of kill, freeze=10min (did you mean kill?)" },
        { "Access", "OnEnd", "freeze=", "freeze= is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Access", "Warn", "5min x", "x is not a duration such as 90s, 15min, 1h 30min or 2d" },
        { "Access", "Warn", "1h 60min", "1h 60min says one time twice" },
        { "Access", "Warn", "1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9 is more than 8 warnings" },
        { "Access", "OnReboot", "kept", "kept is none of end, keep (did you mean keep?)" },
        { "Access", "Record", "yes", "yes is none of no, optional, required" },
        { "Access", "MaxSessions", "many", "many is not a number from 1 to 1000000" },
        { "Access", "Exclusive", "ye", "ye is none of yes, no (did you mean yes?)" },
        { "BreakGlass", "Allow", "maybe", "maybe is none of yes, no" },
        { "BreakGlass", "Duration", "0s", "0s is no time at all" },
        { "Match", "Scope", "Login", "Login is not a scope: at most 32 of a-z 0-9 _ -" },
        { "Match", "RemoteHost", "10.0.0.1/8", "10.0.0.1/8 has bits set behind the prefix (did you mean 10.0.0.0/8?)" },
        { "Match", "Account", "a[", "a[: a [ without its ]" },
        { "Match", "Time", "Mo..Fri", "Mo is no day; days are Mon Tue Wed Thu Fri Sat Sun (did you mean Mon?)" },
        { "Access", "Units", "shares", "shares is no name of a systemd unit, such as customer-shares.target" },
        /* what a later version brings */
        { "Access", "Record", "optional", "optional is not supported by this version" },
        { "Access", "Record", "required", "required is not supported by this version" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        check_value(cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
}

static void test_no_key_is_empty_but_lists_that_may_be(void **state)
{
    static const char *const cases[][2] = {
        { "Match", "Account" }, { "Match", "Service" }, { "Match", "Scope" }, { "Match", "RemoteHost" },
        { "Match", "Key" }, { "Match", "Identity" }, { "Match", "Command" }, { "Match", "Time" }, { "Rule", "Action" },
        { "Rule", "Description" }, { "Request", "Ticket" }, { "Request", "TicketPattern" }, { "Request", "TicketURL" },
        { "Request", "Reason" }, { "Request", "ExpireAfter" }, { "Request", "MaxPending" }, { "Approval", "Customer" },
        { "Approval", "Quorum" }, { "Approval", "Evidence" }, { "Access", "Duration" }, { "Access", "MaxDuration" },
        { "Access", "Starts" }, { "Access", "UseBy" }, { "Access", "OnEnd" }, { "Access", "OnReboot" },
        { "Access", "Record" }, { "Access", "MaxSessions" }, { "Access", "Exclusive" }, { "BreakGlass", "Allow" },
        { "BreakGlass", "Duration" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        check_value(cases[i][0], cases[i][1], "", " is empty; leave the line out for the default");
}

static void test_patterns_of_everyday_are_taken(void **state)
{
    static const char *const cases[] = {
        "CASE-[0-9]{4,}", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[A-Z]{2,10}-[0-9]{1,64}", "(INC|REQ)[0-9]{7}",
        ".{1,64}", "[[:alnum:]]+", "a\\\\1", "\\{[0-9]+\\}", "(a{20}){20}",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        char text[256];

        snprintf(text, sizeof(text), RULE "[Request]\nTicketPattern=%s\n", cases[i]);
        struct lb_ruleset *set = parse(text);
        assert_string_equal(set->rules[0].terms.ticket_pattern, cases[i]);
        lb_ruleset_free(set);
    }
}

static void test_unknown_names(void **state)
{
    (void)state;
    refuse("[Match]\nAcount=x\n" RULE, "f:2: unknown key Acount= in [Match] (did you mean Account=?)\n");
    refuse("[Match]\naccount=x\n" RULE, "f:2: unknown key account= in [Match] (did you mean Account=?)\n");
    refuse("[Access]\nTicket=no\n" RULE, "f:2: unknown key Ticket= in [Access] (it belongs in [Request])\n");
    refuse("[Match]\nColour=red\n" RULE, "f:2: unknown key Colour= in [Match]\n");
    refuse("[Acess]\nDuration=1h\nX=\n" RULE, "f:1: unknown section [Acess] (did you mean [Access]?)\n");
    refuse("[match]\nAccount=x\n" RULE, "f:1: unknown section [match] (did you mean [Match]?)\n");
    refuse("[Colours]\n" RULE, "f:1: unknown section [Colours]\n");
}

static void test_a_rule_says_its_action(void **state)
{
    (void)state;
    refuse("", "f: no [Rule] section; a rule says its Action=\n");
    refuse("# nothing\n", "f: no [Rule] section; a rule says its Action=\n");
    refuse("[Match]\nAccount=x\n", "f: no [Rule] section; a rule says its Action=\n");
    refuse("[Rule]\nDescription=x\n", "f: [Rule] does not say its Action=\n");
}

static void test_one_rule_a_file(void **state)
{
    (void)state;
    refuse(RULE "[Match]\nAccount=a\n[Match]\nService=sshd\n",
           "f:5: [Match] is there twice, first on line 3; a file has each section once\n");
    refuse(RULE "Action=permit\n", "f:3: Action= is there twice, first on line 2; put all of it on one line\n");
}

static void test_durations_fit_their_cap(void **state)
{
    (void)state;
    refuse(RULE "[Access]\nDuration=9h\nMaxDuration=8h\nStarts=x\n",
           "f:4: Duration=9h is longer than MaxDuration=8h\nf:6: Starts=x is none of approval, login\n");
    refuse(RULE "[Access]\nMaxDuration=8h\nDuration=9h\n", "f:5: Duration=9h is longer than MaxDuration=8h\n");
    refuse(RULE "[Access]\nDuration=13h\n", "f:4: Duration=13h is longer than MaxDuration=12h (the default)\n");
    refuse(RULE "[Access]\nMaxDuration=4h\n", "f:4: Duration=8h (the default) is longer than MaxDuration=4h\n");
    refuse(RULE "[Access]\nMaxDuration=4h\nDuration=x\n",
           "f:5: Duration=x is not a duration such as 90s, 15min, 1h 30min or 2d\n");
    lb_ruleset_free(parse(RULE "[Access]\nDuration=8h\nMaxDuration=8h\n"));
}

/* A rule for a script, with these lines in [Run]. */
#define SCRIPT "[Match]\nCommand=" DIGEST "\n[Rule]\nAction=permit\n"

static void test_a_script_is_permitted_whole(void **state)
{
    (void)state;
    lb_ruleset_free(parse(SCRIPT "[Run]\nUser=backup\n"));
    refuse(SCRIPT, "f:2: Command= needs to know who the script runs as: User= in [Run]\n");
    refuse(SCRIPT "[Run]\nArguments=any\n", "f:2: Command= needs to know who the script runs as: User= in [Run]\n");
    refuse("[Match]\nCommand=" DIGEST "\n" RULE "[Run]\nUser=x\n",
           "f:2: Command= is for rules with Action=permit: what it does not name is refused anyway\n");
    refuse(RULE "[Run]\nUser=x\n", "f:3: [Run] is for rules that name a script with Command=\n");
    refuse(RULE "[Run]\n", "f:3: [Run] is for rules that name a script with Command=\n");
    refuse("[Match]\nCommand=sha256:0\n[Rule]\nAction=permit\n[Run]\nUser=x\n",
           "f:2: Command=sha256:0 is not sha256: and the 64 digits that sha256sum prints\n");
}

static void test_run(void **state)
{
    static const char *const cases[][3] = {
        { "User", "", " is empty; leave the line out for the default" },
        { "User", "1000", "1000 is not the name of one account" },
        { "User", "a b", "a b is not the name of one account" },
        { "User", "@wheel", "@wheel is not the name of one account" },
        { "Arguments", "", " is empty; leave the line out for the default" },
        { "Arguments", "(a", "(a: Unmatched ( or \\(" },
        { "Arguments", "a{501}", "a{501}: the expression repeats too much" },
        { "Environment", "A", "A is not NAME=VALUE; they are separated by spaces" },
        { "Environment", "1A=2", "1A=2 is not NAME=VALUE; they are separated by spaces" },
        { "Environment", "=2", "=2 is not NAME=VALUE; they are separated by spaces" },
        { "Environment", "A=\"b\"",
          "A=\"b\": quotes and backslashes have no meaning here; a value has no space in it" },
        { "Environment", "A=1 AB=2 A=3", "A=3 says A twice" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        bool user = strcmp(cases[i][0], "User") == 0;
        char text[512], expected[256];

        snprintf(text, sizeof(text), SCRIPT "[Run]\n%s=%s\n%s", cases[i][0], cases[i][1], user ? "" : "User=x\n");
        snprintf(expected, sizeof(expected), "f:6: %s=%s\n", cases[i][0], cases[i][2]);
        refuse(text, expected);
    }
    for (size_t i = 0; i < 2; i++) {
        struct lb_ruleset *set = parse(i ? SCRIPT "[Run]\nUser=x\nArguments=any\n"
                                         : SCRIPT "[Run]\nArguments=none\nUser=x\n");

        assert_int_equal(set->rules[0].run.arguments, i ? LB_ARGUMENTS_ANY : LB_ARGUMENTS_NONE);
        assert_null(set->rules[0].run.pattern);
        lb_ruleset_free(set);
    }
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    check_refused(RULE "\0", sizeof(RULE), "f:3: byte 1 is a character that cannot be seen (U+0000)\n");
    refuse(RULE "Description=\xFF\n", "f:3: byte 13 is not UTF-8\n");
    refuse(RULE "Description=\u202Etimrep\n", "f:3: byte 13 is a character that cannot be seen (U+202E)\n");
}

static void test_all_mistakes_of_all_files(void **state)
{
    static const struct lb_policy_text files[] = {
        FILE_("/a/1.policy", "[Rule]\nAction=permitt\n[Access]\nWarn=x y\nMaxSessions=0\n"),
        FILE_("/a/2.policy", RULE),
        FILE_("/b/3.policy", "[Match]\nKey=soft\n"),
    };
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    (void)state;
    assert_int_equal(lb_rules_parse(files, 3, &set, &error), -EINVAL);
    assert_null(set);
    assert_string_equal(error,
        "/a/1.policy:2: Action=permitt is none of deny, require-approval, permit (did you mean permit?)\n"
        "/a/1.policy:4: Warn=x is not a duration such as 90s, 15min, 1h 30min or 2d\n"
        "/a/1.policy:5: MaxSessions=0 is not a number from 1 to 1000000\n"
        "/b/3.policy: no [Rule] section; a rule says its Action=\n"
        "/b/3.policy:2: Key=soft is none of any, plain, certificate, hardware\n");
}

/* The files to start from are in force as they stand. */
static void test_examples(void **state)
{
    glob_t found;

    (void)state;
    assert_int_equal(glob("policy/examples/*.policy", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *in = fopen(found.gl_pathv[i], "r");
        char text[8192] = {};

        assert_non_null(in);
        assert_true(fread(text, 1, sizeof(text) - 1, in) > 0);
        assert_int_equal(fclose(in), 0);
        struct lb_ruleset *set = parse(text);
        if (strstr(found.gl_pathv[i], "default.policy")) {
            check_defaults(&set->rules[0].terms);
            assert_int_equal(set->rules[0].action, LB_ACTION_REQUIRE);
            for (size_t key = 0; key < LB_MATCH_MAX_; key++)
                assert_null(set->rules[0].match[key]);
        }
        lb_ruleset_free(set);
    }
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_reaches_its_place),
        cmocka_unit_test(test_what_is_not_said_is_the_default),
        cmocka_unit_test(test_values_that_are_mistaken),
        cmocka_unit_test(test_no_key_is_empty_but_lists_that_may_be),
        cmocka_unit_test(test_patterns_of_everyday_are_taken),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_a_rule_says_its_action),
        cmocka_unit_test(test_one_rule_a_file),
        cmocka_unit_test(test_durations_fit_their_cap),
        cmocka_unit_test(test_a_script_is_permitted_whole),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_all_mistakes_of_all_files),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests_name("rules_parse", tests, NULL, NULL);
}
