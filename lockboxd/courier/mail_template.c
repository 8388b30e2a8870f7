/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/mail_template.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "lockboxd/courier/mail_texts.h"
#include "lockboxd/courier/words.h"
#include "lockboxd/read_text.h"
#include "policy/base.h"
#include "policy/text.h"

static const char *const suffixes[LB_MAIL_PART_MAX_] = {
    [LB_MAIL_SUBJECT] = ".subject",
    [LB_MAIL_TEXT] = ".txt",
    [LB_MAIL_HTML] = ".html",
};

#define LAYOUT "layout.html"
#define BODY "body"

struct lb_mail_templates {
    char *texts[LB_NOTICE_MAX_][LB_MAIL_PART_MAX_]; /* NULL: as it is built in */
    char *layout;                                   /* NULL … */
};

struct lb_mail_templates *lb_mail_templates_free(struct lb_mail_templates *t)
{
    for (int notice = 0; t && notice < LB_NOTICE_MAX_; notice++)
        for (int part = 0; part < LB_MAIL_PART_MAX_; part++)
            free(t->texts[notice][part]);
    if (t)
        free(t->layout);
    free(t);
    return NULL;
}

static bool is_file_of(const char *name, int notice, int part)
{
    size_t n = strlen(lb_notice_names[notice]);

    return strncmp(name, lb_notice_names[notice], n) == 0 && strcmp(name + n, suffixes[part]) == 0;
}

const char *lb_mail_templates_text(const struct lb_mail_templates *t, int notice, enum lb_mail_part part)
{
    if (t && t->texts[notice][part])
        return t->texts[notice][part];
    for (const struct lb_mail_text *text = lb_mail_texts; text->name; text++)
        if (is_file_of(text->name, notice, part))
            return text->text;
    return "";
}

/* One that begins as a page does is a page of its own. */
static bool is_page(const char *text)
{
    static const char *const beginnings[] = { "<!DOCTYPE", "<html" };

    text += strspn(text, " \n");
    for (size_t i = 0; i < LB_ELEMENTS(beginnings); i++)
        if (strncasecmp(text, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

static const char *layout_of(const struct lb_mail_templates *t)
{
    const struct lb_mail_text *text = lb_mail_texts;

    while (text->name && strcmp(text->name, LAYOUT) != 0)
        text++;
    return t && t->layout ? t->layout : text->name ? text->text : "{" BODY "}";
}

/* What stands for the names of a layout. */
struct page {
    const char *body;
    struct lb_words *words;
};

static int put_page(void *userdata, const char *name, bool optional, FILE *out)
{
    struct page *p = userdata;
    int r;

    if (strcmp(name, BODY) != 0)
        return lb_words_write(p->words, name, optional, out);
    r = lb_sentence_write(out, p->body, lb_words_write, p->words);
    return r < 0 ? r : 1;
}

int lb_mail_templates_write(const struct lb_mail_templates *t, enum lb_mail_part part, struct lb_words *words,
                            FILE *out)
{
    struct page page = { lb_mail_templates_text(t, words->matter->notice, part), words };

    if (part == LB_MAIL_HTML && *page.body && !is_page(page.body))
        return lb_sentence_write(out, layout_of(t), put_page, &page);
    return lb_sentence_write(out, page.body, lb_words_write, words);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static unsigned line_of(const char *text, size_t offset)
{
    unsigned line = 1;

    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

/* Characters that nobody could see, line by line: a line's end is the only control character that may be there. */
static void check_characters(const char *path, const char *text, size_t size, struct lb_ini_errors *errors)
{
    size_t n, at;
    uint32_t code;

    for (size_t i = 0; i < size; i += n + 1) {
        const char *end = memchr(text + i, '\n', size - i);

        n = end ? (size_t)(end - text) - i : size - i;
        if (!lb_text_find_bad(text + i, n, &at, &code))
            continue;
        if (code == UINT32_MAX)
            lb_ini_error(errors, path, line_of(text, i), "is not valid UTF-8");
        else
            lb_ini_error(errors, path, line_of(text, i), "has the character U+%04X, which nobody can see", code);
    }
}

static bool is_known_to_layout(const char *name)
{
    return strcmp(name, BODY) == 0 || lb_words_know(name);
}

static void check_names(const char *path, const char *text, bool layout, struct lb_ini_errors *errors)
{
    char name[LB_SENTENCE_NAME_MAX] = "";
    ptrdiff_t at = lb_sentence_check(text, layout ? is_known_to_layout : lb_words_know, name);
    const char *near;

    if (at < 0)
        return;
    near = *name ? lb_words_near(name) : NULL;
    if (*name)
        lb_ini_error(errors, path, line_of(text, (size_t)at), "{%s} stands for nothing%s%s%s", name,
                     near ? " (did you mean {" : "", near ? near : "", near ? "}?)" : "");
    else
        lb_ini_error(errors, path, line_of(text, (size_t)at),
                     "a bracket without its other one, or one within another; [[ and ]] stand for one");
}

/* 1 and the text, which may be ""; 0: it could not be read, which is told. */
static int read_text(const char *path, bool layout, char **ret, struct lb_ini_errors *errors)
{
    LB_FREE char *text = NULL;
    size_t size = 0, mistakes = errors->n;
    int r = lb_read_text(path, true, &text, &size, errors);

    if (r < 0)
        return r;
    if (r == 0 && errors->n > mistakes)
        return 0;
    if (r == 0)
        text = strdup("");
    if (!text)
        return -ENOMEM;
    check_characters(path, text, size, errors);
    check_names(path, text, layout, errors);
    free(*ret);
    *ret = LB_TAKE(text);
    return 1;
}

static int read_file(const char *path, int part, char **ret, struct lb_ini_errors *errors)
{
    int r = read_text(path, false, ret, errors);
    const char *text = r > 0 ? *ret : NULL;

    if (text && !*text && part != LB_MAIL_HTML)
        lb_ini_error(errors, path, 0, "is empty, and a mail without it is of no use");
    if (text && part == LB_MAIL_SUBJECT && text[strcspn(text, "\n")] && text[strcspn(text, "\n") + 1])
        lb_ini_error(errors, path, 2, "a subject has one line");
    return r < 0 ? r : 0;
}

/* Without the blank every mail would be the same, and say nothing. */
static int read_layout(const char *path, char **ret, struct lb_ini_errors *errors)
{
    static const char blank[] = "{" BODY "}";
    int r = read_text(path, true, ret, errors);
    const char *at = r > 0 ? strstr(*ret, blank) : NULL;

    if (r > 0 && (!at || strstr(at + 1, blank)))
        lb_ini_error(errors, path, 0, "has to have %s once: there the mail is put", blank);
    return r < 0 ? r : 0;
}

/* What has the end of one of ours and is none would be a replacement that does not replace. */
static bool is_meant(const char *name)
{
    size_t n = strlen(name);

    for (int part = 0; part < LB_MAIL_PART_MAX_; part++)
        if (*name != '.' && n > strlen(suffixes[part]) &&
            strcmp(name + n - strlen(suffixes[part]), suffixes[part]) == 0)
            return true;
    return false;
}

static int take(struct lb_mail_templates *t, const char *directory, const char *name, struct lb_ini_errors *errors)
{
    LB_FREE char *path = NULL;

    if (!is_meant(name))
        return 0;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (strcmp(name, LAYOUT) == 0)
        return read_layout(path, &t->layout, errors);
    for (int notice = 1; notice < LB_NOTICE_MAX_; notice++)
        for (int part = 0; part < LB_MAIL_PART_MAX_; part++)
            if (is_file_of(name, notice, part))
                return read_file(path, part, &t->texts[notice][part], errors);
    lb_ini_error(errors, path, 0, "is for no kind of mail; they are called as in /usr/share/lockbox/mail");
    return 0;
}

int lb_mail_templates_load(const char *directory, struct lb_ini_errors *errors, struct lb_mail_templates **ret)
{
    struct lb_mail_templates *t = calloc(1, sizeof(*t));
    struct dirent **entries = NULL;
    size_t mistakes = errors->n;
    int n = t ? scandir(directory, &entries, NULL, alphasort) : 0, r = t ? 0 : -ENOMEM;

    if (n < 0)
        lb_ini_error(errors, directory, 0, "cannot be read: %s", strerrordesc_np(errno));
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = take(t, directory, entries[i]->d_name, errors);
        free(entries[i]);
    }
    free(entries);
    if (r < 0 || errors->n > mistakes)
        lb_mail_templates_free(t);
    else
        *ret = t;
    return r;
}
