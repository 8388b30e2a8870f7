/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything about one access that is in the log, what the host signed of it, and what its sessions wrote into the
 * journal. The same access makes the same bytes each time, once it is over, for as long as the journal has that.
 */
#include "lockboxd/ctl/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "lockboxd/ctl/commands.h"
#include "lockboxd/ctl/interrupt.h"
#include "policy/glob.h"

#define SIGNERS "/etc/lockbox/allowed_signers"

static void pack_clear(struct lb_pack *p)
{
    if (p->unfinished)
        unlink(p->unfinished);
    if (p->out >= 0)
        close(p->out);
    for (size_t i = 0; p->files && p->files[i]; i++) {
        LB_FREE char *path = NULL;

        if (asprintf(&path, "%s/%s", p->directory, p->files[i]) >= 0)
            unlink(path);
    }
    if (p->directory) {
        LB_FREE char *folder = NULL;

        if (p->folder && asprintf(&folder, "%s/%s", p->directory, p->folder) >= 0)
            rmdir(folder);
        rmdir(p->directory);
    }
    json_decref(p->request);
    lb_strings_free(p->approvers);
    lb_strings_free(p->files);
    free(p->directory);
    free(p->folder);
    free(p->unfinished);
}

/* --- files of it -------------------------------------------------------------------------------------------------- */

FILE *lb_pack_open(struct lb_pack *p, const char *name)
{
    LB_FREE char *path = NULL, *inside = NULL;
    FILE *f = NULL;

    if (asprintf(&inside, "%s/%s", p->folder, name) < 0 || asprintf(&path, "%s/%s", p->directory, inside) < 0 ||
        lb_strings_append(&p->files, inside) < 0)
        errno = ENOMEM;
    else
        f = fopen(path, "wxe");
    if (!f)
        lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "%s/%s cannot be written: %s", p->directory ? p->directory : "", name,
                    strerrordesc_np(errno));
    return f;
}

int lb_pack_close(const struct lb_pack *p, FILE *f, bool good)
{
    if (fclose(f) == 0 && good)
        return LB_EXIT_DONE;
    return lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "the pack cannot be written in %s: is the disk full?", p->directory);
}

int lb_pack_put(struct lb_pack *p, const char *name, const char *text)
{
    FILE *f = lb_pack_open(p, name);

    return f ? lb_pack_close(p, f, fputs(text, f) >= 0) : LB_EXIT_FAILED;
}

static int make_folder(struct lb_pack *p)
{
    const char *where = getenv("TMPDIR");
    LB_FREE char *path = NULL;

    if (asprintf(&p->directory, "%s/lockbox-pack-XXXXXX", where && *where ? where : "/tmp") < 0)
        p->directory = NULL;
    if (!p->directory || asprintf(&p->folder, "lockbox-%s", p->ctl->id) < 0)
        return lb_ctl_lost(p->ctl, -ENOMEM);
    if (!mkdtemp(p->directory)) {
        int r = lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "%s: %s", p->directory, strerrordesc_np(errno));

        free(LB_TAKE(p->directory));
        return r;
    }
    if (asprintf(&path, "%s/%s", p->directory, p->folder) < 0 || mkdir(path, 0700) < 0)
        return lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "%s: %s", p->directory, strerrordesc_np(errno));
    return LB_EXIT_DONE;
}

/* --- the other files ---------------------------------------------------------------------------------------------- */

static int put_request(struct lb_pack *p)
{
    LB_FREE char *text = json_dumps(p->request, JSON_SORT_KEYS | JSON_INDENT(2)), *line = NULL;

    if (!text || asprintf(&line, "%s\n", text) < 0) {
        line = NULL;
        return lb_ctl_lost(p->ctl, -ENOMEM);
    }
    return lb_pack_put(p, "request.json", line);
}

/* Whether a line of allowed signers is about him: its first word is a list of patterns. */
static bool is_about(const char *line, const char *name)
{
    LB_FREE char *words = strndup(line + (*line == '"'), strcspn(line + (*line == '"'), " \t\""));
    char *rest = words, *pattern;

    while (rest && (pattern = strsep(&rest, ",")))
        if (!lb_glob_mistake(pattern) && lb_glob_fits(pattern, name))
            return true;
    return false;
}

static void put_line(const char *line, char *const *names, bool *found, FILE *to)
{
    bool any = false;

    for (size_t i = 0; names[i]; i++)
        if (is_about(line, names[i]))
            any = found[i] = true;
    if (any)
        fprintf(to, "%.*s\n", (int)strcspn(line, "\n"), line);
}

/* Without his key nobody can verify what he has signed: then it has to come from elsewhere. */
static int put_approvers(const struct lb_pack *p, FILE *to)
{
    LB_FREE bool *found = NULL;
    LB_FREE char *line = NULL;
    size_t size = 0, n = 0;
    FILE *from = p->approvers ? fopen(SIGNERS, "re") : NULL;
    const char *why = from || !p->approvers ? "there is no line for him" : strerrordesc_np(errno);

    while (p->approvers && p->approvers[n])
        n++;
    found = calloc(n + 1, sizeof(*found));
    while (found && from && getline(&line, &size, from) > 0)
        if (*line != '#')
            put_line(line, p->approvers, found, to);
    if (from)
        fclose(from);
    for (size_t i = 0; found && i < n; i++)
        if (!found[i])
            lb_ctl_fail(p->ctl, 0, "the key of %s is not in the pack, so step 4 of its VERIFY.txt cannot be good: "
                        SIGNERS ": %s", p->approvers[i], why);
    return found ? LB_EXIT_DONE : lb_ctl_lost(p->ctl, -ENOMEM);
}

static int put_signers(struct lb_pack *p)
{
    LB_JSON json_t *key = NULL;
    int r = lb_ctl_call(p->ctl, LB_AUDIT "Key", json_object(), &key), closed;
    FILE *f = r == LB_EXIT_DONE ? lb_pack_open(p, "signers") : NULL;

    if (!f)
        return r != LB_EXIT_DONE ? r : LB_EXIT_FAILED;
    fprintf(f, "%s\n", lb_ctl_string(key, "line"));
    r = put_approvers(p, f);
    closed = lb_pack_close(p, f, !ferror(f));
    return r == LB_EXIT_DONE ? closed : r;
}

struct commands {
    struct lb_pack *pack;
    FILE *f; /* NULL: there was none yet */
};

static int take_command(const struct lb_ctl *ctl, json_t *command, void *userdata)
{
    struct commands *c = userdata;

    (void)ctl;
    if (lb_interrupted() || (!c->f && !(c->f = lb_pack_open(c->pack, "commands.jsonl"))))
        return LB_EXIT_FAILED;
    if (json_dumpf(command, c->f, JSON_COMPACT | JSON_SORT_KEYS) < 0 || putc('\n', c->f) == EOF)
        return lb_ctl_lost(c->pack->ctl, -ENOMEM);
    return LB_EXIT_DONE;
}

/* What the journal has not, or the caller may not read there, is not in the pack; that is said. */
static int put_commands(struct lb_pack *p)
{
    struct commands c = { p, NULL };
    int r = lb_commands_each(p->ctl, p->ctl->id, take_command, &c),
        closed = c.f ? lb_pack_close(p, c.f, !ferror(c.f)) : 0;

    return r == LB_EXIT_DONE ? closed : r;
}

static int put_verify(struct lb_pack *p)
{
    return lb_pack_put(p, "VERIFY.txt", lb_pack_verify);
}

/* What is in it, in the order of the tar; each may have found out what those behind it need. */
static int (*const parts[])(struct lb_pack *p) = {
    lb_pack_put_events, put_request, put_commands, put_signers, put_verify,
};

/* --- the verb ----------------------------------------------------------------------------------------------------- */

static int check_output(const struct lb_ctl *ctl)
{
    const char *file = ctl->options[LB_OPTION_OUTPUT];

    if (strcmp(file, "-") == 0)
        return ctl->out.width ? lb_ctl_fail(ctl, LB_EXIT_USAGE, "a tar is nothing for a terminal: -o FILE.tar")
                              : LB_EXIT_DONE;
    if (access(file, F_OK) == 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s is there already; it is not written over", file);
    return LB_EXIT_DONE;
}

static int make_pack(const struct lb_ctl *ctl, const sigset_t *signals)
{
    LB_CLEANUP(pack_clear) struct lb_pack p = { .ctl = ctl, .out = -1, .signals = *signals };
    int r = check_output(ctl);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_get(ctl, &p.request);
    if (r == LB_EXIT_DONE)
        r = lb_pack_find_events(&p);
    if (r == LB_EXIT_DONE && !*lb_ctl_string(p.request, "closed_at"))
        lb_ctl_fail(ctl, 0, "%s is not over: its story goes on behind event %" PRId64, ctl->id, p.last);
    if (r == LB_EXIT_DONE)
        r = lb_pack_open_tar(&p);
    if (r == LB_EXIT_DONE)
        r = make_folder(&p);
    for (size_t i = 0; r == LB_EXIT_DONE && i < LB_ELEMENTS(parts); i++)
        r = lb_interrupted() ? LB_EXIT_FAILED : parts[i](&p);
    if (r == LB_EXIT_DONE)
        r = lb_pack_put_sums(&p);
    if (r == LB_EXIT_DONE)
        r = lb_pack_write_tar(&p);
    return r;
}

/* Who was interrupted meanwhile ends of it here, when nothing is left. */
int verb_audit_pack(struct lb_ctl *ctl)
{
    sigset_t signals;
    int r;

    lb_interrupt_hold(&signals);
    r = make_pack(ctl, &signals);
    lb_interrupt_release(&signals);
    return r;
}
