/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/compose.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "lockboxd/courier/mime.h"
#include "lockboxd/courier/mail_template.h"
#include "lockboxd/courier/words.h"
#include "policy/base.h"
#include "policy/text.h"

#define SUBJECT_MAX 240
/* A body as quoted-printable cannot have it: behind each = there is a digit, or the line's end. */
#define BOUNDARY "=_lockbox"

/* Those that somebody should see before all others. */
static bool is_urgent(int notice)
{
    return notice == LB_NOTICE_URGENT || notice == LB_NOTICE_ALARM;
}

/* One of the texts, filled in; owned. */
static int fill(const struct lb_mail_config *config, const struct lb_matter *m, enum lb_mail_part part, char **ret)
{
    struct lb_words words = { m, config->link, part == LB_MAIL_HTML ? LB_FORM_HTML : LB_FORM_PLAIN };
    LB_FREE char *filled = NULL;
    size_t size;
    FILE *out = open_memstream(&filled, &size);
    int r;

    if (!out)
        return -ENOMEM;
    r = lb_mail_templates_write(config->texts, part, &words, out);
    if (fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r == 0)
        *ret = LB_TAKE(filled);
    return r;
}

/* --- headers ------------------------------------------------------------------------------------------------------ */

/* When it is sent: a reminder is made long before, and mail programs would sort it there. */
static int64_t date_of(const struct lb_mail_config *config, const struct lb_matter *m)
{
    const struct lb_deadline *decide_by = m->request ? &m->request->decide_by : NULL;

    if (m->notice != LB_NOTICE_REMINDER || !decide_by || decide_by->wall == LB_NEVER)
        return m->now;
    return decide_by->wall - config->remind;
}

/* In English whatever the locale. */
static void put_date(FILE *out, int64_t usec)
{
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    time_t seconds = (time_t)(usec / LB_USEC_PER_SEC);
    struct tm tm = { 0 };

    gmtime_r(&seconds, &tm);
    fprintf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
            tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_id(FILE *out, const char *name, const char *left, const char *host)
{
    fprintf(out, "%s: <", name);
    lb_mime_atom(out, left);
    fputc('@', out);
    lb_mime_atom(out, *host ? host : "localhost");
    fputs(">\r\n", out);
}

/* The same at each try, and for each of a person's addresses. A test is another one each time. */
static int put_message_id(FILE *out, const struct lb_matter *m, const char *address)
{
    LB_FREE char *left = NULL;

    if (asprintf(&left, "%s.%" PRId64 ".%s.%s", m->request ? m->request->id : "host", m->event ? m->event->seq : m->now,
                 lb_notice_names[m->notice], m->person ? m->person : address) < 0) {
        left = NULL;
        return -ENOMEM;
    }
    put_id(out, "Message-ID", left, m->host);
    return 0;
}

/* What all mails about a request refer to. No mail has that ID: whichever comes first begins the conversation. */
static void put_thread(FILE *out, const struct lb_matter *m)
{
    if (!m->request)
        return;
    put_id(out, "In-Reply-To", m->request->id, m->host);
    put_id(out, "References", m->request->id, m->host);
}

static int put_from(FILE *out, const struct lb_mail_config *config, const struct lb_matter *m)
{
    LB_FREE char *name = NULL;

    if (asprintf(&name, "lockbox on %s", m->host) < 0) {
        name = NULL;
        return -ENOMEM;
    }
    return lb_mime_mailbox(out, "From", name, config->from);
}

static int put_subject(FILE *out, const struct lb_mail_config *config, const struct lb_matter *m)
{
    LB_FREE char *subject = NULL, *clean = NULL;
    int r = fill(config, m, LB_MAIL_SUBJECT, &subject);

    if (r < 0)
        return r;
    clean = lb_text_clean(subject, SUBJECT_MAX);
    return clean ? lb_mime_header(out, "Subject", clean) : -ENOMEM;
}

/* That no program is to answer this, and what a filter can hold on to. */
static int put_marks(FILE *out, const struct lb_matter *m)
{
    int r = 0;

    fputs("Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n", out);
    if (is_urgent(m->notice))
        fputs("Importance: high\r\nX-Priority: 1 (Highest)\r\n", out);
    fprintf(out, "X-Lockbox-Notice: %s\r\n", lb_notice_names[m->notice]);
    if (m->request)
        r = lb_mime_header(out, "X-Lockbox-Request", m->request->id);
    fputs("MIME-Version: 1.0\r\n", out);
    return r;
}

static int put_headers(FILE *out, const struct lb_mail_config *config, const struct lb_matter *m, const char *address)
{
    int r = put_from(out, config, m);

    if (r == 0)
        r = lb_mime_mailbox(out, "To", m->person, address);
    if (r == 0)
        r = put_subject(out, config, m);
    if (r == 0)
        r = put_message_id(out, m, address);
    put_date(out, date_of(config, m));
    put_thread(out, m);
    return r < 0 ? r : put_marks(out, m);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void put_part(FILE *out, const char *type, const char *text)
{
    fprintf(out, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", type);
    lb_mime_body(out, text);
}

static int put_bodies(FILE *out, const struct lb_mail_config *config, const struct lb_matter *m)
{
    LB_FREE char *text = NULL, *html = NULL;
    int r = fill(config, m, LB_MAIL_TEXT, &text);

    if (r == 0)
        r = fill(config, m, LB_MAIL_HTML, &html);
    if (r < 0)
        return r;
    if (!*html) {
        put_part(out, "plain", text);
        return 0;
    }
    fputs("Content-Type: multipart/alternative; boundary=\"" BOUNDARY "\"\r\n\r\n--" BOUNDARY "\r\n", out);
    put_part(out, "plain", text);
    fputs("\r\n--" BOUNDARY "\r\n", out);
    put_part(out, "html", html);
    fputs("\r\n--" BOUNDARY "--\r\n", out);
    return 0;
}

int lb_compose(const struct lb_mail_config *config, const struct lb_matter *m, const char *address, char **ret)
{
    LB_FREE char *mail = NULL;
    size_t size;
    FILE *out = open_memstream(&mail, &size);
    int r;

    if (!out)
        return -ENOMEM;
    r = put_headers(out, config, m, address);
    if (r == 0)
        r = put_bodies(out, config, m);
    if (fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r == 0)
        *ret = LB_TAKE(mail);
    return r;
}
