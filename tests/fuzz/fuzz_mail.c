/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as all that somebody can write into a mail: what comes out is lines of ASCII that end in CRLF, none too
 * long, with each header once and no other. See fuzz_policy.c.
 */
#include <assert.h>
#include <stdint.h>

#include "lockboxd/courier/compose.h"
#include "policy/base.h"

#include "tests/fuzz/fuzz_main.h"

#define LINE_MAX_BYTES 998

static void check_lines(const char *mail)
{
    for (const char *end; *mail; mail = end + 2) {
        end = strstr(mail, "\r\n");
        assert(end && end - mail <= LINE_MAX_BYTES && *mail != '.');
        for (; mail < end; mail++)
            assert(*mail == '\t' || (*mail >= ' ' && *mail < 0x7f));
    }
}

static void check_headers(const char *mail)
{
    static const char *const wanted[] = { "From", "To", "Subject", "Message-ID", "Date", "In-Reply-To", "References",
                                          "Auto-Submitted", "X-Auto-Response-Suppress", "Importance", "X-Priority",
                                          "X-Lockbox-Notice", "X-Lockbox-Request", "MIME-Version", "Content-Type" };
    size_t seen[LB_ELEMENTS(wanted)] = { 0 };

    for (const char *line = mail; strncmp(line, "\r\n", 2) != 0; line = strstr(line, "\r\n") + 2) {
        size_t n = strcspn(line, ":"), i = 0;

        if (*line == ' ')
            continue;
        while (i < LB_ELEMENTS(wanted) && (strlen(wanted[i]) != n || strncmp(wanted[i], line, n) != 0))
            i++;
        assert(i < LB_ELEMENTS(wanted) && seen[i]++ == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lb_mail_config config = { .from = (char *)"a@b.example",
                                                  .link = (char *)"https://b.example/%i" };
    LB_FREE char *text = calloc(1, size + 1);
    struct lb_event e = { .kind = LB_EVENT_MESSAGE, .seq = 1, .host = text, .account = text, .engineer = text,
                          .ticket = text, .reason = text, .note = text, .from = text, .rhost = text, .key = text };
    struct lb_request r = { .id = text, .state = LB_STATE_PENDING, .host = text, .account = text, .engineer = text,
                            .ticket = text, .ticket_url = text, .reason = text, .key = text, .rhost = text,
                            .scope = text };

    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    for (int notice = 1; notice < LB_NOTICE_MAX_; notice++) {
        const struct lb_matter m = {
            .notice = notice, .host = text, .event = &e, .request = &r, .person = text, .now = 1
        };
        LB_FREE char *mail = NULL;

        assert(lb_compose(&config, &m, "c@d.example", &mail) == 0);
        check_lines(mail);
        check_headers(mail);
    }
    return 0;
}
