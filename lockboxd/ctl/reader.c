/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "lockboxd/peek.h"
#include "policy/base.h"
#include "policy/text.h"

#define VALUE_MAX 16384 /* bytes of a field */

struct lb_reader {
    sd_journal *journal;
};

static int open_journal(sd_journal **ret, const char *path)
{
    struct stat st;

    if (!path)
        return sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? sd_journal_open_directory(ret, path, 0)
                               : sd_journal_open_files(ret, (const char *[]){ path, NULL }, 0);
}

int lb_reader_open(const char *path, struct lb_reader **ret)
{
    struct lb_reader *reader = calloc(1, sizeof(*reader));
    int r = reader ? open_journal(&reader->journal, path) : -ENOMEM;

    if (r >= 0)
        r = sd_journal_set_data_threshold(reader->journal, VALUE_MAX);
    if (r < 0) {
        lb_reader_close(reader);
        return r;
    }
    *ret = reader;
    return 0;
}

struct lb_reader *lb_reader_close(struct lb_reader *reader)
{
    if (reader)
        sd_journal_close(reader->journal);
    free(reader);
    return NULL;
}

bool lb_reader_may(void)
{
    static const char *const roots[] = { "/var/log/journal", "/run/log/journal" };
    char machine[SD_ID128_STRING_MAX], path[128];
    bool may = true;
    sd_id128_t id;

    if (sd_id128_get_machine(&id) < 0)
        return true;
    sd_id128_to_string(id, machine);
    for (size_t i = 0; i < LB_ELEMENTS(roots); i++) {
        snprintf(path, sizeof(path), "%s/%s/system.journal", roots[i], machine);
        if (access(path, R_OK) == 0)
            return true;
        may = may && errno != EACCES;
    }
    return may;
}

int lb_reader_rewind(struct lb_reader *reader)
{
    sd_journal_flush_matches(reader->journal);
    return sd_journal_seek_head(reader->journal);
}

int lb_reader_match(struct lb_reader *reader, const char *format, ...)
{
    LB_FREE char *match = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&match, format, args);
    va_end(args);
    if (n < 0) {
        match = NULL;
        return -ENOMEM;
    }
    return sd_journal_add_match(reader->journal, match, (size_t)n);
}

int lb_reader_or(struct lb_reader *reader)
{
    return sd_journal_add_disjunction(reader->journal);
}

int lb_reader_next(struct lb_reader *reader)
{
    return sd_journal_next(reader->journal);
}

int lb_reader_fields(struct lb_reader *reader, lb_reader_field *take, void *userdata)
{
    char stamp[64];
    const void *data;
    size_t n;
    uint64_t usec = 0;
    int r = sd_journal_set_data_threshold(reader->journal, 0);

    while (r >= 0 && (r = sd_journal_enumerate_available_data(reader->journal, &data, &n)) > 0)
        r = take(userdata, data, n);
    if (r >= 0)
        r = sd_journal_get_realtime_usec(reader->journal, &usec);
    if (r < 0)
        return r;
    return take(userdata, stamp, (size_t)snprintf(stamp, sizeof(stamp), "__REALTIME_TIMESTAMP=%" PRIu64, usec));
}

char *lb_reader_bytes(struct lb_reader *reader, const char *field)
{
    const void *data;
    size_t n, name = strlen(field) + 1;
    char *value;

    if (sd_journal_get_data(reader->journal, field, &data, &n) < 0 || n < name)
        return NULL;
    n -= name;
    value = malloc(n + 1);
    if (!value)
        return NULL;
    memcpy(value, (const char *)data + name, n);
    value[n] = '\0';
    for (char *nul = value; (nul = memchr(nul, '\0', n - (size_t)(nul - value)));)
        *nul = '\1';
    return value;
}

char *lb_reader_text(struct lb_reader *reader, const char *field)
{
    LB_FREE char *bytes = lb_reader_bytes(reader, field);

    return bytes ? lb_text_clean(bytes, LB_TEXT_GROWS * strlen(bytes)) : NULL;
}

int64_t lb_reader_number(struct lb_reader *reader, const char *field)
{
    LB_FREE char *bytes = lb_reader_bytes(reader, field);

    return bytes ? lb_slice_number((struct lb_slice){ bytes, strlen(bytes) }) : -1;
}

int64_t lb_reader_time(struct lb_reader *reader)
{
    int64_t sent = lb_reader_number(reader, "_SOURCE_REALTIME_TIMESTAMP");
    uint64_t usec = 0;

    if (sent >= 0)
        return sent;
    return sd_journal_get_realtime_usec(reader->journal, &usec) < 0 ? 0 : (int64_t)usec;
}

int64_t lb_reader_begins(struct lb_reader *reader)
{
    uint64_t from = 0;

    return sd_journal_get_cutoff_realtime_usec(reader->journal, &from, NULL) > 0 ? (int64_t)from : 0;
}

bool lb_reader_knows(struct lb_reader *reader, const char *field)
{
    const void *data;
    size_t n;

    return sd_journal_query_unique(reader->journal, field) >= 0 &&
           sd_journal_enumerate_unique(reader->journal, &data, &n) > 0;
}

int lb_reader_boot(struct lb_reader *reader, int64_t boot_id, char ret[static LB_READER_BOOT_MAX])
{
    static const size_t name = sizeof("_BOOT_ID=") - 1;
    const void *data;
    size_t n;
    sd_id128_t id;
    int r = sd_journal_query_unique(reader->journal, "_BOOT_ID");

    while (r >= 0 && (r = sd_journal_enumerate_unique(reader->journal, &data, &n)) > 0) {
        char text[LB_READER_BOOT_MAX];

        if (n != name + LB_READER_BOOT_MAX - 1)
            continue;
        memcpy(text, (const char *)data + name, LB_READER_BOOT_MAX - 1);
        text[LB_READER_BOOT_MAX - 1] = '\0';
        if (sd_id128_from_string(text, &id) < 0 || (int64_t)(id.qwords[0] & INT64_MAX) != boot_id)
            continue;
        memcpy(ret, text, sizeof(text));
        return 0;
    }
    return r < 0 ? r : -ENOENT;
}
