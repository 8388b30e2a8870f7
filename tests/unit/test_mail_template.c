/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts that are built in, texts that replace them, and what is wrong with those. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lockboxd/courier/mail_texts.h"
#include "lockboxd/courier/mail_template.h"
#include "lockboxd/courier/words.h"
#include "policy/base.h"
#include "tests/unit/directory.h"

static char directory[] = "/tmp/lockbox-mail-XXXXXX";

static void put_bytes(const char *name, const char *text, size_t n)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static void remove_file(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(remove(path), 0);
}

/* The mistakes, without the directory before each; "" if it was taken. Owned. */
static char *load(struct lb_mail_templates **ret)
{
    struct lb_ini_errors errors = { 0 };
    struct lb_mail_templates *t = NULL;
    char *mistakes;

    assert_int_equal(lb_mail_templates_load(directory, &errors, &t), 0);
    assert_true((errors.n == 0) == (t != NULL));
    if (ret)
        *ret = t;
    else
        lb_mail_templates_free(t);
    mistakes = strdup(errors.text ? errors.text + strlen(directory) + 1 : "");
    free(errors.text);
    return mistakes;
}

/* There is a text for each notice, all of them good, and nothing else. */
static void test_built_in(void **state)
{
    size_t n = 0;

    (void)state;
    for (const struct lb_mail_text *t = lb_mail_texts; t->name; t++, n++) {
        char name[LB_SENTENCE_NAME_MAX] = "";
        bool layout = strcmp(t->name, "layout.html") == 0;
        ptrdiff_t at = layout ? -1 : lb_sentence_check(t->text, lb_words_know, name);

        assert_true(!layout == !strstr(t->text, "{body}"));
        if (at >= 0)
            fail_msg("%s: at %td: %s", t->name, at, name);
        assert_true(strlen(t->text) > 0 && t->text[strlen(t->text) - 1] == '\n');
    }
    assert_int_equal(n, (LB_NOTICE_MAX_ - 1) * LB_MAIL_PART_MAX_ + 1); /* and a layout */
    for (int notice = 1; notice < LB_NOTICE_MAX_; notice++)
        for (int i = 0; i < LB_MAIL_PART_MAX_; i++)
            assert_true(*lb_mail_templates_text(NULL, notice, i));
}

/* What a mail program would fetch, or a person click to decide: nothing (row 28). */
static void test_nothing_is_fetched_or_decided(void **state)
{
    static const char *const not_there[] = { "src=", "<img", "<form", "<script", "<style", "<link", "url(", "http" };

    (void)state;
    for (const struct lb_mail_text *t = lb_mail_texts; t->name; t++)
        for (size_t i = 0; i < LB_ELEMENTS(not_there); i++)
            assert_null(strstr(t->text, not_there[i]));
    for (const struct lb_mail_text *t = lb_mail_texts; t->name; t++)
        for (const char *p = t->text; (p = strstr(p, "href=")); p++)
            assert_true(strncmp(p, "href=\"{link}\"", 13) == 0 || strncmp(p, "href=\"{ticket_url}\"", 19) == 0);
}

/* Every `what` in the HTML texts has `with` directly behind it, or before it. */
static void assert_each(const char *what, const char *before, const char *behind)
{
    size_t n = strlen(before), found = 0;

    for (const struct lb_mail_text *t = lb_mail_texts; t->name; t++)
        for (const char *p = strstr(t->name, ".html") ? t->text : ""; (p = strstr(p, what)); p += strlen(what), found++)
            if (p < t->text + n || strncmp(p - n, before, n) != 0 ||
                strncmp(p + strlen(what), behind, strlen(behind)) != 0)
                fail_msg("%s: %s%s%s is wanted: %.60s", t->name, before, what, behind, p);
    assert_true(found > 0);
}

/* Seen on a telephone, 360 pixels wide, by day and by night: what did not fit made all of it too wide, a label was
 * broken into letters, a red word was hardly to be read on black, and a name in Hebrew stood where nobody looked for
 * it. */
static void test_fits_a_telephone(void **state)
{
    static const char *const anybodys[] = { "{engineer}", "{account}", "{ticket}", "{reason}", "{note}", "{from}",
                                            "{decisions}" };

    (void)state;
    assert_each("<th", "", " align=\"left\" valign=\"top\" nowrap>");
    assert_each("<pre", "", " style=\"padding-left: 1em; white-space: pre-wrap\">");
    assert_each(
        "<body", "",
        " style=\"font-family: sans-serif; max-width: 44em; word-break: break-word; overflow-wrap: anywhere\">");
    assert_each("<meta name=\"viewport\"", "", " content=\"width=device-width, initial-scale=1\">");
    assert_each("<meta name=\"color-scheme\"", "", " content=\"light dark\">");
    for (size_t i = 0; i < LB_ELEMENTS(anybodys); i++)
        assert_each(anybodys[i], "<bdi>", "</bdi>");
    for (const struct lb_mail_text *t = lb_mail_texts; t->name; t++) {
        assert_null(strstr(t->text, " color:")); /* what the reader's program chooses can be read */
        assert_null(strstr(t->text, "\"color:"));
    }
}

/* What the manual promises. */
static void test_documented(void **state)
{
    FILE *man = fopen("packaging/man/lockbox-mail.7", "r");
    char line[256], name[LB_SENTENCE_NAME_MAX];
    int n = 0;

    (void)state;
    assert_non_null(man);
    while (fgets(line, sizeof(line), man))
        if (sscanf(line, ".It Li {%63[a-z_.]}", name) == 1) {
            assert_true(lb_words_know(name));
            n++;
        }
    fclose(man);
    assert_int_equal(n, LB_WORDS_OWN);
}

static void test_replaced(void **state)
{
    struct lb_mail_templates *t = NULL;
    LB_FREE char *mistakes = NULL;

    (void)state;
    put("action.txt", "Gr\xc3\xbc\xc3\x9f Gott\t{engineer}[[1]]\n[{script.name}]");
    put("action.html", "");
    put("alarm.subject", "Oh weh: {title}");
    put("README", "{nothing} to do with it");
    put(".action.txt.swp", "{nothing}");
    put("action.txt~", "{nothing}");
    mistakes = load(&t);
    assert_string_equal(mistakes, "");
    assert_string_equal(lb_mail_templates_text(t, LB_NOTICE_ACTION, LB_MAIL_TEXT),
                        "Gr\xc3\xbc\xc3\x9f Gott\t{engineer}[[1]]\n[{script.name}]");
    assert_string_equal(lb_mail_templates_text(t, LB_NOTICE_ACTION, LB_MAIL_HTML), "");
    assert_string_equal(lb_mail_templates_text(t, LB_NOTICE_ACTION, LB_MAIL_SUBJECT),
                        lb_mail_templates_text(NULL, LB_NOTICE_ACTION, LB_MAIL_SUBJECT));
    assert_string_equal(lb_mail_templates_text(t, LB_NOTICE_ALARM, LB_MAIL_SUBJECT), "Oh weh: {title}");
    lb_mail_templates_free(t);
    remove_file("action.txt");
    remove_file("action.html");
    remove_file("alarm.subject");
}

/* With the texts that were put there; owned. */
static char *html_of(const struct lb_mail_templates *t)
{
    const struct lb_matter m = { .notice = LB_NOTICE_TEST, .host = "a<b" };
    struct lb_words words = { &m, NULL, LB_FORM_HTML };
    char *html = NULL;
    size_t size;
    FILE *out = open_memstream(&html, &size);

    assert_non_null(out);
    assert_int_equal(lb_mail_templates_write(t, LB_MAIL_HTML, &words, out), 0);
    fclose(out);
    return html;
}

/* A part is put into the layout, a page is left alone (so are copies of those of before there was one), nothing stays
 * nothing. */
static void test_layout(void **state)
{
    static const struct { const char *layout, *text, *wanted; } rows[] = {
        { "<i>{host}</i>[{person}]{body}!", "<p>{host}</p>", "<i>a&lt;b</i><p>a&lt;b</p>!" },
        { "<i>{body}</i>", "<!DOCTYPE html>\n{host}", "<!DOCTYPE html>\na&lt;b" },
        { "<i>{body}</i>", "\n<HTML>", "\n<HTML>" },
        { "<i>{body}</i>", "", "" },
        { NULL, "<p>", "<!DOCTYPE html>\n<html lang=\"en\">\n" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        struct lb_mail_templates *t = NULL;
        LB_FREE char *mistakes = NULL, *html = NULL;

        if (rows[i].layout)
            put("layout.html", rows[i].layout);
        put("test.html", rows[i].text);
        mistakes = load(&t);
        assert_string_equal(mistakes, "");
        html = html_of(t);
        assert_int_equal(strncmp(html, rows[i].wanted, strlen(rows[i].wanted)), 0);
        assert_true(!rows[i].layout || strlen(html) == strlen(rows[i].wanted));
        lb_mail_templates_free(t);
        if (rows[i].layout)
            remove_file("layout.html");
        remove_file("test.html");
    }
}

static void test_mistakes(void **state)
{
    static const struct { const char *name, *text, *wanted;
    } rows[] = {
        { "action.txt", "one\ntwo {enginer}\n",
          "action.txt:2: {enginer} stands for nothing (did you mean {engineer}?)\n" },
        { "action.txt", "{approvals}", "action.txt:1: {approvals} stands for nothing" }, /* no text, a list */
        { "action.txt", "{end}", "action.txt:1: {end} stands for nothing" },
        { "action.txt", "{end.by}{end.by.at}", "action.txt:1: {end.by.at} stands for nothing\n" },
        { "action.html", "a\nb\n[{id}\n", "action.html:3: a bracket without its other one" },
        { "action.html", "]", "action.html:1: a bracket without its other one" },
        { "action.txt", "a\nb\x07\n", "action.txt:2: has the character U+0007, which nobody can see\n" },
        { "action.txt", "a\r\n", "action.txt:1: has the character U+000D" },
        { "action.txt", "\xe2\x80\xae", "action.txt:1: has the character U+202E" },
        { "action.txt", "a\n\xff\n", "action.txt:2: is not valid UTF-8\n" },
        { "action.subject", "a\nb\n", "action.subject:2: a subject has one line\n" },
        { "action.txt", "", "action.txt: is empty, and a mail without it is of no use\n" },
        { "actoin.txt", "a", "actoin.txt: is for no kind of mail" },
        { ".subject.html", "", "" },
        { "none.html", "a", "none.html: is for no kind of mail" },
        { "layout.html", "<p>{bod}{body}</p>", "layout.html:1: {bod} stands for nothing" },
        { "layout.html", "<p>", "layout.html: has to have {body} once" },
        { "layout.html", "", "layout.html: has to have {body} once" },
        { "layout.html", "{body}{body}", "layout.html: has to have {body} once" },
        { "action.html", "{body}", "action.html:1: {body} stands for nothing" },
    };

    (void)state;
    for (size_t i = 0; i < LB_ELEMENTS(rows); i++) {
        LB_FREE char *mistakes = NULL;

        put(rows[i].name, rows[i].text);
        mistakes = load(NULL);
        assert_int_equal(strncmp(mistakes, rows[i].wanted, strlen(rows[i].wanted)), 0);
        assert_true((*mistakes != '\0') == (*rows[i].wanted != '\0'));
        remove_file(rows[i].name);
    }
}

static void test_a_nul(void **state)
{
    LB_FREE char *mistakes = NULL;

    (void)state;
    put_bytes("action.txt", "a\0{nothing}", 11);
    mistakes = load(NULL);
    assert_string_equal(mistakes, "action.txt:1: has the character U+0000, which nobody can see\n");
    remove_file("action.txt");
}

static void test_no_directory(void **state)
{
    struct lb_ini_errors errors = { 0 };
    struct lb_mail_templates *t = NULL;

    (void)state;
    assert_int_equal(lb_mail_templates_load("/nonexistent/templates", &errors, &t), 0);
    assert_null(t);
    assert_string_equal(errors.text, "/nonexistent/templates: cannot be read: No such file or directory\n");
    free(errors.text);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    directory_remove(directory);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_nothing_is_fetched_or_decided),
        cmocka_unit_test(test_fits_a_telephone),
        cmocka_unit_test(test_documented),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_a_nul),
        cmocka_unit_test(test_no_directory),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
