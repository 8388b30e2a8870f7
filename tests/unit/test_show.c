/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request in a person's words: whose turn it is, what was decided in whose name, what is still to be done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "lockboxd/ctl/ctl.h"
#include "policy/deadline.h"

#define NOW (INT64_C(1714752000) * LB_USEC_PER_SEC) /* 2024-05-03 16:00 UTC */
#define REQUEST(state, basis, more)                                                                             \
    "{\"id\":\"7F3K-9QXM\",\"state\":\"" state "\",\"basis\":\"" basis "\",\"host\":\"box\",\"account\":\"eng\"," \
    "\"uid\":1234,\"service\":\"sshd\",\"scope\":\"login\",\"requested_at\":\"2024-05-03T15:50:00Z\","            \
    "\"duration\":14400" more "}"
#define ALICE ",\"engineer\":\"alice\",\"key\":\"certificate\""

/* The card's lines, each as "Label: value\n", in colours or without. */
static char *show(const char *json, bool colour)
{
    LB_JSON json_t *request = json_loads(json, 0, NULL);
    struct lb_ctl ctl = { .now = NOW };
    char *text = NULL;
    size_t size = 0;

    assert_non_null(request);
    ctl.out = (struct lb_terminal){ .out = open_memstream(&text, &size), .colour = colour, .utf8 = true };
    ctl.err = ctl.out;
    assert_int_equal(lb_show_request(&ctl, request), LB_EXIT_DONE);
    fclose(ctl.out.out);
    return text;
}

/* What is there (a line's beginning and end, "Label value") and what is not. */
static void expect(const char *json, const char *const *lines, const char *const *not)
{
    LB_FREE char *text = show(json, false);
    LB_FREE char *spaced = calloc(1, strlen(text) + 2);
    char *to = spaced;

    *to++ = '\n';
    for (const char *from = text; *from; from++)
        if (*from != ' ' || to[-1] != ' ')
            *to++ = *from;
    for (; *lines; lines++) {
        LB_FREE char *whole = NULL;
        assert_true(asprintf(&whole, "\n%s\n", *lines) > 0);
        if (!strstr(spaced, whole))
            print_error("missing: %s\nin:%s", *lines, spaced);
        assert_non_null(strstr(spaced, whole));
    }
    for (; *not; not++)
        assert_null(strstr(spaced, *not));
}

#define LINES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define NONE (const char *const[]){ NULL }

static void test_whose_turn_it_is(void **state)
{
    (void)state;
    expect(REQUEST("review", "approval", ALICE ",\"stage\":\"internal\",\"quorum\":2"),
           LINES("State: Vendor reviews: waits for the vendor's own approver", "Engineer: alice (certificate)",
                 "To ask: lockboxctl ask 7F3K-9QXM 'TEXT'"),
           LINES("approvals", "Emergency", "To get more time"));
    expect(REQUEST("pending", "approval", ALICE ",\"stage\":\"customer\",\"quorum\":2,\"approvals\":["
                   "{\"approver\":\"dora\",\"role\":\"internal\",\"stage\":\"internal\",\"decision\":\"approve\","
                   "\"evidence\":\"local\",\"at\":\"2024-05-03T15:55:00Z\"},"
                   "{\"approver\":\"bob\",\"role\":\"customer\",\"stage\":\"customer\",\"decision\":\"approve\","
                   "\"evidence\":\"local\",\"at\":\"2024-05-03T15:56:00Z\",\"note\":\"go on\"}]"),
           LINES("State: Action needed, 1 of 2 approvals",
                 "Approved: today 15:55 by dora for the vendor, evidence local",
                 "Approved: today 15:56 by bob for the customer, evidence local: go on"), NONE);
    expect(REQUEST("pending", "approval", ALICE ",\"stage\":\"customer\",\"quorum\":1"), LINES("State: Action needed"),
           NONE);
}

static void test_an_emergency_stands_out(void **state)
{
    static const char unseen[] = REQUEST("ended", "break-glass", ALICE ",\"end\":{\"killed\":1,\"ms\":3,\"left\":0}");
    LB_FREE char *coloured = show(unseen, true);

    (void)state;
    expect(unseen, LINES("State: Ended",
                         "Emergency: nobody was asked; not acknowledged: lockboxctl acknowledge 7F3K-9QXM",
                         "Receipt: 1 process ended in 3 ms, nothing left"), NONE);
    assert_non_null(strstr(coloured, "\033[31mnobody was asked"));
    expect(REQUEST("ended", "break-glass", ALICE ",\"acknowledged_at\":\"2024-05-03T15:00:00Z\",\"approvals\":["
                   "{\"approver\":\"bob\",\"role\":\"approver\",\"stage\":\"\",\"decision\":\"acknowledge\","
                   "\"evidence\":\"local\",\"at\":\"2024-05-03T15:00:00Z\"}]"),
           LINES("Acknowledged: today 15:00 (1h ago)", "Acknowledged: today 15:00 by bob, evidence local"),
           LINES("Emergency", "acknowledge "));
}

#define ENDED(end) REQUEST("ended", "approval", ALICE ",\"end\":{\"killed\":17,\"ms\":23,\"left\":0," end "}")

static void test_the_receipt_by_kind(void **state)
{
    (void)state;
    expect(ENDED("\"kinds\":{\"session\":12,\"service\":3,\"connection\":2}"),
           LINES("Receipt: 17 processes ended in 23 ms (12 session, 3 user service, 2 connection), nothing left"),
           NONE);
    expect(ENDED("\"kinds\":{\"scope\":16,\"other\":1},\"shared\":4"),
           LINES("Receipt: 17 processes ended in 23 ms (16 escaped, 1 elsewhere), nothing surely its own left; "
                 "4 cannot be told from another engineer's"), LINES("nothing left"));
}

static void test_why_it_was_revoked(void **state)
{
    (void)state;
    expect(ENDED("\"at\":\"2024-05-03T15:55:00Z\",\"reason\":\"stopped\",\"by\":\"bob\",\"note\":\"wrong host\""),
           LINES("End: today 15:55, stopped by bob: wrong host"), NONE);
    expect(ENDED("\"at\":\"2024-05-03T15:55:00Z\",\"reason\":\"stopped\",\"by\":\"bob\""),
           LINES("End: today 15:55, stopped by bob"), NONE);
}

static void test_a_window_has_no_engineer(void **state)
{
    (void)state;
    expect(REQUEST("approved", "preapproved", ",\"ticket\":\"CASE-1\",\"not_before\":\"2024-05-04T09:00:00Z\""),
           LINES("Engineer: whoever comes with the ticket while it is open", "Ticket: CASE-1",
                 "Begins: tomorrow 09:00 (in 17h)", "To stop it: lockboxctl revoke 7F3K-9QXM"),
           LINES("Began", "To ask"));
    expect(REQUEST("active", "preapproved", ALICE ",\"grant\":\"1111-1111\",\"not_before\":\"2024-05-03T15:00:00Z\""),
           LINES("Engineer: alice (certificate)", "Began: today 15:00 (1h ago)",
                 "Window: 1111-1111 (opened beforehand; it let the engineer in)"), LINES("Begins"));
}

/* Who froze it, until when, and what lets it go on. */
static void test_frozen(void **state)
{
    (void)state;
    expect(REQUEST("paused", "approval", ALICE ",\"not_after\":\"2024-05-03T18:00:00Z\",\"paused\":{\"by\":\"bob\","
                   "\"at\":\"2024-05-03T15:00:00Z\",\"note\":\"back at two\",\"hold\":false,\"left\":0}"),
           LINES("State: Paused", "Paused: by bob since today 15:00: back at two",
                 "Ends: today 18:00 (in 2h), if it is not resumed", "To let it go on: lockboxctl resume 7F3K-9QXM",
                 "To stop it: lockboxctl revoke 7F3K-9QXM"), LINES("Time left", "Frozen"));
    expect(REQUEST("paused", "approval", ALICE ",\"not_after\":\"2024-05-03T18:00:00Z\",\"paused\":{\"by\":\"bob\","
                   "\"at\":\"2024-05-03T15:00:00Z\",\"hold\":true,\"left\":5400}"),
           LINES("Time left: 1h 30min, which stands still", "Ends: today 18:00 (in 2h), if it is not resumed"), NONE);
    expect(REQUEST("paused", "approval", ALICE ",\"not_after\":\"2024-05-03T18:00:00Z\",\"paused\":{\"by\":\"clock\","
                   "\"at\":\"2024-05-03T15:00:00Z\",\"hold\":true,\"left\":0}"),
           LINES("State: Frozen at its end", "Frozen: since today 15:00, when its time was over",
                 "Ends: today 18:00 (in 2h), if no more time is approved: the engineer asks for it with a new login"),
           LINES("resume", "Time left", "Paused"));
    expect(REQUEST("active", "approval", ALICE ",\"sessions\":[{\"session\":1,\"pid\":2}]"),
           LINES("To freeze it: lockboxctl pause 7F3K-9QXM"), LINES("resume"));
}

static void test_links(void **state)
{
    (void)state;
    expect(REQUEST("pending", "approval", ALICE ",\"extends\":\"1111-1111\",\"previous\":\"2222-2222\""),
           LINES("Asked for: 4h more", "Extends: 1111-1111 (the access that it asks more time for)",
                 "Previous: 2222-2222"), NONE);
    /* More time that was given has ended nothing. */
    expect(REQUEST("completed", "approval", ALICE ",\"extends\":\"1111-1111\""), LINES("State: Completed"),
           LINES("Receipt"));
}

/* A line, and below the card what is different; none of it before there is a report. */
static void test_what_was_left_behind(void **state)
{
    (void)state;
    expect(REQUEST("ended", "approval",
                   ALICE ",\"left_behind\":{\"at\":\"2024-05-03T15:50:00Z\",\"count\":9,\"changes\":["
                         "{\"kind\":\"account\",\"name\":\"mallory\",\"change\":\"added\",\"detail\":\"uid 0\"},"
                         "{\"kind\":\"unit\",\"change\":\"more\",\"detail\":\"8 more\"}]}"),
           LINES("Left behind: 9 changes since it began", "KIND CHANGE WHAT DETAIL", "account added mallory uid 0",
                 "unit more 8 more"),
           NONE);
    expect(REQUEST("ended", "approval", ALICE ",\"left_behind\":{\"at\":\"2024-05-03T15:50:00Z\",\"count\":0,"
                   "\"changes\":[]}"),
           LINES("Left behind: nothing"), LINES("KIND"));
    expect(REQUEST("ended", "approval", ALICE ",\"left_behind\":{\"at\":\"2024-05-03T15:50:00Z\",\"count\":0,"
                   "\"changes\":[],\"problem\":\"nobody could look\"}"),
           LINES("Left behind: not known: nobody could look"), LINES("KIND", "nothing"));
    expect(REQUEST("active", "approval", ALICE), LINES("State: Active"), LINES("Left behind"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_turn_it_is),
        cmocka_unit_test(test_an_emergency_stands_out),
        cmocka_unit_test(test_the_receipt_by_kind),
        cmocka_unit_test(test_why_it_was_revoked),
        cmocka_unit_test(test_a_window_has_no_engineer),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_what_was_left_behind),
    };

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
