/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a webhook is sent: signed as the specification has it, and nobody's words get out of where they were put. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/standard.h"
#include "lockboxd/courier/template.h"
#include "lockboxd/courier/words.h"
#include "policy/text.h"
#include "tests/unit/samples.h"

/* --- Standard Webhooks -------------------------------------------------------------------------------------------- */

/* The example that implementations of the specification are tested with. */
static void test_the_published_vector(void **state)
{
    LB_FREE char *signature = NULL;

    (void)state;
    assert_int_equal(lb_standard_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                      1614265330, "{\"test\": 2432232314}", &signature),
                     0);
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void test_no_secret_at_all(void **state)
{
    static const char *const wrong[] = { "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_!!!!",
                                         "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_c2hvcnQ=" };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(wrong); i++) {
        char *signature = NULL;

        assert_int_equal(lb_standard_sign(wrong[i], "id", 1, "", &signature), -EINVAL);
        assert_null(signature);
    }
}

static void test_headers(void **state)
{
    struct curl_slist *headers = NULL;

    (void)state;
    assert_int_equal(lb_standard_headers(&headers, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "id", 17, "{}"), 0);
    assert_string_equal(headers->data, "webhook-id: id");
    assert_string_equal(headers->next->data, "webhook-timestamp: 17");
    assert_int_equal(strncmp(headers->next->next->data, "webhook-signature: v1,", 22), 0);
    assert_null(headers->next->next->next);
    curl_slist_free_all(headers);
    headers = NULL;
    assert_int_equal(lb_standard_headers(&headers, NULL, "id", 17, "{}"), 0);
    assert_null(headers->next->next);
    curl_slist_free_all(headers);
}

/* --- bodies ------------------------------------------------------------------------------------------------------- */

/* What an engineer could write; what cannot stand in a log was taken out before. */
static const char *const hostile[] = {
    "\"}],\"text\":\"<!channel> all is well\"", "<!channel> <!here> <@U024BE7LH> <#C024BE7LR>",
    "<https://evil.example|approve>",
    "[approve](https://evil.example)", "**bold** _it_ ~no~ `code`", "\\\"}\\u0022,\"x\":\"", "&lt;!channel&gt;",
    "{reason} {message}",
    "</at> <at>bob</at>", "'; DROP TABLE letters; --", "\\", "\\\\\"", "@everyone @channel",
    "\xe2\x80\x8bnull\xef\xbf\xbd",
};

static struct lb_request *request;
static struct lb_event event;
static struct lb_webhook_config hook = { .name = "hook" };
static struct lb_courier_config config = { .host = "appliance", .webhooks = { &hook, 1 } };

static char *compose(int format, const char *said)
{
    const struct lb_matter m = { .notice = LB_NOTICE_ACTION, .host = "appliance", .event = &event, .request = request };
    char *body = NULL;

    event = sample_event(LB_EVENT_REQUESTED, 0);
    event.reason = event.ticket = event.engineer = (char *)said;
    request = lb_request_free(request);
    assert_int_equal(lb_lifecycle_apply(&request, &event), 0);
    hook.format = format;
    ((struct lb_matter *)&m)->request = request;
    assert_int_equal(lb_channel_webhook.compose(&config, "hook", &m, &body), 0);
    return body;
}

static json_t *read_body(const char *body)
{
    json_t *j = lb_json_load(body, strlen(body));

    if (!j)
        print_error("%s\n", body);
    assert_non_null(j);
    return j;
}

/* All strings anywhere in it that are exactly, or contain, the text. */
static int count(const json_t *j, const char *text)
{
    const json_t *v = NULL;
    const char *k = NULL;
    size_t i = 0;
    int n = json_is_string(j) && strstr(json_string_value(j), text);

    json_object_foreach ((json_t *)j, k, v)
        n += count(v, text);
    json_array_foreach (j, i, v)
        n += count(v, text);
    return n;
}

/* Whatever is said, the body has the same keys in the same places. */
static char *shape(const json_t *j)
{
    json_auto_t *copy = json_deep_copy(j);
    const char *k = NULL;
    json_t *v = NULL;
    void *next = NULL;
    size_t i = 0;

    json_object_foreach_safe (copy, next, k, v) {
        LB_FREE char *inner = shape(v);

        json_object_set_new(copy, k, json_string(inner));
    }
    json_array_foreach (copy, i, v) {
        LB_FREE char *inner = shape(v);

        json_array_set_new(copy, i, json_string(inner));
    }
    return json_is_object(copy) || json_is_array(copy) ? json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT)
                                                       : strdup(json_is_string(copy) ? "s" : "v");
}

static void test_hostile_words_stay_words(void **state)
{
    static const int formats[] = { LB_FORMAT_EVENT, LB_FORMAT_SLACK, LB_FORMAT_TEAMS, LB_FORMAT_TEMPLATE };

    (void)state;
    hook.text = "{\"text\": \"{message}\", \"why\": {\"r\": \"{reason} by {engineer}\"}, \"n\": {seq}}";
    for (size_t f = 0; f < LB_ELEMENTS(formats); f++) {
        LB_FREE char *plain = compose(formats[f], "plain"), *wanted = NULL;
        json_auto_t *expected = read_body(plain);

        wanted = shape(expected);
        for (size_t i = 0; i < LB_ELEMENTS(hostile); i++) {
            LB_FREE char *body = compose(formats[f], hostile[i]), *is = NULL,
                *clean = lb_text_clean(hostile[i], SIZE_MAX);
            json_auto_t *j = read_body(body);

            is = shape(j);
            assert_string_equal(is, wanted);
            assert_true(count(j, hostile[i]) + count(j, clean) > 0); /* and is told as it was said */
        }
    }
}

/* Slack's own marks are escaped where it looks for them, and stand only where it does not. */
static void test_slack(void **state)
{
    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(hostile); i++) {
        LB_FREE char *body = compose(LB_FORMAT_SLACK, hostile[i]);
        json_auto_t *j = read_body(body);
        const json_t *block = NULL;
        size_t n = 0;

        assert_null(strpbrk(json_string_value(json_object_get(j, "text")), "<>"));
        assert_true(json_is_false(json_object_get(j, "mrkdwn")));
        json_array_foreach (json_object_get(j, "blocks"), n, block)
            assert_string_equal(json_string_value(json_object_get(json_object_get(block, "text"), "type")),
                                "plain_text");
    }
}

/* Everything that an engineer can say is in text runs, which are no Markdown. */
static void test_teams(void **state)
{
    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(hostile); i++) {
        LB_FREE char *body = compose(LB_FORMAT_TEAMS, hostile[i]);
        json_auto_t *j = read_body(body);
        const json_t *card = json_object_get(json_array_get(json_object_get(j, "attachments"), 0), "content"),
            *line = NULL;
        size_t n = 0;

        assert_null(json_object_get(card, "msteams")); /* no mentions */
        json_array_foreach (json_object_get(card, "body"), n, line)
            assert_string_equal(json_string_value(json_object_get(line, "type")), "RichTextBlock");
    }
}

static void test_ntfy(void **state)
{
    LB_FREE char *body = compose(LB_FORMAT_NTFY, "a \"b\"");

    (void)state;
    assert_non_null(strstr(body, "a \"b\" asks for access to root@appliance"));
    assert_non_null(strstr(body, "\nRequest: 7F3K-9QXM\n"));
    assert_non_null(strstr(body, "\nDecide with: lockboxctl approve 7F3K-9QXM, lockboxctl deny 7F3K-9QXM\n"));
    assert_non_null(strstr(body, "\nReason: a \"b\"\n"));
}

/* A cyrillic letter in a latin word is pointed out to the reader. */
static void test_look_alikes_are_told(void **state)
{
    LB_FREE char *fair = compose(LB_FORMAT_NTFY, "root"), *foul = compose(LB_FORMAT_NTFY, "r\xd0\xbe\xd0\xbet");

    (void)state;
    assert_null(strstr(fair, "Beware"));
    assert_non_null(strstr(foul, "Beware: letters that look like others"));
}

static void test_a_test(void **state)
{
    const struct lb_matter m = { .notice = LB_NOTICE_TEST, .host = "appliance" };

    (void)state;
    hook.text = "{\"text\": \"{message} {request}\"}";
    for (int f = 0; f < LB_FORMAT_MAX_; f++) {
        LB_FREE char *body = NULL;

        hook.format = f;
        assert_int_equal(lb_channel_webhook.compose(&config, "hook", &m, &body), 0);
        assert_non_null(
            strstr(body, f == LB_FORMAT_EVENT ? "\"type\":\"test\"" : "This is a test of lockbox on appliance."));
        assert_int_equal(lb_channel_webhook.compose(&config, "other", &m, &body), -EINVAL);
    }
}

/* --- templates ---------------------------------------------------------------------------------------------------- */

static void assert_template(const char *text, unsigned line, const char *wanted)
{
    LB_FREE char *mistake = NULL;
    unsigned at = 77;
    int r = lb_template_check(text, &at, &mistake);

    assert_int_equal(r, wanted ? -EINVAL : 0);
    if (wanted) {
        assert_string_equal(mistake, wanted);
        assert_int_equal(at, line);
    }
}

static void test_templates(void **state)
{
    static const char no_json[] = "is no JSON object once the placeholders are filled in",
                      escaped[] = "a placeholder cannot stand behind a backslash";
#define UNQUOTED(word) "{" word "} has to stand in quotes: without them only a number can, as a value of its own"

    (void)state;
    assert_template("{\"a\": \"{message}\"}", 0, NULL);
    assert_template("{\"a\": {}, \"b\": \"{ x } {X} {a1} {...}\"}", 0, NULL); /* braces that begin no word */
    assert_template("{\"a\": [{seq},\n{end.killed}], \"{host}\": \"\\\"{seq}{id}\\\\\"}", 0, NULL);
    assert_template("{\n\"a\": \"{messag}\"}", 2, "{messag} stands for nothing (did you mean {message}?)");
    assert_template("{\"a\": \"{zzzzzzzz}\"}", 1, "{zzzzzzzz} stands for nothing");
    assert_template("{\"a\": \"{end.at.by}\"}", 1, "{end.at.by} stands for nothing");
    assert_template("{\"a\":\n{message}}", 2, UNQUOTED("message"));
    assert_template("plain {message}", 1, UNQUOTED("message"));
    assert_template("{\"a\": 1{duration}}", 1, UNQUOTED("duration")); /* empty in a test, "14h" later */
    assert_template("{\"a\": 1{seq}}", 1, UNQUOTED("seq"));
    assert_template("{\"a\": {seq}e9}", 1, UNQUOTED("seq"));
    assert_template("{\"a\": \"\\{event}\"}", 1, escaped); /* "\test" in a test, "\denied" later; and \" ends it */
    assert_template("{\"a\": \"\\u00{seq}1\"}", 1, escaped);
    assert_template("{\"a\": \"\\\\{event}\"}", 0, NULL);
    assert_template("{\"a\": \"{message}}", 0, no_json);
    assert_template("", 0, no_json);
}

/* Each name that the manual had for templates before they shared those of mails. */
static void test_names_stay(void **state)
{
    static const char *const names[] = {
        "title", "message", "notice", "event", "host", "state", "time", "decide_by", "seq", "duration", "request",
        "account", "engineer", "key", "service", "scope", "rhost", "tty", "ticket", "ticket_url", "reason", "rule",
        "approver", "note", "by",
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(names); i++)
        assert_true(lb_words_know(names[i]));
}

static void assert_filled(const char *text, const char *wanted)
{
    LB_FREE char *body = NULL;

    assert_template(text, 0, NULL);
    hook.text = (char *)text;
    body = compose(LB_FORMAT_TEMPLATE, "disk \"full\"");
    assert_string_equal(body, wanted);
}

/* What a program reads: times that it can sort, numbers that are some, and whatever mails can say as well. */
static void test_filled(void **state)
{
    (void)state;
    config.mail.link = (char *)"https://portal.example/%i";
    assert_filled("{\"t\": \"{time}\", \"by\": \"{decide_by}\", \"n\": {seq}, \"k\": {end.killed}}",
                  "{\"t\": \"2026-09-21T14:13:20Z\", \"by\": \"2026-09-22T02:13:20Z\", \"n\": 0, \"k\": 0}");
    assert_filled("{\"a\": \"{title}|{event}|{notice}|{state}|{request}|{duration}\"}",
                  "{\"a\": \"Action needed|requested|action|pending|7F3K-9QXM|4h\"}");
    assert_filled("{\"a\": \"{reason}|{standing}|{sign}|{person}|{use_by}|{link}\"}",
                  "{\"a\": \"disk \\\"full\\\"|action needed, by 2026-09-22T02:13:20Z||"
                  "|2026-09-22T14:13:20Z|https://portal.example/7F3K-9QXM\"}");
    config.mail.link = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    request = lb_request_free(request);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_vector),
        cmocka_unit_test(test_no_secret_at_all),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_hostile_words_stay_words),
        cmocka_unit_test(test_slack),
        cmocka_unit_test(test_teams),
        cmocka_unit_test(test_ntfy),
        cmocka_unit_test(test_look_alikes_are_told),
        cmocka_unit_test(test_a_test),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_names_stay),
        cmocka_unit_test(test_filled),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
