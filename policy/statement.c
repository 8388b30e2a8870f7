/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/statement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "policy/base.h"
#include "policy/lines.h"
#include "policy/span.h"
#include "policy/text.h"

#define TITLE "Lockbox consent, version 1"
#define TIME_MAX LB_LINES_TIME_MAX
#define DURATION_MAX (LB_SPAN_MAX + 32)

/* --- values ------------------------------------------------------------------------------------------------------- */

/* The span is for the reader, and rounded; the seconds count. */
static const char *format_duration(int64_t usec, char *buf)
{
    char span[LB_SPAN_MAX];

    lb_span_format(usec, span, sizeof(span));
    if (usec == LB_NEVER)
        return strcpy(buf, span);
    snprintf(buf, DURATION_MAX, "%s (%" PRId64 " s)", span, usec / LB_USEC_PER_SEC);
    return buf;
}

static int parse_duration(const char *text, int64_t *ret)
{
    char span[LB_SPAN_MAX];
    int64_t seconds = 0;

    if (strcmp(text, lb_span_format(LB_NEVER, span, sizeof(span))) == 0) {
        *ret = LB_NEVER;
        return 0;
    }
    return sscanf(text, "%*[^(](%" SCNd64 " s)", &seconds) == 1 && seconds > 0 &&
                   !__builtin_mul_overflow(seconds, LB_USEC_PER_SEC, ret)
               ? 0
               : -EINVAL;
}

/* The moment from which the consent is of no use: as the request was made, whatever clocks and boots did since. */
static int format_not_after(const struct lb_request *r, char *buf)
{
    int64_t end;

    if (r->terms.expire_after == LB_NEVER || __builtin_add_overflow(r->requested_at, r->terms.expire_after, &end))
        return snprintf(buf, TIME_MAX, "never") > 0 ? 0 : -EINVAL;
    return lb_lines_format_time(end, buf);
}

/* --- making it ---------------------------------------------------------------------------------------------------- */

int lb_statement_make(const struct lb_statement *s, const struct lb_request *r, const char *stage, const char *digest,
                      char **ret)
{
    char duration[DURATION_MAX] = "", begins[TIME_MAX] = "", not_after[TIME_MAX] = "";
    int error = format_not_after(r, not_after);

    if (!r->nonce || !lb_state_is_waiting(r->state))
        return -ENODATA;
    if (s->approve && (s->duration <= 0 || s->duration > r->duration))
        return -ERANGE;
    if (s->approve)
        format_duration(s->duration, duration);
    if (s->approve && s->from)
        error = error ? error : lb_lines_format_time(s->from, begins);
    else if (s->approve && !r->extends)
        strcpy(begins, r->terms.starts == LB_STARTS_LOGIN ? "with the first login" : "at once");
    const struct lb_line lines[] = {
        { "Decision", s->approve ? "approve" : "deny" },
        { "Request", r->id }, { "Host", r->host }, { "Account", r->account },
        { "Engineer", r->engineer }, { "Proven by", r->key && *r->key ? r->key : "nothing" },
        { "From", r->rhost && *r->rhost ? r->rhost : "this host" }, { "Service", r->service }, { "Scope", r->scope },
        { "More time for", r->extends }, { "Ticket", r->ticket }, { "Reason", r->reason },
        { "Duration", duration }, { "Begins", begins }, { "Not after", not_after },
        { "Approver", s->approver }, { "Stage", stage }, { "Note", s->note },
        { "Nonce", r->nonce }, { "Digest", digest },
    };
    return error < 0 ? error : lb_lines_write(TITLE, lines, LB_ELEMENTS(lines), ret);
}

/* --- reading it --------------------------------------------------------------------------------------------------- */

/* How long and from when. Words instead of a time are those of the request. */
static int parse_times(const char *text, struct lb_statement *s)
{
    LB_FREE char *duration = lb_lines_find(text, "Duration"), *begins = lb_lines_find(text, "Begins");

    if (begins && lb_lines_parse_time(begins, &s->from) < 0)
        s->from = 0;
    return duration ? parse_duration(duration, &s->duration) : -EINVAL;
}

int lb_statement_parse(const char *text, struct lb_statement *ret)
{
    LB_CLEANUP(lb_statement_clear) struct lb_statement s = { 0 };
    LB_FREE char *decision = NULL;

    if (strlen(text) > LB_STATEMENT_MAX || strncmp(text, TITLE "\n", strlen(TITLE "\n")) != 0)
        return -EINVAL;
    decision = lb_lines_find(text, "Decision");
    s.request = lb_lines_find(text, "Request");
    s.approver = lb_lines_find(text, "Approver");
    s.note = lb_lines_find(text, "Note");
    s.approve = lb_streq(decision, "approve");
    if (!s.request || !s.approver || (!s.approve && !lb_streq(decision, "deny")))
        return -EINVAL;
    if (s.note && !lb_text_is_clean(s.note, LB_NOTE_MAX))
        return -EINVAL;
    if (s.approve && parse_times(text, &s) < 0)
        return -EINVAL;
    *ret = s;
    s = (struct lb_statement){ 0 };
    return 0;
}

void lb_statement_clear(struct lb_statement *s)
{
    free(s->request);
    free(s->approver);
    free(s->note);
    *s = (struct lb_statement){ 0 };
}

char *lb_statement_difference(const char *made, const char *text)
{
    size_t line = 0, i = 0;
    const char *end;

    for (; made[i] && made[i] == text[i]; i++)
        if (made[i] == '\n')
            line = i + 1;
    if (!made[i] && !text[i])
        return NULL;
    end = strpbrk(made + line, ":\n");
    return end && *end == ':' ? strndup(made + line, (size_t)(end - made) - line) : strdup("text");
}
