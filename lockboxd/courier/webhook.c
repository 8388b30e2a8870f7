/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Webhooks: HTTPS POST. A body for programs, three for chat services, and one as the administrator wants it. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "lockboxd/courier/channel.h"
#include "lockboxd/courier/standard.h"
#include "lockboxd/courier/template.h"
#include "lockboxd/proto/public.h"
#include "policy/base.h"

/* --- bodies: each is owned, NULL when out of memory --------------------------------------------------------------- */

static char *dump(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    json_decref(object);
    return text;
}

/* What `lockboxctl events --json` prints, and the request as `lockboxctl show --json` does. */
static char *compose_event(const struct lb_webhook_config *w, const char *link, const struct lb_matter *m)
{
    json_t *body = json_pack("{ss ss ss}", "type", m->event ? lb_event_names[m->event->kind] : "test", "host", m->host,
                             "notice", lb_notice_names[m->notice]);

    (void)w;
    (void)link;
    if (m->shown)
        json_object_set(body, "event", (json_t *)m->shown);
    if (m->request)
        json_object_set_new(body, "request", lb_public_request(m->request));
    return dump(body);
}

/* A headline, a sentence, and the facts, a line each. */
static char *compose_plain(const struct lb_matter *m)
{
    LB_FREE char *sentence = lb_matter_sentence(m);
    char **facts = lb_matter_facts(m), *text = NULL;
    size_t size;
    FILE *out = sentence && facts ? open_memstream(&text, &size) : NULL;

    if (out)
        fprintf(out, "%s\n", sentence);
    for (char **f = facts; out && f && f[0]; f += 2)
        fprintf(out, "%s: %s\n", f[0], f[1]);
    lb_strings_free(facts);
    if (!out || fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static char *compose_ntfy(const struct lb_webhook_config *w, const char *link, const struct lb_matter *m)
{
    (void)w;
    (void)link;
    return compose_plain(m);
}

/* Slack's own three characters. Nothing is a mention, a link or a channel after that. */
static char *escape_slack(const char *text)
{
    static const char *const entities[256] = { ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;" };
    char *escaped = NULL;
    size_t size;
    FILE *out = open_memstream(&escaped, &size);

    for (const char *p = text; out && *p; p++)
        entities[(unsigned char)*p] ? fputs(entities[(unsigned char)*p], out) : fputc(*p, out);
    if (!out || fclose(out) != 0) {
        free(escaped);
        return NULL;
    }
    return escaped;
}

/* A block of plain text, in which Slack looks for no markup; the text for notifications and old clients is escaped. */
static char *compose_slack(const struct lb_webhook_config *w, const char *link, const struct lb_matter *m)
{
    LB_FREE char *plain = compose_plain(m), *escaped = plain ? escape_slack(plain) : NULL;
    char title[128];

    (void)w;
    (void)link;
    snprintf(title, sizeof(title), "lockbox: %s", lb_matter_title(m));
    if (!escaped)
        return NULL;
    return dump(json_pack("{ss sb sb sb s[{ss s{ss ss sb}} {ss s{ss ss sb}}]}", "text", escaped, "mrkdwn", 0,
                          "unfurl_links", 0, "unfurl_media", 0, "blocks",
                          "type", "header", "text", "type", "plain_text", "text", title, "emoji", 0,
                          "type", "section", "text", "type", "plain_text", "text", plain, "emoji", 0));
}

/* Text runs, which Adaptive Cards never read as Markdown, unlike text blocks and facts. */
static json_t *teams_line(const char *name, const char *value)
{
    LB_FREE char *bold = NULL;

    if (!name)
        return json_pack("{ss s[{ss ss}]}", "type", "RichTextBlock", "inlines", "type", "TextRun", "text", value);
    if (asprintf(&bold, "%s: ", name) < 0) {
        bold = NULL;
        return NULL;
    }
    return json_pack("{ss ss s[{ss ss ss} {ss ss}]}", "type", "RichTextBlock", "spacing", "none", "inlines", "type",
                     "TextRun", "text", bold, "weight", "bolder", "type", "TextRun", "text", value);
}

static char *compose_teams(const struct lb_webhook_config *w, const char *link, const struct lb_matter *m)
{
    LB_FREE char *sentence = lb_matter_sentence(m);
    char **facts = lb_matter_facts(m);
    json_t *lines = json_array();
    int r = !sentence || !facts || json_array_append_new(lines, teams_line(NULL, lb_matter_title(m))) < 0 ||
            json_array_append_new(lines, teams_line(NULL, sentence)) < 0;

    (void)w;
    (void)link;
    for (char **f = facts; r == 0 && f[0]; f += 2)
        r = json_array_append_new(lines, teams_line(f[0], f[1]));
    lb_strings_free(facts);
    if (r != 0) {
        json_decref(lines);
        return NULL;
    }
    return dump(json_pack("{ss s[{ss s{ss ss ss so}}]}", "type", "message", "attachments", "contentType",
                          "application/vnd.microsoft.card.adaptive", "content", "$schema",
                          "http://adaptivecards.io/schemas/adaptive-card.json", "type", "AdaptiveCard", "version",
                          "1.4", "body", lines));
}

static char *compose_template(const struct lb_webhook_config *w, const char *link, const struct lb_matter *m)
{
    return lb_template_fill(w->text, link, m);
}

static const struct format {
    char *(*compose)(const struct lb_webhook_config *w, const char *link, const struct lb_matter *m);
    const char *type;
} formats[LB_FORMAT_MAX_] = {
    [LB_FORMAT_EVENT] = { compose_event, "application/json" },
    [LB_FORMAT_SLACK] = { compose_slack, "application/json" },
    [LB_FORMAT_TEAMS] = { compose_teams, "application/json" },
    [LB_FORMAT_NTFY] = { compose_ntfy, "text/plain; charset=utf-8" },
    [LB_FORMAT_TEMPLATE] = { compose_template, "application/json" },
};

static int compose(const struct lb_courier_config *config, const char *target, const struct lb_matter *m, char **ret)
{
    const struct lb_webhook_config *w = lb_courier_config_webhook(config, target);

    if (!w)
        return -EINVAL;
    *ret = formats[w->format].compose(w, config->mail.link, m);
    return *ret ? 0 : -ENOMEM;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* Nothing of anybody's words is in these. */
static int add_ntfy(struct curl_slist **headers, const struct lb_letter *l)
{
    static const struct { const char *priority, *tags; } rows[LB_NOTICE_MAX_] = {
        [LB_NOTICE_NONE] = { "2", "lock" }, [LB_NOTICE_ACTION] = { "4", "lock" },
        [LB_NOTICE_REMINDER] = { "4", "hourglass" }, [LB_NOTICE_MESSAGE] = { "3", "speech_balloon" },
        [LB_NOTICE_OUTCOME] = { "3", "lock" }, [LB_NOTICE_URGENT] = { "5", "rotating_light" },
        [LB_NOTICE_ALARM] = { "5", "warning" }, [LB_NOTICE_TEST] = { "3", "lock" },
    };
    const struct lb_matter m = { .notice = l->notice };
    char title[128];
    int r;

    snprintf(title, sizeof(title), "lockbox: %s%s%s", lb_matter_title(&m), l->request ? ", " : "",
             l->request ? l->request : "");
    r = lb_standard_header(headers, "Title", title);
    if (r == 0)
        r = lb_standard_header(headers, "Priority", rows[l->notice].priority);
    return r < 0 ? r : lb_standard_header(headers, "Tags", rows[l->notice].tags);
}

static int say(char **ret_error, int error, const char *text)
{
    *ret_error = strdup(text);
    return *ret_error ? error : -ENOMEM;
}

static void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
}

static int add_headers(const struct lb_webhook_config *w, const struct lb_letter *l, struct curl_slist **headers,
                       char **ret_error)
{
    LB_CLEANUP(wipe) char *secret = NULL, *token = NULL, *bearer = NULL;
    int r = w->secret ? lb_secret_read(w->secret, &secret, ret_error) : 0;

    if (r == 0 && w->token)
        r = lb_secret_read(w->token, &token, ret_error);
    if (r < 0)
        return r == -ENOENT ? -EACCES : r; /* the target is there, its secret may come */
    if (token && asprintf(&bearer, "Bearer %s", token) < 0) {
        bearer = NULL;
        return -ENOMEM;
    }
    if (token && strpbrk(token, "\r\n"))
        return say(ret_error, -EACCES, "the token has more than one line");
    r = lb_standard_header(headers, "Content-Type", formats[w->format].type);
    if (r == 0)
        r = lb_standard_header(headers, "Expect", "");
    if (r == 0 && bearer)
        r = lb_standard_header(headers, "Authorization", bearer);
    if (r == 0 && w->format == LB_FORMAT_NTFY)
        r = add_ntfy(headers, l);
    if (r == 0)
        r = lb_standard_headers(headers, secret, l->id, time(NULL), l->body);
    return r == -EINVAL ? say(ret_error, -EACCES, "the secret is not whsec_ and the base64 of 16 bytes or more") : r;
}

static int open_webhook(const struct lb_courier_config *config, const struct lb_letter *l, CURL **ret,
                        struct curl_slist **ret_headers, struct curl_slist **ret_recipients, char **ret_error)
{
    const struct lb_webhook_config *w = lb_courier_config_webhook(config, l->target);
    struct curl_slist *headers = NULL;
    CURL *e = NULL;
    int r = w ? add_headers(w, l, &headers, ret_error) : say(ret_error, -ENOENT, "it is not configured any more");

    (void)ret_recipients;
    if (r == 0)
        r = lb_handle_new(config->proxy, w->url, "https", &w->tls, &e, ret_error);
    if (r == 0 && (curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(l->body)) != CURLE_OK ||
                   curl_easy_setopt(e, CURLOPT_POSTFIELDS, l->body) != CURLE_OK))
        r = -ENOMEM;
    if (r < 0) {
        curl_slist_free_all(headers);
        curl_easy_cleanup(e);
        return r;
    }
    *ret = e;
    *ret_headers = headers;
    return 0;
}

const struct lb_channel lb_channel_webhook = { .name = "webhook", .compose = compose, .open = open_webhook };
