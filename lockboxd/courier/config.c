/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/config.h"

#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/mail_template.h"
#include "lockboxd/courier/template.h"
#include "lockboxd/read_text.h"
#include "policy/base.h"
#include "policy/deadline.h"
#include "policy/event.h"
#include "policy/glob.h"
#include "policy/ini.h"
#include "policy/mailbox.h"
#include "policy/span.h"
#include "policy/text.h"

#define HOUR (3600 * LB_USEC_PER_SEC)
#define WEBHOOK "Webhook "

const char *const lb_webhook_format_names[] = {
    [LB_FORMAT_EVENT] = "event", [LB_FORMAT_SLACK] = "slack", [LB_FORMAT_TEAMS] = "teams", [LB_FORMAT_NTFY] = "ntfy",
    [LB_FORMAT_TEMPLATE] = "template", [LB_FORMAT_MAX_] = NULL,
};

#define MISTAKE(at, ...) lb_ini_error((at)->errors, (at)->path, (at)->line, __VA_ARGS__)

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Each sets the member, or says what was meant. */
static void keep(void *member, const char *value, const struct lb_ini_place *at)
{
    free(*(char **)member);
    *(char **)member = strdup(value);
    at->errors->oom |= !*(char **)member;
}

static void set_name(void *member, const char *value, const struct lb_ini_place *at)
{
    if (!*value || !lb_text_is_clean(value, LB_NAME_MAX))
        MISTAKE(at, "%s=%s: expected printable characters, at most %d bytes", at->key, value, LB_NAME_MAX);
    else
        keep(member, value, at);
}

static void set_path(void *member, const char *value, const struct lb_ini_place *at)
{
    if (*value != '/')
        MISTAKE(at, "%s=%s: expected an absolute path", at->key, value);
    else
        keep(member, value, at);
}

/* Whoever writes the secret itself here would be told so by the next to read the file: so it is not repeated. */
static void set_secret(void *member, const char *value, const struct lb_ini_place *at)
{
    if (*value != '/' && !lb_text_is_name(value, ""))
        MISTAKE(at, "%s=: expected the absolute path of a file with the secret, or the name of a systemd credential",
                at->key);
    else if (strncmp(value, "whsec_", 6) == 0)
        MISTAKE(at, "%s=: the secret itself does not belong here, but into a file that others cannot read", at->key);
    else
        keep(member, value, at);
}

/* Written out: curl also takes "https:/host" and "S3://bucket", and others here would take them for something else. */
static bool begins_with(const char *value, const char *scheme)
{
    size_t n = strlen(scheme);

    return strncmp(value, scheme, n) == 0 && strncmp(value + n, "://", 3) == 0 && value[n + 3] != '/';
}

/* One of the schemes, a host, and nothing secret in it. */
static bool is_url(const char *value, const char *const *schemes)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool good = u && lb_text_is_clean(value, 2048) && !strchr(value, ' ') &&
                curl_url_set(u, CURLUPART_URL, value, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                lb_strings_contain((char **)schemes, scheme) && begins_with(value, scheme) &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && *host &&
                curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;

    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(u);
    return good;
}

/* Whatever was written is not repeated: there may be a password in it, or the URL may be one (those of chat
 * services). */
static void keep_url(void *member, const char *value, const struct lb_ini_place *at, const char *const *schemes,
                     const char *expected)
{
    if (!is_url(value, schemes))
        MISTAKE(at, "%s=: expected %s, without user or password", at->key, expected);
    else
        keep(member, value, at);
}

static void set_https(void *member, const char *value, const struct lb_ini_place *at)
{
    static const char *const schemes[] = { "https", NULL };

    keep_url(member, value, at, schemes, "https://HOST/…");
}

/* One to which paths are added: a query would swallow them. */
static void keep_base(void *member, const char *value, const struct lb_ini_place *at, const char *const *schemes,
                      const char *expected)
{
    if (strpbrk(value, "?#"))
        MISTAKE(at, "%s=: expected %s, without ? or #", at->key, expected);
    else
        keep_url(member, value, at, schemes, expected);
}

static void set_service(void *member, const char *value, const struct lb_ini_place *at)
{
    static const char *const schemes[] = { "https", NULL };

    keep_base(member, value, at, schemes, "https://HOST/PATH");
}

static void set_server(void *member, const char *value, const struct lb_ini_place *at)
{
    static const char *const schemes[] = { "smtp", "smtps", NULL };

    keep_url(member, value, at, schemes, "smtp://HOST:587 or smtps://HOST:465");
}

static void set_store(void *member, const char *value, const struct lb_ini_place *at)
{
    static const char *const schemes[] = { "https", "s3", NULL };

    keep_base(member, value, at, schemes, "https://HOST/PATH/ or s3://BUCKET/PREFIX/");
}

static void set_proxy(void *member, const char *value, const struct lb_ini_place *at)
{
    static const char *const schemes[] = { "http", "https", NULL };

    keep_url(member, value, at, schemes, "http://HOST:PORT");
}

static void set_pin(void *member, const char *value, const struct lb_ini_place *at)
{
    if (strncmp(value, "sha256//", 8) != 0 || !value[8])
        MISTAKE(at, "%s=%s: expected sha256//BASE64, several with ; between them", at->key, value);
    else
        keep(member, value, at);
}

static void set_span(void *member, const char *value, const struct lb_ini_place *at)
{
    int64_t usec = 0;

    if (lb_span_parse(value, &usec) < 0 || usec == LB_NEVER || (usec && usec < LB_USEC_PER_SEC))
        MISTAKE(at, "%s=%s: expected a duration such as 1h or 30min", at->key, value);
    else
        *(int64_t *)member = usec;
}

static void set_some_span(void *member, const char *value, const struct lb_ini_place *at)
{
    int64_t usec = 0;

    set_span(&usec, value, at);
    if (usec)
        *(int64_t *)member = usec;
    else if (strspn(value, "0") == strlen(value) && *value)
        MISTAKE(at, "%s=%s: expected more than nothing", at->key, value);
}

static void set_bool(void *member, const char *value, const struct lb_ini_place *at)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        MISTAKE(at, "%s=%s: expected yes or no", at->key, value);
    else
        *(bool *)member = *value == 'y';
}

static void set_address(void *member, const char *value, const struct lb_ini_place *at)
{
    if (!lb_mailbox_is_address(value))
        MISTAKE(at, "%s=%s: expected a mail address such as lockbox@customer.example", at->key, value);
    else
        keep(member, value, at);
}

/* Words between blanks, instead of those of an earlier file. `mistake` says what is wrong with one, or returns NULL. */
static void set_words(void *member, const char *value, const struct lb_ini_place *at,
                      bool (*is_good)(const char *word, const struct lb_ini_place *at))
{
    LB_FREE char *copy = strdup(value);
    char *rest = NULL, **words = NULL;

    for (char *w = copy ? strtok_r(copy, " \t", &rest) : NULL; w; w = strtok_r(NULL, " \t", &rest))
        if (is_good(w, at))
            at->errors->oom |= lb_strings_append(&words, w) < 0;
    at->errors->oom |= !copy;
    lb_strings_free(*(char ***)member);
    *(char ***)member = words;
}

static bool is_good_address(const char *word, const struct lb_ini_place *at)
{
    bool good = lb_mailbox_is_address(word);

    if (!good)
        MISTAKE(at, "%s=: %s is no mail address", at->key, word);
    return good;
}

static void set_addresses(void *member, const char *value, const struct lb_ini_place *at)
{
    set_words(member, value, at, is_good_address);
}

/* A slip would otherwise be a webhook that is never called. */
static bool is_good_event(const char *word, const struct lb_ini_place *at)
{
    const char *mistake = lb_glob_mistake(word), *near;
    bool fits = false;

    for (int kind = 1; !mistake && kind < LB_EVENT_MAX_; kind++)
        fits |= lb_glob_fits(word, lb_event_names[kind]);
    near = mistake || fits ? NULL : lb_ini_suggest(word, lb_event_names + 1);
    if (mistake)
        MISTAKE(at, "%s=: %s: %s", at->key, word, mistake);
    else if (!fits)
        MISTAKE(at, "%s=: there is no event %s%s%s%s", at->key, word, near ? " (did you mean " : "", near ? near : "",
                near ? "?)" : "");
    return fits;
}

static void set_events(void *member, const char *value, const struct lb_ini_place *at)
{
    set_words(member, value, at, is_good_event);
}

static void set_format(void *member, const char *value, const struct lb_ini_place *at)
{
    for (int i = 0; i < LB_FORMAT_MAX_; i++)
        if (strcmp(lb_webhook_format_names[i], value) == 0) {
            *(int *)member = i;
            return;
        }
    MISTAKE(at, "%s=%s: expected event, slack, teams, ntfy or template", at->key, value);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

#define C(member) offsetof(struct lb_courier_config, member)
#define W(member) offsetof(struct lb_webhook_config, member)
#define TLS(section, at)                                                                                              \
    { section, "CAFile", set_path, at + offsetof(struct lb_tls, ca) },                                                 \
    { section, "Pin", set_pin, at + offsetof(struct lb_tls, pin) },                                                    \
    { section, "Certificate", set_path, at + offsetof(struct lb_tls, certificate) },                                   \
    { section, "Key", set_secret, at + offsetof(struct lb_tls, key) }

static const struct row {
    const char *section, *key;
    void (*set)(void *member, const char *value, const struct lb_ini_place *at);
    size_t offset; /* in the settings; that of "Webhook" in its own struct */
} rows[] = {
    { "Courier", "Host", set_name, C(host) },
    { "Courier", "Proxy", set_proxy, C(proxy) },
    { "Courier", "GiveUp", set_some_span, C(give_up) },

    { "Mail", "Server", set_server, C(mail.server) },
    { "Mail", "From", set_address, C(mail.from) },
    { "Mail", "To", set_addresses, C(mail.to) },
    { "Mail", "User", set_name, C(mail.user) },
    { "Mail", "Password", set_secret, C(mail.password) },
    { "Mail", "Remind", set_span, C(mail.remind) },
    { "Mail", "Templates", set_path, C(mail.templates) },
    { "Mail", "Link", set_name, C(mail.link) },
    TLS("Mail", C(mail.tls)),

    { "Webhook", "URL", set_https, W(url) },
    { "Webhook", "Secret", set_secret, W(secret) },
    { "Webhook", "Token", set_secret, W(token) },
    { "Webhook", "Format", set_format, W(format) },
    { "Webhook", "Template", set_path, W(template) },
    { "Webhook", "Events", set_events, W(events) },
    TLS("Webhook", W(tls)),

    { "Remote", "URL", set_service, C(remote.url) },
    { "Remote", "Approver", set_name, C(remote.approver) },
    { "Remote", "Token", set_secret, C(remote.token) },
    { "Remote", "Secret", set_secret, C(remote.secret) },
    { "Remote", "Poll", set_some_span, C(remote.poll) },
    TLS("Remote", C(remote.tls)),

    { "Export", "URL", set_store, C(export.url) },
    { "Export", "Endpoint", set_service, C(export.endpoint) },
    { "Export", "Region", set_name, C(export.region) },
    { "Export", "AccessKey", set_name, C(export.access_key) },
    { "Export", "SecretKey", set_secret, C(export.secret_key) },
    { "Export", "Token", set_secret, C(export.token) },
    { "Export", "Every", set_some_span, C(export.every) },
    { "Export", "Packs", set_bool, C(export.packs) },
    TLS("Export", C(export.tls)),
};

/* --- sections ----------------------------------------------------------------------------------------------------- */

/* Where each section was first met, for what is wrong with it as a whole. */
struct met {
    char *section, *path;
    unsigned line;
};

struct reading {
    struct lb_courier_config *config;
    struct lb_list met;
};

static int meet(struct reading *r, const char *section, const char *path, unsigned line)
{
    struct met *m = r->met.items;

    for (size_t i = 0; i < r->met.n; i++)
        if (strcmp(m[i].section, section) == 0)
            return 0;
    m = lb_list_append(&r->met, sizeof(*m));
    if (!m)
        return -ENOMEM;
    *m = (struct met){ strdup(section), strdup(path), line };
    return m->section && m->path ? 0 : -ENOMEM;
}

static void forget(struct reading *r)
{
    struct met *m = r->met.items;

    for (size_t i = 0; i < r->met.n; i++) {
        free(m[i].section);
        free(m[i].path);
    }
    free(m);
}

static bool is_webhook(const char *section)
{
    return strncmp(section, WEBHOOK, strlen(WEBHOOK)) == 0;
}

bool lb_webhook_is_chat(const struct lb_webhook_config *w)
{
    return w->format != LB_FORMAT_EVENT && w->format != LB_FORMAT_TEMPLATE;
}

const struct lb_webhook_config *lb_courier_config_webhook(const struct lb_courier_config *c, const char *name)
{
    const struct lb_webhook_config *w = c->webhooks.items;

    for (size_t i = 0; i < c->webhooks.n; i++)
        if (lb_streq(w[i].name, name))
            return &w[i];
    return NULL;
}

/* The webhook of a section, made at its first line. */
static int find_webhook(struct reading *r, const char *section, const struct lb_ini_place *at,
                        struct lb_webhook_config **ret)
{
    const char *name = section + strlen(WEBHOOK);
    struct lb_webhook_config *w = (struct lb_webhook_config *)lb_courier_config_webhook(r->config, name);

    if (!w && (strlen(name) > 64 || !lb_text_is_name(name, "")))
        MISTAKE(at, "[%s]: a webhook's name is made of letters, digits, _ . and -, at most 64", section);
    if (!w && (!(w = lb_list_append(&r->config->webhooks, sizeof(*w))) || !(w->name = strdup(name))))
        return -ENOMEM;
    *ret = w;
    return 0;
}

static void unknown(const struct lb_ini_place *at, const char *section, const char *kind)
{
    const char *known[LB_ELEMENTS(rows) + 1] = { 0 }, *near;
    size_t n = 0;

    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        if (!at->key || strcmp(rows[i].section, kind) == 0)
            known[n++] = at->key ? rows[i].key : rows[i].section;
    near = lb_ini_suggest(at->key ? at->key : section, known);
    if (at->key)
        MISTAKE(at, "unknown key \"%s\" in [%s]%s%s%s", at->key, section, near ? " (did you mean \"" : "",
                near ? near : "", near ? "\"?)" : "");
    else
        MISTAKE(at, "unknown section \"%s\"%s%s%s%s", section, near ? " (did you mean \"" : "", near ? near : "",
                near && strcmp(near, "Webhook") == 0 ? " NAME" : "", near ? "\"?)" : "");
}

static int on_row(void *userdata, const char *path, unsigned line, const char *section, const char *key,
                  const char *value, struct lb_ini_errors *errors)
{
    const struct lb_ini_place at = { errors, path, line, key };
    struct reading *r = userdata;
    struct lb_webhook_config *w = NULL;
    const char *kind = is_webhook(section) ? "Webhook" : section;
    bool named = is_webhook(section) || strcmp(section, "Webhook") != 0, known = false;
    int error = is_webhook(section) ? find_webhook(r, section, &at, &w) : 0;

    if (error == 0 && !key)
        error = meet(r, section, path, line);
    for (size_t i = 0; error == 0 && named && i < LB_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].section, kind) != 0 || (key && strcmp(rows[i].key, key) != 0))
            continue;
        if (key)
            rows[i].set((w ? (char *)w : (char *)r->config) + rows[i].offset, value, &at);
        return 0;
    }
    if (error == 0 && !named && !key)
        MISTAKE(&at, "[Webhook] needs a name: [Webhook chat]");
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++)
        known |= strcmp(rows[i].section, kind) == 0;
    if (error == 0 && named && (known || !key)) /* of an unknown section only the section is told */
        unknown(&at, section, kind);
    return error;
}

/* --- what only the whole of it shows ------------------------------------------------------------------------------ */

static void check_tls(const struct lb_tls *t, const struct lb_ini_place *at)
{
    if (!t->certificate != !t->key)
        MISTAKE(at, "Certificate= and Key= go together");
}

static void check_mail(struct lb_courier_config *c, const struct lb_ini_place *at)
{
    if (!c->mail.server)
        MISTAKE(at, "[Mail] needs Server=");
    if (!c->mail.from)
        MISTAKE(at, "[Mail] needs From=");
    if (!c->mail.user != !c->mail.password)
        MISTAKE(at, "User= and Password= go together");
    if (c->mail.link && strncmp(c->mail.link, "https://", 8) != 0)
        MISTAKE(at, "Link=%s: expected https://…", c->mail.link);
    if (c->mail.templates && lb_mail_templates_load(c->mail.templates, at->errors, &c->mail.texts) < 0)
        at->errors->oom = true;
    check_tls(&c->mail.tls, at);
}

static void read_template(struct lb_webhook_config *w, const struct lb_ini_place *at)
{
    size_t size = 0;
    LB_FREE char *mistake = NULL;
    unsigned line = 0;
    size_t mistakes = at->errors->n;
    int r = lb_read_text(w->template, true, &w->text, &size, at->errors);

    if (r < 0)
        at->errors->oom = true;
    else if (r == 0 && at->errors->n == mistakes)
        lb_ini_error(at->errors, w->template, 0, "is empty");
    else if (w->text && strlen(w->text) != size)
        lb_ini_error(at->errors, w->template, 0, "has NUL bytes in it");
    else if (w->text && lb_template_check(w->text, &line, &mistake) < 0)
        lb_ini_error(at->errors, w->template, line, "%s", mistake ? mistake : "out of memory");
}

static void check_webhook(struct lb_webhook_config *w, const struct lb_ini_place *at)
{
    if (!w->url)
        MISTAKE(at, "[Webhook %s] needs URL=", w->name);
    if ((w->format == LB_FORMAT_TEMPLATE) != (w->template != NULL))
        MISTAKE(at, "[Webhook %s]: Format=template and Template= go together", w->name);
    if (w->format == LB_FORMAT_TEMPLATE && w->template)
        read_template(w, at);
    check_tls(&w->tls, at);
}

static void check_remote(struct lb_courier_config *c, const struct lb_ini_place *at)
{
    if (!c->remote.url)
        MISTAKE(at, "[Remote] needs URL=");
    if (!c->remote.approver)
        MISTAKE(at, "[Remote] needs Approver=: the name that its signatures have in allowed_signers");
    check_tls(&c->remote.tls, at);
}

static void check_export(struct lb_courier_config *c, const struct lb_ini_place *at)
{
    const struct lb_export_config *e = &c->export;
    bool s3 = e->url && strncmp(e->url, "s3:", 3) == 0;

    if (!e->url)
        MISTAKE(at, "[Export] needs URL=");
    if (s3 && (!e->region || !e->access_key || !e->secret_key))
        MISTAKE(at, "URL=%s needs Region=, AccessKey= and SecretKey=", e->url);
    if (e->url && !s3 && (e->endpoint || e->region || e->access_key || e->secret_key))
        MISTAKE(at, "Endpoint=, Region=, AccessKey= and SecretKey= are for s3:// alone");
    if (s3 && e->token)
        MISTAKE(at, "Token= is for https:// alone");
    check_tls(&e->tls, at);
}

static void check(struct reading *r, struct lb_ini_errors *errors)
{
    static const struct {
        const char *section;
        void (*check)(struct lb_courier_config *c, const struct lb_ini_place *at);
    } checks[] = { { "Mail", check_mail }, { "Remote", check_remote }, { "Export", check_export } };
    const struct met *m = r->met.items;

    for (size_t i = 0; i < r->met.n; i++) {
        const struct lb_ini_place at = { errors, m[i].path, m[i].line, NULL };
        struct lb_webhook_config *w = !is_webhook(m[i].section) ? NULL :
            (struct lb_webhook_config *)lb_courier_config_webhook(r->config, m[i].section + strlen(WEBHOOK));

        if (w)
            check_webhook(w, &at);
        for (size_t k = 0; k < LB_ELEMENTS(checks); k++)
            if (strcmp(checks[k].section, m[i].section) == 0)
                checks[k].check(r->config, &at);
    }
}

/* --- from begin to end -------------------------------------------------------------------------------------------- */

static int defaults(struct lb_courier_config *ret)
{
    char name[256] = "";
    struct lb_courier_config c = {
        .give_up = 4 * 24 * HOUR, .mail.remind = HOUR, .remote.poll = 30 * LB_USEC_PER_SEC, .export.every = HOUR,
    };

    gethostname(name, sizeof(name) - 1);
    c.host = strdup(*name ? name : "localhost");
    if (!c.host)
        return -ENOMEM;
    *ret = c;
    return 0;
}

int lb_courier_config_load(const char *path, struct lb_courier_config *ret, char **ret_error)
{
    LB_CLEANUP(lb_courier_config_clear) struct lb_courier_config c = { 0 };
    struct lb_ini_errors errors = { 0 };
    struct reading reading = { .config = &c };
    int r = defaults(&c);

    if (r == 0)
        r = lb_read_conf(path, on_row, &reading, &errors);
    if (r == 0 && errors.n == 0) /* what is lacking may stand in a line with a mistake */
        check(&reading, &errors);
    forget(&reading);
    if (r == 0 && errors.oom)
        r = -ENOMEM;
    if (r == 0 && errors.n > 0) {
        *ret_error = errors.text;
        return -EINVAL;
    }
    free(errors.text);
    if (r < 0)
        return r;
    *ret = c;
    c = (struct lb_courier_config){ 0 };
    return 0;
}

bool lb_courier_config_has(const struct lb_courier_config *c, const char *channel)
{
    const struct { const char *channel; bool has; } rows_[] = {
        { "mail", c->mail.server != NULL }, { "webhook", c->webhooks.n > 0 }, { "remote", c->remote.url != NULL },
        { "export", c->export.url != NULL },
    };

    for (size_t i = 0; i < LB_ELEMENTS(rows_); i++)
        if (strcmp(rows_[i].channel, channel) == 0)
            return rows_[i].has;
    return false;
}

static void clear_tls(struct lb_tls *t)
{
    free(t->ca);
    free(t->pin);
    free(t->certificate);
    free(t->key);
}

static void clear_webhooks(struct lb_list *list)
{
    struct lb_webhook_config *w = list->items;

    for (size_t i = 0; i < list->n; i++) {
        char *const texts[] = { w[i].name, w[i].url, w[i].secret, w[i].token, w[i].template, w[i].text };

        for (size_t k = 0; k < LB_ELEMENTS(texts); k++)
            free(texts[k]);
        lb_strings_free(w[i].events);
        clear_tls(&w[i].tls);
    }
    free(w);
}

void lb_courier_config_clear(struct lb_courier_config *c)
{
    char *const texts[] = {
        c->host, c->proxy, c->mail.server, c->mail.from, c->mail.user, c->mail.password, c->mail.templates,
        c->mail.link,
        c->remote.url, c->remote.approver, c->remote.token, c->remote.secret, c->export.url, c->export.endpoint,
        c->export.region, c->export.access_key, c->export.secret_key, c->export.token,
    };

    for (size_t i = 0; i < LB_ELEMENTS(texts); i++)
        free(texts[i]);
    lb_strings_free(c->mail.to);
    lb_mail_templates_free(c->mail.texts);
    clear_tls(&c->mail.tls);
    clear_tls(&c->remote.tls);
    clear_tls(&c->export.tls);
    clear_webhooks(&c->webhooks);
    *c = (struct lb_courier_config){ 0 };
}
