/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whoever stands before the machine. A getty runs login(1), which asks PAM's account stage even where it logs in by
 * itself: so what matters is which program a getty runs, and as whom.
 */
#include <errno.h>

#include "lockboxd/inspect/doctor/doctor.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "policy/base.h"

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* --- gettys ------------------------------------------------------------------------------------------------------- */

/* The value of an option in any of its spellings; NULL if it is not given. */
static const char *option_of(char *const *words, char letter, const char *name)
{
    size_t n = strlen(name);

    for (; words && *words; words++) {
        const char *word = *words;
        if (strncmp(word, name, n) == 0 && (word[n] == '=' || word[n] == '\0'))
            return word[n] == '=' ? word + n + 1 : words[1] ? words[1] : "";
        if (word[0] == '-' && word[1] == letter)
            return word[2] ? word + 2 : words[1] ? words[1] : "";
    }
    return NULL;
}

static void check_getty(struct lb_doctor *d, const struct lb_unit *unit, const struct lb_unit_setting *start,
                        char *const *words)
{
    LB_FREE char *way = NULL;
    const struct lb_place at = { start->file, (unsigned)start->line };
    const char *program = option_of(words, 'l', "--login-program"), *account = option_of(words, 'a', "--autologin");

    if (asprintf(&way, "console: %s", unit->name) < 0)
        return lb_doctor_keep(d, -ENOMEM);
    if (program && strcmp(base_of(program), "login") != 0)
        lb_doctor_find(d, LB_WAY_HOLE, way, at, "runs %s instead of login, so that PAM is not asked\ntake out of the "
                       "line: --login-program (-l)", program);
    else if (account && !lb_strings_contain(d->accounts, account))
        lb_doctor_find(d, LB_WAY_HOLE, way, at, "logs %s in by itself: whoever comes to the console is that, and not "
                       "gated\ntake out of the line: --autologin (-a)", account);
    else if (!unit->alias)
        lb_doctor_find(d, LB_WAY_OK, way, LB_NOWHERE, "runs login, which asks PAM");
}

/* A shell on a terminal that no login comes before: debug-shell.service and those made like it. */
static void check_shell(struct lb_doctor *d, const struct lb_unit *unit, const struct lb_unit_setting *start)
{
    LB_FREE char *way = NULL;

    if (!lb_unit_files_is_enabled(&d->units, unit))
        return;
    if (asprintf(&way, "console: %s", unit->name) < 0)
        return lb_doctor_keep(d, -ENOMEM);
    lb_doctor_find(d, LB_WAY_HOLE, way, (struct lb_place){ start->file, (unsigned)start->line }, "a root shell on a "
                   "terminal, without any login\nsystemctl disable --now %s", unit->name);
}

static void check_start(struct lb_doctor *d, const struct lb_unit *unit, const struct lb_unit_setting *start)
{
    static const char *const gettys[] = { "agetty", "getty", "mingetty", "fgetty", "mgetty", "kmscon", "fbgetty" };
    static const char *const shells[] = { "sh", "bash", "dash", "zsh", "sushell" };
    char **words = NULL;
    const char *base = NULL;
    int r = lb_unit_files_words(start->value, &words);

    lb_doctor_keep(d, r);
    base = r == 0 && words ? base_of(words[0]) : NULL;
    for (size_t i = 0; base && i < LB_ELEMENTS(gettys); i++)
        if (strcmp(base, gettys[i]) == 0)
            check_getty(d, unit, start, words);
    for (size_t i = 0; base && i < LB_ELEMENTS(shells); i++)
        if (strcmp(base, shells[i]) == 0 && !words[1])
            check_shell(d, unit, start);
    lb_strings_free(words);
}

/* --- emergency, boot ---------------------------------------------------------------------------------------------- */

static void check_sulogin(struct lb_doctor *d, const struct lb_unit *unit)
{
    const struct lb_unit_setting *set = unit->sets.items;

    for (size_t i = 0; i < unit->sets.n; i++)
        if (strstr(set[i].value, "SYSTEMD_SULOGIN_FORCE=1"))
            lb_doctor_find(d, LB_WAY_HOLE, "console: emergency shell", (struct lb_place){ set[i].file,
                           (unsigned)set[i].line },
                           "%s gives a root shell without a password\ntake out the line", unit->name);
}

static void check_kernel(struct lb_doctor *d)
{
    static const char *const words[] = { "systemd.debug-shell", "systemd.debug_shell", "rd.break" };
    LB_FREE char *text = NULL;

    if (!lb_host_is_this(&d->host) || lb_host_read(&d->host, "/proc/cmdline", &text) < 0)
        return;
    for (size_t i = 0; i < LB_ELEMENTS(words); i++)
        if (strstr(text, words[i]))
            lb_doctor_find(d, LB_WAY_HOLE, "console: kernel command line", (struct lb_place){ "/proc/cmdline", 1 },
                           "%s gives a root shell without any login\ntake it out of GRUB_CMDLINE_LINUX in "
                           "/etc/default/grub, then: update-grub", words[i]);
}

/* The one boot loader whose configuration says whether it asks for a password. */
static void check_grub(struct lb_doctor *d)
{
    static const char *const paths[] = { "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg" };

    for (size_t i = 0; i < LB_ELEMENTS(paths); i++) {
        LB_FREE char *text = NULL;
        if (lb_host_read(&d->host, paths[i], &text) < 0)
            continue;
        if (strstr(text, "set superusers") && strstr(text, "password"))
            lb_doctor_find(d, LB_WAY_OK, "console: boot loader", LB_NOWHERE, "asks for a password");
        else
            lb_doctor_find(d, LB_WAY_WARNING, "console: boot loader", (struct lb_place){ paths[i], 0 },
                           "whoever is at the console while the machine starts can have a root shell "
                           "(init=/bin/sh)\ngive grub a password (grub-mkpasswd-pbkdf2), or the machine a locked room");
        return;
    }
}

void lb_doctor_console(struct lb_doctor *d)
{
    const struct lb_unit *unit = d->units.items;

    for (size_t i = 0; i < d->units.n; i++) {
        const struct lb_unit_setting *start = unit[i].starts.items;
        for (size_t j = 0; j < unit[i].starts.n; j++)
            check_start(d, &unit[i], &start[j]);
        check_sulogin(d, &unit[i]);
    }
    check_kernel(d);
    check_grub(d);
}
