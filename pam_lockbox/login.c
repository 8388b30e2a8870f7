/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PAM items, SSH_AUTH_INFO_0 and /proc as the facts that the daemon decides on. */
#include "pam_lockbox/login.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

#include "policy/base.h"

#define AUDIT_UNSET UINT32_MAX
#define AGE_MAX_MS (600 * 1000) /* older than any grace time: not this connection's own process */

const char *lb_login_item(const pam_handle_t *pamh, int item)
{
    const void *value = NULL;

    if (pam_get_item(pamh, item, &value) != PAM_SUCCESS || !value || !*(const char *)value)
        return NULL;
    return value;
}

bool lb_login_is_sshd(const pam_handle_t *pamh)
{
    return lb_streq(lb_login_item(pamh, PAM_SERVICE), "sshd");
}

/* Anyone but sshd may have been handed the variable by the person himself. */
static const char *auth_info(pam_handle_t *pamh)
{
    return lb_login_is_sshd(pamh) ? pam_getenv(pamh, "SSH_AUTH_INFO_0") : NULL;
}

bool lb_login_is_proven(pam_handle_t *pamh)
{
    static const char method[] = "publickey ";

    for (const char *line = auth_info(pamh); line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, method, sizeof(method) - 1) == 0)
            return true;
    }
    return false;
}

/* The beginning of a small file, as text. */
static int read_file(const char *path, char *text, size_t size)
{
    LB_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

int lb_login_audit(const char *path, int64_t *ret)
{
    char text[32], *end;
    uint64_t id = AUDIT_UNSET;
    int r = read_file(path, text, sizeof(text));

    if (r < 0 && r != -ENOENT) /* absent: a kernel without audit */
        return r;
    if (r == 0) {
        id = strtoull(text, &end, 10);
        if (end == text || id > AUDIT_UNSET)
            return -EBADMSG;
    }
    *ret = id == AUDIT_UNSET ? -1 : (int64_t)id;
    return 0;
}

static int add_audit(json_t *login, const char *name, const char *path)
{
    int64_t id;

    if (lb_login_audit(path, &id) < 0)
        return -1;
    return id < 0 ? 0 : json_object_set_new(login, name, json_integer(id));
}

json_t *lb_login_collect(pam_handle_t *pamh, const struct lb_args *args, const char *account)
{
    const char *user = lb_login_item(pamh, PAM_USER);
    json_t *login =
        json_pack("{s:s, s:s*, s:s*, s:s, s:s, s:s*, s:s*, s:s*}", "account", account, "user",
                  lb_streq(user, account) ? NULL : user, "ruser", lb_login_item(pamh, PAM_RUSER), "service",
                  lb_login_item(pamh, PAM_SERVICE), "scope", args->scope, "rhost", lb_login_item(pamh, PAM_RHOST),
                  "tty", lb_login_item(pamh, PAM_TTY), "auth_info", auth_info(pamh));

    if (login && add_audit(login, "loginuid", LB_LOGIN_UID) == 0 &&
        add_audit(login, "audit_session", LB_LOGIN_SESSION) == 0)
        return login;
    json_decref(login);
    return NULL;
}

/* Of sshd's own terminal, should it have one, nobody sees anything. IUTF8 is how the kernel tells of a console. */
int lb_login_columns(const pam_handle_t *pamh)
{
    struct termios mode;
    struct winsize size;

    if (lb_login_is_sshd(pamh) || tcgetattr(STDIN_FILENO, &mode) < 0 || !(mode.c_iflag & IUTF8) ||
        ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    return size.ws_col;
}

/* Since boot; -1 if the kernel would not say. */
static int64_t started_ms(pid_t pid)
{
    char path[64], text[1024];
    const char *field;
    uint64_t ticks;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (read_file(path, text, sizeof(text)) < 0)
        return -1;
    field = strrchr(text, ')'); /* ends field 2, which may hold anything; the start is field 22 */
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    if (!field || sscanf(field, " %" SCNu64, &ticks) != 1)
        return -1;
    return (int64_t)(ticks * 1000 / sysconf(_SC_CLK_TCK));
}

/* A process of its own, leading a session of its own, serves each connection of sshd: it began when the connection did,
 * and so did sshd's grace time. */
int64_t lb_login_age_ms(const pam_handle_t *pamh)
{
    int64_t started = lb_login_is_sshd(pamh) ? started_ms(getsid(0)) : -1, age;
    struct timespec now;

    if (started < 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return 0;
    age = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 - started;
    return age < 0 || age > AGE_MAX_MS ? 0 : age;
}
