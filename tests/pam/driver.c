/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PAM application without a person: runs the stages named on its command line through a stack in a folder of the
 * test's own, answers prompts from a script, and prints what happened, one line each:
 *
 *     info|error|prompt TEXT     what was shown (newlines as \n)
 *     log PRIORITY TEXT          what the module logged
 *     data NAME=VALUE            what the module left for other modules
 *     poll MILLISECONDS          how long the module was ready to wait (with --hurry)
 *     auth|setcred|account|open|close PAM_CODE
 *     env NAME=VALUE             PAM's environment at the end
 *
 * It also stands between the module and libc (a program's own symbols win over a library's): accounts and groups of the
 * test's own, a login uid of the test's own, and calls that fail on demand.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LIST_MAX 64
#define HURRY_MS 200
#define EACH(i, table) for (size_t i = 0; i < sizeof(table) / sizeof(*(table)); i++)

struct list {
    const char *items[LIST_MAX];
    int n;
};

static struct {
    const char *confdir, *service, *user;
    struct list items, env, say, accounts, groups, fail, loginuid, enter, stages;
    bool mute, hurry, sweep, onward;
    int64_t big;   /* least buffer that the account database takes */
    int64_t tick;  /* ms that pass between two looks at the boot clock */
    int64_t later; /* ms since boot that never were */
} arg;

/* Calls that fail: the k-th of the fallible ones while armed, or all from then on. */
static struct {
    bool armed, hit;
    int k, count;
    const char *name;
} fault;

static int said;
static bool silent; /* while sweeping */

static bool fails(const char *name, int error)
{
    for (int i = 0; i < arg.fail.n; i++) {
        if (strcmp(arg.fail.items[i], name) == 0) {
            errno = error;
            return true;
        }
    }
    if (!fault.armed || (arg.onward ? fault.count++ < fault.k : fault.count++ != fault.k))
        return false;
    if (!fault.hit)
        fault.name = name;
    fault.hit = true;
    errno = error;
    return true;
}

/* The next definition of a function that this file defines too. */
#define REAL(f) ((__typeof__(&(f)))dlsym(RTLD_NEXT, #f))

static void tell(const char *kind, const char *text)
{
    if (silent)
        return;
    printf("%s ", kind);
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", stdout);
        else
            putchar(*text);
    }
    putchar('\n');
    fflush(stdout);
}

/* --- libc, as the module sees it --- */

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    return fails("malloc", ENOMEM) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails("calloc", ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails("realloc", ENOMEM) ? NULL : __libc_realloc(p, n);
}
#endif

static char *copy_into(char **buffer, size_t *size, const char *text, size_t n)
{
    char *copy = *buffer;

    memcpy(copy, text, n);
    copy[n] = '\0';
    *buffer += n + 1;
    *size -= n + 1;
    return copy;
}

/* --account=name:uid:gid[:spelling] */
static int find_account(const char *name, uid_t uid, struct passwd *pw, char *buffer, size_t size)
{
    for (int i = 0; i < arg.accounts.n; i++) {
        char given[64], spelling[64];
        unsigned u, g;
        int n = sscanf(arg.accounts.items[i], "%63[^:]:%u:%u:%63s", given, &u, &g, spelling);

        if (name ? strcmp(name, given) != 0 : u != uid)
            continue;
        *pw = (struct passwd){ .pw_uid = u, .pw_gid = g };
        pw->pw_name = copy_into(&buffer, &size, n == 4 ? spelling : given, strlen(n == 4 ? spelling : given));
        return 1;
    }
    return 0;
}

int getpwnam_r(const char *name, struct passwd *pw, char *buffer, size_t size, struct passwd **ret)
{
    *ret = NULL;
    if (fails("getpwnam_r", EMFILE))
        return EMFILE;
    if (size < (size_t)arg.big)
        return ERANGE;
    if (!find_account(name, 0, pw, buffer, size))
        return REAL(getpwnam_r)(name, pw, buffer, size, ret);
    *ret = pw;
    return 0;
}

int getpwuid_r(uid_t uid, struct passwd *pw, char *buffer, size_t size, struct passwd **ret)
{
    *ret = NULL;
    if (fails("getpwuid_r", EMFILE))
        return EMFILE;
    if (size < (size_t)arg.big)
        return ERANGE;
    if (!find_account(NULL, uid, pw, buffer, size))
        return REAL(getpwuid_r)(uid, pw, buffer, size, ret);
    *ret = pw;
    return 0;
}

/* --group=name:gid:member,member */
int getgrnam_r(const char *name, struct group *group, char *buffer, size_t size, struct group **ret)
{
    static char *members[LIST_MAX];
    size_t n = strlen(name), count = 0;

    *ret = NULL;
    if (fails("getgrnam_r", EMFILE))
        return EMFILE;
    if (size < (size_t)arg.big)
        return ERANGE;
    for (int i = 0; i < arg.groups.n; i++) {
        char *rest;

        if (strncmp(arg.groups.items[i], name, n) != 0 || arg.groups.items[i][n] != ':')
            continue;
        *group = (struct group){ .gr_name = (char *)name, .gr_mem = members };
        group->gr_gid = strtoul(arg.groups.items[i] + n + 1, &rest, 10);
        for (rest++; *rest && count < LIST_MAX - 1; rest += strspn(rest, ",")) {
            members[count++] = copy_into(&buffer, &size, rest, strcspn(rest, ","));
            rest += strcspn(rest, ",");
        }
        members[count] = NULL;
        *ret = group;
        return 0;
    }
    return REAL(getgrnam_r)(name, group, buffer, size, ret);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;
    int fd;

    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (fails("open", EMFILE))
        return -1;
    if (arg.loginuid.n == 0 || strcmp(path, "/proc/self/loginuid") != 0)
        return REAL(open)(path, flags, mode);
    fd = memfd_create("loginuid", MFD_CLOEXEC);
    if (pwrite(fd, arg.loginuid.items[0], strlen(arg.loginuid.items[0]), 0) < 0)
        return -1;
    return fd;
}

ssize_t read(int fd, void *buffer, size_t n)
{
    return fails("read", EIO) ? -1 : REAL(read)(fd, buffer, n);
}

int socket(int domain, int type, int protocol)
{
    return fails("socket", EMFILE) ? -1 : REAL(socket)(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return fails("connect", ECONNREFUSED) ? -1 : REAL(connect)(fd, address, size);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    return fails("getsockopt", ENOTCONN) ? -1 : REAL(getsockopt)(fd, level, name, value, size);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    return fails("setsockopt", ENOBUFS) ? -1 : REAL(setsockopt)(fd, level, name, value, size);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    return fails("send", ENOBUFS) ? -1 : REAL(send)(fd, bytes, n, flags);
}

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    return fails("recv", ECONNRESET) ? -1 : REAL(recv)(fd, bytes, n, flags);
}

/* --later, --tick: time passes without anybody having to wait for it. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
    int r = REAL(clock_gettime)(clock, ts);

    if (clock == CLOCK_BOOTTIME) {
        ts->tv_sec += arg.later / 1000;
        arg.later += arg.tick;
    }
    return r;
}

/* --hurry: nobody is waited for longer than it takes a server on the same machine to answer. */
int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    char text[32];
    int r;

    if (fails("poll", ENOMEM))
        return -1;
    r = REAL(poll)(fds, n, arg.hurry && timeout > HURRY_MS ? HURRY_MS : timeout);
    snprintf(text, sizeof(text), "%d", timeout);
    if (arg.hurry && r == 0)
        tell("poll", text);
    return r;
}

/* --- libpam, as the module sees it --- */

int pam_set_data(pam_handle_t *pamh, const char *name, void *data, void (*cleanup)(pam_handle_t *, void *, int))
{
    char text[256];

    if (fails("pam_set_data", ENOMEM))
        return PAM_BUF_ERR;
    snprintf(text, sizeof(text), "%s=%s", name, (const char *)data);
    if (strncmp(name, "systemd.", 8) == 0) /* libpam and other modules keep things of their own */
        tell("data", text);
    return REAL(pam_set_data)(pamh, name, data, cleanup);
}

void pam_syslog(const pam_handle_t *pamh, int priority, const char *format, ...)
{
    char text[1024];
    va_list args;
    int n = snprintf(text, sizeof(text), "%d ", priority);

    (void)pamh;
    va_start(args, format);
    vsnprintf(text + n, sizeof(text) - n, format, args);
    va_end(args);
    tell("log", text);
}

/* --- the person --- */

static int answer(int style, const char *text, struct pam_response *response)
{
    static const char *const kinds[] = {
        [PAM_PROMPT_ECHO_OFF] = "SECRET",
        [PAM_PROMPT_ECHO_ON] = "prompt",
        [PAM_ERROR_MSG] = "error",
        [PAM_TEXT_INFO] = "info",
    };

    tell(kinds[style], text);
    if (style == PAM_ERROR_MSG || style == PAM_TEXT_INFO)
        return PAM_SUCCESS;
    if (arg.mute || said >= arg.say.n)
        return PAM_CONV_ERR;
    response->resp = strdup(arg.say.items[said++]);
    return response->resp ? PAM_SUCCESS : PAM_CONV_ERR;
}

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *unused)
{
    struct pam_response *responses = calloc(n, sizeof(*responses));
    int r = responses ? PAM_SUCCESS : PAM_CONV_ERR;

    (void)unused;
    for (int i = 0; r == PAM_SUCCESS && i < n; i++)
        r = answer(messages[i]->msg_style, messages[i]->msg, &responses[i]);
    if (r == PAM_SUCCESS)
        *ret = responses;
    else
        free(responses);
    return r;
}

/* --- the stages --- */

static const struct {
    const char *name;
    int (*run)(pam_handle_t *pamh, int flags);
    int flags;
} stages[] = {
    { "auth", pam_authenticate, 0 },   { "setcred", pam_setcred, PAM_ESTABLISH_CRED },
    { "account", pam_acct_mgmt, 0 },   { "open", pam_open_session, 0 },
    { "close", pam_close_session, 0 },
};

static const char *code_name(int code)
{
    static const char *const names[] = {
        [PAM_SUCCESS] = "PAM_SUCCESS",
        [PAM_SYSTEM_ERR] = "PAM_SYSTEM_ERR",
        [PAM_BUF_ERR] = "PAM_BUF_ERR",
        [PAM_PERM_DENIED] = "PAM_PERM_DENIED",
        [PAM_AUTH_ERR] = "PAM_AUTH_ERR",
        [PAM_AUTHINFO_UNAVAIL] = "PAM_AUTHINFO_UNAVAIL",
        [PAM_USER_UNKNOWN] = "PAM_USER_UNKNOWN",
        [PAM_CRED_EXPIRED] = "PAM_CRED_EXPIRED",
        [PAM_CONV_ERR] = "PAM_CONV_ERR",
        [PAM_IGNORE] = "PAM_IGNORE",
        [PAM_ABORT] = "PAM_ABORT",
        [PAM_MODULE_UNKNOWN] = "PAM_MODULE_UNKNOWN",
    };
    static char number[16];

    if (code >= 0 && code < (int)(sizeof(names) / sizeof(*names)) && names[code])
        return names[code];
    snprintf(number, sizeof(number), "PAM_%d", code);
    return number;
}

static int run_stage(pam_handle_t *pamh, const char *name)
{
    EACH(i, stages)
    if (strcmp(stages[i].name, name) == 0)
        return stages[i].run(pamh, stages[i].flags);
    fprintf(stderr, "no such stage: %s\n", name);
    exit(2);
}

static void set_item(pam_handle_t *pamh, const char *text)
{
    static const struct {
        const char *prefix;
        int item;
    } items[] = { { "rhost=", PAM_RHOST }, { "ruser=", PAM_RUSER }, { "tty=", PAM_TTY } };

    EACH(i, items)
    if (strncmp(text, items[i].prefix, strlen(items[i].prefix)) == 0)
        pam_set_item(pamh, items[i].item, text + strlen(items[i].prefix));
}

static pam_handle_t *start(void)
{
    static const struct pam_conv conv = { converse, NULL };
    pam_handle_t *pamh = NULL;

    said = 0;
    if (pam_start_confdir(arg.service, arg.user, &conv, arg.confdir, &pamh) != PAM_SUCCESS) {
        fprintf(stderr, "pam_start failed\n");
        exit(2);
    }
    for (int i = 0; i < arg.items.n; i++)
        set_item(pamh, arg.items.items[i]);
    for (int i = 0; i < arg.env.n; i++)
        pam_putenv(pamh, arg.env.items[i]);
    return pamh;
}

static void run(void)
{
    pam_handle_t *pamh = start();
    int r = PAM_SUCCESS;
    char **env;

    for (int i = 0; i < arg.stages.n; i++) {
        r = run_stage(pamh, arg.stages.items[i]);
        tell(arg.stages.items[i], code_name(r));
    }
    env = pam_getenvlist(pamh);
    for (char **e = env; e && *e; e++) {
        tell("env", *e);
        free(*e);
    }
    free(env);
    pam_end(pamh, r);
}

/* The one stage once for each call that can fail in it: "k CALL PAM_CODE", until none is left to fail. */
static void sweep(void)
{
    do {
        pam_handle_t *pamh = start();
        int r;

        silent = true;
        fault.hit = false;
        fault.name = "nothing";
        run_stage(pamh, "setcred"); /* reads the stack and loads the modules */
        fault.count = 0;
        fault.armed = true;
        r = run_stage(pamh, arg.stages.items[0]);
        fault.armed = false;
        pam_end(pamh, r);
        printf("%d %s %s\n", fault.k, fault.name, code_name(r));
        fault.k++;
    } while (fault.hit);
}

static const struct {
    const char *prefix;
    struct list *list;
} list_options[] = {
    { "--item=", &arg.items },        { "--env=", &arg.env },          { "--say=", &arg.say },
    { "--fail=", &arg.fail },         { "--account=", &arg.accounts }, { "--group=", &arg.groups },
    { "--loginuid=", &arg.loginuid }, { "--enter=", &arg.enter },
};

static const struct {
    const char *prefix;
    int64_t *number;
} number_options[] = { { "--big=", &arg.big }, { "--tick=", &arg.tick }, { "--later=", &arg.later } };

static const struct {
    const char *name;
    bool *flag;
} flag_options[] = {
    { "--mute", &arg.mute },
    { "--hurry", &arg.hurry },
    { "--sweep", &arg.sweep },
    { "--onward", &arg.onward },
};

static void add(struct list *list, const char *item)
{
    if (list->n == LIST_MAX) {
        fprintf(stderr, "too many of %s\n", item);
        exit(2);
    }
    list->items[list->n++] = item;
}

static void take(const char *text)
{
    EACH(i, list_options)
    if (strncmp(text, list_options[i].prefix, strlen(list_options[i].prefix)) == 0) {
        add(list_options[i].list, text + strlen(list_options[i].prefix));
        return;
    }
    EACH(i, number_options)
    if (strncmp(text, number_options[i].prefix, strlen(number_options[i].prefix)) == 0) {
        *number_options[i].number = atoll(text + strlen(number_options[i].prefix));
        return;
    }
    EACH(i, flag_options)
    if (strcmp(text, flag_options[i].name) == 0) {
        *flag_options[i].flag = true;
        return;
    }
    add(&arg.stages, text);
}

/* --enter=uid: an audit session of its own, as pam_loginuid makes one. */
static bool enter(const char *uid)
{
    int fd = REAL(open)("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, uid, strlen(uid)) > 0;

    close(fd);
    return done;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s CONFDIR SERVICE USER [OPTION…] STAGE…\n", argv[0]);
        return 2;
    }
    arg.confdir = argv[1];
    arg.service = argv[2];
    arg.user = *argv[3] ? argv[3] : NULL;
    for (int i = 4; i < argc; i++)
        take(argv[i]);
    if (arg.enter.n > 0 && !enter(arg.enter.items[0])) {
        fprintf(stderr, "the kernel gives no audit session\n");
        return 2;
    }
    if (arg.sweep)
        sweep();
    else
        run();
    return 0;
}
