/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockboxd/courier/template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lockboxd/courier/words.h"
#include "lockboxd/proto/json.h"
#include "policy/base.h"

#define NAME "abcdefghijklmnopqrstuvwxyz_."

/* The {word} at `p`, or NULL for a brace that is just one. */
static const char *word_at(const char *p, char word[static LB_SENTENCE_NAME_MAX])
{
    size_t n = *p == '{' && p[1] >= 'a' && p[1] <= 'z' ? strspn(p + 1, NAME) : 0;

    if (n == 0 || n >= LB_SENTENCE_NAME_MAX || p[1 + n] != '}')
        return NULL;
    memcpy(word, p + 1, n);
    word[n] = '\0';
    return p + n + 2;
}

char *lb_template_fill(const char *text, const char *link, const struct lb_matter *m)
{
    struct lb_words words = { m, link, LB_FORM_JSON };
    char word[LB_SENTENCE_NAME_MAX], *filled = NULL;
    size_t size;
    FILE *out = open_memstream(&filled, &size);
    int r = out ? 0 : -ENOMEM;

    for (const char *p = text, *next; r >= 0 && *p; p = next) {
        next = word_at(p, word);
        if (next)
            r = lb_words_write(&words, word, false, out);
        else
            r = fputc(*p, out) == EOF ? -ENOMEM : 0;
        next = next ? next : p + 1;
    }
    if (out && fclose(out) != 0)
        r = -ENOMEM;
    if (r >= 0)
        return filled;
    free(filled);
    return NULL;
}

/* --- mistakes ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int say(char **ret_mistake, const char *format, ...)
{
    va_list words;
    int r;

    va_start(words, format);
    r = vasprintf(ret_mistake, format, words);
    va_end(words);
    return r < 0 ? -ENOMEM : -EINVAL;
}

static bool is_blank_or(const char *marks, char c)
{
    return c && (strchr(" \t\r\n", c) || strchr(marks, c));
}

/* text..p..next: what stands there without quotes is a value of its own, whatever number it will be. */
static bool is_alone(const char *text, const char *p, const char *next)
{
    return p > text && is_blank_or(":[,", p[-1]) && is_blank_or(",]}", *next);
}

/* Behind a backslash, or within \uXXXX, what somebody else says would be read as part of the escape: a quote in it
 * ended the string. */
static bool is_in_escape(const char *backslash)
{
    char word[LB_SENTENCE_NAME_MAX];
    size_t n = backslash[1] == 'u' ? 5 : 1;

    for (size_t i = 1; i <= n && backslash[i]; i++)
        if (word_at(backslash + i, word))
            return true;
    return false;
}

/* A word at `p`, up to `next`. */
static int check_word(const char *text, const char *p, const char *next, const char *word, bool quoted,
                      char **ret_mistake)
{
    const char *near = lb_words_know(word) ? NULL : lb_words_near(word);

    if (!lb_words_know(word))
        return say(ret_mistake, "{%s} stands for nothing%s%s%s", word, near ? " (did you mean {" : "", near ? near : "",
                   near ? "}?)" : "");
    if (!quoted && !(lb_words_is_number(word) && is_alone(text, p, next)))
        return say(ret_mistake, "{%s} has to stand in quotes: without them only a number can, as a value of its own",
                   word);
    return 0;
}

static int check_words(const char *text, unsigned *ret_line, char **ret_mistake)
{
    char word[LB_SENTENCE_NAME_MAX];
    bool quoted = false;
    int r = 0;

    *ret_line = 1;
    for (const char *p = text, *next; r == 0 && *p; p = next) {
        next = word_at(p, word);
        *ret_line += *p == '\n';
        if (next)
            r = check_word(text, p, next, word, quoted, ret_mistake);
        else if (quoted && *p == '\\' && is_in_escape(p))
            r = say(ret_mistake, "a placeholder cannot stand behind a backslash");
        else if (*p == '"')
            quoted = !quoted;
        if (!next)
            next = p + (quoted && *p == '\\' && p[1] ? 2 : 1);
    }
    return r;
}

int lb_template_check(const char *text, unsigned *ret_line, char **ret_mistake)
{
    static const struct lb_matter test = { .notice = LB_NOTICE_TEST, .host = "host" };
    unsigned line;
    int r = check_words(text, &line, ret_mistake);

    if (r < 0) {
        *ret_line = line;
        return r;
    }

    LB_FREE char *filled = lb_template_fill(text, NULL, &test);
    json_auto_t *object = filled ? lb_json_load(filled, strlen(filled)) : NULL;

    *ret_line = 0;
    if (!filled)
        return -ENOMEM;
    return object ? 0 : say(ret_mistake, "is no JSON object once the placeholders are filled in");
}
