/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told of each kind of event: name, message ID, priority, sentence, and the entry in the journal's catalog. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <syslog.h>

#include <cmocka.h>

#include "tests/unit/samples.h"

#define CATALOG "packaging/catalog/lockbox.catalog"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(lb_event_names[LB_EVENT_NONE], "");
    assert_null(lb_event_names[LB_EVENT_MAX_]);
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
        assert_non_null(lb_event_names[kind]);
        assert_true(*lb_event_names[kind]);
        assert_int_equal(lb_event_kind_from_name(lb_event_names[kind]), kind); /* so no two have the same */
    }
    assert_int_equal(lb_event_kind_from_name(""), LB_EVENT_NONE);
    assert_int_equal(lb_event_kind_from_name("Approved"), LB_EVENT_NONE);
    assert_int_equal(lb_event_kind_from_name(NULL), LB_EVENT_NONE);
}

static void test_state_names(void **state)
{
    (void)state;
    assert_null(lb_state_names[LB_STATE_MAX_]);
    for (int a = 1; a < LB_STATE_MAX_; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(lb_state_names[a], lb_state_names[b]);
}

static void test_message_ids(void **state)
{
    (void)state;
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
        const char *id = lb_event_classes[kind].message_id;

        assert_non_null(id);
        assert_int_equal(strlen(id), 32);
        assert_int_equal(strspn(id, "0123456789abcdef"), 32);
        for (int other = 1; other < kind; other++)
            assert_string_not_equal(id, lb_event_classes[other].message_id);
    }
}

static void test_priorities(void **state)
{
    (void)state;
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++)
        assert_in_range(lb_event_classes[kind].priority, LOG_ALERT, LOG_NOTICE);
    assert_int_equal(lb_event_classes[LB_EVENT_STUCK].priority, LOG_ALERT);
    assert_int_equal(lb_event_classes[LB_EVENT_EMERGENCY].priority, LOG_ALERT);
    assert_int_equal(lb_event_classes[LB_EVENT_UNIT_FAILED].priority, LOG_ERR);
    assert_int_equal(lb_event_classes[LB_EVENT_POLICY_REFUSED].priority, LOG_ERR);
    assert_int_equal(lb_event_classes[LB_EVENT_ILLEGAL].priority, LOG_WARNING);
    assert_int_equal(lb_event_classes[LB_EVENT_APPROVED].priority, LOG_NOTICE);
}

/* --- sentences ---------------------------------------------------------------------------------------------------- */

/* Each {name} is a field that can be told, each [ has its ]. */
static void assert_template(const char *sentence)
{
    int depth = 0;

    for (const char *p = sentence; *p; p++) {
        char name[32];
        int n = 0;

        depth += (*p == '[') - (*p == ']');
        assert_in_range(depth, 0, 1);
        if (*p != '{')
            continue;
        assert_int_equal(sscanf(p, "{%31[a-z_]}%n", name, &n), 1);
        assert_true(n > 0);
        assert_non_null(lb_fields_find(lb_event_fields, name));
        assert_in_range(lb_fields_find(lb_event_fields, name)->type, LB_FIELD_STRING, LB_FIELD_INT);
    }
    assert_int_equal(depth, 0);
}

/* A person reads it: no braces, no brackets of ours, no doubled blanks, one end. */
static void assert_sentence(const char *text)
{
    assert_non_null(text);
    assert_true(isupper((unsigned char)text[0]) || strncmp(text, "eng@", 4) == 0 || strncmp(text, "bob", 3) == 0);
    assert_null(strpbrk(text, "{}[]"));
    if (strstr(text, "  ") || strpbrk(text, "{}[]"))
        print_error("%s\n", text);
    assert_null(strstr(text, "  "));
    assert_null(strstr(text, " ."));
    assert_null(strstr(text, "(null)"));
}

static void test_every_kind_has_a_sentence(void **state)
{
    (void)state;
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
        struct lb_event e = sample_event(kind, 0);
        LB_FREE char *full = NULL, *bare = NULL;

        e.note = "the note";
        assert_template(lb_event_classes[kind].sentence);
        full = lb_event_sentence(&e);
        assert_sentence(full);
        e.ticket = e.reason = e.rhost = NULL;
        if (strstr(lb_event_classes[kind].sentence, "[: {note}]"))
            e.note = NULL;
        e.duration = 0;
        bare = lb_event_sentence(&e);
        assert_sentence(bare);
        assert_true(strlen(bare) <= strlen(full));
    }
}

static void assert_says(const struct lb_event *e, const char *wanted)
{
    LB_FREE char *text = lb_event_sentence(e);

    assert_string_equal(text, wanted);
}

static void test_optional_parts(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);

    (void)state;
    assert_says(&e,
                "eng@vendor.example asks for access to root@appliance by sshd from 192.0.2.7 for 4h, ticket CASE-1234: "
                "disk is full.");
    e.rhost = NULL;
    assert_says(&e,
                "eng@vendor.example asks for access to root@appliance by sshd for 4h, ticket CASE-1234: disk is full.");
    e.duration = 0;
    e.ticket = "";
    assert_says(&e, "eng@vendor.example asks for access to root@appliance by sshd: disk is full.");
    e.reason = NULL;
    assert_says(&e, "eng@vendor.example asks for access to root@appliance by sshd.");
}

/* A window is nobody's by name. */
static void test_nobody_is_named(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_STOPPED, 0);

    (void)state;
    e.engineer = "";
    e.note = NULL;
    e.by = "bob";
    assert_says(&e, "bob stopped access of whoever has the ticket on root; everything in its sessions ends now.");
    e.engineer = NULL;
    assert_says(&e, "bob stopped access of whoever has the ticket on root; everything in its sessions ends now.");
}

/* A zero in a receipt is said. */
static void test_receipt_says_its_zeroes(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_REVOKED, 0);

    (void)state;
    assert_says(&e, "Access of eng@vendor.example on root is revoked: 3 processes ended in 9 ms, 0 left.");
    e.shared = 2;
    assert_says(&e,
                "Access of eng@vendor.example on root is revoked: 3 processes ended in 9 ms, 0 left, 2 cannot be told "
                "from another engineer's.");
    e.killed = e.ms = e.shared = 0;
    assert_says(&e, "Access of eng@vendor.example on root is revoked: 0 processes ended in 0 ms, 0 left.");
}

static void test_spans_are_for_people(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_WARNED, 0);

    (void)state;
    assert_says(&e, "Access of eng@vendor.example on root ends in 15min; the engineer was told.");
    e = sample_event(LB_EVENT_REBOOTED, 0);
    e.left_usec = 90 * MINUTE;
    assert_says(&e, "The host was restarted; the request of eng@vendor.example on root has 1h 30min left.");
}

/* Who opened what, for whom, for how long and why it is less: nothing that was decided is left out. */
static void test_what_was_decided_is_said(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_APPROVED, 0);

    (void)state;
    e.clamp = "shortened to the 4h that were asked for";
    assert_says(&e,
                "bob approved access of eng@vendor.example on root for 4h (shortened to the 4h that were asked for).");
    e = sample_event(LB_EVENT_GRANTED, 0);
    assert_says(&e, "bob opens root@appliance beforehand for 4h, ticket CASE-1234.");
    e = sample_event(LB_EVENT_PREAPPROVED, 0);
    assert_says(&e, "Window GRNT-0001 lets eng@vendor.example in to root@appliance by sshd from 192.0.2.7, "
                    "ticket CASE-1234.");
    e = sample_event(LB_EVENT_EMERGENCY, 0);
    e.note = "the array is gone";
    assert_says(&e, "eng@vendor.example declared an emergency and is let in to root@appliance for 4h: "
                    "the array is gone.");
    e = sample_event(LB_EVENT_ACKNOWLEDGED, 0);
    assert_says(&e, "bob has seen the emergency access of eng@vendor.example on root.");
    e = sample_event(LB_EVENT_ADDED, 0);
    assert_says(&e, "The time that eng@vendor.example asked for is added to MORE-0001.");
    e = sample_event(LB_EVENT_EXTENDED, 0);
    assert_says(&e, "bob gave eng@vendor.example on root 4h more.");
    e = sample_event(LB_EVENT_UNIT_FAILED, 0);
    e.note = "data.mount could not be started (failed)";
    assert_says(&e, "Access of eng@vendor.example on root: data.mount could not be started (failed).");
}

static void test_scripts_are_told(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_SCRIPT_STARTED, 0);

    (void)state;
    e.note = "--unit x";
    assert_says(&e, "Rule 20-vendor.policy lets eng@vendor.example run check.sh as diagnose@appliance with --unit x "
                    "for 4h.");
    e = sample_event(LB_EVENT_SCRIPT_ENDED, 0);
    assert_says(&e, "Script check.sh of eng@vendor.example ended with exit status 0; 0 bytes of output.");
    e.exit_status = 137;
    e.bytes = 12;
    e.note = "stopped by SIGKILL";
    assert_says(&e, "Script check.sh of eng@vendor.example ended with exit status 137: stopped by SIGKILL; 12 bytes of "
                    "output.");
}

/* What a person wrote is no template. */
static void test_values_are_not_templates(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_DENIED, 0);

    (void)state;
    e.note = "{reason} [x] %s";
    assert_says(&e, "bob denied access of eng@vendor.example on root: {reason} [x] %s.");
}

static void test_copy_is_its_own(void **state)
{
    const struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);
    struct lb_event copy;

    (void)state;
    assert_int_equal(lb_event_copy(&copy, &e), 0);
    assert_int_equal(copy.kind, e.kind);
    assert_int_equal(copy.time.boot_id, 77);
    assert_ptr_not_equal(copy.reason, e.reason);
    assert_string_equal(copy.reason, e.reason);
    assert_string_equal(copy.entitled[0], "root");
    assert_string_equal(copy.terms.customer[0], "root");
    assert_int_equal(copy.terms.warn[2], MINUTE);
    lb_event_clear(&copy);
    assert_null(copy.reason);
    assert_int_equal(copy.kind, LB_EVENT_NONE);
}

/* --- the catalog -------------------------------------------------------------------------------------------------- */

static int kind_of_id(const char *id)
{
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++)
        if (strcmp(lb_event_classes[kind].message_id, id) == 0)
            return kind;
    return LB_EVENT_NONE;
}

/* Every kind has one entry under its name, with a subject and a body; and there is no entry of no kind. */
static void test_catalog(void **state)
{
    int entries[LB_EVENT_MAX_] = { 0 }, subjects[LB_EVENT_MAX_] = { 0 }, bodies[LB_EVENT_MAX_] = { 0 };
    int kind = LB_EVENT_NONE;
    char line[256], name[32] = "", id[64];
    FILE *f = fopen(CATALOG, "re");

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "# %31[a-z-]\n", name) == 1)
            continue;
        assert_true(*line == '#' || strlen(line) <= 81); /* it is read on a terminal */
        if (sscanf(line, "-- %63s", id) == 1) {
            kind = kind_of_id(id);
            assert_int_not_equal(kind, LB_EVENT_NONE);
            assert_string_equal(name, lb_event_names[kind]);
            entries[kind]++;
        } else if (kind && strncmp(line, "Subject: ", 9) == 0) {
            subjects[kind]++;
        } else if (kind && strchr("\n#", line[0]) == NULL && !strstr(line, ": Lockbox") && !strstr(line, ": man:")) {
            bodies[kind]++;
        }
    }
    fclose(f);
    for (kind = 1; kind < LB_EVENT_MAX_; kind++) {
        if (entries[kind] != 1 || subjects[kind] != 1 || bodies[kind] == 0)
            print_error("%s has no good entry in " CATALOG "\n", lb_event_names[kind]);
        assert_int_equal(entries[kind], 1);
        assert_int_equal(subjects[kind], 1);
        assert_true(bodies[kind] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_state_names),
        cmocka_unit_test(test_message_ids),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_every_kind_has_a_sentence),
        cmocka_unit_test(test_optional_parts),
        cmocka_unit_test(test_nobody_is_named),
        cmocka_unit_test(test_receipt_says_its_zeroes),
        cmocka_unit_test(test_spans_are_for_people),
        cmocka_unit_test(test_what_was_decided_is_said),
        cmocka_unit_test(test_scripts_are_told),
        cmocka_unit_test(test_values_are_not_templates),
        cmocka_unit_test(test_copy_is_its_own),
        cmocka_unit_test(test_catalog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
