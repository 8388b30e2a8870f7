/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was found, and for whom it is printed. */
#include "lockboxd/inspect/doctor/doctor.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/ctl/table.h"
#include "lockboxd/inspect/doctor/unit_files.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"
#include "policy/text.h"

#define TEXT_MAX 4096

static const char *const verdicts[] = { [LB_WAY_HOLE] = "hole", [LB_WAY_WARNING] = "warning", [LB_WAY_OK] = "ok",
NULL };

const struct lb_field lb_finding_fields[] = {
    { "way", LB_FIELD_STRING, offsetof(struct lb_finding, way), LB_FIELD_ALWAYS },
    { "verdict", LB_FIELD_ENUM, offsetof(struct lb_finding, verdict), LB_FIELD_ALWAYS, .names = verdicts },
    { "text", LB_FIELD_STRING, offsetof(struct lb_finding, text), LB_FIELD_ALWAYS },
    { "file", LB_FIELD_STRING, offsetof(struct lb_finding, file) },
    { "line", LB_FIELD_INT, offsetof(struct lb_finding, line) },
    { "mend", LB_FIELD_STRING, offsetof(struct lb_finding, mend) },
    { 0 },
};

static const struct lb_field service_fields[] = {
    { "name", LB_FIELD_STRING, offsetof(struct lb_service, name) },
    { 0 },
};

/* --- finding ------------------------------------------------------------------------------------------------------ */

void lb_doctor_keep(struct lb_doctor *d, int r)
{
    if (r == -ENOMEM)
        d->r = r;
}

/* Names of files and accounts are somebody else's. */
static char *clean(struct lb_doctor *d, const char *text)
{
    char *safe = text ? lb_text_clean(text, TEXT_MAX) : NULL;

    if (text && !safe)
        d->r = -ENOMEM;
    return safe;
}

void lb_doctor_find(struct lb_doctor *d, int verdict, const char *way, struct lb_place at, const char *format, ...)
{
    struct lb_finding *finding = lb_list_append(&d->findings, sizeof(*finding));
    LB_FREE char *text = NULL;
    char *mend = NULL;
    va_list args;
    int n = 0;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0 || !finding) {
        d->r = -ENOMEM;
        text = NULL;
        return;
    }
    mend = strchr(text, '\n');
    if (mend)
        *mend++ = '\0';
    *finding = (struct lb_finding){ clean(d, way), verdict, clean(d, text), clean(d, at.file), at.line,
                                    clean(d, mend) };
}

bool lb_doctor_has_trouble(const struct lb_doctor *d, const char *way)
{
    const struct lb_finding *findings = d->findings.items;

    for (size_t i = 0; i < d->findings.n; i++)
        if (findings[i].verdict != LB_WAY_OK && strcmp(findings[i].way, way) == 0)
            return true;
    return false;
}

int lb_doctor_verdict(const struct lb_doctor *d)
{
    const struct lb_finding *findings = d->findings.items;
    int verdict = LB_WAY_OK;

    for (size_t i = 0; i < d->findings.n; i++)
        if (findings[i].verdict < verdict)
            verdict = findings[i].verdict;
    return verdict;
}

const struct lb_service *lb_doctor_service(const struct lb_doctor *d, const char *name)
{
    const struct lb_service *services = d->services.items;

    for (size_t i = 0; i < d->services.n; i++)
        if (strcmp(services[i].name, name) == 0)
            return &services[i];
    return NULL;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

int lb_doctor_start(struct lb_doctor *d, const char *root)
{
    int r = lb_host_open(strcmp(root, "/") == 0 ? "" : root, &d->host);

    return r < 0 ? r : lb_unit_files_read(&d->host, &d->units);
}

static void clear_list(struct lb_list *list, const struct lb_field *fields, size_t size)
{
    for (size_t i = 0; i < list->n; i++)
        lb_fields_clear(fields, (char *)list->items + i * size);
    free(list->items);
    *list = (struct lb_list){ 0 };
}

void lb_doctor_end(struct lb_doctor *d)
{
    lb_host_close(&d->host);
    lb_unit_files_free(&d->units);
    d->accounts = lb_strings_free(d->accounts);
    clear_list(&d->services, service_fields, sizeof(struct lb_service));
    clear_list(&d->findings, lb_finding_fields, sizeof(struct lb_finding));
}

int lb_doctor_examine(struct lb_doctor *d)
{
    static void (*const checks[])(struct lb_doctor *d) = {
        lb_doctor_pam,     lb_doctor_sshd,     lb_doctor_other_doors, lb_doctor_sudo,
        lb_doctor_console, lb_doctor_accounts, lb_doctor_lockbox,
    };

    for (size_t i = 0; i < LB_ELEMENTS(checks); i++)
        checks[i](d);
    return d->r;
}

/* --- printing ----------------------------------------------------------------------------------------------------- */

static int print_json(const struct lb_doctor *d)
{
    const struct lb_finding *findings = d->findings.items;
    json_t *list = json_array(), *value = NULL;
    int r = 0;

    for (size_t i = 0; i < d->findings.n; i++)
        if (json_array_append_new(list, lb_json_pack(lb_finding_fields, &findings[i], LB_JSON_PUBLIC)) < 0)
            r = -ENOMEM;
    value = json_pack("{s:s, s:o}", "verdict", verdicts[lb_doctor_verdict(d)], "findings", list);
    if (!value || json_dumpf(value, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
        r = -ENOMEM;
    json_decref(value);
    return r;
}

static void print_detail(const struct lb_terminal *to, const struct lb_finding *f, enum lb_colour colour)
{
    char line[32] = "";

    fprintf(to->out, "\n%s", lb_terminal_colour(to, colour));
    lb_terminal_write(to, f->way);
    fprintf(to->out, "%s: ", lb_terminal_colour(to, LB_COLOUR_NONE));
    lb_terminal_write(to, f->text);
    fputc('\n', to->out);
    if (f->line)
        snprintf(line, sizeof(line), ":%d", (int)f->line);
    if (f->file) {
        fputs("  where:  ", to->out);
        lb_terminal_write(to, f->file);
        fprintf(to->out, "%s\n", line);
    }
    if (f->mend) {
        fputs("  mend:   ", to->out);
        lb_terminal_write(to, f->mend);
        fputc('\n', to->out);
    }
}

static const enum lb_colour colours[] = {
    [LB_WAY_HOLE] = LB_COLOUR_RED, [LB_WAY_WARNING] = LB_COLOUR_YELLOW, [LB_WAY_OK] = LB_COLOUR_GREEN,
};

static int print_table(const struct lb_doctor *d, const struct lb_terminal *to)
{
    static const struct lb_column columns[] = { { "WAY", false, 0 }, { "VERDICT", false, 0 }, { "WHAT", true, 0 } };
    LB_TABLE struct lb_table *table = lb_table_new(to, columns, LB_ELEMENTS(columns));
    const struct lb_finding *findings = d->findings.items;
    int r = table ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < d->findings.n; i++) {
        const struct lb_finding *f = &findings[i];
        const struct lb_cell cells[] = { { f->way, LB_COLOUR_NONE }, { verdicts[f->verdict], colours[f->verdict] },
                                         { f->text, LB_COLOUR_NONE } };
        r = lb_table_add(table, cells);
    }
    return r < 0 ? r : lb_table_print(table);
}

/* All in a table, then what is to be mended in full. */
static int print_text(const struct lb_doctor *d)
{
    struct lb_terminal to = lb_terminal_of(stdout);
    const struct lb_finding *findings = d->findings.items;
    int r = print_table(d, &to), verdict = lb_doctor_verdict(d);
    static const char *const summaries[] = {
        [LB_WAY_HOLE] = "Not every way into this host passes the gate.",
        [LB_WAY_WARNING] = "Every way that was found passes the gate; see the warnings.",
        [LB_WAY_OK] = "Every way that was found passes the gate.",
    };

    for (int v = LB_WAY_HOLE; v < LB_WAY_OK; v++)
        for (size_t i = 0; i < d->findings.n; i++)
            if (findings[i].verdict == v)
                print_detail(&to, &findings[i], colours[v]);
    printf("\n%s%s%s\n", lb_terminal_colour(&to, colours[verdict]), summaries[verdict],
           lb_terminal_colour(&to, LB_COLOUR_NONE));
    return r;
}

/* --- the command -------------------------------------------------------------------------------------------------- */

static int help(void)
{
    return puts("lockbox-inspect doctor [OPTION...]: does every way into this host pass the gate?\n\n"
                "  --json                  for programs\n"
                "  --root DIR              the host whose files are under DIR; running processes are not looked at\n"
                "  --sshd FILE             what `sshd -T` printed there, instead of asking sshd\n"
                "  --help                  show this help\n\n"
                "Exit status: 0 every way passes (warnings or not), 1 one does not, 2 usage") < 0;
}

static int examine(const char *root, const char *sshd, bool json)
{
    struct lb_doctor d = { .sshd = sshd };
    int r = lb_doctor_start(&d, root), status = 1;

    if (r == 0)
        r = lb_doctor_examine(&d);
    if (r == 0)
        r = json ? print_json(&d) : print_text(&d);
    if (r < 0 || fflush(stdout) != 0)
        fputs("lockbox-inspect: out of memory, or the output could not be written; nothing is proven\n", stderr);
    else
        status = lb_doctor_verdict(&d) == LB_WAY_HOLE;
    lb_doctor_end(&d);
    return status;
}

int lb_doctor_main(int argc, char **argv)
{
    static const struct option options[] = {
        { "help", no_argument, NULL, 'h' },       { "json", no_argument, NULL, 'j' },
        { "root", required_argument, NULL, 'r' }, { "sshd", required_argument, NULL, 's' }, { 0 },
    };
    const char *root = "", *sshd = NULL;
    bool json = false;
    int c = 0;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return help();
        if (c == '?')
            return 2;
        if (c == 'j')
            json = true;
        else if (c == 'r')
            root = optarg;
        else
            sshd = optarg;
    }
    if (optind < argc) {
        fprintf(stderr, "lockbox-inspect: what is %s? See: lockbox-inspect doctor --help\n", argv[optind]);
        return 2;
    }
    if (*root && access(root, R_OK | X_OK) < 0) {
        fprintf(stderr, "lockbox-inspect: --root %s: %s\n", root, strerrordesc_np(errno));
        return 2;
    }
    return examine(root, sshd, json);
}
