/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UsePAM is what puts the gate before every way to authenticate, and no Match block can change it. The rest decides
 * whether an engineer can be asked, and whether those who wait keep others out.
 */
#include "lockboxd/inspect/doctor/sshd.h"

#include <errno.h>
#include <sys/stat.h>

#include "lockboxd/inspect/doctor/command.h"
#include "lockboxd/inspect/doctor/sshd_config.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "policy/base.h"

#define CONFIG "/etc/ssh/sshd_config"
#define SHIPPED "/usr/share/lockbox/sshd/"
#define DROP_IN "/etc/ssh/sshd_config.d/"
#define STARTUPS_MIN 50 /* waiting logins before others are dropped; sshd's own default is 10 */

struct door {
    struct lb_doctor *d;
    const struct lb_sshd *sshd;
    lb_sshd_ask *ask;
    void *userdata;
    const char *config; /* its sshd_config */
};

/* --- words -------------------------------------------------------------------------------------------------------- */

/* The value of one option, such as -f. */
static const char *option_of(const struct lb_sshd *sshd, const char *option)
{
    for (char **o = sshd->options; o && *o && o[1]; o++)
        if (strcmp(*o, option) == 0)
            return o[1];
    return NULL;
}

/* A finding about a keyword, at the line that sets it. */
static void tell(const struct door *door, int verdict, const char *way, const char *keyword, const char *text)
{
    LB_FREE char *file = NULL;
    struct lb_place place = { door->config, 0 };

    if (lb_sshd_place(&door->d->host, door->config, keyword, &file, &place.line))
        place.file = file;
    lb_doctor_find(door->d, verdict, way, place, "%s", text);
}

#define TELL(door, verdict, way, keyword, ...)                                                   \
    do {                                                                                         \
        LB_FREE char *told_ = NULL;                                                              \
        if (asprintf(&told_, __VA_ARGS__) < 0)                                                   \
            lb_doctor_keep((door)->d, -ENOMEM);                                                  \
        else                                                                                     \
            tell(door, verdict, way, keyword, told_);                                            \
    } while (0)

/* --- the whole sshd ----------------------------------------------------------------------------------------------- */

static void check_pam(const struct door *door, const char *text)
{
    char value[256] = "", service[256] = "sshd";
    const struct lb_service *known = NULL;

    lb_sshd_value(text, "usepam", NULL, value, sizeof(value));
    lb_sshd_value(text, "pamservicename", NULL, service, sizeof(service));
    known = lb_doctor_service(door->d, service);
    if (strcmp(value, "yes") != 0)
        TELL(door, LB_WAY_HOLE, door->sshd->way, "UsePAM", "does not use PAM, so that no login passes the gate\nset in "
             "%s: UsePAM yes", door->config);
    else if (!known)
        TELL(door, LB_WAY_HOLE, door->sshd->way, "PAMServiceName", "asks the PAM service %s, which there is none of\n"
             "take out: PAMServiceName", service);
    else
        lb_doctor_find(door->d, LB_WAY_OK, door->sshd->way, LB_NOWHERE, "uses PAM, service %s", service);
}

static void check_grace(const struct door *door, const char *text)
{
    char value[64] = "", service[256] = "sshd";
    const struct lb_service *known = NULL;
    int64_t grace = 0, wait = 0;

    lb_sshd_value(text, "pamservicename", NULL, service, sizeof(service));
    known = lb_doctor_service(door->d, service);
    wait = known ? known->wait : 0;
    if (lb_sshd_value(text, "logingracetime", NULL, value, sizeof(value)))
        grace = lb_sshd_seconds(value);
    if (grace > 0 && grace <= wait)
        TELL(door, LB_WAY_WARNING, door->sshd->way, "LoginGraceTime", "ends a login after %lld s, before pam_lockbox "
             "stops waiting (%lld s): the engineer never learns why\nset LoginGraceTime to more than %lld, or wait= in "
             "/etc/pam.d/%s to less than %lld s", (long long)grace, (long long)wait, (long long)wait, service,
             (long long)grace);
}

/* Those who wait count as not authenticated, and those who are refused as failed. */
static void check_crowd(const struct door *door, const char *text)
{
    char startups[64] = "", penalties[512] = "", exempt[512] = "";
    const char *authfail = NULL;

    if (lb_sshd_value(text, "maxstartups", NULL, startups, sizeof(startups)) && atoi(startups) < STARTUPS_MIN)
        TELL(door, LB_WAY_WARNING, door->sshd->way, "MaxStartups", "MaxStartups %s: a few logins that wait for "
             "approval keep others out, an administrator too\nas in "
             "" SHIPPED "lockbox.conf: MaxStartups 200:30:400", startups);
    if (!lb_sshd_value(text, "persourcepenalties", NULL, penalties, sizeof(penalties)))
        return;
    lb_sshd_value(text, "persourcepenaltyexemptlist", NULL, exempt, sizeof(exempt));
    authfail = strstr(penalties, "authfail:");
    if (authfail && atof(authfail + strlen("authfail:")) > 0 && (!*exempt || strcmp(exempt, "none") == 0))
        TELL(door, LB_WAY_WARNING, door->sshd->way, "PerSourcePenalties", "logins that are refused lock their address "
             "out, an administrator's login from there too\ninstall -m 644 " SHIPPED "lockbox-penalties.conf "
             DROP_IN "10-lockbox-penalties.conf && systemctl reload ssh");
}

/* --- its ports, as a gated account meets them --------------------------------------------------------------------- */

enum talk { SHUT, SILENT, TALKS, TALK_MAX_ };

/* What an account can do at a port, by its methods. */
static enum talk talk_of(const char *text)
{
    char methods[512] = "any", keyboard[16] = "no";
    bool wanted = false, able = false;

    lb_sshd_value(text, "authenticationmethods", NULL, methods, sizeof(methods));
    lb_sshd_value(text, "kbdinteractiveauthentication", NULL, keyboard, sizeof(keyboard));
    wanted = strstr(methods, "keyboard-interactive");
    able = strcmp(keyboard, "yes") == 0;
    if (strcmp(methods, "any") == 0)
        return able ? TALKS : SILENT;
    if (wanted && !able && !strchr(methods, ' '))
        return SHUT;
    return wanted && able ? TALKS : SILENT;
}

static int add_name(char **list, const char *name)
{
    char *longer = NULL;

    if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? ", " : "", name) < 0)
        return -ENOMEM;
    free(*list);
    *list = longer;
    return 0;
}

static void tell_port(const struct door *door, int port, char *const *names)
{
    LB_FREE char *way = NULL;

    if (asprintf(&way, "%s, port %d", door->sshd->way, port) < 0)
        return lb_doctor_keep(door->d, -ENOMEM);
    if (names[SHUT])
        TELL(door, LB_WAY_WARNING, way, "KbdInteractiveAuthentication", "%s cannot log in: AuthenticationMethods asks "
             "for keyboard-interactive, which is off\nset for them: KbdInteractiveAuthentication yes", names[SHUT]);
    if (names[TALKS])
        lb_doctor_find(door->d, LB_WAY_OK, way, LB_NOWHERE, "asks, and waits: %s", names[TALKS]);
    if (names[SILENT])
        lb_doctor_find(door->d, LB_WAY_OK, way, LB_NOWHERE, "lets in by an open access only: %s",
                       names[SILENT]);
}

/* Returns true if somebody can be asked there. */
static bool check_port(const struct door *door, int port)
{
    char *names[TALK_MAX_] = { NULL };
    bool talks = false;
    int r = 0;

    for (char **account = door->d->accounts; r == 0 && account && *account; account++) {
        LB_FREE char *text = NULL, *error = NULL;
        r = door->ask(door->userdata, door->sshd, *account, port, &text, &error);
        if (r == 0 && text)
            r = add_name(&names[talk_of(text)], *account);
    }
    lb_doctor_keep(door->d, r);
    tell_port(door, port, names);
    talks = names[TALKS];
    for (int i = 0; i < TALK_MAX_; i++)
        free(names[i]);
    return talks;
}

/* With socket activation the ports are the socket's. */
static int add_socket_ports(const struct lb_doctor *d, char ***ports)
{
    static const char *const names[] = { "ssh.socket", "sshd.socket" };
    int r = 0;

    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        const struct lb_unit *unit = lb_unit_files_find(&d->units, names[i]);
        const struct lb_unit_setting *listens = unit ? unit->listens.items : NULL;
        for (size_t j = 0; r == 0 && unit && unit->enabled && j < unit->listens.n; j++) {
            const char *colon = strrchr(listens[j].value, ':'), *port = colon ? colon + 1 : listens[j].value;
            if (strspn(port, "0123456789") == strlen(port) && !lb_strings_contain(*ports, port))
                r = lb_strings_append(ports, port);
        }
    }
    return r;
}

static void check_ports(const struct door *door, const char *text)
{
    char value[32] = "", **ports = NULL;
    const char *at = text;
    bool talks = false;
    int r = door->sshd->options ? 0 : add_socket_ports(door->d, &ports);

    while (r == 0 && lb_sshd_value(text, "port", &at, value, sizeof(value)))
        if (!lb_strings_contain(ports, value))
            r = lb_strings_append(&ports, value);
    lb_doctor_keep(door->d, r);
    for (char **port = ports; port && *port; port++)
        talks = check_port(door, atoi(*port)) || talks;
    lb_strings_free(ports);
    if (!talks && door->d->accounts)
        TELL(door, LB_WAY_WARNING, door->sshd->way, "KbdInteractiveAuthentication", "nobody who is gated can be asked "
             "at any port, so that each login needs an access that is open already\nas in " SHIPPED "lockbox.conf: "
             "KbdInteractiveAuthentication yes");
}

void lb_sshd_examine(struct lb_doctor *d, const struct lb_sshd *sshd, lb_sshd_ask *ask, void *userdata)
{
    const char *config = option_of(sshd, "-f");
    const struct door door = { d, sshd, ask, userdata, config ? config : CONFIG };
    LB_FREE char *text = NULL, *error = NULL;
    int r = ask(userdata, sshd, NULL, 0, &text, &error);

    lb_doctor_keep(d, r);
    if (r < 0 || !text) {
        lb_doctor_find(d, LB_WAY_HOLE, sshd->way, (struct lb_place){ door.config, 0 }, "its configuration is not "
                       "known: %s\n%s -t -f "
                       "%s", error ? error : r < 0 ? strerrordesc_np(-r) : "sshd refuses it", sshd->program,
                       door.config);
        return;
    }
    check_pam(&door, text);
    check_grace(&door, text);
    check_crowd(&door, text);
    check_ports(&door, text);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* What is run here, as root, has to be what root has put there. */
static bool is_roots(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int ask_sshd(void *userdata, const struct lb_sshd *sshd, const char *account, int port, char **ret_text,
                    char **ret_error)
{
    LB_FREE char *text = NULL, *who = NULL;
    char **argv = NULL;
    bool ok = false;
    int r = is_roots(sshd->program) ? lb_strings_append(&argv, sshd->program) : -EPERM;

    (void)userdata;
    if (r == 0)
        r = lb_strings_append(&argv, "-T");
    for (char **o = sshd->options; r == 0 && o && *o; o++)
        r = lb_strings_append(&argv, *o);
    /* Any address will do: what matters here does not depend on it, or is told apart by account and port. */
    if (r == 0 && asprintf(&who, "user=%s,host=client,addr=192.0.2.1,laddr=192.0.2.2,lport=%d",
    account ? account : "root",
                           port ? port : 22) < 0)
        r = -ENOMEM;
    if (r == 0 && (r = lb_strings_append(&argv, "-C")) == 0)
        r = lb_strings_append(&argv, who);
    if (r == 0)
        r = lb_command_run(argv, &text, &ok);
    lb_strings_free(argv);
    if (r == 0 && ok)
        *ret_text = LB_TAKE(text);
    else if (r == 0 && text)
        *ret_error = strndup(text, strcspn(text, "\r\n"));
    return r;
}

/* One answer for all, from a file. */
static int ask_file(void *userdata, const struct lb_sshd *sshd, const char *account, int port, char **ret_text,
                    char **ret_error)
{
    static const struct lb_host here = { .root = "" };
    int r = lb_host_read(&here, userdata, ret_text);

    (void)sshd, (void)account, (void)port, (void)ret_error;
    return r;
}

void lb_doctor_sshd(struct lb_doctor *d)
{
    struct lb_list instances = { 0 };
    int r = lb_sshd_instances(d, &instances);
    const struct lb_sshd *sshd = instances.items;

    lb_doctor_keep(d, r);
    if (d->sshd && instances.n > 0)
        lb_sshd_examine(d, &sshd[0], ask_file, (void *)d->sshd);
    for (size_t i = 0; !d->sshd && i < instances.n; i++) {
        if (lb_host_is_this(&d->host))
            lb_sshd_examine(d, &sshd[i], ask_sshd, NULL);
        else
            lb_doctor_find(d, LB_WAY_WARNING, sshd[i].way, LB_NOWHERE, "sshd can only be asked on the host "
                           "itself\nlockbox-inspect doctor --root DIR --sshd FILE, with what sshd -T prints there");
    }
    lb_sshd_instances_free(&instances);
}
