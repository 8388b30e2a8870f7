/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The services of pam.d, each a way in or none. Of a way in, the account stage has to ask pam_lockbox on every path
 * that ends in success, and the session stage as well, after pam_loginuid (which gives the session its audit session
 * id) and before pam_systemd (which takes the end of the access as an upper bound).
 */
#include "lockboxd/inspect/doctor/pam_services.h"

#include <errno.h>
#include <fnmatch.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "lockboxd/inspect/doctor/jobs.h"
#include "lockboxd/inspect/doctor/pam_args.h"
#include "lockboxd/inspect/doctor/pam_walk.h"
#include "policy/base.h"


static const char greeter[] = "the session of the greeter itself";
static const char locker[] = "unlocks the screen of a session that is open";
static const char tool[] = "changes an account and opens no session";
static const char root_alone[] = "only root can call it";

static const struct {
    const char *name; /* a glob */
    enum lb_service_kind kind;
    const char *why;
} known[] = {
    { "sshd", LB_SERVICE_LOGIN },       { "login", LB_SERVICE_LOGIN },      { "remote", LB_SERVICE_LOGIN },
    { "su", LB_SERVICE_ELEVATE },       { "su-l", LB_SERVICE_ELEVATE },     { "sudo", LB_SERVICE_ELEVATE },
    { "sudo-i", LB_SERVICE_ELEVATE },   { "doas", LB_SERVICE_ELEVATE },     { "polkit-1", LB_SERVICE_ELEVATE },
    { "systemd-run0", LB_SERVICE_ELEVATE }, { "ksu", LB_SERVICE_ELEVATE },  { "super", LB_SERVICE_ELEVATE },
    { "cron", LB_SERVICE_JOB },         { "crond", LB_SERVICE_JOB },        { "atd", LB_SERVICE_JOB },
    { "other", LB_SERVICE_FALLBACK },
    { "runuser", LB_SERVICE_NOT_ONE, root_alone },
    { "runuser-l", LB_SERVICE_NOT_ONE, root_alone },
    { "systemd-user", LB_SERVICE_NOT_ONE, "the user's own manager comes with a login, or with lingering (see below)" },
    { "common-*", LB_SERVICE_PART },    { "*-auth", LB_SERVICE_PART },      { "postlogin*", LB_SERVICE_PART },
    { "*-greeter", LB_SERVICE_NOT_ONE, greeter },
    { "gdm-launch-environment", LB_SERVICE_NOT_ONE, greeter },
    { "vlock", LB_SERVICE_NOT_ONE, locker },          { "xlock", LB_SERVICE_NOT_ONE, locker },
    { "*screensaver*", LB_SERVICE_NOT_ONE, locker },  { "*lock", LB_SERVICE_NOT_ONE, locker },
    { "passwd", LB_SERVICE_NOT_ONE, tool },           { "chpasswd", LB_SERVICE_NOT_ONE, tool },
    { "chfn", LB_SERVICE_NOT_ONE, tool },             { "chsh", LB_SERVICE_NOT_ONE, tool },
    { "chage", LB_SERVICE_NOT_ONE, tool },            { "newusers", LB_SERVICE_NOT_ONE, tool },
    { "shadow", LB_SERVICE_NOT_ONE, tool },           { "user[adm]*", LB_SERVICE_NOT_ONE, tool },
    { "group[adm]*", LB_SERVICE_NOT_ONE, tool },      { "config-util", LB_SERVICE_NOT_ONE, tool },
};

enum lb_service_kind lb_service_kind(const char *name, const char **ret_why)
{
    for (size_t i = 0; i < LB_ELEMENTS(known); i++) {
        if (fnmatch(known[i].name, name, 0) != 0)
            continue;
        *ret_why = known[i].why;
        return known[i].kind;
    }
    return LB_SERVICE_LOGIN;
}

/* What others include is none of its own, but for those that are known to be. */
static bool is_service(const char *name, char *const *included)
{
    const char *why = NULL;

    for (size_t i = 0; i < LB_ELEMENTS(known); i++)
        if (strcmp(known[i].name, name) == 0)
            return true;
    return !lb_strings_contain(included, name) && lb_service_kind(name, &why) != LB_SERVICE_PART;
}

/* --- one service -------------------------------------------------------------------------------------------------- */

struct visit {
    struct lb_doctor *d;
    struct lb_service *service;
    enum lb_service_kind kind;
    char *path, *way;
    struct lb_list account, session;
};

static void visit_clear(struct visit *v)
{
    free(v->path);
    free(v->way);
    lb_pam_stack_free(&v->account);
    lb_pam_stack_free(&v->session);
}

static const struct lb_pam_line *find_line(const struct lb_list *stack, const char *module)
{
    const struct lb_pam_line *lines = stack->items;

    for (size_t i = 0; i < stack->n; i++)
        if (lb_pam_line_is(&lines[i], module))
            return &lines[i];
    return NULL;
}

static struct lb_place place_of(const struct visit *v, const struct lb_pam_line *line)
{
    return line ? (struct lb_place){ line->file, line->line } : (struct lb_place){ v->path, 0 };
}

/* pam-setup writes to /etc/pam.d only. */
static const char *setup_prefix(const struct visit *v, char *buf, size_t size)
{
    buf[0] = '\0';
    if (strncmp(v->path, "/etc/", 5) != 0)
        snprintf(buf, size, "cp %s /etc/pam.d/ && ", v->path);
    return buf;
}

#define MEND "\n%s" LB_PAM_SETUP " add %s"
/* su-l includes su, and pam-setup wants to be told that one. */
#define MEND_ARGS(v) setup_prefix(v, (char[512]){ 0 }, 512), \
                     strcmp((v)->service->name, "su-l") == 0 ? "su" : (v)->service->name

/* A stage that lets in without having asked. */
static void tell_stage(const struct visit *v, const char *stage, enum lb_pam_pass pass, const struct lb_pam_line *at)
{
    struct lb_place place = place_of(v, at);
    int verdict = v->kind == LB_SERVICE_FALLBACK ? LB_WAY_WARNING : LB_WAY_HOLE;

    if (pass == LB_PAM_ABSENT && v->kind == LB_SERVICE_FALLBACK)
        lb_doctor_find(v->d, verdict, v->way, place, "a program that has no file of its own in pam.d comes in here, "
                       "and its %s stage does not ask pam_lockbox" MEND, stage, MEND_ARGS(v));
    else if (pass == LB_PAM_ABSENT)
        lb_doctor_find(v->d, verdict, v->way, place, "the %s stage does not ask pam_lockbox" MEND, stage, MEND_ARGS(v));
    else if (pass == LB_PAM_AVOIDED)
        lb_doctor_find(v->d, verdict, v->way, place, "this line can decide the %s stage, or skip lines of it, before "
                       "pam_lockbox is asked" MEND, stage, MEND_ARGS(v));
    else
        lb_doctor_find(v->d, verdict, v->way, place, "pam_lockbox is asked in the %s stage, but this line makes its "
                       "refusal count for nothing\n%s: %s pam_lockbox.so", stage, lb_pam_line_is(at, LB_PAM_MODULE)
                       ? "the line should be" : "take the reset out of it, or let this stand before",
                       strcmp(stage, "account") == 0 ? "account requisite" : "session required");
}

static bool check_stage(const struct visit *v, const char *stage, const struct lb_list *lines)
{
    enum lb_pam_pass pass = LB_PAM_ABSENT;
    const struct lb_pam_line *at = NULL;
    int r = lb_pam_walk(lines, lines == &v->account ? LB_PAM_ACCOUNT : LB_PAM_SESSION, &pass, &at);

    lb_doctor_keep(v->d, r);
    if (r == 0 && pass != LB_PAM_PASSES)
        tell_stage(v, stage, pass, at);
    return r == 0 && pass == LB_PAM_PASSES;
}

/* Where our session line stands among those that it has to do with. */
static void check_order(const struct visit *v)
{
    const struct lb_pam_line *ours = find_line(&v->session, LB_PAM_MODULE);
    const struct lb_pam_line *loginuid = find_line(&v->session, "pam_loginuid.so");
    const struct lb_pam_line *systemd = find_line(&v->session, "pam_systemd.so");
    int verdict = v->kind == LB_SERVICE_FALLBACK ? LB_WAY_WARNING : LB_WAY_HOLE;

    if (!ours) /* the stage lets nobody in */
        return;
    if (systemd && ours > systemd)
        lb_doctor_find(v->d, verdict, v->way, place_of(v, ours), "the session line stands behind pam_systemd, so that "
                       "systemd is given no end for the session" MEND, MEND_ARGS(v));
    if (loginuid && ours < loginuid)
        lb_doctor_find(v->d, LB_WAY_WARNING, v->way, place_of(v, ours), "the session line stands before pam_loginuid, "
                       "so that every gated login is refused here" MEND, MEND_ARGS(v));
    if (!loginuid && (v->kind == LB_SERVICE_LOGIN || v->kind == LB_SERVICE_JOB))
        lb_doctor_find(v->d, LB_WAY_WARNING, v->way, place_of(v, NULL), "pam_loginuid is not in the session stage, so "
                       "that every gated login is refused here\nput before pam_lockbox: session required "
                       "pam_loginuid.so");
    if (!systemd && v->kind == LB_SERVICE_LOGIN)
        lb_doctor_find(v->d, LB_WAY_WARNING, v->way, place_of(v, NULL), "pam_systemd is not in the session stage, so "
                       "that nothing ends a session should lockboxd be dead\nput behind pam_lockbox: session optional "
                       "pam_systemd.so");
}

/* --- our line ----------------------------------------------------------------------------------------------------- */

/* Each service gates the same accounts; who is gated by one and not by another gets in there. */
static void check_accounts(const struct visit *v, const char *stage, const struct lb_list *lines)
{
    const struct lb_pam_line *ours = find_line(lines, LB_PAM_MODULE);
    char **gated = NULL;
    int r = ours ? lb_pam_args_gated(&v->d->host, ours, &gated) : 0;

    lb_doctor_keep(v->d, r);
    for (char **name = v->d->accounts; r == 0 && ours && name && *name; name++)
        if (!lb_strings_contain(gated, *name))
            lb_doctor_find(v->d, LB_WAY_HOLE, v->way, place_of(v, ours), "%s is gated, but not by this line of the %s "
                           "stage\ngive it the same users= and groups= as in the other services", *name, stage);
    lb_strings_free(gated);
}

static void check_arguments(const struct visit *v, const struct lb_list *lines)
{
    const struct lb_pam_line *ours = find_line(lines, LB_PAM_MODULE);
    char scope[64] = "";
    size_t n = 0;
    const char *unknown = ours ? lb_pam_args_unknown(ours, &n) : NULL;

    if (unknown)
        lb_doctor_find(v->d, LB_WAY_WARNING, v->way, place_of(v, ours), "pam_lockbox does not know %.*s, so that every "
                       "gated login is refused here\ntake it out; see pam_lockbox(8)", (int)n, unknown);
    if (ours && v->kind == LB_SERVICE_ELEVATE && (!lb_pam_line_arg(ours, "scope=", scope, sizeof(scope)) ||
                                                  strcmp(scope, "login") == 0))
        lb_doctor_find(v->d, LB_WAY_WARNING, v->way, place_of(v, ours), "asks for the scope login, so that whoever is "
                       "in becomes somebody else without being asked again\nadd to the line: scope=root");
}

/* True if no gated account can leave a job, so that the service need not ask. */
static bool nobody_leaves_jobs(const struct visit *v)
{
    bool at = strcmp(v->service->name, "atd") == 0;

    if (!v->d->accounts)
        return false;
    for (char **name = v->d->accounts; *name; name++)
        if (lb_jobs_may_leave(&v->d->host, at ? "at" : "cron", *name) || (!at && lb_jobs_has_crontab(&v->d->host,
        *name)))
            return false;
    lb_doctor_find(v->d, LB_WAY_OK, v->way, LB_NOWHERE, "%s.allow and %s.deny keep gated accounts out",
                   at ? "at" : "cron", at ? "at" : "cron");
    return true;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void check_way(struct visit *v)
{
    bool asked = check_stage(v, "account", &v->account);

    /* Where account lets nobody in, nobody comes to the session. */
    if (asked && find_line(&v->account, LB_PAM_MODULE) && check_stage(v, "session", &v->session))
        check_order(v);
    check_accounts(v, "account", &v->account);
    check_accounts(v, "session", &v->session);
    check_arguments(v, &v->account);
    v->service->gated = asked;
    v->service->wait = lb_pam_args_wait(find_line(&v->account, LB_PAM_MODULE));
    if (lb_doctor_has_trouble(v->d, v->way))
        return;
    if (find_line(&v->account, LB_PAM_MODULE))
        lb_doctor_find(v->d, LB_WAY_OK, v->way, LB_NOWHERE, "gated");
    else
        lb_doctor_find(v->d, LB_WAY_OK, v->way, LB_NOWHERE, "lets nobody in");
}

static void check_service(struct lb_doctor *d, const char *name)
{
    struct lb_service *service = lb_list_append(&d->services, sizeof(*service));
    LB_CLEANUP(visit_clear) struct visit v = { .d = d, .service = service };
    const char *why = NULL;
    int r = service && (service->name = strdup(name)) && asprintf(&v.way, "pam: %s", name) >= 0 ? 0 : -ENOMEM;

    v.kind = lb_service_kind(name, &why);
    if (r == 0 && v.kind == LB_SERVICE_NOT_ONE) {
        service->gated = true;
        lb_doctor_find(d, LB_WAY_OK, v.way, LB_NOWHERE, "no way in: %s", why);
        return;
    }
    if (r == 0)
        r = lb_pam_find(&d->host, name, &v.path);
    if (r == 0)
        r = lb_pam_stack_read(&d->host, name, LB_PAM_ACCOUNT, false, &v.account);
    if (r == 0)
        r = lb_pam_stack_read(&d->host, name, LB_PAM_SESSION, false, &v.session);
    lb_doctor_keep(d, r);
    if (r < 0) {
        lb_doctor_find(d, LB_WAY_HOLE, v.way ? v.way : name, (struct lb_place){ v.path, 0 }, "cannot be read (%s), so "
                       "that nothing is known of it", strerrordesc_np(-r));
        return;
    }
    if (v.kind != LB_SERVICE_JOB || find_line(&v.account, LB_PAM_MODULE) || !nobody_leaves_jobs(&v))
        check_way(&v);
}

/* All whom some service gates, and the members of the default group, which the others are measured by. */
static int find_accounts(struct lb_doctor *d, char *const *names)
{
    const struct lb_pam_line nobody = { 0 };
    int r = lb_pam_args_gated(&d->host, &nobody, &d->accounts);

    for (; r == 0 && names && *names; names++) {
        struct lb_list stack = { 0 };
        const struct lb_pam_line *ours = NULL;
        r = lb_pam_stack_read(&d->host, *names, LB_PAM_ACCOUNT, true, &stack);
        ours = r == 0 ? find_line(&stack, LB_PAM_MODULE) : NULL;
        r = ours ? lb_pam_args_gated(&d->host, ours, &d->accounts) : r == -ENOMEM ? r : 0;
        lb_pam_stack_free(&stack);
    }
    return r;
}

void lb_doctor_pam(struct lb_doctor *d)
{
    char **names = NULL, **included = NULL;
    int r = lb_pam_services(&d->host, &names);

    for (char **name = names; r == 0 && name && *name; name++)
        r = lb_pam_included(&d->host, *name, &included);
    if (r == 0)
        r = find_accounts(d, names);
    lb_doctor_keep(d, r);
    if (r < 0)
        lb_doctor_find(d, LB_WAY_HOLE, "accounts", LB_NOWHERE, "it cannot be found out who is gated: %s",
                       strerrordesc_np(-r));
    else if (!d->accounts)
        lb_doctor_find(d, LB_WAY_WARNING, "accounts", LB_NOWHERE, "nobody is gated\nusermod --append --groups "
                       LB_PAM_DEFAULT_GROUP " ACCOUNT");
    for (char **name = names; name && *name; name++)
        if (is_service(*name, included))
            check_service(d, *name);
    lb_strings_free(names);
    lb_strings_free(included);
}
