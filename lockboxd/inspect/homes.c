/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose files are looked at: the accounts of the host, and whoever has a home though a name service knows him. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "lockboxd/inspect/inspect.h"
#include "policy/base.h"

/* path → user; a name that is no UTF-8 is none that an account can have. */
static void note(json_t *seen, const char *home, const char *user)
{
    home += strspn(home, "/");
    if (!json_object_get(seen, home))
        json_object_set_new(seen, home, json_string(user));
}

static void on_account(void *userdata, char *line)
{
    const char *fields[7] = { 0 };
    int n = 0;

    while (n < 7 && (fields[n] = strsep(&line, ":")))
        n++;
    if (n >= 6)
        note(userdata, fields[5], fields[0]);
}

static void note_others(const struct lb_picture *p, json_t *seen)
{
    int fd = openat(p->root, "home", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;

    if (!d && fd >= 0)
        close(fd);
    while (d && (e = readdir(d))) {
        LB_FREE char *home = NULL;

        if (e->d_name[0] != '.' && asprintf(&home, "home/%s", e->d_name) > 0)
            note(seen, home, e->d_name);
    }
    if (d)
        closedir(d);
}

void lb_each_home(struct lb_picture *p, lb_home_row *row, void *userdata)
{
    json_auto_t *seen = json_object();
    LB_FREE char *text = NULL;
    const char *home;
    json_t *user;

    if (!seen) {
        p->error = -ENOMEM;
        return;
    }
    if (lb_picture_read(p, "account", "etc/passwd", &text) == 0)
        lb_picture_lines(text, on_account, seen);
    note_others(p, seen);
    json_object_foreach (seen, home, user)
        row(p, userdata, home, json_string_value(user));
}
