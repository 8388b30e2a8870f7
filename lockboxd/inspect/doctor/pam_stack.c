/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/inspect/doctor/pam_stack.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <strings.h>

#include "policy/base.h"

#define LEVELS_MAX 16 /* as libpam */

static const char *const directories[] = { "/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d" };
static const char *const stage_names[] = {
    [LB_PAM_AUTH] = "auth", [LB_PAM_ACCOUNT] = "account", [LB_PAM_SESSION] = "session", [LB_PAM_PASSWORD] = "password",
};

static const char *const codes[LB_PAM_CODES] = {
    "success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err",
    "cred_insufficient", "authinfo_unavail", "user_unknown", "maxtries", "new_authtok_reqd", "acct_expired",
    "session_err", "cred_unavail", "cred_expired", "cred_err", "no_module_data", "conv_err", "authtok_err",
    "authtok_recover_err", "authtok_lock_busy", "authtok_disable_aging", "try_again", "ignore", "abort",
    "authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete",
};

static const struct {
    const char *name;
    int success, ignore, otherwise;
} controls[] = {
    { "required", LB_PAM_DO_OK, LB_PAM_DO_IGNORE, LB_PAM_DO_BAD },
    { "requisite", LB_PAM_DO_OK, LB_PAM_DO_IGNORE, LB_PAM_DO_DIE },
    { "optional", LB_PAM_DO_OK, LB_PAM_DO_IGNORE, LB_PAM_DO_IGNORE },
    { "sufficient", LB_PAM_DO_DONE, LB_PAM_DO_IGNORE, LB_PAM_DO_IGNORE },
};

/* --- the pieces of a line ----------------------------------------------------------------------------------------- */

/* The next word, in place; what stands in brackets is one. NULL at the end. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t"), *end = NULL;

    if (!*word)
        return NULL;
    if (*word == '[') {
        word++;
        for (end = word; *end && *end != ']'; end++)
            if (*end == '\\' && end[1])
                end++;
    } else {
        end = word + strcspn(word, " \t");
    }
    *at = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static int read_action(const char *text)
{
    static const struct {
        const char *name;
        int action;
    } actions[] = {
        { "ignore", LB_PAM_DO_IGNORE }, { "ok", LB_PAM_DO_OK },   { "done", LB_PAM_DO_DONE },
        { "bad", LB_PAM_DO_BAD },       { "die", LB_PAM_DO_DIE }, { "reset", LB_PAM_DO_RESET },
    };
    long jump = strtol(text, NULL, 10);

    for (size_t i = 0; i < LB_ELEMENTS(actions); i++)
        if (strcmp(text, actions[i].name) == 0)
            return actions[i].action;
    return jump > 0 && jump < INT_MAX ? (int)jump : LB_PAM_DO_UNDEFINED;
}

static void fill_undefined(int *actions, int action)
{
    for (size_t i = 0; i < LB_PAM_CODES; i++)
        if (actions[i] == LB_PAM_DO_UNDEFINED)
            actions[i] = action;
}

/* [value=action …]. A mistake makes all that is not said yet bad. */
static void read_values(int *actions, char *text)
{
    int otherwise = LB_PAM_DO_BAD;

    for (char *at = text + strspn(text, " \t"); *at; at += strspn(at, " \t")) {
        char *name = at, *value = NULL;
        size_t n = strcspn(name, " \t="), i = 0;
        int action = LB_PAM_DO_UNDEFINED;
        value = name + n + strspn(name + n, " \t");
        if (*value != '=')
            break;
        value += 1 + strspn(value + 1, " \t");
        at = value + strcspn(value, " \t");
        at = *at ? (*at = '\0', at + 1) : at;
        action = read_action(value);
        while (i < LB_PAM_CODES && (strlen(codes[i]) != n || strncasecmp(codes[i], name, n) != 0))
            i++;
        if (i < LB_PAM_CODES)
            actions[i] = action;
        else if (n == strlen("default") && strncasecmp(name, "default", n) == 0)
            otherwise = action == LB_PAM_DO_UNDEFINED ? LB_PAM_DO_BAD : action;
        else
            break;
    }
    fill_undefined(actions, otherwise);
}

static void read_control(int *actions, char *control)
{
    for (size_t i = 0; i < LB_PAM_CODES; i++)
        actions[i] = LB_PAM_DO_UNDEFINED;
    for (size_t i = 0; i < LB_ELEMENTS(controls); i++) {
        if (strcasecmp(control, controls[i].name) != 0)
            continue;
        actions[LB_PAM_SUCCESS] = actions[LB_PAM_NEW_AUTHTOK_REQD] = controls[i].success;
        actions[LB_PAM_IGNORE] = controls[i].ignore;
        fill_undefined(actions, controls[i].otherwise);
        return;
    }
    read_values(actions, control);
}

/* --- a file ------------------------------------------------------------------------------------------------------- */

struct reading {
    const struct lb_host *host;
    enum lb_pam_stage stage;
    struct lb_list *lines; /* NULL: only the names of what is included are wanted */
    char ***included;
};

static int read_file(const struct reading *r, const char *service, int depth, int level);

int lb_pam_find(const struct lb_host *host, const char *service, char **ret)
{
    LB_FREE char *path = NULL;

    if (*service == '/') {
        path = strdup(service);
        if (!path)
            return -ENOMEM;
        *ret = lb_host_has(host, path) ? LB_TAKE(path) : NULL;
        return 0;
    }
    for (size_t i = 0; i < LB_ELEMENTS(directories); i++) {
        LB_FREE char *candidate = NULL;
        if (asprintf(&candidate, "%s/%s", directories[i], service) < 0)
            return -ENOMEM;
        if (lb_host_has(host, candidate)) {
            *ret = LB_TAKE(candidate);
            return 0;
        }
    }
    *ret = NULL;
    return 0;
}

static struct lb_pam_line *add_line(const struct reading *r, const char *path, unsigned number, int level)
{
    struct lb_pam_line *line = lb_list_append(r->lines, sizeof(*line));

    if (!line)
        return NULL;
    line->file = strdup(path);
    line->line = number;
    line->level = level;
    return line->file ? line : NULL;
}

/* What cannot be included fails as a module of its own. */
static int include(const struct reading *r, const char *service, const char *path, unsigned number, int depth,
int level,
                   bool substack)
{
    struct lb_pam_line *line = NULL;
    int result = 0;

    if (r->included && service && !lb_strings_contain(*r->included, service))
        result = lb_strings_append(r->included, service);
    if (!r->lines)
        return result;
    if (substack) {
        line = add_line(r, path, number, level);
        if (!line)
            return -ENOMEM;
        line->marker = true;
    }
    result = service && depth + 1 < LEVELS_MAX ? read_file(r, service, depth + 1, level + substack) : -ENOENT;
    if (result == 0 || result == -ENOMEM)
        return result;
    line = add_line(r, path, number, level);
    for (size_t i = 0; line && i < LB_PAM_CODES; i++)
        line->actions[i] = LB_PAM_DO_BAD;
    return line ? 0 : -ENOMEM;
}

static int read_line(const struct reading *r, char *text, const char *path, unsigned number, int depth, int level)
{
    char *at = text, *type = next_word(&at), *control = NULL, *module = NULL;
    struct lb_pam_line *line = NULL;

    if (!type)
        return 0;
    if (strcmp(type, "@include") == 0)
        return include(r, next_word(&at), path, number, depth, level, false);
    type += *type == '-';
    if (r->lines && strcasecmp(type, stage_names[r->stage]) != 0)
        return 0;
    control = next_word(&at);
    module = next_word(&at);
    if (control && (strcasecmp(control, "include") == 0 || strcasecmp(control, "substack") == 0))
        return include(r, module, path, number, depth, level, tolower(*control) == 's');
    if (!r->lines)
        return 0;
    line = add_line(r, path, number, level);
    if (!line)
        return -ENOMEM;
    read_control(line->actions, control ? control : text + strlen(text));
    line->module = lb_dup(module);
    line->args = strdup(at);
    return line->args && (!module || line->module) ? 0 : -ENOMEM;
}

/* A comment begins anywhere; a backslash at the end goes on in the next line. */
static int read_text(const struct reading *r, char *text, const char *path, int depth, int level)
{
    LB_FREE char *whole = NULL;
    unsigned number = 0, first = 0;
    int result = 0;

    for (char *line = NULL; result == 0 && (line = lb_host_line(&text));) {
        char *joined = NULL;
        bool more = false;
        size_t n = 0;
        number++;
        line[strcspn(line, "#")] = '\0';
        for (n = strlen(line); n > 0 && isspace((unsigned char)line[n - 1]); n--)
            line[n - 1] = '\0';
        more = n > 0 && line[n - 1] == '\\';
        if (more)
            line[n - 1] = ' ';
        first = whole ? first : number;
        if (asprintf(&joined, "%s%s", whole ? whole : "", line) < 0)
            return -ENOMEM;
        free(whole);
        whole = joined;
        if (!more) {
            result = read_line(r, whole, path, first, depth, level);
            free(LB_TAKE(whole));
        }
    }
    return result == 0 && whole ? read_line(r, whole, path, first, depth, level) : result;
}

static int read_file(const struct reading *r, const char *service, int depth, int level)
{
    LB_FREE char *path = NULL, *text = NULL;
    int result = lb_pam_find(r->host, service, &path);

    if (result == 0)
        result = path ? lb_host_read(r->host, path, &text) : -ENOENT;
    return result == 0 ? read_text(r, text, path, depth, level) : result;
}

/* --- a stage ------------------------------------------------------------------------------------------------------ */

static const struct lb_field line_fields[] = {
    { "file", LB_FIELD_STRING, offsetof(struct lb_pam_line, file) },
    { "module", LB_FIELD_STRING, offsetof(struct lb_pam_line, module) },
    { "args", LB_FIELD_STRING, offsetof(struct lb_pam_line, args) },
    { 0 },
};

void lb_pam_stack_free(struct lb_list *stack)
{
    struct lb_pam_line *lines = stack->items;

    for (size_t i = 0; i < stack->n; i++)
        lb_fields_clear(line_fields, &lines[i]);
    free(lines);
    *stack = (struct lb_list){ 0 };
}

int lb_pam_stack_read(const struct lb_host *host, const char *service, enum lb_pam_stage stage, bool own,
                      struct lb_list *ret)
{
    struct lb_list lines = { 0 };
    const struct reading reading = { host, stage, &lines, NULL };
    int r = read_file(&reading, service, 0, 0);

    if (r == 0 && lines.n == 0 && !own) {
        r = read_file(&reading, "other", 0, 0);
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0)
        lb_pam_stack_free(&lines);
    else
        *ret = lines;
    return r;
}

int lb_pam_included(const struct lb_host *host, const char *service, char ***ret)
{
    const struct reading reading = { host, LB_PAM_AUTH, NULL, ret };
    int r = read_file(&reading, service, 0, 0);

    return r == -ENOMEM ? r : 0;
}

/* Package managers and editors leave copies beside a file; no program asks for those. */
static bool is_copy(const char *name)
{
    static const char *const patterns[] = { "*~", "*.dpkg-*", "*.rpm*", "*.ucf-*", "*.pam-old", "*.orig", "README*" };

    for (size_t i = 0; i < LB_ELEMENTS(patterns); i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    return false;
}

int lb_pam_services(const struct lb_host *host, char ***ret)
{
    char **names = NULL;
    int r = 0;

    for (size_t i = 0; r == 0 && i < LB_ELEMENTS(directories); i++) {
        char **found = NULL;
        r = lb_host_list(host, directories[i], &found);
        for (char **name = found; r == 0 && name && *name; name++)
            if (!is_copy(*name) && !lb_strings_contain(names, *name))
                r = lb_strings_append(&names, *name);
        lb_strings_free(found);
    }
    if (r < 0) {
        lb_strings_free(names);
        return r;
    }
    lb_host_sort(names);
    *ret = names;
    return 0;
}

bool lb_pam_line_is(const struct lb_pam_line *line, const char *module)
{
    const char *base = line->module ? strrchr(line->module, '/') : NULL;

    return line->module && strcmp(base ? base + 1 : line->module, module) == 0;
}

bool lb_pam_line_arg(const struct lb_pam_line *line, const char *prefix, char *buf, size_t size)
{
    bool found = false;

    for (const char *at = line->args; at && *(at += strspn(at, " \t["));) {
        size_t n = strcspn(at, " \t]"), skip = strlen(prefix);
        if (n >= skip && strncmp(at, prefix, skip) == 0 && n - skip < size) {
            memcpy(buf, at + skip, n - skip);
            buf[n - skip] = '\0';
            found = true;
        }
        at += n + (at[n] == ']');
    }
    return found;
}
