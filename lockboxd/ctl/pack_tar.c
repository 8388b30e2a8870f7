/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of a pack get their digests and become a tar, by stock programs. */
#include "lockboxd/ctl/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>

#include "lockboxd/ctl/interrupt.h"

#define UNFINISHED ".tmp" /* by which who kills it finds what it could not take away */

extern char **environ;

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
int lb_pack_put_sums(struct lb_pack *p)
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
int lb_pack_open_tar(struct lb_pack *p)
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
int lb_pack_write_tar(struct lb_pack *p)
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
