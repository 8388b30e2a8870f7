/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/text.h"

#define REPORT_MAX (48 * 1024) /* bytes: it becomes one event */
#define TEXT_MAX 400

struct report {
    int64_t count;
    struct lb_list changes;
};

static const struct lb_field report_fields[] = {
    { "count", LB_FIELD_INT, offsetof(struct report, count), LB_FIELD_REQUIRED },
    { "changes", LB_FIELD_LIST, offsetof(struct report, changes), LB_FIELD_REQUIRED, .fields = lb_change_fields,
      .size = sizeof(struct lb_change) },
    { 0 },
};

static ssize_t read_file(const char *path, char *ret, size_t size)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size > size)
        return -EBADMSG;
    n = read(fd, ret, size);
    return n < 0 ? -errno : n;
}

/* The writer has made it safe to show, or it is not from the writer. */
static bool is_clean(const struct report *r)
{
    const struct lb_change *c = r->changes.items;

    for (size_t i = 0; i < r->changes.n; i++)
        if (!lb_text_is_clean(c[i].kind, TEXT_MAX) || !lb_text_is_clean(c[i].name, TEXT_MAX) ||
            !lb_text_is_clean(c[i].change, TEXT_MAX) || !lb_text_is_clean(c[i].detail, TEXT_MAX) ||
            lb_streq(c[i].kind, "") || lb_streq(c[i].change, ""))
            return false;
    return (r->count == 0) == (r->changes.n == 0);
}

int lb_report_read(const char *path, int64_t *ret_count, struct lb_list *ret_changes)
{
    LB_FREE char *bytes = malloc(REPORT_MAX);
    struct report report = { 0 };
    json_auto_t *json = NULL;
    ssize_t n = bytes ? read_file(path, bytes, REPORT_MAX) : -ENOMEM;
    int r;

    if (n < 0)
        return (int)n;
    json = lb_json_load(bytes, (size_t)n);
    r = json ? lb_json_unpack(report_fields, json, &report, 0, NULL) : -EBADMSG;
    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    if (!is_clean(&report)) {
        lb_fields_clear(report_fields, &report);
        return -EBADMSG;
    }
    *ret_count = report.count;
    *ret_changes = report.changes;
    return 0;
}

char *lb_report_kinds(const struct lb_list *changes)
{
    const struct lb_change *c = changes->items;
    char *text = NULL;
    size_t size;
    FILE *out = changes->n ? open_memstream(&text, &size) : NULL;

    for (size_t i = 0; out && i < changes->n; i++)
        if (i == 0 || !lb_streq(c[i].kind, c[i - 1].kind)) /* they come in order */
            fprintf(out, "%s%s", i ? ", " : "", c[i].kind);
    if (out && fclose(out) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}
