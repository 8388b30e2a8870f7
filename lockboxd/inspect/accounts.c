/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accounts, groups, and that their passwords changed: never what they are. */
#include <stdio.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

#define FIELDS_MAX 9

struct reader {
    struct lb_picture *picture;
    const char *kind;
    int fields; /* that a line must have at least */
    void (*describe)(char *const *fields, char *ret, size_t size);
    const char *prefix; /* of the name */
};

/* One line of colon-separated fields, whose first is the name. What is not of this form is there as it is. */
static void on_line(void *userdata, char *line)
{
    const struct reader *r = userdata;
    char digest[LB_DIGEST_MAX], detail[512] = "not of the right form", name[512], *fields[FIELDS_MAX] = { 0 };
    int n = 0;

    lb_picture_digest(line, strlen(line), digest);
    while (n < FIELDS_MAX && (fields[n] = strsep(&line, ":")))
        n++;
    if (n >= r->fields)
        r->describe(fields, detail, sizeof(detail));
    snprintf(name, sizeof(name), "%s%s", r->prefix, fields[0]);
    lb_picture_add(r->picture, r->kind, name, detail, digest);
}

static void read_file(const char *path, struct reader reader)
{
    LB_FREE char *text = NULL;

    if (lb_picture_read(reader.picture, reader.kind, path, &text) == 0)
        lb_picture_lines(text, on_line, &reader);
}

static void describe_account(char *const *f, char *ret, size_t size)
{
    snprintf(ret, size, "uid %s, group %s, home %s, shell %s%s", f[2], f[3], f[5], f[6],
             *f[1] ? "" : ", no password needed");
}

static void describe_group(char *const *f, char *ret, size_t size)
{
    snprintf(ret, size, "gid %s, members: %s", f[2], *f[3] ? f[3] : "none");
}

static void describe_password(char *const *f, char *ret, size_t size)
{
    snprintf(ret, size, "%s", !*f[1] ? "no password needed" : strchr("!*", *f[1]) ? "locked" : "password set");
}

void lb_read_accounts(struct lb_picture *p)
{
    read_file("etc/passwd", (struct reader){ p, "account", 7, describe_account, "" });
}

void lb_read_groups(struct lb_picture *p)
{
    read_file("etc/group", (struct reader){ p, "group", 4, describe_group, "" });
}

void lb_read_shadow(struct lb_picture *p)
{
    read_file("etc/shadow", (struct reader){ p, "shadow", 2, describe_password, "" });
    read_file("etc/gshadow", (struct reader){ p, "shadow", 2, describe_password, "group " });
}
