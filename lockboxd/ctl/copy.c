/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a copy of the log is in is told by looking at it. */
#include <errno.h>
#include <sys/stat.h>

#include "lockboxd/ctl/audit.h"
#include "lockboxd/ctl/reader.h"
#include "policy/event.h"

#define MAGIC "LPKSHHRH"

static bool is_journal_file(FILE *in)
{
    char bytes[sizeof(MAGIC) - 1];
    bool is = fread(bytes, 1, sizeof(bytes), in) == sizeof(bytes) && memcmp(bytes, MAGIC, sizeof(bytes)) == 0;

    rewind(in);
    return is;
}

/* What our unit wrote, and what claims to be an event: whoever wrote that. */
static int match(struct lb_reader *reader)
{
    int r = lb_reader_match(reader, "_SYSTEMD_UNIT=lockboxd.service");

    if (r >= 0)
        r = lb_reader_match(reader, "_UID=0");
    if (r >= 0)
        r = lb_reader_or(reader);
    for (int kind = 1; r >= 0 && kind < LB_EVENT_MAX_; kind++)
        r = lb_reader_match(reader, "LOCKBOX_EVENT=%s", lb_event_names[kind]);
    return r;
}

static int open_journal(const struct lb_ctl *ctl, const char *path, struct lb_copy *ret)
{
    int r = lb_reader_open(path, &ret->journal);

    if (r == 0)
        r = match(ret->journal);
    if (r >= 0)
        return LB_EXIT_DONE;
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", path ? path : "the journal",
                       r == -EBADMSG ? "the file is damaged" : strerrordesc_np(-r));
}

int lb_copy_open(const struct lb_ctl *ctl, const char *path, struct lb_copy *ret)
{
    struct stat st = { 0 };

    *ret = (struct lb_copy){ 0 };
    if (path && strcmp(path, "-") == 0) {
        ret->in = stdin;
        return LB_EXIT_DONE;
    }
    if (!path || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return open_journal(ctl, path, ret);
    ret->in = fopen(path, "re");
    if (!ret->in)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", path, strerrordesc_np(errno));
    if (!S_ISREG(st.st_mode) || !is_journal_file(ret->in))
        return LB_EXIT_DONE;
    fclose(LB_TAKE(ret->in));
    return open_journal(ctl, path, ret);
}

static int add(void *entry, const char *field, size_t n)
{
    return lb_entry_add(entry, field, n);
}

/* Where a file is damaged, an entry is as much as can be read of it. */
static int next(void *journal, struct lb_entry *entry)
{
    int r = lb_reader_next(journal);

    if (r <= 0)
        return r;
    r = lb_reader_fields(journal, add, entry);
    return r >= 0 || r == -EBADMSG ? 1 : r;
}

int lb_copy_verify(struct lb_copy *copy, struct lb_verify *verify, struct lb_entries *entries)
{
    return copy->in ? lb_entries_verify(copy->in, verify, entries)
                    : lb_entries_verify_each(next, copy->journal, verify, entries);
}

void lb_copy_close(struct lb_copy *copy)
{
    if (copy->in && copy->in != stdin)
        fclose(copy->in);
    lb_reader_close(copy->journal);
}
