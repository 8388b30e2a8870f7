/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lockboxctl as it is typed, against a daemon that a thread plays: what is asked of it, what a person reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/qr.h"
#include "policy/deadline.h"
#include "tests/unit/directory.h"

#define NOW (INT64_C(1714752000) * LB_USEC_PER_SEC) /* 2024-05-03 16:00 UTC */
#define CALLS_MAX 8

/* A request as the daemon gives it, but for what a test adds. */
#define REQUEST(state, basis, more)                                                                             \
    "{\"id\":\"7F3K-9QXM\",\"state\":\"" state "\",\"basis\":\"" basis "\",\"host\":\"box\",\"account\":\"eng\"," \
    "\"uid\":1234,\"service\":\"sshd\",\"scope\":\"login\",\"requested_at\":\"2024-05-03T15:50:00Z\","            \
    "\"duration\":14400" more "}"
#define ALICE ",\"engineer\":\"alice\""
#define PENDING REQUEST("pending", "approval", ALICE ",\"stage\":\"customer\",\"decide_by\":\"2024-05-03T20:00:00Z\"")
#define GIVES(request) "{\"parameters\":{\"request\":" request "}}"
#define LISTS(requests) "{\"parameters\":{\"requests\":[" requests "]}}"

/* --- the daemon --------------------------------------------------------------------------------------------------- */

struct server {
    const char *const *replies; /* one a call, NULL-terminated */
    int listener;
    char *asked; /* "Method {parameters}\n" for each call */
    size_t size;
};

/* One call to its NUL, as "Method {parameters}\n" without the interface's name. */
static void note_call(FILE *log, int fd)
{
    char bytes[4096] = "";
    size_t n = 0;
    LB_JSON json_t *call = NULL;
    LB_FREE char *parameters = NULL;

    while (n < sizeof(bytes) - 1 && read(fd, bytes + n, 1) == 1 && bytes[n])
        n++;
    call = json_loads(bytes, 0, NULL);
    parameters = json_dumps(json_object_get(call, "parameters"), JSON_COMPACT | JSON_SORT_KEYS);
    fprintf(log, "%s %s\n", strrchr(lb_ctl_string(call, "method"), '.') + 1, parameters);
}

/* Connections stay open until the end, as one that follows has to. */
static void *serve(void *userdata)
{
    struct server *s = userdata;
    FILE *log = open_memstream(&s->asked, &s->size);
    int fds[CALLS_MAX], n = 0;

    for (; s->replies[n] && (fds[n] = accept(s->listener, NULL, NULL)) >= 0; n++) {
        note_call(log, fds[n]);
        if (send(fds[n], s->replies[n], strlen(s->replies[n]) + 1, MSG_NOSIGNAL) < 0)
            break;
    }
    while (n > 0)
        close(fds[--n]);
    fclose(log);
    return NULL;
}

/* --- the command -------------------------------------------------------------------------------------------------- */

struct result {
    int status;
    char *out, *err, *asked;
};

static void result_clear(struct result *r)
{
    free(r->out);
    free(r->err);
    free(r->asked);
}
#define RESULT LB_CLEANUP(result_clear) struct result

static struct result run_wide(unsigned width, const char *const *replies, const char **argv)
{
    char directory[] = "/tmp/lockbox-test.XXXXXX";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct server server = { .replies = replies };
    struct result result = { 0 };
    struct lb_ctl ctl = { .now = NOW, .options[LB_OPTION_SOCKET] = address.sun_path };
    size_t out = 0, err = 0;
    pthread_t thread;
    int argc = 0;

    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server.listener, CALLS_MAX), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);

    while (argv[argc])
        argc++;
    ctl.out = (struct lb_terminal){ .out = open_memstream(&result.out, &out), .width = width, .utf8 = true };
    ctl.err = (struct lb_terminal){ .out = open_memstream(&result.err, &err), .utf8 = true };
    optind = 0; /* getopt begins anew */
    result.status = lb_ctl_run(&ctl, argc, (char **)argv);
    fclose(ctl.out.out);
    fclose(ctl.err.out);
    free(ctl.directories);

    shutdown(server.listener, SHUT_RDWR); /* where it was asked less than it has answers for */
    pthread_join(thread, NULL);
    close(server.listener);
    unlink(address.sun_path);
    rmdir(directory);
    result.asked = server.asked;
    return result;
}

#define ARGV(...) (const char *[]){ "lockboxctl", __VA_ARGS__, NULL }
#define RUN(replies, ...) run_wide(0, replies, ARGV(__VA_ARGS__))
#define REPLIES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define NO_REPLIES (const char *const[]){ NULL }

static void expect(struct result r, int status, const char *asked, const char *out, const char *err)
{
    assert_string_equal(r.err, err);
    assert_string_equal(r.asked, asked);
    assert_string_equal(r.out, out);
    assert_int_equal(r.status, status);
    result_clear(&r);
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static void test_ask(void **state)
{
    (void)state;
    expect(RUN(REPLIES(GIVES(PENDING)), "ask", "7f3k9qxm", "which disk?"), LB_EXIT_DONE,
           "Ask {\"id\":\"7F3K-9QXM\",\"note\":\"which disk?\"}\n", "Asked about 7F3K-9QXM: alice on eng@box.\n", "");
    expect(RUN(REPLIES(LISTS(PENDING), GIVES(PENDING)), "ask", "which disk?"), LB_EXIT_DONE,
           "List {}\nAsk {\"id\":\"7F3K-9QXM\",\"note\":\"which disk?\"}\n",
           "Asked about 7F3K-9QXM: alice on eng@box.\n", "");
}

/* Nothing that might not have been meant for the other side is sent to it. */
static void test_words_are_needed(void **state)
{
    char longer[402];

    (void)state;
    memset(longer, 'x', 401);
    longer[401] = '\0';
    expect(RUN(NO_REPLIES, "ask"), LB_EXIT_USAGE, "", "",
           "lockboxctl: ask what? Put the words into quotes: lockboxctl ask ID 'TEXT'\n");
    expect(RUN(NO_REPLIES, "answer", "7F3K-9QXM", "two", "words"), LB_EXIT_USAGE, "",
           "", "lockboxctl: answer what? Put the words into quotes: lockboxctl answer ID 'TEXT'\n");
    expect(RUN(NO_REPLIES, "ask", "7F3K-9QXM"), LB_EXIT_USAGE, "", "",
           "lockboxctl: ask what? lockboxctl ask 7F3K-9QXM 'TEXT'; if 7F3K-9QXM is the text, name the request before "
           "it\n");
    expect(RUN(NO_REPLIES, "ask", "two", "words"), LB_EXIT_USAGE, "", "",
           "lockboxctl: two is no request's ID: one looks like 7F3K-9QXM; those that there are: lockboxctl list\n");
    expect(RUN(NO_REPLIES, "ask", "7F3K-9QXM", " \t"), LB_EXIT_USAGE, "", "",
           "lockboxctl: there is nothing in the text: lockboxctl ask ID 'TEXT'\n");
    expect(RUN(NO_REPLIES, "ask", "7F3K-9QXM", longer), LB_EXIT_USAGE, "", "",
           "lockboxctl: the text has 401 bytes, and at most 400 are kept: say it shorter\n");
    expect(RUN(NO_REPLIES, "deny", "7F3K-9QXM", "--note", longer), LB_EXIT_USAGE, "", "",
           "lockboxctl: --note has 401 bytes, and at most 400 are kept: say it shorter\n");
}

/* An answer is to a request of one's own, whoever else's can be seen; root's are all. */
static void test_answer_without_an_id(void **state)
{
    RESULT r = RUN(REPLIES(LISTS(PENDING), GIVES(PENDING)), "answer", "the second");

    (void)state;
    assert_int_equal(r.status, geteuid() == 0 || geteuid() == 1234 ? LB_EXIT_DONE : LB_EXIT_NO_REQUEST);
    if (r.status == LB_EXIT_DONE)
        assert_string_equal(r.asked, "List {}\nAnswer {\"id\":\"7F3K-9QXM\",\"note\":\"the second\"}\n");
    else
        assert_string_equal(r.asked, "List {}\n");
}

/* --- decisions ---------------------------------------------------------------------------------------------------- */

#define LATER REQUEST("approved", "approval", ALICE ",\"not_before\":\"2024-05-04T09:00:00Z\"," \
                                              "\"use_by\":\"2024-05-05T09:00:00Z\"")

static void test_approve_from(void **state)
{
    static const char asked[] = "Approve {\"for\":14400,\"from\":\"2024-05-04T09:00:00Z\",\"id\":\"7F3K-9QXM\"}\n";
    static const char out[] = "Approved 7F3K-9QXM: alice on eng@box for 4h, begins tomorrow 09:00.\n";

    (void)state;
    expect(RUN(REPLIES(GIVES(LATER)), "approve", "7F3K-9QXM", "--from", "tomorrow 09:00",
               "--for", "4h"), LB_EXIT_DONE, asked, out, "");
    expect(RUN(REPLIES(GIVES(LATER)), "approve", "7F3K-9QXM", "--from", "+17h",
               "--for", "4h"), LB_EXIT_DONE, asked, out, "");
    expect(RUN(NO_REPLIES, "approve", "7F3K-9QXM", "--from", "09:00"), LB_EXIT_USAGE, "",
           "", "lockboxctl: --from 09:00: that was 7h ago; a time to come is tomorrow 09:00, 2024-05-03 18:00, +2h\n");
    expect(RUN(NO_REPLIES, "approve", "7F3K-9QXM", "--from", "soon"), LB_EXIT_USAGE, "",
           "", "lockboxctl: --from soon: a time is 2024-05-03 18:00, 2024-05-03, 18:00, yesterday, -2h, +2h\n");
}

/* A yes that is not the last one is not told as if it let anybody in. */
static void test_approve_is_not_enough(void **state)
{
    static const char vote[] =
        GIVES(REQUEST("pending", "approval", ALICE ",\"stage\":\"customer\",\"quorum\":2,"
                      "\"use_by\":\"2024-05-05T09:00:00Z\","
                      "\"approvals\":[{\"approver\":\"dora\",\"stage\":\"internal\",\"decision\":\"approve\"},"
                      "{\"approver\":\"bob\",\"stage\":\"customer\",\"decision\":\"approve\"}]"));
    static const char review[] =
        GIVES(REQUEST("pending", "approval", ALICE ",\"stage\":\"customer\",\"quorum\":2,"
                      "\"use_by\":\"2024-05-05T09:00:00Z\","
                      "\"approvals\":[{\"approver\":\"dora\",\"stage\":\"internal\",\"decision\":\"approve\"}]"));

    (void)state;
    expect(RUN(REPLIES(vote), "approve", "7F3K-9QXM"), LB_EXIT_DONE,
           "Approve {\"id\":\"7F3K-9QXM\"}\n",
           "Approved 7F3K-9QXM: alice on eng@box, 1 of 2 approvals; more are needed.\n", "");
    expect(RUN(REPLIES(review), "approve", "7F3K-9QXM"), LB_EXIT_DONE,
           "Approve {\"id\":\"7F3K-9QXM\"}\n", "Approved 7F3K-9QXM: alice on eng@box; the customer decides now.\n", "");
}

#define WINDOW(state, more) REQUEST(state, "preapproved", ",\"ticket\":\"CASE-1\"" more)

static void test_grant(void **state)
{
    static const char later[] = GIVES(WINDOW("approved", ",\"not_before\":\"2024-05-04T09:00:00Z\"," \
                                                         "\"use_by\":\"2024-05-05T09:00:00Z\""));
    static const char now[] =
        "{\"parameters\":{\"message\":\"the rule allows 4h at most\",\"request\":" WINDOW(
            "active", ",\"not_before\":\"2024-05-03T16:00:00Z\",\"not_after\":\"2024-05-03T20:00:00Z\"") "}}";

    (void)state;
    expect(RUN(REPLIES(later), "grant", "--account", "eng", "--ticket", "CASE-1",
               "--from", "tomorrow 09:00", "--for", "4h", "--scope",
               "root", "--note", "as agreed"), LB_EXIT_DONE,
           "Grant {\"account\":\"eng\",\"for\":14400,\"from\":\"2024-05-04T09:00:00Z\",\"note\":\"as agreed\","
           "\"scope\":\"root\",\"ticket\":\"CASE-1\"}\n",
           "Opened 7F3K-9QXM: whoever comes with the ticket CASE-1 on eng@box for 4h, begins tomorrow 09:00, ends "
           "tomorrow 13:00.\n", "");
    expect(RUN(REPLIES(now), "grant", "--account", "eng", "--ticket", "CASE-1"),
           LB_EXIT_DONE, "Grant {\"account\":\"eng\",\"ticket\":\"CASE-1\"}\n",
           "Opened 7F3K-9QXM: whoever comes with the ticket CASE-1 on eng@box for 4h, until today 20:00.\n",
           "lockboxctl: the rule allows 4h at most\n");
}

static void test_grant_needs_who_and_why(void **state)
{
    (void)state;
    expect(RUN(NO_REPLIES, "grant", "--ticket", "CASE-1"), LB_EXIT_USAGE, "", "",
           "lockboxctl: grant needs --account NAME; see: lockboxctl grant --help\n");
    expect(RUN(NO_REPLIES, "grant", "--account", "eng", "--ticket", ""),
           LB_EXIT_USAGE, "", "", "lockboxctl: grant needs --ticket ID; see: lockboxctl grant --help\n");
}

#define EMERGENCY(state, more) REQUEST(state, "break-glass", ALICE more)

/* Only what is still to be acknowledged is meant without an ID, also where it is over already. */
static void test_acknowledge(void **state)
{
    static const char list[] = LISTS(
        "{\"id\":\"1111-1111\",\"state\":\"ended\",\"basis\":\"break-glass\","
        "\"acknowledged_at\":\"2024-05-03T15:00:00Z\"},"
        "{\"id\":\"2222-2222\",\"state\":\"active\",\"basis\":\"approval\"}," EMERGENCY("ended", ""));

    (void)state;
    expect(RUN(REPLIES(list, GIVES(EMERGENCY("ended", ",\"acknowledged_at\":\"2024-05-03T16:00:00Z\""))),
               "acknowledge", "--note", "seen"), LB_EXIT_DONE,
           "List {\"which\":\"recent\"}\nAcknowledge {\"id\":\"7F3K-9QXM\",\"note\":\"seen\"}\n",
           "Acknowledged 7F3K-9QXM: alice on eng@box; the next request for the account is taken again.\n", "");
    expect(RUN(REPLIES(LISTS(EMERGENCY("ended", ",\"acknowledged_at\":\"2024-05-03T16:00:00Z\""))),
               "acknowledge"), LB_EXIT_NO_REQUEST, "List {\"which\":\"recent\"}\n", "",
           "lockboxctl: there is no request now that acknowledge could mean; look with: lockboxctl list --recent\n");
}

/* --- signed ------------------------------------------------------------------------------------------------------- */

#define STATEMENT "{\"parameters\":{\"statement\":\"Lockbox consent, version 1\\nDecision: deny\\n\"}}"

/* A file or a pipe gets the bytes alone, a terminal also what to do with them. */
static void test_statement(void **state)
{
    (void)state;
    expect(RUN(REPLIES(STATEMENT), "statement", "7f3k9qxm", "--decision", "deny", "--approver", "bob", "--for", "1h",
               "--note", "no"), LB_EXIT_DONE,
           "Statement {\"approver\":\"bob\",\"decision\":\"deny\",\"for\":3600,\"id\":\"7F3K-9QXM\",\"note\":\"no\"}\n",
           "Lockbox consent, version 1\nDecision: deny\n", "");
    expect(run_wide(80, REPLIES(STATEMENT), ARGV("statement", "7f3k9qxm", "--decision", "deny")), LB_EXIT_DONE,
           "Statement {\"decision\":\"deny\",\"id\":\"7F3K-9QXM\"}\n", "Lockbox consent, version 1\nDecision: deny\n",
           "lockboxctl: write it into a file (> FILE), sign that (ssh-keygen -Y sign -n lockbox-consent -f KEY FILE) "
           "and hand it in: lockboxctl submit FILE\n");
    expect(RUN(REPLIES(STATEMENT), "statement", "7f3k9qxm", "--decision", "deny", "--json"), LB_EXIT_DONE,
           "Statement {\"decision\":\"deny\",\"id\":\"7F3K-9QXM\"}\n",
           "{\"statement\":\"Lockbox consent, version 1\\nDecision: deny\\n\"}\n", "");
    expect(RUN(NO_REPLIES, "statement", "7f3k9qxm", "--decision", "perhaps"), LB_EXIT_USAGE, "", "",
           "lockboxctl: --decision perhaps: a decision is approve or deny\n");
    expect(RUN(NO_REPLIES, "statement", "7f3k9qxm"), LB_EXIT_USAGE, "", "",
           "lockboxctl: statement needs --decision WORD; see: lockboxctl statement --help\n");
    expect(RUN(NO_REPLIES, "approve", "7f3k9qxm", "--approver", "bob"), LB_EXIT_USAGE, "", "",
           "lockboxctl: a decision in the name of --approver is signed: --sign KEY\n");
}

/* The code comes behind the text, where the terminal has the columns and the locale for it. */
static void test_statement_as_code(void **state)
{
    static const char asked[] = "Statement {\"decision\":\"deny\",\"id\":\"7F3K-9QXM\"}\n";
    static const char hint[] = "lockboxctl: write it into a file (> FILE), sign that (ssh-keygen -Y sign -n "
                               "lockbox-consent -f KEY FILE) and hand it "
                               "in: lockboxctl submit FILE\n";
    const char **argv = ARGV("statement", "7f3k9qxm", "--decision", "deny", "--qr");
    LB_FREE char *narrow = NULL;
    LB_FREE char *code = NULL, *shown = NULL;
    size_t columns = 0;

    (void)state;
    assert_int_equal(lb_qr_draw("Lockbox consent, version 1\nDecision: deny\n", &code, &columns), 0);
    assert_int_equal(columns, 37);
    assert_true(asprintf(&shown, "Lockbox consent, version 1\nDecision: deny\n%s", code) > 0);
    assert_true(asprintf(&narrow, "lockboxctl: no QR code: it takes 37 columns, and the terminal has 36\n%s", hint) >
                0);
    expect(run_wide(37, REPLIES(STATEMENT), argv), LB_EXIT_DONE, asked, shown, hint);
    expect(run_wide(36, REPLIES(STATEMENT), argv), LB_EXIT_FAILED, asked,
           "Lockbox consent, version 1\nDecision: deny\n", narrow);
    expect(RUN(NO_REPLIES, "statement", "7f3k9qxm", "--decision", "deny", "--qr"), LB_EXIT_USAGE, "", "",
           "lockboxctl: --qr: a QR code is for a terminal\n");
}

/* The signature stands behind the text, in a file beside it, or in one that is named. */
static void test_submit(void **state)
{
    static const char asked[] =
        "Submit {\"signature\":\"-----BEGIN SSH SIGNATURE-----\\nAAAA\\n\",\"statement\":\"text\\n\"}\n";
    static const char line[] = "Submit {\"signature\":\"-----BEGIN SSH SIGNATURE-----\\nU1NIU0lHAAAA\\n"
                               "-----END SSH SIGNATURE-----\\n\",\"statement\":\"text\\n\"}\n";
    static const char armour[] = "-----BEGIN SSH SIGNATURE-----\nAAAA\n";
    char both[] = "/tmp/lockbox-both.XXXXXX", text[] = "/tmp/lockbox-text.XXXXXX", beside[64];
    LB_FREE char *missing = NULL;

    (void)state;
    close(mkstemp(both));
    close(mkstemp(text));
    snprintf(beside, sizeof(beside), "%s.sig", text);
    write_text(both, "text\n-----BEGIN SSH SIGNATURE-----\nAAAA\n");
    write_text(text, "text\n");
    expect(RUN(REPLIES("{\"parameters\":{\"id\":\"7F3K-9QXM\"}}"), "submit", both), LB_EXIT_DONE, asked,
           "The decision about 7F3K-9QXM was taken.\n", "");
    assert_true(asprintf(&missing, "lockboxctl: %s cannot be read: No such file or directory\n", beside) > 0);
    expect(RUN(NO_REPLIES, "submit", text), LB_EXIT_FAILED, "", "", missing);
    write_text(beside, armour);
    expect(RUN(REPLIES("{\"parameters\":{\"id\":\"7F3K-9QXM\"}}"), "submit", text, beside), LB_EXIT_DONE, asked,
           "The decision about 7F3K-9QXM was taken.\n", "");
    expect(
        RUN(REPLIES("{\"parameters\":{\"id\":\"7F3K-9QXM\",\"message\":\"shorter\",\"request\":{\"id\":\"7F3K-9QXM\","
                    "\"state\":\"denied\",\"engineer\":\"alice\",\"account\":\"eng\",\"host\":\"box\","
                    "\"approvals\":[{\"decision\":\"deny\"}]}}}"),
            "submit", text),
        LB_EXIT_DONE, asked, "Denied 7F3K-9QXM: alice on eng@box.\n", "lockboxctl: shorter\n");
    /* in one line, as a prompt takes it */
    write_text(both, "text\nU1NIU0lHAAAA\r\n");
    expect(RUN(REPLIES("{\"parameters\":{\"id\":\"7F3K-9QXM\"}}"), "submit", both), LB_EXIT_DONE, line,
           "The decision about 7F3K-9QXM was taken.\n", "");
    write_text(beside, "U1NIU0lHAAAA");
    expect(RUN(REPLIES("{\"parameters\":{\"id\":\"7F3K-9QXM\"}}"), "submit", text), LB_EXIT_DONE, line,
           "The decision about 7F3K-9QXM was taken.\n", "");
    unlink(both);
    unlink(text);
    unlink(beside);
}

/* --- frozen ------------------------------------------------------------------------------------------------------- */

#define PAUSED(more) REQUEST("paused", "approval", ALICE ",\"not_after\":\"2024-05-03T18:00:00Z\"" more)

static void test_pause(void **state)
{
    (void)state;
    expect(RUN(REPLIES(GIVES(PAUSED(""))), "pause", "7f3k9qxm", "--note", "what is that?"), LB_EXIT_DONE,
           "Pause {\"hold\":false,\"id\":\"7F3K-9QXM\",\"note\":\"what is that?\"}\n",
           "Paused 7F3K-9QXM: alice on eng@box; it ends today 18:00 (in 2h) if it is not resumed.\n", "");
    expect(RUN(REPLIES("{\"parameters\":{\"message\":\"the rule allows 2h at most\",\"request\":" PAUSED("") "}}"),
               "pause", "7F3K-9QXM", "--hold", "--for", "3h"), LB_EXIT_DONE,
           "Pause {\"for\":10800,\"hold\":true,\"id\":\"7F3K-9QXM\"}\n",
           "Paused 7F3K-9QXM: alice on eng@box; its time stands still, and it ends today 18:00 (in 2h) if it is not "
           "resumed.\n", "lockboxctl: the rule allows 2h at most\n");
    expect(RUN(NO_REPLIES, "pause", "7F3K-9QXM", "--for", "3h"), LB_EXIT_USAGE, "", "",
           "lockboxctl: a pause lasts until the access ends; a time for it goes with --hold\n");
}

/* Without an ID the one that is paused is meant. */
static void test_resume(void **state)
{
    static const char list[] = LISTS("{\"id\":\"1111-1111\",\"state\":\"active\",\"basis\":\"approval\"}," PAUSED(""));

    (void)state;
    expect(RUN(REPLIES(list, GIVES(REQUEST("active", "approval", ALICE ",\"not_after\":\"2024-05-03T18:00:00Z\""))),
               "resume"), LB_EXIT_DONE, "List {}\nResume {\"id\":\"7F3K-9QXM\"}\n",
           "Resumed 7F3K-9QXM: alice on eng@box; it ends today 18:00 (in 2h).\n", "");
}

/* --- more time ---------------------------------------------------------------------------------------------------- */

#define MORE(state, more) REQUEST(state, "approval", ALICE ",\"extends\":\"1111-1111\"" more)

/* In the reader's words and zone, once; and what the daemon has to say besides. */
static void test_request(void **state)
{
    static const char asked[] =
        "{\"parameters\":{\"message\":\"The rule allows 4h at most.\",\"request\":"
        REQUEST("pending", "approval", ALICE ",\"decide_by\":\"2024-05-03T20:00:00Z\","
                "\"previous\":\"2222-2222, denied by bob\","
                "\"messages\":[{\"from\":\"bob\",\"at\":\"2024-05-03T15:55:00Z\",\"text\":\"which disk?\"}]") "}}";

    (void)state;
    expect(RUN(REPLIES(asked), "request", "--ticket", "CASE-1", "--for", "9h"), LB_EXIT_DONE,
           "Request {\"for\":32400,\"ticket\":\"CASE-1\"}\n",
           "Asked 7F3K-9QXM: alice on eng@box, to be decided by today 20:00 (in 4h).\n"
           "Previous: 2222-2222, denied by bob\nbob: which disk?\n", "lockboxctl: The rule allows 4h at most.\n");
}

static void test_extend(void **state)
{
    static const char asked[] = GIVES(MORE("pending", ",\"decide_by\":\"2024-05-03T20:00:00Z\""));

    (void)state;
    expect(RUN(REPLIES(asked), "extend", "1111-1111", "--for", "4h", "--reason",
               "the disk is slow"), LB_EXIT_DONE,
           "Extend {\"for\":14400,\"id\":\"1111-1111\",\"reason\":\"the disk is slow\"}\n",
           "Asked 7F3K-9QXM: alice on eng@box, to be decided by today 20:00 (in 4h).\n", "");
    expect(RUN(NO_REPLIES, "extend", "1111-1111"), LB_EXIT_USAGE, "", "",
           "lockboxctl: extend needs --for SPAN; see: lockboxctl extend --help\n");
    expect(RUN(NO_REPLIES, "extend", "--for", "2h"), LB_EXIT_USAGE, "", "",
           "lockboxctl: nobody can be asked here, so name the request: lockboxctl extend ID; those that there are: "
           "lockboxctl list\n");
}

/* Approved, it is done at once: no receipt, no access of its own. */
static void test_approve_more_time(void **state)
{
    (void)state;
    expect(RUN(REPLIES(GIVES(MORE("completed", ",\"use_by\":\"2024-05-05T09:00:00Z\""))), "approve",
               "7F3K-9QXM"), LB_EXIT_DONE, "Approve {\"id\":\"7F3K-9QXM\"}\n",
           "Approved 7F3K-9QXM: alice on eng@box for 4h more of 1111-1111.\n", "");
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

/* A person at a terminal says this; then standard input is as it was. */
static struct result run_asked(const char *said, const char *const *replies, const char **argv)
{
    int before = dup(STDIN_FILENO), master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1;
    struct result r;

    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0 && dup2(slave, STDIN_FILENO) == STDIN_FILENO);
    assert_int_equal(write(master, said, strlen(said)), strlen(said));
    r = run_wide(80, replies, argv);
    clearerr(stdin);
    dup2(before, STDIN_FILENO);
    close(before);
    close(slave);
    close(master);
    return r;
}

static void test_approve_asks(void **state)
{
    const char **argv = ARGV("approve", "--from", "tomorrow 09:00", "--for", "30min");
    RESULT yes = run_asked("y\n", REPLIES(LISTS(PENDING), GIVES(LATER)), argv);
    RESULT no = run_asked("n\n", REPLIES(LISTS(PENDING), GIVES(LATER)), argv);

    (void)state;
    assert_non_null(strstr(yes.out, "Engineer:   alice\nAccount:    eng@box\n"));
    assert_non_null(strstr(yes.out, "\nApprove this for 30min, from tomorrow 09:00? [y/N] Approved 7F3K-9QXM"));
    assert_string_equal(yes.asked, "List {}\nApprove {\"for\":1800,\"from\":\"2024-05-04T09:00:00Z\","
                                   "\"id\":\"7F3K-9QXM\"}\n");
    assert_int_equal(no.status, LB_EXIT_FAILED);
    assert_string_equal(no.asked, "List {}\n");
    assert_string_equal(no.err, "lockboxctl: nothing was changed\n");
}

/* What to look at next is named. */
static void test_refusals(void **state)
{
    static const char over[] =
        "{\"error\":\"org.lockbox.Access.NotPossible\",\"parameters\":{\"reason\":\"it is over\"}}";
    static const char wrong[] =
        "{\"error\":\"org.lockbox.Access.InvalidParameter\",\"parameters\":{\"reason\":\"no\"}}";

    (void)state;
    expect(RUN(REPLIES(over), "approve", "7f3k9qxm"), LB_EXIT_FAILED, "Approve {\"id\":\"7F3K-9QXM\"}\n", "",
           "lockboxctl: not possible now: it is over; look with: lockboxctl show 7F3K-9QXM\n");
    expect(RUN(REPLIES(wrong), "approve", "7f3k9qxm"), LB_EXIT_FAILED, "Approve {\"id\":\"7F3K-9QXM\"}\n", "",
           "lockboxctl: refused: no; see: lockboxctl approve --help\n");
}

/* What is asked is what a yes would do, and nobody is asked where it would do nothing. */
static void test_approve_asks_for_what_counts(void **state)
{
    static const char signs[] =
        LISTS(REQUEST("pending", "approval", ALICE ",\"stage\":\"customer\",\"evidence\":\"signed\""));
    RESULT more = run_asked("n\n", REPLIES(LISTS(PENDING)), ARGV("approve", "--for", "20h"));
    RESULT unsigned_yes = run_asked("y\n", REPLIES(signs), ARGV("approve"));

    (void)state;
    assert_non_null(strstr(more.out, "\nApprove this for 4h? [y/N] "));
    assert_null(strstr(more.out, "lockboxctl approve"));
    assert_int_equal(unsigned_yes.status, LB_EXIT_NOT_PERMITTED);
    assert_string_equal(unsigned_yes.out, "");
    assert_string_equal(unsigned_yes.asked, "List {}\n");
    assert_string_equal(unsigned_yes.err, "lockboxctl: only a signed approval counts for 7F3K-9QXM: lockboxctl approve "
                                          "7F3K-9QXM --sign KEY\n");
}

/* There has to be a key before somebody says yes; where an agent has it, its .pub is enough. */
static void test_sign_with_what(void **state)
{
    char directory[] = "/tmp/lockbox-ctl-XXXXXX", key[64];
    RESULT none = run_asked("y\n", NO_REPLIES, ARGV("approve", "--sign", "/nowhere/key"));

    (void)state;
    assert_int_equal(none.status, LB_EXIT_FAILED);
    assert_string_equal(none.asked, "");
    assert_string_equal(none.out, "");
    assert_string_equal(none.err, "lockboxctl: --sign /nowhere/key: No such file or directory\n");
    assert_non_null(mkdtemp(directory));
    directory_write(directory, "key.pub", "ssh-ed25519 AAAA\n");
    snprintf(key, sizeof(key), "%s/key", directory);
    RESULT agent = run_asked("n\n", REPLIES(LISTS(PENDING)), ARGV("approve", "--sign", key));
    directory_remove(directory);
    assert_non_null(strstr(agent.out, "\nApprove this for 4h? [y/N] "));
}

static void test_help_says_whose_name(void **state)
{
    RESULT r = RUN(NO_REPLIES, "audit", "checkpoint", "--help");

    (void)state;
    assert_non_null(strstr(r.out, "--approver NAME         in whose name it is signed; in yours without it\n"));
}

static void test_extend_asks(void **state)
{
    static const char active[] = LISTS(REQUEST("active", "approval", ALICE ",\"not_after\":\"2024-05-03T18:00:00Z\""));
    uid_t uid = geteuid();
    RESULT r = run_asked("y\n", REPLIES(active, GIVES(MORE("pending", ""))),
                         ARGV("extend", "--for", "2h"));

    (void)state;
    assert_int_equal(r.status, uid == 0 || uid == 1234 ? LB_EXIT_DONE : LB_EXIT_NO_REQUEST);
    if (r.status == LB_EXIT_DONE)
        assert_non_null(strstr(r.out, "\nAsk to extend this by 2h? [y/N] Asked 7F3K-9QXM"));
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* Who waits sees what is said meanwhile. */
static void test_words_while_waiting(void **state)
{
    static const char said[] = "{\"parameters\":{\"events\":[{\"seq\":8,\"event\":\"message\","
                               "\"message\":\"bob writes: which disk?\"}]},\"continues\":true}";
    static const char active[] =
        GIVES(REQUEST("active", "approval", ALICE ",\"not_after\":\"2024-05-03T20:00:00Z\""));

    (void)state;
    RESULT r = RUN(REPLIES(GIVES(PENDING), "{\"parameters\":{\"events\":7}}", GIVES(PENDING), said, active),
                   "request", "--ticket", "CASE-1", "--wait");
    assert_string_equal(r.asked, "Request {\"ticket\":\"CASE-1\"}\nStatus {}\nGet {\"id\":\"7F3K-9QXM\"}\n"
                                 "Events {\"request\":\"7F3K-9QXM\",\"since\":8}\nGet {\"id\":\"7F3K-9QXM\"}\n");
    assert_string_equal(r.err, "lockboxctl: bob writes: which disk?\n");
    assert_int_equal(r.status, LB_EXIT_DONE);
    assert_non_null(strstr(r.out, "\nActive 7F3K-9QXM: alice on eng@box for 4h, until "));
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

static void test_json(void **state)
{
    static const struct {
        const char *verb, *second, *third;
    } cases[] = {
        { "ask", "7F3K-9QXM", "x" }, { "answer", "7F3K-9QXM", "x" }, { "acknowledge", "7F3K-9QXM", NULL },
        { "extend", "7F3K-9QXM", "--for=1h" }, { "grant", "--account=eng", "--ticket=CASE-1" },
        { "approve", "7F3K-9QXM", "--from=+1h" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(cases); i++) {
        RESULT r = RUN(REPLIES(GIVES(PENDING)), cases[i].verb, "--json", cases[i].second,
                       cases[i].third);
        LB_JSON json_t *printed = json_loads(r.out, 0, NULL), *given = json_loads(PENDING, 0, NULL);
        assert_int_equal(r.status, LB_EXIT_DONE);
        assert_true(json_equal(printed, given));
        assert_string_equal(r.err, "");
    }
}

static void test_refusals_have_their_status(void **state)
{
    (void)state;
    expect(RUN(REPLIES("{\"error\":\"org.lockbox.Access.NotPermitted\",\"parameters\":{\"reason\":\"you are not one of "
                       "the approvers that the rule names\"}}"),
               "grant", "--account=eng", "--ticket=C"), LB_EXIT_NOT_PERMITTED,
           "Grant {\"account\":\"eng\",\"ticket\":\"C\"}\n", "",
           "lockboxctl: not permitted: you are not one of the approvers that the rule names\n");
    expect(RUN(REPLIES("{\"error\":\"org.lockbox.Access.NoSuchRequest\",\"parameters\":{\"id\":\"1111-1111\"}}"),
               "acknowledge", "1111-1111"), LB_EXIT_NO_REQUEST, "Acknowledge {\"id\":\"1111-1111\"}\n",
           "", "lockboxctl: there is no request that you may see called 1111-1111; those that there are: "
               "lockboxctl list --all\n");
}

static void test_lists(void **state)
{
    static const char list[] = LISTS(
        "{\"id\":\"1111-1111\",\"state\":\"review\",\"basis\":\"approval\",\"engineer\":\"alice\",\"account\":\"eng\","
        "\"duration\":3600,\"decide_by\":\"2024-05-03T20:00:00Z\"}," WINDOW("approved",
        ",\"not_before\":\"2024-05-04T09:00:00Z\",\"use_by\":\"2024-05-05T09:00:00Z\"") ","
        REQUEST("approved", "approval", ALICE ",\"not_before\":\"2024-05-03T15:55:00Z\","
        "\"use_by\":\"2024-05-04T15:55:00Z\"") ","
        EMERGENCY("active", ",\"not_after\":\"2024-05-03T17:00:00Z\"") "," MORE("pending",
        ",\"decide_by\":\"2024-05-03T20:00:00Z\""));

    (void)state;
    expect(RUN(REPLIES(list), "list"), LB_EXIT_DONE, "List {}\n",
           "ID         STATE              ENGINEER           ACCOUNT  TICKET  REASON  ASKED FOR  WHEN\n"
           "1111-1111  Vendor reviews     alice              eng                      1h         by today 20:00\n"
           "7F3K-9QXM  Approved           (with the ticket)  eng      CASE-1          4h         from tomorrow 09:00\n"
           "7F3K-9QXM  Approved           alice              eng                      4h         use by "
           "tomorrow 15:55\n"
           "7F3K-9QXM  Active, emergency  alice              eng                      4h         until today 17:00\n"
           "7F3K-9QXM  Action needed      alice              eng                      4h more    by today 20:00\n", "");
}

/* A list that is cut says so, and how to see the rest: a program on standard error. */
static void test_lists_are_cut(void **state)
{
    static const char more[] = "{\"parameters\":{\"more\":true,\"requests\":[" PENDING "]}}";
    static const char words[] = "These are the newest 1; for older ones add: --until '2024-05-03 15:50:01'\n";
    RESULT text = RUN(REPLIES(more), "list", "--all"), json = RUN(REPLIES(more), "list", "--json");

    (void)state;
    assert_non_null(strstr(text.out, words));
    assert_string_equal(text.err, "");
    assert_null(strstr(json.out, words));
    assert_non_null(strstr(json.out, "\"more\":true"));
    assert_string_equal(json.err, words);
}

static void test_lists_of_nothing(void **state)
{
    (void)state;
    expect(RUN(REPLIES(LISTS("")), "list", "--ticket", "CASE-1"), LB_EXIT_DONE, "List {\"ticket\":\"CASE-1\"}\n",
           "No such requests are open; with --recent those that were closed, too.\n", "");
    expect(RUN(REPLIES(LISTS("")), "list", "--all"), LB_EXIT_DONE, "List {\"which\":\"all\"}\n", "No such requests.\n",
           "");
}

/* --- scripts ------------------------------------------------------------------------------------------------------ */

#define SCRIPT "#!/bin/sh\necho hi\n"
#define SCRIPT64 "IyEvYmluL3NoCmVjaG8gaGkK"
#define PIECE(members) "{\"continues\":true,\"parameters\":{" members "}}"

/* In a directory of the test's own (main). */
static const char *script_file(const char *text)
{
    FILE *f = fopen("check.sh", "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return "check.sh";
}

/* What stands behind the script is the script's, and what it writes is shown as it is. */
static void test_run(void **state)
{
    static const char refused[] = "{\"error\":\"org.lockbox.Access.NotPermitted\",\"parameters\":{\"reason\":\"no\"}}";
    const char *path = script_file(SCRIPT);
    const char *done[] = { "{\"parameters\":{\"exit_status\":0}}", NULL };
    const char *failed[] = { "{\"parameters\":{\"exit_status\":3,\"message\":\"killed by SIGTERM\"}}", NULL };

    (void)state;
    expect(RUN(done, "run", path, "--json", "-h", "", "x y"), LB_EXIT_DONE,
           "Run {\"arguments\":[\"--json\",\"-h\",\"\",\"x y\"],\"name\":\"check.sh\",\"script\":\"" SCRIPT64
           "\"}\n", "", "");
    expect(RUN(failed, "run", path), LB_EXIT_FAILED,
           "Run {\"arguments\":[],\"name\":\"check.sh\",\"script\":\"" SCRIPT64 "\"}\n", "",
           "lockboxctl: check.sh ended with exit status 3: killed by SIGTERM\n");
    expect(RUN(REPLIES(refused), "run", "--", path), LB_EXIT_NOT_PERMITTED,
           "Run {\"arguments\":[],\"name\":\"check.sh\",\"script\":\"" SCRIPT64 "\"}\n", "",
           "lockboxctl: not permitted: no\n");
}

/* Pieces come on one connection; then it breaks. */
static void test_run_shows_pieces(void **state)
{
    static const char piece[] = PIECE("\"stderr\":\"b28K\",\"stdout\":\"aAAK\",\"request\":\"7F3K-9QXM\"");
    RESULT r = RUN(REPLIES(piece), "run", script_file(SCRIPT));

    (void)state;
    assert_int_equal(r.status, LB_EXIT_NO_DAEMON);
    assert_memory_equal(r.out, "h\0\n", 3);
    assert_string_equal(r.err,
                        "oo\nlockboxctl: the connection to lockboxd broke; what became of the script: lockboxctl "
                        "show 7F3K-9QXM\n");
}

/* What cannot be run is told here, and nothing is sent. */
static void test_run_what_is_no_script(void **state)
{
    static char large[40 * 1024] = "#!/bin/sh\n";

    (void)state;
    memset(large + 10, '#', sizeof(large) - 11);
    expect(RUN(NO_REPLIES, "run"), LB_EXIT_USAGE, "", "",
           "lockboxctl: run what? lockboxctl run SCRIPT [ARGUMENT...]\n");
    expect(RUN(NO_REPLIES, "run", "/nonexistent/x"), LB_EXIT_FAILED, "", "",
           "lockboxctl: /nonexistent/x: No such file or directory\n");
    expect(RUN(NO_REPLIES, "run", script_file(large)), LB_EXIT_FAILED, "", "",
           "lockboxctl: check.sh: a script has at most 36 KiB\n");
    expect(RUN(NO_REPLIES, "run", script_file("echo hi\n")), LB_EXIT_FAILED, "", "",
           "lockboxctl: check.sh: a script begins with a line such as #!/bin/sh, which says what runs it\n");
    expect(RUN(NO_REPLIES, "run", script_file(SCRIPT), "a\tb"), LB_EXIT_FAILED, "", "",
           "lockboxctl: check.sh: an argument has a character in it that cannot be seen\n");
    expect(RUN(NO_REPLIES, "run", "--json", "x"), LB_EXIT_USAGE, "", "",
           "lockboxctl: run takes no --json; see: lockboxctl run --help\n");
}

static void test_verbs_of_later_versions(void **state)
{
    (void)state;
    expect(RUN(NO_REPLIES, "watch", "7F3K-9QXM"), LB_EXIT_USAGE, "", "",
           "lockboxctl: watch: not supported by this version\n");
    expect(RUN(NO_REPLIES, "grand"), LB_EXIT_USAGE, "", "",
           "lockboxctl: grand is no command (did you mean grant?); the commands that there are: lockboxctl --help\n");
    expect(RUN(NO_REPLIES, "--json", "list", "--sinse", "yesterday"), LB_EXIT_USAGE, "", "",
           "lockboxctl: the options that there are: lockboxctl list --help\n");
    expect(RUN(NO_REPLIES, "policy", "--help"), LB_EXIT_DONE, "",
           "  policy check [FILE...]  is the policy without mistakes?\n"
           "  policy explain          which rule decides a login, and why\n", "");
    expect(RUN(NO_REPLIES, "unlock"), LB_EXIT_USAGE, "", "",
           "lockboxctl: unlock is no command; the commands that there are: lockboxctl --help\n");
}

/* --- events ------------------------------------------------------------------------------------------------------- */

/* In a copy of another host's journal nobody can be asked, and there may be several hosts' logs. */
static void test_events_of_a_copy(void **state)
{
    (void)state;
    expect(
        RUN(NO_REPLIES, "events", "--journal-directory", "/tmp"), LB_EXIT_USAGE, "", "",
        "lockboxctl: with --journal-directory, of which request? lockboxctl events ID --journal-directory DIR; all of "
        "them: journalctl -D DIR _SYSTEMD_UNIT=lockboxd.service _UID=0\n");
    expect(RUN(NO_REPLIES, "events", "7F3K-9QXM", "--follow", "--journal-directory", "/tmp"), LB_EXIT_USAGE, "", "",
           "lockboxctl: with --journal-directory, neither --follow nor a number of events\n");
    expect(RUN(NO_REPLIES, "events", "7F3K-9QXM", "--since", "-5", "--journal-directory", "/tmp"), LB_EXIT_USAGE, "",
           "", "lockboxctl: with --journal-directory, neither --follow nor a number of events\n");
    expect(RUN(NO_REPLIES, "events", "7F3K-9QXM", "--journal-directory", "/nowhere/at/all"), LB_EXIT_FAILED, "", "",
           "lockboxctl: /nowhere/at/all cannot be read: No such file or directory\n");
}

/* A directory without journals has no such request. */
static void test_events_of_nothing(void **state)
{
    char directory[] = "/tmp/lockbox-test.XXXXXX";
    RESULT r = { 0 };

    (void)state;
    assert_non_null(mkdtemp(directory));
    r = RUN(NO_REPLIES, "events", "7f3k9qxm", "--journal-directory", directory);
    assert_int_equal(r.status, LB_EXIT_NO_REQUEST);
    assert_non_null(strstr(r.err, "there is no event of 7F3K-9QXM that lockboxd wrote"));
    assert_string_equal(r.out, "");
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ask),
        cmocka_unit_test(test_words_are_needed),
        cmocka_unit_test(test_answer_without_an_id),
        cmocka_unit_test(test_approve_from),
        cmocka_unit_test(test_approve_is_not_enough),
        cmocka_unit_test(test_grant),
        cmocka_unit_test(test_grant_needs_who_and_why),
        cmocka_unit_test(test_acknowledge),
        cmocka_unit_test(test_statement),
        cmocka_unit_test(test_statement_as_code),
        cmocka_unit_test(test_submit),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_approve_more_time),
        cmocka_unit_test(test_approve_asks),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_approve_asks_for_what_counts),
        cmocka_unit_test(test_extend_asks),
        cmocka_unit_test(test_sign_with_what),
        cmocka_unit_test(test_help_says_whose_name),
        cmocka_unit_test(test_words_while_waiting),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_refusals_have_their_status),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_lists_are_cut),
        cmocka_unit_test(test_lists_of_nothing),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_run_shows_pieces),
        cmocka_unit_test(test_run_what_is_no_script),
        cmocka_unit_test(test_verbs_of_later_versions),
        cmocka_unit_test(test_events_of_a_copy),
        cmocka_unit_test(test_events_of_nothing),
    };

    char directory[] = "/tmp/lockbox-ctl-XXXXXX";
    int failed;

    setenv("TZ", "UTC", 1);
    if (!mkdtemp(directory) || chdir(directory) < 0)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink("check.sh");
    rmdir(directory);
    return failed;
}
