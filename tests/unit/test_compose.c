/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mails: what they say, to whom, under which name, and that nobody's text gets out of its place in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "lockboxd/courier/compose.h"
#include "tests/unit/read_mail.h"
#include "tests/unit/samples.h"

static const struct lb_mail_config config = {
    .from = (char *)"lockbox@customer.example", .link = (char *)"https://portal.example/%i?from=mail",
};

/* A mail, and what a reader has of it. */
struct mail {
    char *bytes, *text, *html;
};

static void clear(struct mail *m)
{
    free(m->bytes);
    free(m->text);
    free(m->html);
}

/* The body of the part that is of this type. */
static char *part(const char *bytes, const char *type)
{
    const char *head = strstr(bytes, type), *body = head ? strstr(head, "\r\n\r\n") : NULL;
    const char *end = body ? strstr(body, "\r\n--=_lockbox") : NULL;
    LB_FREE char *lines = NULL;

    assert_non_null(end);
    lines = strndup(body + 4, (size_t)(end - body) - 4);
    return read_body(lines);
}

static struct mail compose_as(const struct lb_mail_config *c, const struct lb_matter *m)
{
    struct mail mail = { 0 };

    assert_int_equal(lb_compose(c, m, "bob@customer.example", &mail.bytes), 0);
    assert_mail_lines(mail.bytes, 300); /* a Message-ID cannot be folded */
    mail.text = part(mail.bytes, "text/plain");
    mail.html = part(mail.bytes, "text/html");
    return mail;
}

static struct mail compose(int notice, const struct lb_event *e, const struct lb_request *r)
{
    const struct lb_matter m = { .notice = notice, .host = "appliance", .event = e, .request = r, .person = "bob",
                                 .now = SAMPLE_WALL };

    return compose_as(&config, &m);
}

/* The value of a header; owned. */
static char *value_of(const struct mail *m, const char *name)
{
    LB_FREE char *begin = NULL, *line = NULL;
    const char *at, *end;

    assert_true(asprintf(&begin, "\r\n%s:", name) > 0);
    at = strstr(m->bytes, begin);
    assert_non_null(at);
    assert_null(strstr(at + 2, begin));
    for (end = at + 2; strncmp(end, "\r\n", 2) != 0 || end[2] == ' '; end++)
        ;
    line = strndup(at + 2, (size_t)(end - at) - 2);
    return read_header(line);
}

static void assert_header(const struct mail *m, const char *name, const char *wanted)
{
    LB_FREE char *value = value_of(m, name);

    assert_string_equal(value, wanted);
}

static struct lb_event asked(void)
{
    struct lb_event e = sample_event(LB_EVENT_REQUESTED, 0);

    e.seq = 1234;
    e.ticket_url = (char *)"https://support.example/?a=1&t=CASE-1234";
    return e;
}

/* The request that one or more events make; the last one is in the mail. */
static struct lb_request *after(struct lb_event *events, size_t n)
{
    struct lb_request *r = NULL;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(lb_lifecycle_apply(&r, &events[i]), 0);
    return r;
}

#define SAYS(text, ...) assert_says(text, (const char *[]){ __VA_ARGS__, NULL })
static void assert_says(const char *text, const char *const *wanted)
{
    for (; *wanted; wanted++)
        if (!strstr(text, *wanted))
            fail_msg("\"%s\" is not in:\n%s", *wanted, text);
}

/* What a person has to know before he decides comes before what he may want to look up: on a telephone, all of it and
 * the command are on one page. */
#define ORDER(text, ...) assert_order(text, (const char *[]){ __VA_ARGS__, NULL })
static void assert_order(const char *text, const char *const *words)
{
    const char *at = strstr(text, *words);

    for (; *words; words++) {
        const char *next = at ? strstr(at, *words) : NULL;

        if (!next)
            fail_msg("\"%s\" is not in its place in:\n%s", *words, text);
        at = next;
    }
}

static void test_headers(void **state)
{
    struct lb_event e = asked();
    struct lb_request *r = after(&e, 1);
    LB_CLEANUP(clear) struct mail m = compose(LB_NOTICE_ACTION, &e, r);

    (void)state;
    assert_int_equal(strncmp(m.bytes, "From: \"lockbox on appliance\" <lockbox@customer.example>\r\n", 57), 0);
    assert_header(&m, "To", "\"bob\" <bob@customer.example>");
    assert_header(&m, "Subject", "Action needed: 7F3K-9QXM, root@appliance for eng@vendor.example");
    assert_header(&m, "Date", "Mon, 21 Sep 2026 14:13:20 +0000");
    assert_header(&m, "Message-ID", "<7F3K-9QXM.1234.action.bob@appliance>");
    assert_header(&m, "In-Reply-To", "<7F3K-9QXM@appliance>");
    assert_header(&m, "References", "<7F3K-9QXM@appliance>");
    assert_header(&m, "Auto-Submitted", "auto-generated");
    assert_header(&m, "X-Auto-Response-Suppress", "All");
    assert_header(&m, "MIME-Version", "1.0");
    assert_null(strstr(m.bytes, "Importance"));
    lb_request_free(r);
}

static void test_action(void **state)
{
    struct lb_event e = asked();
    struct lb_request *r = after(&e, 1);
    LB_CLEANUP(clear) struct mail m = compose(LB_NOTICE_ACTION, &e, r);

    (void)state;
    SAYS(m.text, "eng@vendor.example asks for access to root@appliance", "Request:    7F3K-9QXM\n",
         "Proven by:  SHA256:abc\n", "Account:    root@appliance\n",
         "Login:      sshd, from 192.0.2.7\nScope:      login\n",
         "Ticket:     CASE-1234\n            https://support.example/?a=1&t=CASE-1234\n", "Reason:     disk is full\n",
         "For:        4h\n", "Decide by:  2026-09-22 02:13 UTC (04:13 CEST)\n",
         "    lockboxctl approve 7F3K-9QXM\n    lockboxctl deny 7F3K-9QXM\n", "    lockboxctl show 7F3K-9QXM\n",
         "    https://portal.example/7F3K-9QXM?from=mail\n");
    SAYS(m.html, "<td><b><bdi>eng@vendor.example</bdi></b></td>", "<td><bdi>CASE-1234</bdi></td>",
         "<a href=\"https://support.example/?a=1&amp;t=CASE-1234\">", "lockboxctl approve 7F3K-9QXM\n",
         "<a href=\"https://portal.example/7F3K-9QXM?from=mail\">");
    ORDER(m.text, "Request", "Engineer", "Account", "Reason", "For:", "Decide by", "Ticket", "Proven by", "approve",
          "deny");
    ORDER(m.html, "Request", "Engineer", "Account", "Reason", ">For<", "Decide by", "approve", "deny", "Ticket",
          "Proven by");
    assert_null(strstr(m.text, "Careful"));
    assert_null(strpbrk(m.text, "{}[]"));
    assert_null(strpbrk(m.html, "{}[]"));
    lb_request_free(r);
}

/* The same bytes at each try, whenever that is. */
static void test_the_same_again(void **state)
{
    struct lb_event e = asked();
    struct lb_request *r = after(&e, 1);
    LB_CLEANUP(clear) struct mail one = compose(LB_NOTICE_ACTION, &e, r), two = compose(LB_NOTICE_ACTION, &e, r);

    (void)state;
    assert_string_equal(one.bytes, two.bytes);
    lb_request_free(r);
}

static void test_what_is_not_there_is_left_out(void **state)
{
    struct lb_event e = asked();
    struct lb_request *r;
    struct lb_mail_config no_link = config;
    struct lb_matter matter = { .notice = LB_NOTICE_ACTION, .host = "appliance", .event = &e, .now = SAMPLE_WALL };
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    e.ticket = e.ticket_url = e.reason = e.rhost = e.key = NULL;
    r = after(&e, 1);
    no_link.link = NULL;
    matter.request = r;
    m = compose_as(&no_link, &matter);
    assert_null(strstr(m.text, "Ticket"));
    assert_null(strstr(m.text, "Reason"));
    assert_null(strstr(m.html, "Ticket"));
    assert_null(strstr(m.html, "<a"));
    assert_null(strstr(m.text, "http"));
    SAYS(m.text, "from the host itself", "Proven by:  nothing");
    assert_header(&m, "To", "bob@customer.example");
    assert_header(&m, "Message-ID", "<7F3K-9QXM.1234.action.bob=40customer.example@appliance>");
    lb_request_free(r);
}

static void test_what_the_approver_should_know(void **state)
{
    struct lb_event e = asked();
    struct lb_request *r;
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    e.kind = LB_EVENT_REVIEW;
    e.terms.internal = e.terms.customer;
    e.terms.evidence = LB_EVIDENCE_SIGNED;
    e.reason = (char *)"the \xd0\xb0" "dmin asked";
    r = after(&e, 1);
    m = compose(LB_NOTICE_ACTION, &e, r);
    SAYS(m.text, "You decide for the vendor.", "lockboxctl approve 7F3K-9QXM --sign KEY\n",
         "Careful: the reason mixes alphabets.");
    SAYS(m.html, "Careful: the reason mixes alphabets.");
    lb_request_free(r);
}

static void test_several_approvals(void **state)
{
    struct lb_event events[] = { asked(), sample_event(LB_EVENT_VOTED, LB_USEC_PER_SEC) };
    struct lb_request *r;
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    events[0].terms.quorum = 2;
    r = after(events, 2);
    m = compose(LB_NOTICE_ACTION, &events[0], r);
    SAYS(m.text, "Approvals:  1 of 2 so far\n");
    lb_request_free(r);
}

/* Made when the request is, sent when it nearly expires; what may change meanwhile is not in it. */
static void test_reminder(void **state)
{
    struct lb_event e = asked();
    struct lb_request *r = after(&e, 1);
    struct lb_mail_config hour = config;
    const struct lb_matter matter = { .notice = LB_NOTICE_REMINDER, .host = "appliance", .event = &e, .request = r,
                                      .now = SAMPLE_WALL };
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    hour.remind = HOUR;
    m = compose_as(&hour, &matter);
    assert_header(&m, "Date", "Tue, 22 Sep 2026 01:13:20 +0000");
    SAYS(m.text, "It is not decided yet, and expires 2026-09-22 02:13 UTC (04:13 CEST).");
    assert_null(strstr(m.text, "Approvals"));
    lb_request_free(r);
}

static void test_outcome(void **state)
{
    struct lb_event events[] = { asked(), sample_event(LB_EVENT_DENIED, LB_USEC_PER_SEC) };
    struct lb_request *r;
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    events[1].note = (char *)"not <today>";
    events[1].evidence = (char *)LB_EVIDENCE_SIGNATURE;
    r = after(events, 2);
    m = compose(LB_NOTICE_OUTCOME, &events[1], r);
    assert_header(&m, "Subject", "Denied: 7F3K-9QXM, root@appliance for eng@vendor.example");
    assert_header(&m, "In-Reply-To", "<7F3K-9QXM@appliance>");
    SAYS(m.text, "State:      denied\n", "bob denied (signed), 2026-09-21 14:13 UTC (16:13 CEST): not <today>\n");
    SAYS(m.html, "not &lt;today&gt;");
    assert_null(strstr(m.text, "revoke"));
    lb_request_free(r);
}

static void test_receipt(void **state)
{
    struct lb_change changes[30] = { { (char *)"unit", (char *)"/etc/x\n.service", (char *)"added", NULL } };
    struct lb_event events[] = { sample_event(LB_EVENT_PERMITTED, 0), sample_event(LB_EVENT_STOPPED, 1),
                                 sample_event(LB_EVENT_LEFT_BEHIND, 2), sample_event(LB_EVENT_REVOKED, 3) };
    struct lb_request *r;
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    for (int i = 1; i < 30; i++)
        changes[i] = changes[0];
    events[2].changes = (struct lb_list){ changes, 30 };
    r = after(events, 4);
    m = compose(LB_NOTICE_OUTCOME, &events[3], r);
    assert_header(&m, "Subject", "Revoked: 7F3K-9QXM, root@appliance for eng@vendor.example");
    SAYS(m.text, "Ended by:   bob\n", "Receipt:    3 processes ended in 9 ms, nothing left\n",
         "unit added: /etc/x .service\nunit added: /etc/x .service\n", "and more: lockboxctl show 7F3K-9QXM\n");
    SAYS(m.html, "unit added: /etc/x .service<br>\n");
    lb_request_free(r);
}

static void test_urgent(void **state)
{
    struct lb_event events[] = { asked(), sample_event(LB_EVENT_EMERGENCY, LB_USEC_PER_SEC) };
    struct lb_request *r;
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    events[0].terms.emergency = true;
    events[1].basis = LB_BASIS_EMERGENCY;
    r = after(events, 2);
    m = compose(LB_NOTICE_URGENT, &events[1], r);
    assert_header(&m, "Subject", "EMERGENCY ACCESS: 7F3K-9QXM, root@appliance by eng@vendor.example");
    assert_header(&m, "Importance", "high");
    assert_header(&m, "X-Priority", "1 (Highest)");
    ORDER(m.html, "Engineer", "Account", "Reason", "State", "revoke", "acknowledge", "Ticket", "Proven by");
    SAYS(m.text, "NOBODY WAS ASKED", "lockboxctl revoke 7F3K-9QXM\n", "lockboxctl acknowledge 7F3K-9QXM\n",
         "State:      active until ");
    lb_request_free(r);
}

/* The host's own events have no request. */
static void test_alarm(void **state)
{
    struct lb_event e = sample_event(LB_EVENT_UNACCOUNTED, 0);
    LB_CLEANUP(clear) struct mail m = { 0 };

    (void)state;
    e.request = e.engineer = e.ticket = e.reason = NULL;
    e.note = (char *)"sleep (4711)";
    m = compose(LB_NOTICE_ALARM, &e, NULL);
    assert_header(&m, "Subject", "ALARM: Processes without an access on appliance");
    assert_header(&m, "Importance", "high");
    assert_null(strstr(m.bytes, "References"));
    SAYS(m.text, "Processes of root run without an access: sleep (4711).\n", "Account:    root@appliance\n");
    assert_null(strstr(m.text, "Engineer"));
    assert_null(strstr(m.text, "revoke"));
}

static void test_a_test(void **state)
{
    LB_CLEANUP(clear) struct mail m = compose(LB_NOTICE_TEST, NULL, NULL);

    (void)state;
    assert_header(&m, "Subject", "Test: mail from lockbox on appliance arrives");
    SAYS(m.text, "2026-09-21 14:13 UTC (16:13 CEST), for bob. There is nothing to do.");
}

/* Every kind of event can be told in every notice. */
static void test_everything(void **state)
{
    (void)state;
    for (int notice = 1; notice < LB_NOTICE_MAX_; notice++)
        for (int kind = 1; kind < LB_EVENT_MAX_; kind++)
            for (int s = 0; s < LB_STATE_MAX_; s++) {
                struct lb_event e = sample_event(kind, 0);
                struct lb_request *r = s ? sample_request(s) : NULL;
                LB_CLEANUP(clear) struct mail m = { 0 };
                LB_FREE char *subject = NULL;

                e.note = (char *)"the note";
                m = compose(notice, &e, r);
                subject = value_of(&m, "Subject");
                assert_null(strpbrk(subject, "{}[]"));
                assert_null(strpbrk(m.text, "{}[]"));
                assert_null(strstr(m.text, "(null)"));
                lb_request_free(r);
            }
}

/* Row 13: line ends, markup and controls wherever somebody's text comes in, as if no other defence had been there. */
static void test_hostile_text(void **state)
{
    static const char *const attacks[] = {
        "x\r\nBcc: everybody@example\r\n\r\nbody", "x\nX-Priority: 1", "x\r\n.\r\nMAIL FROM:<a@b>",
        "x\r\n--=_lockbox--",
        "<script>alert(1)</script>", "\"><img src=https://evil.example/>", "\x1b[31m\x07\x9b", "\xe2\x80\xae" "gnp.exe",
        "=?UTF-8?B?QmNj?=", "\xff\xfe\xc0\xaf", "{engineer}[[", "%n%s%i",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(attacks); i++) {
        struct lb_event e = asked();
        struct lb_request *r;
        struct lb_matter matter = { .notice = LB_NOTICE_ACTION, .host = attacks[i], .event = &e, .person = attacks[i],
                                    .now = SAMPLE_WALL };
        LB_FREE char *headers = NULL;
        LB_CLEANUP(clear) struct mail m = { 0 };

        e.engineer = e.ticket = e.reason = e.rhost = e.key = e.host = e.ticket_url = e.account = (char *)attacks[i];
        r = after(&e, 1);
        matter.request = r;
        m = compose_as(&config, &matter); /* lines of plain ASCII, all of them */
        headers = strndup(m.bytes, (size_t)(strstr(m.bytes, "\r\n\r\n") - m.bytes));
        assert_null(strstr(headers, "\r\nBcc:"));
        assert_null(strstr(headers, "\r\nX-Priority"));
        assert_null(strstr(headers, "\r\nMAIL"));
        assert_null(strstr(m.bytes, "\r\n."));
        assert_null(strstr(m.html, "<script"));
        assert_null(strstr(m.html, "<img"));
        assert_null(strpbrk(m.text, "\x1b\x07\r"));
        assert_null(strstr(m.text, "\xe2\x80\xae"));
        free(value_of(&m, "Subject")); /* there is one of each */
        free(value_of(&m, "To"));
        free(value_of(&m, "Message-ID"));
        lb_request_free(r);
    }
}

/* Whatever the vendor calls his engineer, the subject still says which request on which host. */
static void test_a_long_name(void **state)
{
    char name[1001] = "";
    struct lb_event e = asked();
    struct lb_request *r;
    LB_CLEANUP(clear) struct mail m = { 0 };
    LB_FREE char *subject = NULL;

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    e.engineer = name;
    r = after(&e, 1);
    m = compose(LB_NOTICE_ACTION, &e, r);
    subject = value_of(&m, "Subject");
    assert_int_equal(strncmp(subject, "Action needed: 7F3K-9QXM, root@appliance for xxx", 48), 0);
    assert_in_range(strlen(subject), 100, 240);
    lb_request_free(r);
}

static int set_zone(void **state)
{
    (void)state;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_action),
        cmocka_unit_test(test_the_same_again),
        cmocka_unit_test(test_what_is_not_there_is_left_out),
        cmocka_unit_test(test_what_the_approver_should_know),
        cmocka_unit_test(test_several_approvals),
        cmocka_unit_test(test_reminder),
        cmocka_unit_test(test_outcome),
        cmocka_unit_test(test_receipt),
        cmocka_unit_test(test_urgent),
        cmocka_unit_test(test_alarm),
        cmocka_unit_test(test_a_test),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_a_long_name),
    };

    return cmocka_run_group_tests(tests, set_zone, NULL);
}
