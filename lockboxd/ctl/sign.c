/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decisions that are signatures: the text to sign, handing it in, and both in one step with stock ssh-keygen. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lockboxd/ctl/ctl.h"
#include "lockboxd/pasted.h"
#include "lockboxd/qr.h"

#define NAMESPACE "lockbox-consent"
#define ARMOUR "-----BEGIN SSH SIGNATURE-----"
#define FILE_MAX (64 * 1024)

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

static int read_file(const struct lb_ctl *ctl, const char *path, char **ret)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    *ret = fd < 0 ? NULL : read_all(fd);
    return *ret ? LB_EXIT_DONE : lb_ctl_fail(ctl, LB_EXIT_FAILED, "%s cannot be read: %s", path, strerror(errno));
}

/* --- the daemon --------------------------------------------------------------------------------------------------- */

static int fetch(struct lb_ctl *ctl, const char *decision, char **ret)
{
    LB_JSON json_t *reply = NULL;
    json_t *parameters = json_pack("{s:s, s:s, s:s*, s:s*}", "id", ctl->id, "decision", decision, "approver",
                                   ctl->options[LB_OPTION_APPROVER], "note", ctl->options[LB_OPTION_NOTE]);
    int r = lb_act_with_times(ctl, parameters, &parameters);

    if (r == LB_EXIT_DONE)
        r = lb_ctl_call(ctl, LB_ACCESS "Statement", parameters, &reply);
    if (r != LB_EXIT_DONE)
        return r;
    if (*lb_ctl_string(reply, "message"))
        lb_ctl_fail(ctl, 0, "%s", lb_ctl_string(reply, "message"));
    *ret = strdup(lb_ctl_string(reply, "statement"));
    return *ret ? LB_EXIT_DONE : lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
}

/* Who may not read the request hears no more than that it was taken. */
static int submit(struct lb_ctl *ctl, const char *text, const char *signature)
{
    LB_JSON json_t *reply = NULL;
    const json_t *request = NULL;
    int r = lb_ctl_call(ctl, LB_ACCESS "Submit", json_pack("{s:s, s:s}", "statement", text, "signature", signature),
                        &reply);

    if (r != LB_EXIT_DONE)
        return r;
    if (*lb_ctl_string(reply, "message"))
        lb_ctl_fail(ctl, 0, "%s", lb_ctl_string(reply, "message"));
    lb_id_format(lb_ctl_string(reply, "id"), ctl->id);
    request = json_object_get(reply, "request");
    if (request) {
        lb_act_say_decision(ctl, request);
        return LB_EXIT_DONE;
    }
    if (ctl->options[LB_OPTION_JSON])
        lb_ctl_print_json(ctl, reply);
    lb_act_say(ctl, "The decision about %s was taken.", ctl->id);
    return LB_EXIT_DONE;
}

/* --- ssh-keygen --------------------------------------------------------------------------------------------------- */

static int memory_file(const char *text)
{
    int fd = memfd_create("lockbox-consent", MFD_CLOEXEC);
    size_t n = strlen(text);

    if (fd >= 0 && (write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* It asks for a passphrase or a touch by itself, on the terminal. 0, its exit status, or -errno. */
static int run_keygen(const char *key, int in, int out)
{
    char *argv[] = { (char *)"ssh-keygen", (char *)"-q", (char *)"-Y", (char *)"sign", (char *)"-n", (char *)NAMESPACE,
                     (char *)"-f", (char *)key, NULL };
    posix_spawn_file_actions_t files;
    int status = 0, r;
    pid_t pid = 0;

    posix_spawn_file_actions_init(&files);
    r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    r = r ? r : posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    r = r ? r : posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int sign(const struct lb_ctl *ctl, const char *text, char **ret)
{
    const char *key = ctl->options[LB_OPTION_SIGN];
    LB_CLOSE int in = memory_file(text), out = memory_file("");
    int r = in < 0 || out < 0 ? -errno : run_keygen(key, in, out);

    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "ssh-keygen cannot be run (%s): is openssh-client installed?",
                           strerror(-r));
    *ret = r == 0 && lseek(out, 0, SEEK_SET) == 0 ? read_all(out) : NULL;
    if (*ret && strncmp(*ret, ARMOUR, strlen(ARMOUR)) == 0)
        return LB_EXIT_DONE;
    free(LB_TAKE(*ret));
    return lb_ctl_fail(ctl, LB_EXIT_FAILED, "nothing was decided: ssh-keygen made no signature with %s", key);
}

/* Who signs has seen what. */
int lb_sign_decision(struct lb_ctl *ctl, const char *decision)
{
    LB_FREE char *text = NULL, *signature = NULL;
    int r = fetch(ctl, decision, &text);

    if (r != LB_EXIT_DONE)
        return r;
    lb_terminal_write_lines(&ctl->err, "", "", text);
    fflush(ctl->err.out);
    r = sign(ctl, text, &signature);
    return r == LB_EXIT_DONE ? submit(ctl, text, signature) : r;
}

/* --- the verbs ---------------------------------------------------------------------------------------------------- */

/* A camera takes it off the screen. What does not fit is left out, and said. */
static int show_code(const struct lb_ctl *ctl, const char *text)
{
    LB_FREE char *code = NULL;
    size_t columns = 0;
    int r = lb_qr_draw(text, &code, &columns);

    if (r < 0)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "no QR code: %s", r == -EFBIG ? "the text is too long" : strerror(-r));
    if (!ctl->out.utf8)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "no QR code: this terminal's locale is not UTF-8");
    if (columns > ctl->out.width)
        return lb_ctl_fail(ctl, LB_EXIT_FAILED, "no QR code: it takes %zu columns, and the terminal has %u", columns,
                           ctl->out.width);
    fputs(code, ctl->out.out);
    return LB_EXIT_DONE;
}

/* The bytes are what is signed; a terminal gets them made safe, and with what to do with them. */
int verb_statement(struct lb_ctl *ctl)
{
    const char *decision = ctl->options[LB_OPTION_DECISION];
    LB_FREE char *text = NULL;
    int r;

    if (!lb_show_is_one_of(decision, "approve deny"))
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--decision %s: a decision is approve or deny", decision);
    if (ctl->options[LB_OPTION_QR] && !ctl->out.width)
        return lb_ctl_fail(ctl, LB_EXIT_USAGE, "--qr: a QR code is for a terminal");
    r = fetch(ctl, decision, &text);
    if (r != LB_EXIT_DONE)
        return r;
    if (ctl->options[LB_OPTION_JSON]) {
        LB_JSON json_t *object = json_pack("{s:s}", "statement", text);

        lb_ctl_print_json(ctl, object);
    } else if (ctl->out.width) {
        lb_terminal_write_lines(&ctl->out, "", "", text);
        if (ctl->options[LB_OPTION_QR])
            r = show_code(ctl, text);
        lb_ctl_fail(ctl, 0, "write it into a file (> FILE), sign that (ssh-keygen -Y sign -n " NAMESPACE " -f KEY "
                            "FILE) and hand it in: lockboxctl submit FILE");
    } else {
        fputs(text, ctl->out.out);
    }
    return r;
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

/* Cuts off the signature that stands behind the text, armoured or in one line, and returns it (owned); NULL: there is
 * none. */
static char *split(char *text)
{
    char *begin = find_line(text, ARMOUR), *signature = NULL;

    begin = begin ? begin : find_line(text, LB_PASTED_MAGIC);
    if (begin && (signature = strdup(begin)))
        *begin = '\0';
    return signature;
}

/* In one line, as a prompt takes it, the armour is missing. -ENOMEM. */
static int put_armour(char **signature)
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

int verb_submit(struct lb_ctl *ctl)
{
    const char *file = ctl->args[0], *beside = file ? ctl->args[1] : NULL;
    LB_FREE char *text = NULL, *signature = NULL, *path = NULL;
    int r = file ? read_file(ctl, file, &text) : LB_EXIT_DONE;

    if (r == LB_EXIT_DONE && !file && !(text = read_all(STDIN_FILENO)))
        r = lb_ctl_fail(ctl, LB_EXIT_FAILED, "standard input cannot be read: %s", strerror(errno));
    if (r == LB_EXIT_DONE && !beside)
        signature = split(text);
    if (r == LB_EXIT_DONE && !signature && !file)
        r = lb_ctl_fail(ctl, LB_EXIT_USAGE,
                        "there is no signature behind the text: cat FILE FILE.sig | lockboxctl submit");
    if (r == LB_EXIT_DONE && !signature && !beside && asprintf(&path, "%s.sig", file) < 0)
        r = lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
    if (r == LB_EXIT_DONE && !signature)
        r = read_file(ctl, beside ? beside : path, &signature);
    if (r == LB_EXIT_DONE && put_armour(&signature) < 0)
        r = lb_ctl_fail(ctl, LB_EXIT_FAILED, "out of memory");
    return r == LB_EXIT_DONE ? submit(ctl, text, signature) : r;
}
