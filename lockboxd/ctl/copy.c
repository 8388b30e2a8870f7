/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Journal files are read by journalctl, which knows all their formats; what it writes is plain. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lockboxd/ctl/audit.h"

#define JOURNALCTL "journalctl"
#define MAGIC "LPKSHHRH"
#define FIXED 10 /* words beside one for each kind of event */

extern char **environ;

/* What our unit wrote, and what claims to be an event: whoever wrote that. Frees the words that it made. */
static int spawn(const char *const *words, int out, int *ret_pid)
{
    static const char match[] = "LOCKBOX_EVENT=";
    char texts[LB_EVENT_MAX_][48];
    const char *argv[FIXED + LB_EVENT_MAX_ + 1];
    posix_spawn_file_actions_t actions;
    size_t n = 0;
    int r;

    for (; *words; words++)
        argv[n++] = *words;
    for (int kind = 1; kind < LB_EVENT_MAX_; kind++) {
        snprintf(texts[kind], sizeof(texts[kind]), "%s%s", match, lb_event_names[kind]);
        argv[n++] = texts[kind];
    }
    argv[n] = NULL;
    r = posix_spawn_file_actions_init(&actions);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawnp(ret_pid, JOURNALCTL, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int run_journalctl(const struct lb_ctl *ctl, const char *how, const char *path, struct lb_copy *ret)
{
    const char *words[FIXED] = { JOURNALCTL, "--quiet", "--no-pager", "--output=export" };
    size_t n = 4;
    int fds[2], r;

    if (how) {
        words[n++] = how;
        words[n++] = path;
    }
    words[n++] = "_SYSTEMD_UNIT=lockboxd.service";
    words[n++] = "_UID=0";
    words[n++] = "+";
    if (pipe2(fds, O_CLOEXEC) < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "a pipe: %s", strerrordesc_np(errno));
    r = spawn(words, fds[1], &ret->pid);
    close(fds[1]);
    ret->in = r < 0 ? NULL : fdopen(fds[0], "r");
    if (ret->in)
        return LB_EXIT_DONE;
    close(fds[0]);
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, JOURNALCTL ": %s", strerrordesc_np(r < 0 ? -r : ENOMEM));
}

static bool is_journal_file(FILE *in)
{
    char bytes[sizeof(MAGIC) - 1];
    bool is = fread(bytes, 1, sizeof(bytes), in) == sizeof(bytes) && memcmp(bytes, MAGIC, sizeof(bytes)) == 0;

    rewind(in);
    return is;
}

int lb_copy_open(const struct lb_ctl *ctl, const char *path, struct lb_copy *ret)
{
    struct stat st;

    *ret = (struct lb_copy){ 0 };
    if (!path)
        return run_journalctl(ctl, NULL, NULL, ret);
    if (strcmp(path, "-") == 0) {
        ret->in = stdin;
        return LB_EXIT_DONE;
    }
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return run_journalctl(ctl, "--directory", path, ret);
    ret->in = fopen(path, "re");
    if (!ret->in)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s: %s", path, strerrordesc_np(errno));
    if (!S_ISREG(st.st_mode) || !is_journal_file(ret->in))
        return LB_EXIT_DONE;
    fclose(LB_TAKE(ret->in));
    return run_journalctl(ctl, "--file", path, ret);
}

int lb_copy_close(const struct lb_ctl *ctl, struct lb_copy *copy)
{
    int status = 0;

    if (copy->in && copy->in != stdin)
        fclose(copy->in);
    while (copy->pid > 0 && waitpid(copy->pid, &status, 0) < 0 && errno == EINTR)
        ;
    *copy = (struct lb_copy){ 0 };
    return status == 0 ? LB_EXIT_DONE
                       : lb_ctl_fail(ctl, LB_EXIT_FAILED, JOURNALCTL " could not read all; see what it says above");
}
