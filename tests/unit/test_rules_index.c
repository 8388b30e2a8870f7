/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The index decides exactly as the rules do one by one, and soon enough. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "tests/unit/random_rules.h"

static void note_decider(void *userdata, const struct lb_rule *rule, const char *key, const char *pattern)
{
    (void)pattern;
    if (!key)
        *(const struct lb_rule **)userdata = rule;
}

/* explain() walks over the rules one by one. */
static const struct lb_rule *plainly(const struct lb_ruleset *set, const struct lb_facts *facts)
{
    const struct lb_rule *rule = NULL;

    lb_rules_explain(set, facts, note_decider, &rule);
    return rule;
}

static size_t check_same(size_t n, size_t logins, bool scripts)
{
    struct lb_ruleset *set = random_rules(n, scripts);
    size_t decided = 0;

    for (size_t i = 0; i < logins; i++) {
        char *groups[4];
        struct lb_facts facts = random_facts(scripts, groups);
        const struct lb_rule *rule = lb_rules_decide(set, &facts).rule;

        if (rule != plainly(set, &facts))
            fail_msg("%s %s %s %s: rule %td, plainly %td", facts.account, facts.service, facts.scope, facts.rhost,
                     rule ? rule - set->rules : -1, plainly(set, &facts) ? plainly(set, &facts) - set->rules : -1);
        decided += rule != NULL;
    }
    lb_ruleset_free(set);
    return decided;
}

static void test_random_sets(void **state)
{
    size_t decided = 0;

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        decided += check_same(1 + draw(60), 50, i % 2);
    assert_in_range(decided, 10000, 49500); /* both answers occurred often */
}

/* More rules than one block of the index has. */
static void test_very_many_rules(void **state)
{
    (void)state;
    check_same(16384, 20, true);
    check_same(16385, 20, true);
    for (size_t i = 0; i < 2; i++) {
        struct lb_policy_text *files = calloc(40000, sizeof(*files));
        struct lb_ruleset *set = NULL;
        char *error = NULL;
        struct lb_facts facts = { .account = "eng", .weekday = -1 };

        for (size_t j = 0; j < 40000; j++)
            files[j] = (struct lb_policy_text){ "f", "[Match]\nAccount=x\n[Rule]\nAction=deny\n", 36 };
        files[39998 - i].text = "[Match]\nAccount=e\n[Rule]\nAction=deny\n";
        files[39999 - i].text = "[Match]\nAccount=*\n[Rule]\nAction=deny\n";
        assert_int_equal(lb_rules_parse(files, 40000, &set, &error), 0);
        assert_ptr_equal(lb_rules_decide(set, &facts).rule, &set->rules[39999 - i]);
        lb_ruleset_free(set);
        free(files);
    }
}

/* --- time --------------------------------------------------------------------------------------------------------- */

#define MANY 10000

/* A [Match] that the login below just misses. # is a number of each rule's own, $ and ^ together are too; & is a minute
 * and ~ an hour, which come again. */
static const struct {
    const char *name, *match;
} shapes[] = {
    { "literal", "Account=support#\nService=sshd\nScope=login\n" },
    { "prefix", "Account=support#*\n" },
    { "same prefix", "Account=support1*\nService=s* *d\nScope=x#\n" },
    { "suffix", "Identity=*#@vendor.example\n" },
    { "within", "Account=*u*#*\n" },
    { "glob", "Account=s*p?#*1\nIdentity=?*#*@*.example\n" },
    { "set", "Account=[a-z]*[0-9]#\nIdentity=[!x]*[a-z]#\n" },
    { "last key", "Account=supp*1\nService=ss*\nScope=l*n\nRemoteHost=192.0.0.0/8\nKey=certificate\n"
                  "Identity=a*@vendor.example\nTime=Mon 00:&-~:59\n" },
    { "network", "RemoteHost=10.$.^.0/24 172.16.$.^\n" },
    { "group", "Account=@group# !@other#\n" },
    { "excluded", "Account=* !*# !s*\n" },
    { "time", "Time=Mon..Tue ~:&-~:59 Thu 10:&-11:& Sat..Sun\n" },
    { "long list", "Account=a# b# c#* d#* *e# *f# g#*x h# i# j# k# l# m#\n" },
    { "same long list", "Account=a b* c* d* e* f* g* h* i* s*t1 *1 *z\nScope=b c d e f g x#\n" },
};

static char *shape(const char *match, int i)
{
    static const char marks[] = "#$^&~";
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fprintf(out, "[Match]\n");
    for (const char *c = match; *c; c++) {
        const char *mark = strchr(marks, *c);
        const int numbers[] = { 10000 + i, i / 250, i % 250, 10 + i % 49, 10 + i / 49 % 13 };

        if (mark)
            fprintf(out, "%d", numbers[mark - marks]);
        else
            fputc(*c, out);
    }
    fprintf(out, "[Rule]\nAction=deny\n");
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct lb_ruleset *many(const char *match)
{
    struct lb_policy_text *files = calloc(MANY, sizeof(*files));
    struct lb_ruleset *set = NULL;
    LB_FREE char *error = NULL;

    for (int i = 0; i < MANY; i++) {
        char *text = shape(match, i);

        files[i] = (struct lb_policy_text){ "f", text, strlen(text) };
    }
    if (lb_rules_parse(files, MANY, &set, &error) < 0)
        fail_msg("%.500s", error);
    for (int i = 0; i < MANY; i++)
        free((char *)files[i].text);
    free(files);
    return set;
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Fills the caches with something else. */
static void chill(void)
{
    static char other[32 << 20];

    for (size_t i = 0; i < sizeof(other); i += 64)
        other[i]++;
}

/* The median of some, in ns: this machine does other things, too. */
static int64_t median_of(const struct lb_ruleset *set, const struct lb_facts *facts, bool cold)
{
    int64_t spans[5];
    size_t n = 0;

    for (size_t i = 0; i < LB_ELEMENTS(spans); i++) {
        int64_t began, span;
        size_t at = n++;

        if (cold)
            chill();
        began = now();
        lb_rules_decide(set, facts);
        span = now() - began;
        for (; at > 0 && spans[at - 1] > span; at--)
            spans[at] = spans[at - 1];
        spans[at] = span;
    }
    return spans[LB_ELEMENTS(spans) / 2];
}

static void test_ten_thousand_rules_in_a_millisecond(void **state)
{
    char *groups[] = { (char[]){ "group" }, (char[]){ "wheel" }, NULL };
    const struct lb_facts facts = {
        .account = "support1", .service = "sshd", .scope = "login", .rhost = "192.0.2.7", .proof = LB_PROOF_CERTIFICATE,
        .identity = "anna.smith@vendor.example", .groups = groups, .weekday = 2, .minute = 10 * 60,
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(shapes); i++) {
        struct lb_ruleset *set = many(shapes[i].match);
        int64_t cold = median_of(set, &facts, true), warm = median_of(set, &facts, false);

        assert_null(lb_rules_decide(set, &facts).rule);
        assert_null(plainly(set, &facts));
        print_message("%-16s warm %4jd us, cold %4jd us\n", shapes[i].name, (intmax_t)warm / 1000,
                      (intmax_t)cold / 1000);
#ifndef __SANITIZE_ADDRESS__
        assert_in_range(cold, 0, 1000000);
#endif
        lb_ruleset_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_sets),
        cmocka_unit_test(test_very_many_rules),
        cmocka_unit_test(test_ten_thousand_rules_in_a_millisecond),
    };
    return cmocka_run_group_tests_name("rules_index", tests, NULL, NULL);
}
