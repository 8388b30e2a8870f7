/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Globs, addresses, and the pattern lists of [Match]. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "policy/base.h"
#include "policy/glob.h"
#include "policy/pattern.h"

static void test_globs(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        { "a", "a", true }, { "a", "A", false }, { "a", "aa", false }, { "aa", "a", false }, { "a", "", false },
        { "*", "", true }, { "*", "anything", true }, { "**", "x", true }, { "a*", "a", true }, { "a*", "ba", false },
        { "*@vendor.example", "anna@vendor.example", true }, { "*@vendor.example", "anna@vendor.example.evil", false },
        { "*@vendor.example", "@vendor.example", true }, { "a*b*c", "a-b-b-c", true }, { "a*b*c", "a-b-b", false },
        { "*ab", "aab", true }, { "*aab", "aaaab", true }, { "a*a", "a", false },
        { "?", "x", true }, { "?", "", false }, { "??", "\u00e9x", true }, { "?", "\u4e16", true },
        { "?", "\xFF", true },
        { "[abc]", "b", true }, { "[abc]", "d", false }, { "[a-c]x", "bx", true }, { "[!a-c]", "b", false },
        { "[^a-c]", "d", true }, { "[]]", "]", true }, { "[]a]", "a", true }, { "[!]]", "]", false },
        { "[a-]", "-", true },
        { "[-a]", "-", true }, { "[a-]x", "bx", false }, { "[\u00e0-\u00ff]", "\u00e9", true },
        { "[\u00e0-\u00ff]", "e", false },
        { "[!a]", "", false }, { "*[0-9]", "web12", true }, { "*[0-9]", "web", false },
        { "a\\b", "a\\b", true }, { "\\*", "*", false }, { "\u00e9", "\u00e8", false },
        { "*[!\u00e9]x", "\u00e9x", false }, { "\xFF", "\xFE", false },
        { "*\xA9", "\u00e9", false }, { "\xC3*", "\u00e9", false }, { "*a*\u00e9", "a\u00e9", true },
        { "*?a", "\u00e9a", true }, { "*[b]a*", "abca-ba", true }, { "a*", "\xFF", false }, { "*a*a", "aba", true },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        assert_null(lb_glob_mistake(cases[i].pattern));
        if (lb_glob_fits(cases[i].pattern, cases[i].text) != cases[i].fits)
            fail_msg("%s and %s", cases[i].pattern, cases[i].text);
    }
}

static void test_globs_that_are_mistaken(void **state)
{
    static const char *const cases[] = { "[", "[]", "[!]", "[!", "[a", "a[b", "x[a]y[z", "[[:digit:]]", "[[.x.]]",
                                         "[z-a]", "[a9-0]" };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        if (!lb_glob_mistake(cases[i]))
            fail_msg("%s passes", cases[i]);
}

/* Many stars against what almost fits: exponential in a matcher that tries everything. */
static void test_globs_do_not_explode(void **state)
{
    char pattern[201] = "", text[20001];

    (void)state;
    for (size_t i = 0; i < 200; i += 2)
        memcpy(pattern + i, "*a", 3);
    pattern[199] = 'b';
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(lb_glob_fits(pattern, text));
}

static void test_addresses(void **state)
{
    static const char *const good[] = { "192.0.2.1", "0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.1",
      "fe80::1%eth0" };
    static const char *const bad[] = { "", "192.0.2", "192.0.2.256", "010.0.0.1", "192.0.2.1 ", " ::", "host.example",
                                       "192.0.2.1%eth0", "2001:db8:::1", "192.0.2.1/32", "UNKNOWN", "%eth0",
                                       "0000:0000:0000:0000:0000:ffff:192.168.100.1000000" };
    struct lb_address a;

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(good); i++)
        if (lb_address_parse(good[i], &a) != 0)
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < LB_ELEMENTS(bad); i++)
        if (lb_address_parse(bad[i], &a) != -EINVAL)
            fail_msg("%s", bad[i]);
}

static void test_networks(void **state)
{
    static const struct {
        const char *text, *shown;
        int r;
    } cases[] = {
        { "192.0.2.0/24", "192.0.2.0/24", 0 }, { "192.0.2.7", "192.0.2.7/32", 0 }, { "0.0.0.0/0", "0.0.0.0/0", 0 },
        { "192.0.2.5/24", "192.0.2.0/24", 1 }, { "192.0.2.129/25", "192.0.2.128/25", 1 }, { "::/0", "::/0", 0 },
        { "2001:db8::/32", "2001:db8::/32", 0 }, { "2001:db8::1/64", "2001:db8::/64", 1 }, { "::1", "::1/128", 0 },
        { "::ffff:192.0.2.0/120", "192.0.2.0/24", 0 }, { "::ffff:192.0.2.1", "192.0.2.1/32", 0 },
        { "192.0.2.0/33", NULL, -EINVAL }, { "192.0.2.0/", NULL, -EINVAL }, { "192.0.2.0/024", NULL, -EINVAL },
        { "192.0.2.0/-1", NULL, -EINVAL }, { "192.0.2.0/24x", NULL, -EINVAL }, { "::/129", NULL, -EINVAL },
        { "192.0.2.0/255.255.255.0", NULL, -EINVAL }, { "192.0.2/24", NULL, -EINVAL }, { "/24", NULL, -EINVAL },
        { "fe80::1%eth0", NULL, -EINVAL }, { "::ffff:192.0.2.0/24", NULL, -EINVAL }, { "host", NULL, -EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_network net;
        char shown[LB_NETWORK_MAX];
        int r = lb_network_parse(cases[i].text, &net);

        if (r != cases[i].r || (r >= 0 && strcmp(lb_network_format(&net, shown, sizeof(shown)), cases[i].shown) != 0))
            fail_msg("%s", cases[i].text);
    }
}

struct list_case {
    const char *patterns, *value;
    bool fits;
};

static struct lb_pattern_list *parse(enum lb_match_key key, const char *patterns)
{
    struct lb_ini_errors errors = {};
    struct lb_ini_place at = { &errors, "f", 1, lb_match_names[key] };
    struct lb_pattern_list *list = NULL;

    assert_int_equal(lb_pattern_list_parse(key, patterns, &at, &list), 0);
    if (!list)
        fail_msg("%s", errors.text);
    assert_null(errors.text);
    assert_string_equal(lb_pattern_list_text(list), patterns);
    return list;
}

static bool fits(enum lb_match_key key, const char *patterns, const struct lb_facts *facts)
{
    struct lb_pattern_list *list = parse(key, patterns);
    struct lb_subject subject;
    bool yes;

    lb_subject_read(facts, &subject);
    yes = lb_pattern_list_fits(list, &subject);
    lb_pattern_list_free(list);
    return yes;
}

static void test_account_lists(void **state)
{
    static const struct list_case cases[] = {
        { "eng", "eng", true }, { "eng", "engo", false }, { "support* eng", "support2", true },
        { "support* eng", "eng", true },
        { "!eng", "eng", false }, { "!eng", "other", true }, { "* !eng", "eng", false }, { "!eng *", "other", true },
        { "!eng eng", "eng", false }, { "@field", "eng", true }, { "@other", "eng", false },
        { "!@field", "eng", false },
        { "!@other", "eng", true }, { "support* !@field", "support1", false }, { "@other eng", "eng", true },
        { "CORP\\eng", "CORP\\eng", true }, { "bob@corp.example", "bob@corp.example", true }, { "*", "", false },
    };
    char *groups[] = { (char[]){ "field" }, NULL };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        if (fits(LB_MATCH_ACCOUNT, cases[i].patterns,
                 &(struct lb_facts){ .account = cases[i].value, .groups = groups }) != cases[i].fits)
            fail_msg("%s and %s", cases[i].patterns, cases[i].value);
    assert_false(fits(LB_MATCH_ACCOUNT, "@field", &(struct lb_facts){ .account = "field" }));
}

static void test_host_lists(void **state)
{
    static const struct list_case cases[] = {
        { "192.0.2.0/24", "192.0.2.77", true }, { "192.0.2.0/24", "192.0.3.77", false },
        { "192.0.2.128/25", "192.0.2.127", false }, { "192.0.2.128/25", "192.0.2.128", true },
        { "192.0.2.0/24", "::ffff:192.0.2.77", true }, { "::ffff:192.0.2.0/120", "192.0.2.77", true },
        { "::/0", "192.0.2.77", false }, { "::/0", "::ffff:192.0.2.77", false }, { "0.0.0.0/0", "2001:db8::1", false },
        { "2001:db8::/33", "2001:db8:8000::1", false }, { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "fe80::/10", "fe80::1%eth0", true }, { "192.0.2.1 local", "", true },
        { "192.0.2.1 local", "192.0.2.1", true },
        { "local", "192.0.2.1", false }, { "local", "::1", false }, { "192.0.2.0/24", "", false },
        { "0.0.0.0/0", "", false },
        { "!192.0.2.0/24", "192.0.2.1", false }, { "!192.0.2.0/24", "198.51.100.1", true },
        { "!192.0.2.0/24", "", true },
        { "!local", "", false }, { "0.0.0.0/0 !10.0.0.0/8", "10.1.2.3", false },
        /* what is no address fits nothing, whatever is excluded */
        { "0.0.0.0/0 ::/0 local", "host.example", false }, { "!192.0.2.0/24", "host.example", false },
        { "!local", "UNKNOWN", false }, { "local", " ", false },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        if (fits(LB_MATCH_REMOTE_HOST, cases[i].patterns, &(struct lb_facts){ .rhost = cases[i].value }) !=
            cases[i].fits)
            fail_msg("%s and \"%s\"", cases[i].patterns, cases[i].value);
    assert_true(fits(LB_MATCH_REMOTE_HOST, "local", &(struct lb_facts){}));
}

static void test_key_lists(void **state)
{
    static const struct {
        const char *patterns;
        unsigned proof;
        bool fits;
    } cases[] = {
        { "any", 0, true }, { "any", LB_PROOF_PLAIN, true }, { "plain", LB_PROOF_PLAIN, true }, { "plain", 0, false },
        { "plain", LB_PROOF_HARDWARE, false }, { "certificate hardware", 0, false },
        { "certificate hardware", LB_PROOF_PLAIN, false }, { "certificate hardware", LB_PROOF_CERTIFICATE, true },
        { "certificate hardware", LB_PROOF_HARDWARE, true }, { "certificate", LB_PROOF_HARDWARE, false },
        { "hardware", LB_PROOF_CERTIFICATE | LB_PROOF_HARDWARE, true },
        { "certificate !hardware", LB_PROOF_CERTIFICATE | LB_PROOF_HARDWARE, false },
        { "!plain", LB_PROOF_PLAIN, false }, { "!plain", 0, true }, { "any !plain", LB_PROOF_PLAIN, false },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        if (fits(LB_MATCH_KEY, cases[i].patterns, &(struct lb_facts){ .proof = cases[i].proof }) != cases[i].fits)
            fail_msg("%s and %u", cases[i].patterns, cases[i].proof);
}

static void test_identity_lists(void **state)
{
    static const struct list_case cases[] = {
        { "*@vendor.example", "anna@vendor.example", true }, { "*@vendor.example", "anna@other.example", false },
        { "*@vendor.example", "", false }, { "*", "", false }, { "**", "", false }, { "*", "x", true },
        { "!*@other.example", "", true },
        { "!*@other.example", "x@other.example", false }, { "Anna?Smith", "Anna Smith", true },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++)
        if (fits(LB_MATCH_IDENTITY, cases[i].patterns, &(struct lb_facts){ .identity = cases[i].value }) !=
            cases[i].fits)
            fail_msg("%s and \"%s\"", cases[i].patterns, cases[i].value);
}

static void test_command_lists(void **state)
{
    static const char digest[] = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
                      other[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    char both[256];

    (void)state;
    snprintf(both, sizeof(both), "%s %s", other, digest);
    assert_true(fits(LB_MATCH_COMMAND, digest, &(struct lb_facts){ .command = digest }));
    assert_true(fits(LB_MATCH_COMMAND, both, &(struct lb_facts){ .command = digest }));
    assert_false(fits(LB_MATCH_COMMAND, digest, &(struct lb_facts){ .command = other }));
    assert_false(fits(LB_MATCH_COMMAND, digest, &(struct lb_facts){ .command = digest + strlen("sha256:") }));
    assert_false(fits(LB_MATCH_COMMAND, both, &(struct lb_facts){ .command = "" }));
    assert_false(fits(LB_MATCH_COMMAND, both, &(struct lb_facts){}));
}

static void test_time_lists(void **state)
{
    (void)state;
    assert_true(fits(LB_MATCH_TIME, "Mon 08:00-18:00 !12:00-13:00", &(struct lb_facts){ .minute = 480 }));
    assert_false(fits(LB_MATCH_TIME, "Mon 08:00-18:00 !12:00-13:00", &(struct lb_facts){ .minute = 720 }));
    assert_false(fits(LB_MATCH_TIME, "!Tue", &(struct lb_facts){ .weekday = -1 }));
}

static void test_what_covers_what_fits(void **state)
{
    static const char *const globs[] = { "a", "ab", "abc", "*", "a*", "ab*", "*c", "*bc", "a*c", "ab*bc", "a?c",
                                         "[ab]*", "a[b]c", "?", "*b*", "**" };
    static const char *const values[] = { "a", "ab", "abc", "abbc", "abcbc", "c", "bc", "ac", "axc", "b", "abcx" };
    struct lb_pattern_list *lists[LB_ELEMENTS(globs)];

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(globs); i++)
        lists[i] = parse(LB_MATCH_ACCOUNT, globs[i]);
    for (size_t i = 0; i < LB_ELEMENTS(globs); i++)
        for (size_t j = 0; j < LB_ELEMENTS(globs); j++)
            for (size_t k = 0; k < LB_ELEMENTS(values); k++)
                if (lb_pattern_covers(&lists[i]->patterns[0], &lists[j]->patterns[0]) &&
                    fits(LB_MATCH_ACCOUNT, globs[j], &(struct lb_facts){ .account = values[k] }) &&
                    !fits(LB_MATCH_ACCOUNT, globs[i], &(struct lb_facts){ .account = values[k] }))
                    fail_msg("%s does not cover %s: %s", globs[i], globs[j], values[k]);
    for (size_t i = 0; i < LB_ELEMENTS(globs); i++)
        lb_pattern_list_free(lists[i]);
}

/* What the index looks a pattern up by. */
static void test_anchors(void **state)
{
    static const struct {
        const char *glob;
        enum lb_anchor_kind kind;
        const char *bytes;
    } cases[] = {
        { "abc", LB_ANCHOR_WHOLE, "abc" }, { "*", LB_ANCHOR_NONE, "" }, { "a*", LB_ANCHOR_HEAD, "a" },
        { "*a", LB_ANCHOR_TAIL, "a" }, { "ab*cd", LB_ANCHOR_HEAD, "ab" }, { "ab*cde", LB_ANCHOR_TAIL, "cde" },
        { "a*bcd*e", LB_ANCHOR_PIECE, "bcd" }, { "[abcd]", LB_ANCHOR_NONE, "" }, { "[abcd]x", LB_ANCHOR_TAIL, "x" },
        { "x[]abcd]?", LB_ANCHOR_HEAD, "x" }, { "?[!]]y[^]z]", LB_ANCHOR_PIECE, "y" },
        { "*0123456789abcdefgh*", LB_ANCHOR_PIECE, "0123456789abcdef" }, { "?a", LB_ANCHOR_TAIL, "a" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_pattern_list *list = parse(LB_MATCH_IDENTITY, cases[i].glob);
        struct lb_anchor anchor = lb_pattern_anchor(&list->patterns[0]);

        if (anchor.kind != cases[i].kind || anchor.n != strlen(cases[i].bytes) ||
            memcmp(anchor.bytes, cases[i].bytes, anchor.n) != 0)
            fail_msg("%s: %.*s", cases[i].glob, (int)anchor.n, (const char *)anchor.bytes);
        lb_pattern_list_free(list);
    }
}

static void test_widening(void **state)
{
    struct lb_network net;
    char shown[LB_NETWORK_MAX];

    (void)state;
    assert_int_equal(lb_network_parse("192.0.2.255", &net), 0);
    for (int prefix = 32; prefix > 0; prefix--)
        assert_true(lb_network_widen(&net));
    assert_false(lb_network_widen(&net));
    assert_string_equal(lb_network_format(&net, shown, sizeof(shown)), "0.0.0.0/0");
    assert_int_equal(lb_network_parse("2001:db8::ffff/121", &net), 1);
    assert_true(lb_network_widen(&net));
    assert_string_equal(lb_network_format(&net, shown, sizeof(shown)), "2001:db8::ff00/120");
}

static void test_words_that_are_mistaken(void **state)
{
    static const struct {
        enum lb_match_key key;
        const char *value, *mistakes;
    } cases[] = {
        { LB_MATCH_ACCOUNT, "a,b",
          "f:7: Account=a,b is not a name or a glob of names; names are separated by spaces\n" },
        { LB_MATCH_ACCOUNT, "1000",
          "f:7: Account=1000 is not a name or a glob of names; names are separated by spaces\n" },
        { LB_MATCH_ACCOUNT, "@a*", "f:7: Account=@a* is not @ and the name of a group\n" },
        { LB_MATCH_ACCOUNT, "@", "f:7: Account=@ is not @ and the name of a group\n" },
        { LB_MATCH_ACCOUNT, "! bob", "f:7: Account=: one ! stands right before a pattern\n" },
        { LB_MATCH_ACCOUNT, "!!bob", "f:7: Account=!bob: one ! stands right before a pattern\n" },
        { LB_MATCH_ACCOUNT, "ok [x", "f:7: Account=[x: a [ without its ]\n" },
        { LB_MATCH_ACCOUNT, "bob!",
          "f:7: Account=bob! is not a name or a glob of names; names are separated by spaces\n" },
        { LB_MATCH_SCOPE, "a]", "f:7: Scope=a] is not a scope: at most 32 of a-z 0-9 _ -\n" },
        { LB_MATCH_SERVICE, "@wheel", "f:7: Service=@wheel: groups are for Account= only\n" },
        { LB_MATCH_SCOPE, "Root", "f:7: Scope=Root is not a scope: at most 32 of a-z 0-9 _ -\n" },
        { LB_MATCH_SCOPE, "a23456789012345678901234567890123",
          "f:7: Scope=a23456789012345678901234567890123 is not a scope: at most 32 of a-z 0-9 _ -\n" },
        { LB_MATCH_REMOTE_HOST, "192.0.2.5/24 host.example",
          "f:7: RemoteHost=192.0.2.5/24 has bits set behind the prefix (did you mean 192.0.2.0/24?)\n"
          "f:7: RemoteHost=host.example is not an address, address/bits or local; names of hosts are not taken\n" },
        { LB_MATCH_KEY, "certficate",
          "f:7: Key=certficate is none of any, plain, certificate, hardware (did you mean certificate?)\n" },
        { LB_MATCH_KEY, "Any", "f:7: Key=Any is none of any, plain, certificate, hardware (did you mean any?)\n" },
        { LB_MATCH_COMMAND, "deadbeef",
          "f:7: Command=deadbeef is not sha256: and the 64 digits that sha256sum prints\n" },
        { LB_MATCH_COMMAND, "sha256:DEADBEEF0000000000000000000000000000000000000000000000000000000000",
          "f:7: Command=sha256:DEADBEEF0000000000000000000000000000000000000000000000000000000000 is not sha256: and "
          "the 64 digits that sha256sum prints\n" },
        { LB_MATCH_COMMAND, "!sha256:0", "f:7: Command=sha256:0: it lists what may run; there is no ! in it\n" },
        { LB_MATCH_IDENTITY, "@vendor.example",
          "f:7: Identity=@vendor.example: patterns are for the whole Key ID (did you mean *@vendor.example?)\n" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        struct lb_ini_errors errors = {};
        struct lb_ini_place at = { &errors, "f", 7, lb_match_names[cases[i].key] };
        struct lb_pattern_list *list = NULL;

        assert_int_equal(lb_pattern_list_parse(cases[i].key, cases[i].value, &at, &list), 0);
        assert_null(list);
        assert_string_equal(errors.text, cases[i].mistakes);
        free(errors.text);
    }
}

static void test_names_and_groups_of_a_list(void **state)
{
    struct lb_pattern_list *list = parse(LB_MATCH_ACCOUNT, "su s* !sudo @one @two !@three");

    (void)state;
    assert_true(lb_pattern_list_names(list, "su"));
    assert_false(lb_pattern_list_names(list, "sshd")); /* fits, but by a glob */
    assert_false(lb_pattern_list_names(list, "s*"));
    assert_false(lb_pattern_list_names(list, "sudo"));
    assert_false(lb_pattern_list_names(list, "one"));
    assert_string_equal(lb_pattern_list_group(list, 0), "one");
    assert_string_equal(lb_pattern_list_group(list, 1), "two");
    assert_string_equal(lb_pattern_list_group(list, 2), "three");
    assert_null(lb_pattern_list_group(list, 3));
    lb_pattern_list_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_globs_that_are_mistaken),
        cmocka_unit_test(test_globs_do_not_explode),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_account_lists),
        cmocka_unit_test(test_host_lists),
        cmocka_unit_test(test_key_lists),
        cmocka_unit_test(test_identity_lists),
        cmocka_unit_test(test_command_lists),
        cmocka_unit_test(test_time_lists),
        cmocka_unit_test(test_what_covers_what_fits),
        cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_widening),
        cmocka_unit_test(test_words_that_are_mistaken),
        cmocka_unit_test(test_names_and_groups_of_a_list),
    };
    return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
