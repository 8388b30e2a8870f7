/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything about one access that is in the log, what the host signed of it, and what its sessions wrote into the
 * journal. The same access makes the same bytes each time, once it is over, for as long as the journal has that.
 */
#include "lockboxd/ctl/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <sys/stat.h>

#include "lockboxd/ctl/checkpoint.h"
#include "lockboxd/ctl/commands.h"
#include "lockboxd/ctl/interrupt.h"
#include "lockboxd/proto/json.h"
#include "policy/glob.h"

#define SIGNERS "/etc/lockbox/allowed_signers"
#define PROGRESS (2 * LB_USEC_PER_SEC)
#define UNFINISHED ".tmp" /* by which who kills it finds what it could not take away */
#define ENOUGH (-1)       /* what a page says when no more are wanted */

extern char **environ;

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

static int put(struct lb_pack *p, const char *name, const char *text)
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

/* --- which events ------------------------------------------------------------------------------------------------- */

static int take_own(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct lb_pack *p = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    (void)ctl;
    json_array_foreach (events, i, event) {
        p->last = lb_ctl_int(event, "seq");
        p->first = p->first ? p->first : p->last;
    }
    return LB_EXIT_DONE;
}

/* One that was being made while the access ended says less than that it has ended. */
static int find_checkpoint(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct lb_pack *p = userdata;
    const json_t *event = NULL;
    size_t i = 0;

    (void)ctl;
    json_array_foreach (events, i, event) {
        const char *json = lb_ctl_string(event, "json");
        LB_JSON json_t *own =
            strcmp(lb_ctl_string(event, "event"), "checkpoint") == 0 ? lb_json_load(json, strlen(json)) : NULL;
        if (lb_ctl_int(own, "count") < p->last)
            continue;
        p->checkpoint = lb_ctl_int(event, "seq");
        p->time = lb_ctl_int(own, "time");
        return ENOUGH;
    }
    return LB_EXIT_DONE;
}

static int look_for_checkpoint(struct lb_pack *p)
{
    int r = lb_ctl_pages(p->ctl, p->last + 1, NULL, find_checkpoint, p);

    return r == ENOUGH ? LB_EXIT_DONE : r;
}

/* Who may not have one made may not read all that is in a pack either: the daemon says so. */
static int find_events(struct lb_pack *p)
{
    LB_FREE char *statement = NULL, *signature = NULL;
    int r = lb_ctl_pages(p->ctl, 1, p->ctl->id, take_own, p);

    if (r == LB_EXIT_DONE)
        r = look_for_checkpoint(p);
    if (r != LB_EXIT_DONE || p->checkpoint)
        return r;
    r = lb_checkpoint_fetch(p->ctl, &statement, &signature);
    if (r == LB_EXIT_DONE)
        r = look_for_checkpoint(p);
    if (r == LB_EXIT_DONE && !p->checkpoint)
        r = lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "no checkpoint covers the last event of %s yet: try again", p->ctl->id);
    return r;
}

/* --- the events --------------------------------------------------------------------------------------------------- */

static int put_numbered(struct lb_pack *p, int64_t seq, const char *ending, const char *text)
{
    char name[48];

    snprintf(name, sizeof(name), "statement-%" PRId64 "%s", seq, ending);
    return put(p, name, text);
}

static int put_statement(struct lb_pack *p, int64_t seq, const json_t *own)
{
    const char *statement = lb_ctl_string(own, "statement"), *approver = lb_ctl_string(own, "approver");
    int r = put_numbered(p, seq, ".txt", statement);

    if (r == LB_EXIT_DONE)
        r = put_numbered(p, seq, ".sig", lb_ctl_string(own, "signature"));
    if (r == LB_EXIT_DONE && !lb_strings_contain(p->approvers, approver) &&
        lb_strings_append(&p->approvers, approver) < 0)
        r = lb_ctl_lost(p->ctl, -ENOMEM);
    return r;
}

/* Which events are files of their own. */
static const struct { const char *event, *name; } whole[] = {
    { "completed", "receipt.json" },       { "ended", "receipt.json" },         { "revoked", "receipt.json" },
    { "left-behind", "left-behind.json" }, { "no-report", "left-behind.json" },
};

static int put_own(struct lb_pack *p, int64_t seq, const char *kind, const char *json)
{
    LB_JSON json_t *own = lb_json_load(json, strlen(json));
    LB_FREE char *line = NULL;

    if (*lb_ctl_string(own, "statement"))
        return put_statement(p, seq, own);
    for (size_t i = 0; i < LB_ELEMENTS(whole); i++)
        if (strcmp(whole[i].event, kind) == 0)
            return asprintf(&line, "%s\n", json) < 0 ? lb_ctl_lost(p->ctl, -ENOMEM) : put(p, whole[i].name, line);
    return LB_EXIT_DONE;
}

static int put_checkpoint(struct lb_pack *p, const char *json)
{
    LB_JSON json_t *own = lb_json_load(json, strlen(json));
    int r = put(p, "checkpoint.txt", lb_ctl_string(own, "statement"));

    return r == LB_EXIT_DONE ? put(p, "checkpoint.sig", lb_ctl_string(own, "signature")) : r;
}

static void tell_progress(struct lb_pack *p)
{
    int64_t now = lb_ctl_now();

    if (now - p->told < PROGRESS)
        return;
    p->told = now;
    lb_ctl_fail(p->ctl, 0, "%" PRId64 " of %" PRId64 " events", p->next - p->first, p->checkpoint - p->first + 1);
}

struct slice {
    struct lb_pack *pack;
    FILE *f;
};

static int take_slice(const struct lb_ctl *ctl, const json_t *events, void *userdata)
{
    struct slice *s = userdata;
    struct lb_pack *p = s->pack;
    const json_t *event = NULL;
    size_t i = 0;

    json_array_foreach (events, i, event) {
        int64_t seq = lb_ctl_int(event, "seq");
        const char *json = lb_ctl_string(event, "json");
        int r = LB_EXIT_DONE;

        if (seq != p->next)
            return lb_ctl_fail(ctl, LB_EXIT_FAILED, "event %" PRId64 " is not to be had: lockboxctl audit verify",
                               p->next);
        if (fprintf(s->f, "%s\n", json) < 0)
            return LB_EXIT_FAILED;
        p->next++;
        if (strcmp(lb_ctl_string(event, "request"), ctl->id) == 0)
            r = put_own(p, seq, lb_ctl_string(event, "event"), json);
        if (r == LB_EXIT_DONE && seq == p->checkpoint)
            r = put_checkpoint(p, json);
        if (r != LB_EXIT_DONE || seq == p->checkpoint)
            return r != LB_EXIT_DONE ? r : ENOUGH;
    }
    tell_progress(p);
    return lb_interrupted() ? LB_EXIT_FAILED : LB_EXIT_DONE;
}

static int put_events(struct lb_pack *p)
{
    struct slice s = { p, lb_pack_open(p, "events.jsonl") };
    int r, closed;

    if (!s.f)
        return LB_EXIT_FAILED;
    p->next = p->first;
    p->told = lb_ctl_now();
    r = lb_ctl_pages(p->ctl, p->first, NULL, take_slice, &s);
    closed = lb_pack_close(p, s.f, !ferror(s.f));
    if (r == LB_EXIT_DONE) /* the log ends before its checkpoint */
        r = lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "event %" PRId64 " is not to be had: lockboxctl audit verify", p->next);
    return r == ENOUGH ? closed : r;
}

/* --- the other files ---------------------------------------------------------------------------------------------- */

static int put_request(struct lb_pack *p)
{
    LB_FREE char *text = json_dumps(p->request, JSON_SORT_KEYS | JSON_INDENT(2)), *line = NULL;

    if (!text || asprintf(&line, "%s\n", text) < 0) {
        line = NULL;
        return lb_ctl_lost(p->ctl, -ENOMEM);
    }
    return put(p, "request.json", line);
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
    return put(p, "VERIFY.txt", lb_pack_verify);
}

/* What is in it, in the order of the tar; each may have found out what those behind it need. */
static int (*const parts[])(struct lb_pack *p) = { put_events, put_request, put_commands, put_signers, put_verify };

/* --- stock programs ----------------------------------------------------------------------------------------------- */

/* Runs it with the files as its last words, inside the directory. enum lb_exit. */
static int run(const struct lb_pack *p, const char *const *words, char *const *files, const char *directory, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    const char **argv = NULL;
    size_t n = 0, m = 0;
    int r, status = 0;
    pid_t pid;

    while (words[n])
        n++;
    while (files[m])
        m++;
    argv = calloc(n + m + 1, sizeof(*argv));
    if (!argv)
        return lb_ctl_lost(p->ctl, -ENOMEM);
    memcpy(argv, words, n * sizeof(*argv));
    memcpy(argv + n, files, m * sizeof(*argv));
    posix_spawn_file_actions_init(&actions);
    r = posix_spawn_file_actions_addchdir_np(&actions, directory) |
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &p->signals);
    r = r ? ENOMEM : posix_spawnp(&pid, words[0], &actions, &attr, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    free(argv);
    if (r == 0)
        r = -lb_interrupt_wait(pid, &status);
    if (r == 0 && status == 0)
        return LB_EXIT_DONE;
    if (lb_interrupted())
        return LB_EXIT_FAILED;
    return lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "%s could not do its work%s%s", words[0], r ? ": " : "",
                       r ? strerrordesc_np(r) : "");
}

/* As they are called inside of the folder, and from there. */
static int put_sums(struct lb_pack *p)
{
    static const char *const words[] = { "sha256sum", "--", NULL };
    LB_FREE char *folder = NULL;
    char **names = NULL;
    size_t n = strlen(p->folder) + 1;
    FILE *f;
    int r = LB_EXIT_DONE;

    for (size_t i = 0; r == LB_EXIT_DONE && p->files[i]; i++)
        r = lb_strings_append(&names, p->files[i] + n) < 0 ? lb_ctl_lost(p->ctl, -ENOMEM) : LB_EXIT_DONE;
    f = r == LB_EXIT_DONE ? lb_pack_open(p, "SHA256SUMS") : NULL;
    if (f && asprintf(&folder, "%s/%s", p->directory, p->folder) >= 0)
        r = run(p, words, names, folder, fileno(f));
    lb_strings_free(names);
    return !f ? LB_EXIT_FAILED : r == LB_EXIT_DONE ? lb_pack_close(p, f, true) : (fclose(f), r);
}

static int make_tar(const struct lb_pack *p, int out)
{
    char mtime[48];
    const char *const words[] = { "tar", "--create", "--file=-", "--format=ustar", "--owner=0", "--group=0",
                                  "--numeric-owner", "--mode=0644", mtime, "--no-recursion", "--", NULL };

    snprintf(mtime, sizeof(mtime), "--mtime=@%" PRId64, p->time / LB_USEC_PER_SEC);
    return run(p, words, p->files, p->directory, out);
}

/* A file that nobody else has made, or can read, beside the one that is wanted. */
static int open_tar(struct lb_pack *p)
{
    const char *file = p->ctl->options[LB_OPTION_OUTPUT];

    if (strcmp(file, "-") == 0)
        return LB_EXIT_DONE;
    if (asprintf(&p->unfinished, "%s.XXXXXX" UNFINISHED, file) < 0) {
        p->unfinished = NULL;
        return lb_ctl_lost(p->ctl, -ENOMEM);
    }
    p->out = mkostemps(p->unfinished, strlen(UNFINISHED), O_CLOEXEC);
    if (p->out >= 0)
        return LB_EXIT_DONE;
    free(LB_TAKE(p->unfinished));
    return lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "%s: %s", file, strerrordesc_np(errno));
}

/* What is there is not written over. A file system over a network may know the second way alone, one on a stick the
 * first. */
static int give_name(const char *unfinished, const char *file)
{
    if (renameat2(AT_FDCWD, unfinished, AT_FDCWD, file, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL || link(unfinished, file) < 0)
        return -errno;
    unlink(unfinished);
    return 0;
}

/* Whole, or not there. */
static int write_tar(struct lb_pack *p)
{
    const char *file = p->ctl->options[LB_OPTION_OUTPUT];
    int r = make_tar(p, p->out >= 0 ? p->out : STDOUT_FILENO);

    if (r != LB_EXIT_DONE || !p->unfinished)
        return r;
    if (lb_interrupted())
        return LB_EXIT_FAILED;
    r = fsync(p->out) < 0 ? -errno : give_name(p->unfinished, file);
    if (r < 0)
        return lb_ctl_fail(p->ctl, LB_EXIT_FAILED, "%s: %s", file, strerrordesc_np(-r));
    free(LB_TAKE(p->unfinished));
    return LB_EXIT_DONE;
}

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
        r = find_events(&p);
    if (r == LB_EXIT_DONE && !*lb_ctl_string(p.request, "closed_at"))
        lb_ctl_fail(ctl, 0, "%s is not over: its story goes on behind event %" PRId64, ctl->id, p.last);
    if (r == LB_EXIT_DONE)
        r = open_tar(&p);
    if (r == LB_EXIT_DONE)
        r = make_folder(&p);
    for (size_t i = 0; r == LB_EXIT_DONE && i < LB_ELEMENTS(parts); i++)
        r = lb_interrupted() ? LB_EXIT_FAILED : parts[i](&p);
    if (r == LB_EXIT_DONE)
        r = put_sums(&p);
    if (r == LB_EXIT_DONE)
        r = write_tar(&p);
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
