/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lockbox itself. All that is wrong here closes doors and opens none, so these are warnings. */
#include <errno.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "lockboxd/inspect/doctor/pam_walk.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "lockboxd/people.h"
#include "lockboxd/policy_files.h"
#include "lockboxd/proto/client.h"
#include "lockboxd/read_text.h"
#include "policy/base.h"

#define APPROVERS "/etc/lockbox/approvers.conf"
#define SIGNERS "/etc/lockbox/allowed_signers"
#define ANSWER_MS 5000

static void check_module(struct lb_doctor *d)
{
    static const char *const patterns[] = { "/usr/lib/*-linux-gnu", "/usr/li[b]*", "/li[b]*", "/lib/*-linux-gnu" };

    for (size_t i = 0; i < LB_ELEMENTS(patterns); i++) {
        char **paths = NULL;
        bool found = false;
        lb_doctor_keep(d, lb_host_glob(&d->host, patterns[i], &paths));
        for (char **path = paths; path && *path && !found; path++) {
            LB_FREE char *module = NULL;
            if (asprintf(&module, "%s/security/" LB_PAM_MODULE, *path) < 0)
                lb_doctor_keep(d, -ENOMEM);
            else
                found = lb_host_has(&d->host, module);
        }
        lb_strings_free(paths);
        if (found)
            return;
    }
    lb_doctor_find(d, LB_WAY_WARNING, "lockbox: module", LB_NOWHERE, LB_PAM_MODULE " is not installed; with its "
                   "lines in pam.d nobody can log in, whether gated or not\ninstall it, or: " LB_PAM_SETUP " remove");
}

static void check_units(struct lb_doctor *d)
{
    static const char *const names[] = { "lockboxd.service", "lockboxd.socket", "lockboxd-login.socket" };

    for (size_t i = 0; i < LB_ELEMENTS(names); i++) {
        const struct lb_unit *unit = lb_unit_files_find(&d->units, names[i]);
        if (!unit || !unit->enabled)
            lb_doctor_find(d, LB_WAY_WARNING, "lockbox: daemon", LB_NOWHERE, "%s is not enabled, so that gated "
                           "logins are refused after the next boot\nsystemctl enable --now %s", names[i], names[i]);
    }
}

static void check_daemon(struct lb_doctor *d)
{
    struct lb_client *client = NULL;
    struct lb_varlink_reply reply = { 0 };
    int r = lb_client_open(LB_CONTROL_SOCKET, ANSWER_MS, &client);

    if (r == 0)
        r = lb_client_call(client, "org.varlink.service.GetInfo", NULL, ANSWER_MS, &reply);
    lb_varlink_reply_clear(&reply);
    lb_client_close(client);
    if (r < 0)
        lb_doctor_find(d, LB_WAY_WARNING, "lockbox: daemon", (struct lb_place){ LB_CONTROL_SOCKET, 0 }, "does not "
                       "answer (%s), so that gated logins are refused now\nsystemctl restart lockboxd.socket "
                       "lockboxd-login.socket lockboxd.service", strerrordesc_np(-r));
}

/* --- who decides -------------------------------------------------------------------------------------------------- */

static int load_approvers(struct lb_doctor *d, struct lb_approvers **ret)
{
    LB_FREE char *text = NULL, *error = NULL;
    struct lb_ini_errors errors = { 0 };
    size_t size = 0;
    int r = lb_read_text(APPROVERS, false, &text, &size, &errors);

    if (r > 0)
        r = lb_approvers_parse(APPROVERS, text, size, ret, &error);
    if (r == -EINVAL || errors.text)
        lb_doctor_find(d, LB_WAY_WARNING, "lockbox: approvers", (struct lb_place){ APPROVERS, 0 }, "is "
                       "refused\nlockboxctl status says where the mistake is");
    free(errors.text);
    return r == -ENOMEM ? r : 0;
}

/* Whether there is a line in it, and not a remark. */
static bool has_keys(const char *path)
{
    LB_FREE char *text = NULL;
    struct lb_ini_errors errors = { 0 };
    size_t size = 0;
    bool found = false;

    if (lb_read_text(path, false, &text, &size, &errors) > 0)
        for (const char *line = text; line && !found; line = strchr(line, '\n')) {
            line += strspn(line, " \t\n");
            found = *line && *line != '#';
        }
    free(errors.text);
    return found;
}

/* A rule whose requests nobody can decide. */
static void check_rule(struct lb_doctor *d, const struct lb_approvers *approvers, const struct lb_terms *terms,
                       const char *path)
{
    char **people = NULL;
    size_t n = 0;
    int r = lb_people_resolve(approvers, terms->customer, &people);

    lb_doctor_keep(d, r);
    while (r == 0 && people && people[n])
        n++;
    lb_strings_free(people);
    if (r == 0 && (int64_t)n < terms->quorum)
        lb_doctor_find(d, LB_WAY_WARNING, "lockbox: approvers", (struct lb_place){ path, 0 }, "%lld approvals are "
                       "needed, and %zu people can give one: nobody gets in\nusermod --append --groups "
                       "lockbox-approvers ACCOUNT",
                       (long long)terms->quorum, n);
    if (r == 0 && terms->evidence == LB_EVIDENCE_SIGNED && !has_keys(SIGNERS))
        lb_doctor_find(d, LB_WAY_WARNING, "lockbox: approvers", (struct lb_place){ path, 0 }, "only a signature counts "
                       "(Evidence=signed), and there are no keys in " SIGNERS ": nobody gets in\nman lockbox-consent");
}

static void check_policy(struct lb_doctor *d)
{
    struct lb_ruleset *set = NULL;
    struct lb_approvers *approvers = NULL;
    LB_FREE char *error = NULL;
    int r = lb_policy_files_load(lb_policy_directories, &set, &error);

    lb_doctor_keep(d, r);
    if (r == 0)
        r = load_approvers(d, &approvers);
    if (error)
        lb_doctor_find(d, LB_WAY_WARNING, "lockbox: policy", LB_NOWHERE, "has mistakes; what was read before is in "
                       "force, and after a start nothing\nlockboxctl policy check");
    for (size_t i = 0; r == 0 && set && i < set->n; i++)
        if (set->rules[i].action == LB_ACTION_REQUIRE)
            check_rule(d, approvers, &set->rules[i].terms, set->rules[i].path);
    if (r == 0 && set && set->n == 0)
        check_rule(d, approvers, &set->defaults, NULL);
    lb_ruleset_free(set);
    lb_approvers_free(approvers);
}

void lb_doctor_lockbox(struct lb_doctor *d)
{
    const char *const ways[] = { "lockbox: module", "lockbox: daemon", "lockbox: approvers", "lockbox: policy" };
    bool trouble = false;

    check_module(d);
    check_units(d);
    if (lb_host_is_this(&d->host)) {
        check_daemon(d);
        check_policy(d);
    }
    for (size_t i = 0; i < LB_ELEMENTS(ways); i++)
        trouble = trouble || lb_doctor_has_trouble(d, ways[i]);
    if (!trouble)
        lb_doctor_find(d, LB_WAY_OK, "lockbox", LB_NOWHERE, "%s", lb_host_is_this(&d->host)
                       ? "installed, enabled, answers; its policy is good, and there are people who decide"
                       : "installed and enabled");
}
