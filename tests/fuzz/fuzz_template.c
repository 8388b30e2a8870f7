/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes, up to the first 0xff, as what an administrator writes for a webhook or for mails, and any others as what
 * an engineer says: a webhook's is refused or stays JSON of the same shape, and a mail is lines, whatever is said in
 * it. Files are made up (-Wl,--wrap). See fuzz_policy.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/compose.h"
#include "lockboxd/courier/mail_template.h"
#include "lockboxd/courier/template.h"
#include "lockboxd/courier/words.h"
#include "lockboxd/proto/json.h"
#include "lockboxd/read_text.h"
#include "policy/base.h"
#include "policy/text.h"

#include "tests/fuzz/fuzz_main.h"

#define LINE_MAX_BYTES 998

__typeof__(lb_read_text) __wrap_lb_read_text;

static const char *written;
static char directory[] = "/tmp/lockbox-fuzz-XXXXXX";
static const char *const files[] = { "action.subject", "action.txt", "action.html" };

int __wrap_lb_read_text(const char *path, bool must_exist, char **ret, size_t *ret_size, struct lb_ini_errors *errors)
{
    (void)path;
    (void)must_exist;
    (void)errors;
    if (!*written)
        return 0;
    *ret = strdup(written);
    assert(*ret);
    *ret_size = strlen(*ret);
    return 1;
}

static void name_files(int (*act)(const char *path))
{
    char path[64];

    for (size_t i = 0; i < LB_ELEMENTS(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
        assert(act(path) == 0);
    }
}

static int make_file(const char *path)
{
    FILE *f = fopen(path, "we");

    return f ? fclose(f) : -1;
}

static void tear_down(void)
{
    name_files(unlink);
    rmdir(directory);
}

/* Objects stay objects, texts texts. */
static bool is_alike(const json_t *a, const json_t *b)
{
    const json_t *v = NULL;
    size_t i = 0;

    if (json_typeof(a) != json_typeof(b) && !(json_is_number(a) && json_is_number(b)))
        return false;
    json_array_foreach (a, i, v)
        if (!is_alike(v, json_array_get(b, i)))
            return false;
    return !json_is_array(a) || json_array_size(a) == json_array_size(b);
}

static void check_json(const char *template, const struct lb_matter *m, const struct lb_matter *other)
{
    unsigned line = 0;
    LB_FREE char *mistake = NULL, *one = NULL, *two = NULL;
    int r = lb_template_check(template, &line, &mistake);

    assert(r == 0 ? !mistake : r == -EINVAL && mistake);
    if (r < 0)
        return;
    one = lb_template_fill(template, "https://b.example/%i", m);
    two = lb_template_fill(template, NULL, other);
    assert(one && two);

    json_auto_t *a = json_loads(one, 0, NULL), *b = json_loads(two, 0, NULL);

    assert(a && b && json_is_object(a) && json_is_object(b) && is_alike(a, b));
}

static void check_lines(const char *mail)
{
    for (const char *end; *mail; mail = end + 2) {
        end = strstr(mail, "\r\n");
        assert(end && end - mail <= LINE_MAX_BYTES && *mail != '.');
        for (; mail < end; mail++)
            assert(*mail == '\t' || (*mail >= ' ' && *mail < 0x7f));
    }
}

static void check_mail(const char *template, const struct lb_matter *m)
{
    struct lb_mail_config config = { .from = (char *)"a@b.example", .link = (char *)"https://b.example/%i" };
    struct lb_ini_errors errors = { 0 };
    LB_FREE char *mail = NULL;

    written = template;
    assert(lb_mail_templates_load(directory, &errors, &config.texts) == 0);
    assert((errors.n == 0) == (config.texts != NULL));
    free(errors.text);
    if (config.texts) {
        assert(lb_compose(&config, m, "c@d.example", &mail) == 0);
        check_lines(mail);
    }
    lb_mail_templates_free(config.texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *border = size > 0 ? memchr(data, 0xff, size) : NULL;
    size_t first = border ? (size_t)(border - data) : size;
    LB_FREE char *template = calloc(1, first + 1), *said = calloc(1, size - first + 1);
    struct lb_event e = { .kind = LB_EVENT_REQUESTED, .seq = 7, .time.wall = 1, .host = said, .account = said,
                          .engineer = said, .ticket = said, .reason = said, .note = said, .from = said, .rhost = said };
    struct lb_request r = { .id = (char *)"7F3K-9QXM", .state = LB_STATE_PENDING, .host = said, .account = said,
                            .engineer = said, .ticket = said, .reason = said, .duration = 90 * LB_USEC_PER_SEC };
    const struct lb_matter full = { .notice = LB_NOTICE_ACTION, .host = "host", .event = &e, .request = &r, .now = 1 },
                           empty = { .notice = LB_NOTICE_TEST, .host = "host", .now = 1 };

    assert(template && said);
    if (!written) {
        assert(mkdtemp(directory));
        name_files(make_file);
        atexit(tear_down);
    }
    if (first > 0)
        memcpy(template, data, first);
    if (border)
        memcpy(said, border + 1, size - first - 1);
    if (!lb_text_is_clean(said, SIZE_MAX)) /* nothing else gets into the log */
        *said = '\0';
    check_json(template, &full, &empty);
    check_mail(template, &full);
    return 0;
}
