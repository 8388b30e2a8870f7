/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random rules and logins from so few words that they often meet. Include after cmocka.h. */
#pragma once

#include <stdio.h>

#include "policy/base.h"
#include "policy/rules_parse.h"

#define DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static uint64_t random_state = 88172645463325252;

static unsigned draw(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 32) % n;
}

#define DRAW(array) ((array)[draw(LB_ELEMENTS(array))])

static const char *const names[] = { "eng", "eng1", "eng12", "support", "su", "sudo", "login", "", "e", "o" };
static const char *const globs[] = {
    "eng", "eng1", "su", "sudo", "login", "support", "*", "e*", "eng*", "*1", "*2", "s*", "su*", "*o", "s*o", "e*1",
    "e?g", "[es]*", "*n*", "?", "eng[0-9]", "*[!o]", "**", "e*g*2",
};
static const char *const group_names[] = { "one", "two", "three" };
static const char *const hosts[] = {
    "192.0.2.7", "192.0.2.0/24", "192.0.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::1", "local",
    "198.51.100.0/25", "192.0.2.0/25",
};
static const char *const rhosts[] = { "", "192.0.2.7", "192.0.2.200", "198.51.100.1", "2001:db8::1", "2001:db8:1::",
                                      "host.example", "::ffff:192.0.2.7", "203.0.113.9" };
static const char *const proofs[] = { "any", "plain", "certificate", "hardware" };
static const char *const times[] = {
    "Mon..Fri", "Mon 08:00-18:00", "!Sat..Sun", "22:00-06:00", "Mon..Fri 08:00-18:00 !12:00-13:00", "Mon..Sun",
    "Sun 22:00-06:00", "Mon,Tue", "Fri", "!Mon 12:00-13:00",
};
static const char *const actions[] = { "permit", "deny", "require-approval" };

static void write_words(FILE *out, const char *key, const char *const *words, size_t n)
{
    if (draw(3))
        return;
    fprintf(out, "%s=", key);
    for (unsigned left = 1 + draw(3); left > 0; left--)
        fprintf(out, "%s%s%s", draw(3) ? "" : "!", words[draw((unsigned)n)], left > 1 ? " " : "\n");
}

static void write_account(FILE *out)
{
    if (!draw(2))
        return;
    fprintf(out, "Account=");
    for (unsigned left = 1 + draw(3); left > 0; left--) {
        bool group = draw(4) == 0;

        fprintf(out, "%s%s%s%s", draw(3) ? "" : "!", group ? "@" : "", group ? DRAW(group_names) : DRAW(globs),
                left > 1 ? " " : "\n");
    }
}

/* One file's text; the caller frees it. */
static char *random_rule(bool scripts)
{
    const char *action = DRAW(actions);
    bool script = scripts && draw(3) == 0;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fprintf(out, "[Match]\n");
    write_account(out);
    write_words(out, "Service", globs, LB_ELEMENTS(globs));
    write_words(out, "Scope", globs, LB_ELEMENTS(globs));
    write_words(out, "RemoteHost", hosts, LB_ELEMENTS(hosts));
    write_words(out, "Key", proofs, LB_ELEMENTS(proofs));
    write_words(out, "Identity", globs, LB_ELEMENTS(globs));
    if (draw(4) == 0)
        fprintf(out, "Time=%s\n", DRAW(times));
    if (script)
        fprintf(out, "Command=%s%s\n", draw(2) ? DIGEST_A : DIGEST_B, draw(3) ? "" : " " DIGEST_B);
    fprintf(out, "[Rule]\nAction=%s\n%s", script ? "permit" : action, script ? "[Run]\nUser=nobody\n" : "");
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct lb_ruleset *random_rules(size_t n, bool scripts)
{
    struct lb_policy_text *files = calloc(n, sizeof(*files));
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    for (size_t i = 0; i < n; i++) {
        files[i].path = "random.policy";
        files[i].text = random_rule(scripts);
        files[i].size = strlen(files[i].text);
    }
    if (lb_rules_parse(files, n, &set, &error) < 0)
        fail_msg("%s", error);
    for (size_t i = 0; i < n; i++)
        free((char *)files[i].text);
    free(files);
    return set;
}

/* `groups` has room for four. */
static struct lb_facts random_facts(bool scripts, char **groups)
{
    struct lb_facts f = {
        .account = DRAW(names), .service = DRAW(names), .scope = DRAW(names), .rhost = DRAW(rhosts),
        .proof = draw(8), .identity = DRAW(names), .groups = groups,
        .command = scripts && draw(3) == 0 ? (draw(2) ? DIGEST_A : DIGEST_B) : "",
        .weekday = (int)draw(8) - 1, .minute = (int)draw(24 * 60 + 1) - 1,
    };

    for (size_t i = 0; i < LB_ELEMENTS(group_names); i++)
        if (draw(3) == 0)
            *groups++ = (char *)group_names[i];
    *groups = NULL;
    return f;
}
