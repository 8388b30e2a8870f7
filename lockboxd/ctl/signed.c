/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/ctl/signed.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lockboxd/pasted.h"

#define PROGRAM "ssh-keygen"
#define ARMOUR "-----BEGIN SSH SIGNATURE-----"
#define FILE_MAX (64 * 1024)
#define PROBLEM_MAX 512

extern char **environ;

/* --- files -------------------------------------------------------------------------------------------------------- */

/* All of it, from where it stands. Owned; NULL with errno. */
static char *read_all(int fd)
{
    LB_FREE char *text = malloc(FILE_MAX + 1);
    size_t n = 0;
    ssize_t r = 1;

    while (text && r > 0 && n < FILE_MAX) {
        r = read(fd, text + n, FILE_MAX - n);
        n += r > 0 ? (size_t)r : 0;
    }
    if (!text || r != 0) {
        errno = r > 0 ? EFBIG : errno;
        return NULL;
    }
    text[n] = '\0';
    return LB_TAKE(text);
}

int lb_signed_read_file(const struct lb_ctl *ctl, const char *path, char **ret)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    *ret = fd < 0 ? NULL : read_all(fd);
    return *ret ? LB_EXIT_DONE : lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s cannot be read: %s", path, strerror(errno));
}

/* Where a line of the text begins in this way; NULL: none does. */
static char *find_line(char *text, const char *begin)
{
    size_t n = strlen(begin);

    while (text && strncmp(text, begin, n) != 0) {
        text = strchr(text, '\n');
        text += text ? 1 : 0;
    }
    return text;
}

char *lb_signed_split(char *text)
{
    char *begin = find_line(text, ARMOUR), *signature = NULL;

    begin = begin ? begin : find_line(text, LB_PASTED_MAGIC);
    if (begin && (signature = strdup(begin)))
        *begin = '\0';
    return signature;
}

int lb_signed_armour(char **signature)
{
    size_t n = strcspn(*signature, " \t\r\n");
    char *armoured;

    if (strncmp(*signature, LB_PASTED_MAGIC, strlen(LB_PASTED_MAGIC)) != 0)
        return 0;
    (*signature)[n] = '\0';
    armoured = lb_pasted_armour(*signature);
    if (!armoured)
        return -ENOMEM;
    free(*signature);
    *signature = armoured;
    return 0;
}

int lb_signed_read(const struct lb_ctl *ctl, const char *file, const char *beside, char **ret_text,
                   char **ret_signature)
{
    LB_FREE char *text = NULL, *signature = NULL, *path = NULL;
    bool input = !file || strcmp(file, "-") == 0;
    int r = input ? LB_EXIT_DONE : lb_signed_read_file(ctl, file, &text);

    if (r == LB_EXIT_DONE && input && !(text = read_all(STDIN_FILENO)))
        r = lb_ctl_fail(ctl, LB_EXIT_FAILED, "standard input cannot be read: %s", strerror(errno));
    if (r == LB_EXIT_DONE && !beside)
        signature = lb_signed_split(text);
    if (r == LB_EXIT_DONE && !signature && !beside && input)
        r = lb_ctl_fail(ctl, LB_EXIT_USAGE, "there is no signature behind the text: cat FILE FILE.sig | lockboxctl %s",
                        ctl->verb->name);
    if (r == LB_EXIT_DONE && !signature && !beside && asprintf(&path, "%s.sig", file) < 0)
        r = lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
    if (r == LB_EXIT_DONE && !signature)
        r = lb_signed_read_file(ctl, beside ? beside : path, &signature);
    if (r == LB_EXIT_DONE && lb_signed_armour(&signature) < 0)
        r = lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
    if (r != LB_EXIT_DONE)
        return r;
    *ret_text = LB_TAKE(text);
    *ret_signature = LB_TAKE(signature);
    return LB_EXIT_DONE;
}

static int memory_file(const char *text)
{
    int fd = memfd_create("lockbox-signed", MFD_CLOEXEC);
    size_t n = strlen(text);

    if (fd >= 0 && (write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- ssh-keygen --------------------------------------------------------------------------------------------------- */

/* `err` negative: it says by itself what is wrong. 0, its exit status, or -errno. */
static int run_keygen(const char *const *argv, int in, int out, int err, const int kept[static 2])
{
    posix_spawn_file_actions_t files;
    int status = 0, r;
    pid_t pid = 0;

    posix_spawn_file_actions_init(&files);
    r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO) |
        posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (err >= 0)
        r |= posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
    for (int i = 0; i < 2; i++) /* onto itself: it stays open there */
        r |= kept[i] >= 0 ? posix_spawn_file_actions_adddup2(&files, kept[i], kept[i]) : 0;
    r = r ? r : posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int lb_signed_sign(const struct lb_ctl *ctl, const char *namespace, const char *key, const char *text, char **ret)
{
    const char *const argv[] = { PROGRAM, "-q", "-Y", "sign", "-n", namespace, "-f", key, NULL };
    LB_CLOSE int in = memory_file(text), out = memory_file("");
    int r = in < 0 || out < 0 ? -errno : run_keygen(argv, in, out, -1, (int[]){ -1, -1 });

    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "ssh-keygen cannot be run (%s): is openssh-client installed?",
                           strerror(-r));
    *ret = r == 0 && lseek(out, 0, SEEK_SET) == 0 ? read_all(out) : NULL;
    if (*ret && strncmp(*ret, ARMOUR, strlen(ARMOUR)) == 0)
        return LB_EXIT_DONE;
    free(LB_TAKE(*ret));
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "nothing was done: ssh-keygen made no signature with %s", key);
}

/* What it complains of, without the names of our copies. */
static char *read_problem(int fd)
{
    char buf[PROBLEM_MAX];
    ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
    const char *colon;

    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    colon = strncmp(buf, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0 ? strstr(buf, ": ") : NULL;
    return strdup(colon ? colon + 2 : *buf ? buf : "no key of that name made it");
}

int lb_signed_verify(const struct lb_signed *s, const char *signers, char **ret_problem)
{
    LB_CLOSE int in = memory_file(s->text), out = memory_file(""), err = memory_file("");
    LB_CLOSE int keys = memory_file(signers), signature = memory_file(s->signature);
    char keys_path[32], signature_path[32];
    const char *const argv[] = { PROGRAM, "-Y", "verify", "-n", s->namespace, "-f", keys_path, "-I", s->principal, "-s",
                                 signature_path, NULL };
    int r = -EMFILE;

    snprintf(keys_path, sizeof(keys_path), "/proc/self/fd/%d", keys);
    snprintf(signature_path, sizeof(signature_path), "/proc/self/fd/%d", signature);
    if (in >= 0 && out >= 0 && err >= 0 && keys >= 0 && signature >= 0)
        r = run_keygen(argv, in, out, err, (int[]){ keys, signature });
    if (r <= 0)
        return r < 0 ? r : 1;
    *ret_problem = read_problem(err);
    return *ret_problem ? 0 : -ENOMEM;
}
